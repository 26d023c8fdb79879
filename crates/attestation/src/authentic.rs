//! A document of which it is known who signed it.

use crate::{
    AppraisalError, AttestedEnclave, CertificateFacts, DebugMode, Digest384, Measurements, PcrIndex, Policy,
    RootKind, SignedDocument, TrustAnchor, UnixTime, policy,
};

/// A document that the holder of a trust anchor's key vouches for, at one point in time.
///
/// Made by [`SignedDocument::authenticate`] only. Authentic says *who* made it, not *what for*: any enclave anywhere
/// gets authentic documents. Whether it is the right enclave, for the right purpose, now, is for
/// [`appraise`](Self::appraise).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticDocument {
    document: SignedDocument,
    anchor: TrustAnchor,
    verified_at: UnixTime,
    certificates: Vec<CertificateFacts>,
}

impl AuthenticDocument {
    pub(crate) fn new(
        document: SignedDocument,
        anchor: TrustAnchor,
        verified_at: UnixTime,
        certificates: Vec<CertificateFacts>,
    ) -> Self {
        Self { document, anchor, verified_at, certificates }
    }

    /// The enclave: parent instance and enclave id (`i-…-enc…`), confirmed by the leaf certificate.
    #[must_use]
    pub fn module_id(&self) -> &str {
        &self.document.claims.module_id
    }

    /// When the hypervisor made the document, by its own clock.
    #[must_use]
    pub fn timestamp(&self) -> UnixTime {
        self.document.claims.timestamp
    }

    /// The time for which the chain was checked.
    #[must_use]
    pub fn verified_at(&self) -> UnixTime {
        self.verified_at
    }

    /// A register; `None` if the document does not hold it, which says that it is not locked. A missing register equals
    /// nothing, also not zero.
    #[must_use]
    pub fn pcr(&self, index: PcrIndex) -> Option<&Digest384> {
        self.document.claims.pcrs.get(&index)
    }

    /// All registers in the document, ascending.
    pub fn pcrs(&self) -> impl Iterator<Item = (PcrIndex, &Digest384)> {
        self.document.pcrs_unverified()
    }

    /// PCR0, PCR1, PCR2.
    ///
    /// # Errors
    /// [`DebugMode`] if one of them is zero.
    pub fn measurements(&self) -> Result<Measurements, DebugMode> {
        // Parsing saw to it that they are there; were one missing, zero would be refused.
        let value = |index| self.pcr(index).copied().unwrap_or(Digest384::ZERO);
        Measurements::new(value(PcrIndex::IMAGE), value(PcrIndex::KERNEL), value(PcrIndex::APPLICATION))
    }

    /// `public_key`, up to 1,024 bytes that the enclave chose. An empty one is not an absent one.
    #[must_use]
    pub fn public_key(&self) -> Option<&[u8]> {
        self.document.claims.public_key.as_deref()
    }

    /// `user_data`, up to 1,024 bytes that the enclave chose. Empty is not absent.
    #[must_use]
    pub fn user_data(&self) -> Option<&[u8]> {
        self.document.claims.user_data.as_deref()
    }

    /// `nonce`, up to 1,024 bytes that the enclave was given. Empty is not absent.
    #[must_use]
    pub fn nonce(&self) -> Option<&[u8]> {
        self.document.claims.nonce.as_deref()
    }

    /// Whose word it is.
    #[must_use]
    pub fn root(&self) -> RootKind {
        self.anchor.kind()
    }

    /// The anchor that it was checked against.
    #[must_use]
    pub fn anchor(&self) -> &TrustAnchor {
        &self.anchor
    }

    /// The verified certificates, root first, leaf last.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateFacts] {
        &self.certificates
    }

    /// The same certificates in DER, root first, leaf last.
    pub fn certificates_der(&self) -> impl Iterator<Item = &[u8]> {
        self.document.bundle.iter().chain(core::iter::once(&self.document.certificate)).map(Vec::as_slice)
    }

    /// Compares the document with a policy: image, registers, age, kind.
    ///
    /// # Errors
    /// [`AppraisalError`], the first difference in that order.
    pub fn appraise(self, policy: &Policy) -> Result<AttestedEnclave, AppraisalError> {
        policy::appraise(self, policy)
    }
}

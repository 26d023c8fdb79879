//! Authentication: signature, chain, time.

use core::{fmt, time::Duration};

use rustls_pki_types::CertificateDer;
use webpki::{EndEntityCert, KeyUsage};

use crate::{
    CertificateFault, SignedDocument, TrustAnchor, UnixTime,
    certificate::Certificate,
    crypto::{self, BadSignature},
};

/// What a verified certificate says, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    position: CertificatePosition,
    subject: String,
    issuer: String,
    serial: String,
    not_before: UnixTime,
    not_after: UnixTime,
    fingerprint: [u8; 32],
}

impl CertificateFacts {
    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> CertificatePosition {
        self.position
    }

    /// The subject's common name; empty if it has none or several.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The issuer's common name; empty if it has none or several.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The serial number in lower-case hex.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The first second in which it is valid.
    #[must_use]
    pub fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// The last second in which it is valid.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// SHA-256 of its DER.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }
}

/// Where a certificate stands in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificatePosition {
    /// `cabundle` at this index; 0 is the root.
    Bundle(usize),
    /// `certificate`: the one whose key signed the document.
    Leaf,
}

impl fmt::Display for CertificatePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundle(0) => f.write_str("the root certificate (cabundle[0])"),
            Self::Bundle(index) => write!(f, "the certificate cabundle[{index}]"),
            Self::Leaf => f.write_str("the leaf certificate"),
        }
    }
}

/// Why a document of the right form is not authentic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthenticationError {
    /// `cabundle[0]` is not the trust anchor: the document speaks for somebody else's hardware, or a simulation.
    #[error("the document's root is not the expected one")]
    RootDiffers {
        /// SHA-256 of the anchor.
        expected: [u8; 32],
        /// SHA-256 of `cabundle[0]`.
        found: [u8; 32],
    },
    /// A certificate by itself is not what it should be.
    #[error("{at} is refused: {fault}")]
    Certificate {
        /// Which.
        at: CertificatePosition,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// A certificate was not issued in the name of the one before it: the bundle is in another order, or incomplete.
    #[error("{at} was not issued by the certificate before it")]
    WrongIssuer {
        /// Which.
        at: CertificatePosition,
    },
    /// An authority has more authorities below it than it may (RFC 5280, section 4.2.1.9).
    #[error("{at} allows {allowed} authorities below it; there are {found}")]
    PathLength {
        /// Which.
        at: CertificatePosition,
        /// Its pathLenConstraint.
        allowed: u8,
        /// The number of authorities between it and the leaf.
        found: usize,
    },
    /// A certificate is not valid yet.
    #[error("{at} is not valid before {not_before}; checked for {asked}")]
    NotYetValid {
        /// Which.
        at: CertificatePosition,
        /// The first second in which it is valid.
        not_before: UnixTime,
        /// The time asked for.
        asked: UnixTime,
    },
    /// A certificate is valid no more.
    #[error("{at} expired at {not_after}; checked for {asked}")]
    Expired {
        /// Which.
        at: CertificatePosition,
        /// The last second in which it was valid.
        not_after: UnixTime,
        /// The time asked for.
        asked: UnixTime,
    },
    /// A certificate is not signed by the one before it.
    #[error("the signature of {at} is wrong")]
    CertificateSignature {
        /// Which.
        at: CertificatePosition,
    },
    /// The path validation of `rustls-webpki` refuses what the checks of this crate let pass.
    #[error("the certificate path is refused: {reason}")]
    Path {
        /// Its words.
        reason: String,
    },
    /// The leaf certificate speaks for another module than the document (`<module_id>.<region>.aws`).
    #[error("the leaf certificate is for {common_name:?}, the document for {module_id:?}")]
    WrongModule {
        /// The document's module id.
        module_id: String,
        /// The common name of the leaf certificate's subject; empty if it has none or several.
        common_name: String,
    },
    /// The document is not signed by the leaf's key: it was changed, or is not this leaf's.
    #[error("the signature of the document is wrong")]
    DocumentSignature,
}

/// The checks of [`SignedDocument::authenticate`], the cheap ones first.
pub(crate) fn verify(
    document: &SignedDocument,
    anchor: &TrustAnchor,
    at: UnixTime,
) -> Result<Vec<CertificateFacts>, AuthenticationError> {
    // AWS: "cabundle[0] is the root", and it is to be known beforehand, never taken from the document.
    let found = document.root_fingerprint_unverified();
    if found != anchor.fingerprint() {
        return Err(AuthenticationError::RootDiffers { expected: anchor.fingerprint(), found });
    }
    let (authorities, leaf) = read_chain(document)?;
    check_order(&authorities, &leaf)?;
    check_time(&authorities, &leaf, at)?;
    check_module(document, &leaf)?;
    check_path(document, &authorities, &leaf, anchor, at)?;
    crypto::verify_fixed(leaf.point, &document.signed_bytes, &document.signature)
        .map_err(|BadSignature| AuthenticationError::DocumentSignature)?;
    Ok(facts(document, &authorities, &leaf))
}

/// Each certificate by itself, root first.
fn read_chain(
    document: &SignedDocument,
) -> Result<(Vec<Certificate<'_>>, Certificate<'_>), AuthenticationError> {
    let authorities_below_root = document.bundle.len().saturating_sub(1);
    let mut authorities = Vec::with_capacity(document.bundle.len());
    for (index, der) in document.bundle.iter().enumerate() {
        let at = CertificatePosition::Bundle(index);
        let refuse = |fault| AuthenticationError::Certificate { at, fault };
        let certificate = Certificate::parse(der).map_err(refuse)?;
        let path_length = certificate.check_authority().map_err(refuse)?;
        let below = authorities_below_root.saturating_sub(index);
        if let Some(allowed) = path_length
            && below > usize::from(allowed)
        {
            return Err(AuthenticationError::PathLength { at, allowed, found: below });
        }
        authorities.push(certificate);
    }
    let refuse = |fault| AuthenticationError::Certificate { at: CertificatePosition::Leaf, fault };
    let leaf = Certificate::parse(&document.certificate).map_err(refuse)?;
    leaf.check_end_entity().map_err(refuse)?;
    Ok((authorities, leaf))
}

/// AWS: the bundle is ordered, root first, and the last one issued the leaf.
fn check_order(authorities: &[Certificate<'_>], leaf: &Certificate<'_>) -> Result<(), AuthenticationError> {
    for (at, certificate, issuer) in pairs(authorities, leaf) {
        if certificate.issuer != issuer.subject {
            return Err(AuthenticationError::WrongIssuer { at });
        }
    }
    Ok(())
}

/// Certificates count whole seconds, both ends included. The leaf, which lives shortest, is asked first.
fn check_time(
    authorities: &[Certificate<'_>],
    leaf: &Certificate<'_>,
    asked: UnixTime,
) -> Result<(), AuthenticationError> {
    let upwards = authorities
        .iter()
        .enumerate()
        .rev()
        .map(|(index, certificate)| (CertificatePosition::Bundle(index), certificate));
    for (at, certificate) in core::iter::once((CertificatePosition::Leaf, leaf)).chain(upwards) {
        if asked.as_secs() < certificate.not_before.as_secs() {
            return Err(AuthenticationError::NotYetValid { at, not_before: certificate.not_before, asked });
        }
        if asked.as_secs() > certificate.not_after.as_secs() {
            return Err(AuthenticationError::Expired { at, not_after: certificate.not_after, asked });
        }
    }
    Ok(())
}

/// The leaf's common name is `<module_id>.<region>.aws`. Without this check, the leaf of one enclave could stand under
/// the module id of another.
fn check_module(document: &SignedDocument, leaf: &Certificate<'_>) -> Result<(), AuthenticationError> {
    let common_name = leaf.subject_common_name().unwrap_or_default();
    let region = common_name
        .strip_prefix(document.claims.module_id.as_str())
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|rest| rest.strip_suffix(".aws"));
    let is_region = |region: &str| {
        !region.is_empty()
            && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if region.is_some_and(is_region) {
        Ok(())
    } else {
        Err(AuthenticationError::WrongModule {
            module_id: document.claims.module_id.clone(),
            common_name: common_name.to_owned(),
        })
    }
}

/// The signatures from the anchor down, by `rustls-webpki` (RFC 5280, section 6). Revocation is not asked for.
fn check_path(
    document: &SignedDocument,
    authorities: &[Certificate<'_>],
    leaf: &Certificate<'_>,
    anchor: &TrustAnchor,
    at: UnixTime,
) -> Result<(), AuthenticationError> {
    let leaf_der = CertificateDer::from(document.certificate.as_slice());
    let path = |error: webpki::Error| AuthenticationError::Path { reason: error.to_string() };
    let end_entity = EndEntityCert::try_from(&leaf_der).map_err(path)?;
    // Not the root: it is the anchor. From the leaf upwards, so that the first try is the right one.
    let intermediates: Vec<_> =
        document.bundle.iter().skip(1).rev().map(|der| CertificateDer::from(der.as_slice())).collect();
    let anchors = [anchor.to_webpki()];
    let time = rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(at.as_secs()));
    let result = end_entity.verify_for_usage(
        crypto::PATH_SIGNATURES,
        &anchors,
        &intermediates,
        time,
        KeyUsage::client_auth(),
        None,
        None,
    );
    match result {
        // Names chain in the bundle's order already; this says that no certificate was left out of the path.
        Ok(verified) if verified.intermediate_certificates().count() == intermediates.len() => Ok(()),
        Ok(_) => {
            Err(AuthenticationError::Path { reason: "it leaves out certificates of cabundle".to_owned() })
        }
        // It does not say whose signature was wrong: look for it, which costs time only where something is wrong.
        Err(error) => Err(wrong_signature(authorities, leaf)
            .map_or_else(|| path(error), |at| AuthenticationError::CertificateSignature { at })),
    }
}

fn wrong_signature(authorities: &[Certificate<'_>], leaf: &Certificate<'_>) -> Option<CertificatePosition> {
    pairs(authorities, leaf)
        .find(|(_, certificate, issuer)| {
            crypto::verify_asn1(issuer.point, certificate.signed_part, certificate.signature)
                == Err(BadSignature)
        })
        .map(|(at, _, _)| at)
}

/// Each certificate below the root with the one that must have issued it, from the root down.
fn pairs<'c, 'a>(
    authorities: &'c [Certificate<'a>],
    leaf: &'c Certificate<'a>,
) -> impl Iterator<Item = (CertificatePosition, &'c Certificate<'a>, &'c Certificate<'a>)> {
    let intermediates = authorities
        .iter()
        .enumerate()
        .skip(1)
        .map(|(index, certificate)| (CertificatePosition::Bundle(index), certificate));
    intermediates
        .chain(core::iter::once((CertificatePosition::Leaf, leaf)))
        .zip(authorities)
        .map(|((at, certificate), issuer)| (at, certificate, issuer))
}

fn facts(
    document: &SignedDocument,
    authorities: &[Certificate<'_>],
    leaf: &Certificate<'_>,
) -> Vec<CertificateFacts> {
    let bundle = authorities
        .iter()
        .zip(&document.bundle)
        .enumerate()
        .map(|(index, (certificate, der))| (CertificatePosition::Bundle(index), certificate, der));
    bundle
        .chain(core::iter::once((CertificatePosition::Leaf, leaf, &document.certificate)))
        .map(|(position, certificate, der)| CertificateFacts {
            position,
            subject: certificate.subject_common_name().unwrap_or_default().to_owned(),
            issuer: certificate.issuer_common_name().unwrap_or_default().to_owned(),
            serial: certificate.serial.iter().map(|byte| format!("{byte:02x}")).collect(),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            fingerprint: crypto::sha256(der),
        })
        .collect()
}

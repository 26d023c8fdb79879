//! The enclave's own attestation documents, verified by itself as others will verify them (PROTOCOL §4 and §10.3).

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use entente_agreement::{Agreement, Image, Root};
use entente_attestation::{
    AnchorError, AppraisalError, AuthenticationError, Digest384, DocumentKind, Freshness, HardwareRegisters,
    Nonce, ParseError, Policy, SignedDocument, TrustAnchor, UserRegisters,
};
use entente_nsm::{AttestationRequest, Nsm};
use minicbor::data::Type;

use crate::refusal::Refusal;

/// Why the enclave does not believe its own document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Not a document.
    #[error(transparent)]
    Form(#[from] ParseError),
    /// The document's root is not the one that the agreement names.
    #[error("the document's root is not the agreement's")]
    OtherRoot {
        /// SHA-256 that the agreement names.
        expected: [u8; 32],
        /// SHA-256 of the document's root.
        found: [u8; 32],
    },
    /// The agreement names a certificate that cannot be a root.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// Not signed under the root, at its own time.
    #[error(transparent)]
    Authentication(#[from] AuthenticationError),
    /// Another image, registers, time or filling than it must have.
    #[error(transparent)]
    Appraisal(#[from] AppraisalError),
}

/// What the self-check found.
pub(crate) struct SelfCheck {
    /// The root that the agreement names, and under which this enclave really runs.
    pub(crate) anchor: TrustAnchor,
}

/// Step 3: a document about this enclave as it is now, with a nonce of its own, under the agreement's root, with the agreed
/// image, neither register locked, and within the agreement's window.
///
/// The nonce is drawn here and not by the NSM: whoever answers must not choose it.
pub(crate) fn self_check(nsm: &mut Nsm, agreement: &Agreement, image: &Image) -> Result<SelfCheck, Refusal> {
    let mut nonce = [0; 32];
    SystemRandom::new().fill(&mut nonce).map_err(|_| Refusal::Run)?;
    let request = AttestationRequest { nonce: Some(nonce.to_vec()), ..AttestationRequest::default() };
    let bytes = nsm.attestation(request)?;
    let document = SignedDocument::parse(&bytes).map_err(EvidenceError::from)?;
    let anchor = anchor(agreement.root(), &document, &bytes)?;
    let kind = DocumentKind::SelfCheck { nonce: Nonce::from_bytes(nonce) };
    check(document, &anchor, &policy(agreement, image, UserRegisters::Unbound, kind))?;
    Ok(SelfCheck { anchor })
}

/// Step 10: the document that signs the receipt, checked again: another document, or one made after the window has closed,
/// would make a receipt that nobody accepts.
pub(crate) fn receipt_document(
    nsm: &mut Nsm,
    agreement: &Agreement,
    image: &Image,
    anchor: &TrustAnchor,
    input_set: Digest384,
    statement: Digest384,
) -> Result<Vec<u8>, Refusal> {
    let request = AttestationRequest {
        user_data: Some(statement.as_bytes().to_vec()),
        ..AttestationRequest::default()
    };
    let bytes = nsm.attestation(request)?;
    let document = SignedDocument::parse(&bytes).map_err(EvidenceError::from)?;
    let registers = UserRegisters::Bound { agreement: agreement.digest(), input_set };
    check(document, anchor, &policy(agreement, image, registers, DocumentKind::Receipt { statement }))?;
    Ok(bytes)
}

/// Authenticates at the document's own time: the enclave has no other clock, and the hypervisor signs this one.
fn check(document: SignedDocument, anchor: &TrustAnchor, policy: &Policy) -> Result<(), EvidenceError> {
    let at = document.timestamp_unverified();
    document.authenticate(anchor, at)?.appraise(policy)?;
    Ok(())
}

fn policy(agreement: &Agreement, image: &Image, user_registers: UserRegisters, kind: DocumentKind) -> Policy {
    let mut hardware_registers = HardwareRegisters::unnamed();
    if let Some(pcr3) = image.pcr3() {
        hardware_registers = hardware_registers.and_parent_role(pcr3);
    }
    if let Some(pcr4) = image.pcr4() {
        hardware_registers = hardware_registers.and_parent_instance(pcr4);
    }
    if let Some(pcr8) = image.pcr8() {
        hardware_registers = hardware_registers.and_signed_by(pcr8);
    }
    let window = agreement.window();
    Policy {
        measurements: *image.measurements(),
        hardware_registers,
        user_registers,
        freshness: Freshness::Window { not_before: window.not_before(), not_after: window.not_after() },
        kind,
    }
}

/// The root that the agreement names. For a simulated one the certificate itself comes with the document, and is the anchor
/// only because the agreement names its digest.
fn anchor(root: Root, document: &SignedDocument, bytes: &[u8]) -> Result<TrustAnchor, EvidenceError> {
    let Root::Simulated { ca_sha256 } = root else { return Ok(TrustAnchor::aws_nitro()) };
    let found = document.root_fingerprint_unverified();
    let other = EvidenceError::OtherRoot { expected: ca_sha256, found };
    if found != ca_sha256 {
        return Err(other);
    }
    let anchor = TrustAnchor::simulated(first_of_bundle(bytes).unwrap_or_default())?;
    // The same bytes were hashed twice, by two readers of the document.
    if anchor.fingerprint() == ca_sha256 { Ok(anchor) } else { Err(other) }
}

/// `cabundle[0]` of a document that has been parsed before, so that whatever is unexpected here cannot be.
fn first_of_bundle(document: &[u8]) -> Option<&[u8]> {
    let mut message = minicbor::Decoder::new(document);
    if message.datatype().ok()? == Type::Tag {
        message.tag().ok()?;
    }
    message.array().ok()?;
    message.skip().ok()?;
    message.skip().ok()?;
    let mut payload = minicbor::Decoder::new(message.bytes().ok()?);
    payload.map().ok()?;
    while payload.datatype().ok()? == Type::String {
        if payload.str().ok()? == "cabundle" {
            payload.array().ok()?;
            return payload.bytes().ok();
        }
        payload.skip().ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use entente_testkit::{Attestation, ForgedHypervisor};

    #[test]
    fn the_root_is_found_in_a_document() {
        let hypervisor = ForgedHypervisor::new();
        let document = hypervisor.attest(&Attestation::at(1_776_810_820_000));
        assert_eq!(first_of_bundle(&document), Some(hypervisor.root_der()));
        for end in 0..document.len().min(600) {
            assert_eq!(first_of_bundle(document.get(..end).unwrap()), None);
        }
    }
}

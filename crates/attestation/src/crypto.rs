//! The cryptographic operations of this crate, all of them public-key or hash operations on public data.
//!
//! aws-lc-rs everywhere but in browsers, where its C code does not build: there RustCrypto's `p384` and `sha2` do the
//! same. No secret is ever touched here, so timing does not matter.

pub(crate) use implementation::{PATH_SIGNATURES, sha256, sha384, verify_asn1, verify_fixed};

/// The signature does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadSignature;

#[cfg(not(target_arch = "wasm32"))]
mod implementation {
    use aws_lc_rs::{
        digest,
        signature::{ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_FIXED, UnparsedPublicKey},
    };
    use rustls_pki_types::SignatureVerificationAlgorithm;

    use super::BadSignature;

    /// The only algorithm that a certificate of a chain may be signed with.
    pub(crate) const PATH_SIGNATURES: &[&dyn SignatureVerificationAlgorithm] =
        &[webpki::aws_lc_rs::ECDSA_P384_SHA384];

    pub(crate) fn sha384(parts: &[&[u8]]) -> [u8; 48] {
        let mut context = digest::Context::new(&digest::SHA384);
        for part in parts {
            context.update(part);
        }
        let mut out = [0; 48];
        out.copy_from_slice(context.finish().as_ref());
        out
    }

    pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
        out
    }

    /// ECDSA on P-384 with SHA-384; the signature is r ‖ s, 96 bytes. High and low s are both valid (FIPS 186-5).
    pub(crate) fn verify_fixed(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point)
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }

    /// The same; the signature is a DER sequence of r and s.
    pub(crate) fn verify_asn1(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, point)
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }
}

#[cfg(target_arch = "wasm32")]
mod implementation {
    use p384::ecdsa::{DerSignature, Signature, VerifyingKey, signature::Verifier as _};
    use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
    use sha2::{Digest as _, Sha256, Sha384};

    use super::BadSignature;

    /// The only algorithm that a certificate of a chain may be signed with.
    pub(crate) const PATH_SIGNATURES: &[&dyn SignatureVerificationAlgorithm] = &[&EcdsaP384Sha384];

    #[derive(Debug)]
    struct EcdsaP384Sha384;

    impl SignatureVerificationAlgorithm for EcdsaP384Sha384 {
        fn verify_signature(
            &self,
            point: &[u8],
            message: &[u8],
            signature: &[u8],
        ) -> Result<(), InvalidSignature> {
            verify_asn1(point, message, signature).map_err(|BadSignature| InvalidSignature)
        }

        fn public_key_alg_id(&self) -> AlgorithmIdentifier {
            alg_id::ECDSA_P384
        }

        fn signature_alg_id(&self) -> AlgorithmIdentifier {
            alg_id::ECDSA_SHA384
        }
    }

    pub(crate) fn sha384(parts: &[&[u8]]) -> [u8; 48] {
        let mut hash = Sha384::new();
        for part in parts {
            hash.update(part);
        }
        hash.finalize().into()
    }

    pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
        Sha256::digest(data).into()
    }

    /// ECDSA on P-384 with SHA-384; the signature is r ‖ s, 96 bytes. High and low s are both valid (FIPS 186-5).
    pub(crate) fn verify_fixed(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
        key(point)?.verify(message, &signature).map_err(|_| BadSignature)
    }

    /// The same; the signature is a DER sequence of r and s.
    pub(crate) fn verify_asn1(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = DerSignature::try_from(signature).map_err(|_| BadSignature)?;
        key(point)?.verify(message, &signature).map_err(|_| BadSignature)
    }

    fn key(point: &[u8]) -> Result<VerifyingKey, BadSignature> {
        VerifyingKey::from_sec1_bytes(point).map_err(|_| BadSignature)
    }
}

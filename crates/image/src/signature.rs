//! The signature section (AWS image-format, `PcrSignature`): CBOR
//! `[ { signing_certificate: [bytes of PEM], signature: [bytes of a COSE_Sign1] } ]`, where both are arrays of
//! integers, not byte strings.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, UnparsedPublicKey,
};
use entente_attestation::Digest384;
use minicbor::Decoder;
use minicbor::data::Type;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// Why a signature section is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Not the CBOR that the format prescribes.
    #[error("not of the form [{{signing_certificate, signature}}]")]
    Malformed,
    /// None, or several, signatures; the format has one, over PCR0.
    #[error("{found} signatures instead of one")]
    Count {
        /// How many.
        found: u64,
    },
    /// Bytes behind the CBOR.
    #[error("bytes follow the signature")]
    TrailingBytes,
    /// The certificate is not one PEM block that holds one DER sequence.
    #[error("the signing certificate is not a certificate in PEM")]
    Certificate,
    /// The COSE_Sign1 is not of the form that AWS's tools write, or its algorithm is not that of the certificate's
    /// key (ES256, ES384 or ES512).
    #[error("the signature is not a COSE_Sign1 under the certificate's kind of key")]
    Cose,
    /// The signature is over another PCR0, that is, another image.
    #[error("the signature is over another image")]
    OtherImage,
    /// The signature is not one by the certificate's key.
    #[error("the signature does not verify")]
    Invalid,
}

/// The parsed signature section: whose certificate, and the COSE_Sign1 over PCR0.
///
/// # Security
///
/// Only the certificate is measured (PCR8). Reading does not verify the signature: [`ImageSignature::verify`] does,
/// as hardware does when it boots the image (QEMU does not). Who owns the certificate is not known by either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSignature {
    certificate: CertificateDer<'static>,
    cose: Vec<u8>,
}

impl ImageSignature {
    /// Reads the contents of a signature section.
    ///
    /// # Errors
    ///
    /// [`SignatureError`]: see its variants.
    pub fn parse(section: &[u8]) -> Result<Self, SignatureError> {
        let mut cbor = Decoder::new(section);
        let found = cbor.array().map_err(malformed)?.ok_or(SignatureError::Malformed)?;
        if found != 1 {
            return Err(SignatureError::Count { found });
        }
        if cbor.map().map_err(malformed)? != Some(2) {
            return Err(SignatureError::Malformed);
        }
        let mut pem = None;
        let mut cose = None;
        for _ in 0..2 {
            let slot = match cbor.str().map_err(malformed)? {
                "signing_certificate" => &mut pem,
                "signature" => &mut cose,
                _ => return Err(SignatureError::Malformed),
            };
            if slot.replace(integers(&mut cbor)?).is_some() {
                return Err(SignatureError::Malformed);
            }
        }
        if cbor.position() != section.len() {
            return Err(SignatureError::TrailingBytes);
        }
        let (Some(pem), Some(cose)) = (pem, cose) else { return Err(SignatureError::Malformed) };
        let certificate =
            CertificateDer::from_pem_slice(&pem).map_err(|_| SignatureError::Certificate)?.into_owned();
        if !is_one_sequence(&certificate) {
            return Err(SignatureError::Certificate);
        }
        Ok(Self { certificate, cose })
    }

    /// The signing certificate in DER: what PCR8 measures.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    /// The COSE_Sign1 over `{register_index: 0, register_value: PCR0}`, as found.
    pub fn cose(&self) -> &[u8] {
        &self.cose
    }

    /// Verifies that the certificate's key signed this PCR0. The certificate's issuer and dates are not looked at.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Cose`], [`SignatureError::OtherImage`] or [`SignatureError::Invalid`];
    /// [`SignatureError::Certificate`] if the certificate has no key of a curve in use.
    pub fn verify(&self, pcr0: &Digest384) -> Result<(), SignatureError> {
        let certificate =
            Certificate::from_der(&self.certificate).map_err(|_| SignatureError::Certificate)?;
        let key = certificate
            .tbs_certificate()
            .subject_public_key_info()
            .subject_public_key
            .as_bytes()
            .ok_or(SignatureError::Certificate)?;
        // Uncompressed points: 1 + 2 × the curve's field size. Algorithm numbers are COSE's (RFC 9053, section 2.1).
        let (expected, algorithm) = match key.len() {
            65 => (-7, &ECDSA_P256_SHA256_FIXED),
            97 => (-35, &ECDSA_P384_SHA384_FIXED),
            133 => (-36, &ECDSA_P521_SHA512_FIXED),
            _ => return Err(SignatureError::Certificate),
        };
        let cose = Cose::parse(&self.cose).map_err(|_| SignatureError::Cose)?;
        if cose.algorithm != expected {
            return Err(SignatureError::Cose);
        }
        UnparsedPublicKey::new(algorithm, key)
            .verify(&cose.signed_bytes(), cose.signature)
            .map_err(|_| SignatureError::Invalid)?;
        if cose.signed_register()? != pcr0.as_bytes() {
            return Err(SignatureError::OtherImage);
        }
        Ok(())
    }
}

/// A COSE_Sign1 (RFC 9052, section 4.2) whose protected header has the algorithm alone.
struct Cose<'a> {
    protected: &'a [u8],
    algorithm: i32,
    payload: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Cose<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, minicbor::decode::Error> {
        let malformed = || minicbor::decode::Error::message("COSE_Sign1");
        let mut cbor = Decoder::new(bytes);
        if cbor.datatype()? == Type::Tag && cbor.tag()?.as_u64() != 18 {
            return Err(malformed());
        }
        if cbor.array()? != Some(4) {
            return Err(malformed());
        }
        let protected = cbor.bytes()?;
        let mut header = Decoder::new(protected);
        if header.map()? != Some(1) || header.i32()? != 1 {
            return Err(malformed());
        }
        let algorithm = header.i32()?;
        if header.position() != protected.len() || cbor.map()? != Some(0) {
            return Err(malformed());
        }
        let (payload, signature) = (cbor.bytes()?, cbor.bytes()?);
        if cbor.position() != bytes.len() {
            return Err(malformed());
        }
        Ok(Self { protected, algorithm, payload, signature })
    }

    /// The `Sig_structure` (RFC 9052, section 4.4).
    fn signed_bytes(&self) -> Vec<u8> {
        let mut out = b"\x84\x6aSignature1".to_vec();
        byte_string(&mut out, self.protected);
        byte_string(&mut out, &[]);
        byte_string(&mut out, self.payload);
        out
    }

    /// The value of `{register_index: 0, register_value: […]}`.
    fn signed_register(&self) -> Result<Vec<u8>, SignatureError> {
        let mut cbor = Decoder::new(self.payload);
        let cose = |_| SignatureError::Cose;
        let named = cbor.map().map_err(cose)? == Some(2)
            && cbor.str().map_err(cose)? == "register_index"
            && cbor.u8().map_err(cose)? == 0
            && cbor.str().map_err(cose)? == "register_value";
        let value = integers(&mut cbor).map_err(|_| SignatureError::Cose)?;
        if named && cbor.position() == self.payload.len() { Ok(value) } else { Err(SignatureError::Cose) }
    }
}

/// Writes a CBOR byte string of less than 4 GiB; those here lie in a section of at most 256 KiB.
fn byte_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    match length {
        [0, 0, 0, n @ 0..24] => out.push(0x40 | n),
        [0, 0, 0, n] => out.extend_from_slice(&[0x58, n]),
        [0, 0, high, low] => out.extend_from_slice(&[0x59, high, low]),
        [a, b, c, d] => out.extend_from_slice(&[0x5a, a, b, c, d]),
    }
    out.extend_from_slice(bytes);
}

fn malformed(_: minicbor::decode::Error) -> SignatureError {
    SignatureError::Malformed
}

/// A definite array of integers 0–255. Each takes a byte or two, so the result is never longer than the input.
fn integers(cbor: &mut Decoder<'_>) -> Result<Vec<u8>, SignatureError> {
    let length = cbor.array().map_err(malformed)?.ok_or(SignatureError::Malformed)?;
    let left = cbor.input().len().saturating_sub(cbor.position());
    let length =
        usize::try_from(length).ok().filter(|&length| length <= left).ok_or(SignatureError::Malformed)?;
    let mut bytes = Vec::with_capacity(length);
    for _ in 0..length {
        bytes.push(cbor.u8().map_err(malformed)?);
    }
    Ok(bytes)
}

/// Whether the bytes are exactly one DER SEQUENCE. A tool that parses and encodes again, as AWS's does before it
/// measures, would drop bytes behind it and so measure something else.
fn is_one_sequence(der: &[u8]) -> bool {
    let body = match *der {
        [0x30, short @ 0..=0x7f, ref body @ ..] => (usize::from(short), body),
        [0x30, 0x81, a, ref body @ ..] => (usize::from(a), body),
        [0x30, 0x82, a, b, ref body @ ..] => (usize::from(u16::from_be_bytes([a, b])), body),
        _ => return false,
    };
    body.0 == body.1.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_exactly_one_signature() {
        assert_eq!(ImageSignature::parse(&[]), Err(SignatureError::Malformed));
        assert_eq!(ImageSignature::parse(&[0x80]), Err(SignatureError::Count { found: 0 }));
        assert_eq!(ImageSignature::parse(&[0x82]), Err(SignatureError::Count { found: 2 }));
        assert_eq!(ImageSignature::parse(&[0x9f]), Err(SignatureError::Malformed));
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        // [ { "signature": array of 2^40 integers
        let mut cbor = vec![0x81, 0xa2, 0x69];
        cbor.extend_from_slice(b"signature");
        cbor.extend_from_slice(&[0x9b, 0, 0, 1, 0, 0, 0, 0, 0]);
        assert_eq!(ImageSignature::parse(&cbor), Err(SignatureError::Malformed));
    }

    #[test]
    fn bytes_behind_a_certificate_are_seen() {
        assert!(is_one_sequence(&[0x30, 1, 0]));
        assert!(is_one_sequence(&[0x30, 0x81, 1, 0]));
        assert!(!is_one_sequence(&[0x30, 1, 0, 0]));
        assert!(!is_one_sequence(&[0x30, 2, 0]));
        assert!(!is_one_sequence(&[0x31, 1, 0]));
    }
}

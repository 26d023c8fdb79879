//! Trust anchors: AWS's root, or a simulated one that is named explicitly.

use core::fmt;

use rustls_pki_types::Der;

use crate::{CertificateFault, certificate::Certificate, crypto};

/// Which kind of root a judgement rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RootKind {
    /// The AWS Nitro Enclaves root, G1: the hardware of AWS speaks.
    AwsNitro,
    /// A root of somebody's own making. Whoever has its key can make any document: nothing is proved to anybody else.
    Simulated,
}

impl fmt::Display for RootKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AwsNitro => "AWS Nitro Enclaves",
            Self::Simulated => "SIMULATED",
        })
    }
}

/// The certificate that a chain must begin with: the only thing that is believed without proof.
///
/// # Security
/// There is no default. AWS's root is compiled in; another must be handed over as bytes each time, and everything that
/// is proved under it says [`RootKind::Simulated`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAnchor {
    kind: RootKind,
    fingerprint: [u8; 32],
    /// Content of the Name.
    subject: Vec<u8>,
    /// Content of subjectPublicKeyInfo.
    key_info: Vec<u8>,
}

impl TrustAnchor {
    /// The AWS Nitro Enclaves root, G1, valid to 2049-10-28.
    #[must_use]
    pub fn aws_nitro() -> Self {
        Self {
            kind: RootKind::AwsNitro,
            fingerprint: AWS_NITRO_FINGERPRINT,
            subject: AWS_NITRO_SUBJECT.to_vec(),
            key_info: AWS_NITRO_KEY_INFO.to_vec(),
        }
    }

    /// A root of one's own, from the DER of its certificate: version 3, P-384, an authority that may sign certificates,
    /// issued by itself.
    ///
    /// # Errors
    /// [`AnchorError`] if it cannot stand as a root, or if it is AWS's, which is not simulated.
    pub fn simulated(der: &[u8]) -> Result<Self, AnchorError> {
        let fingerprint = crypto::sha256(der);
        if fingerprint == AWS_NITRO_FINGERPRINT {
            return Err(AnchorError::IsAwsNitro);
        }
        let certificate = Certificate::parse(der).map_err(AnchorError::Certificate)?;
        certificate.check_authority().map_err(AnchorError::Certificate)?;
        if certificate.issuer != certificate.subject {
            return Err(AnchorError::NotSelfIssued);
        }
        crypto::verify_asn1(certificate.point, certificate.signed_part, certificate.signature)
            .map_err(|crypto::BadSignature| AnchorError::NotSelfSigned)?;
        Ok(Self {
            kind: RootKind::Simulated,
            fingerprint,
            subject: certificate.subject.to_vec(),
            key_info: certificate.key_info.to_vec(),
        })
    }

    /// SHA-256 of the certificate's DER.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// AWS's or simulated.
    #[must_use]
    pub fn kind(&self) -> RootKind {
        self.kind
    }

    pub(crate) fn to_webpki(&self) -> rustls_pki_types::TrustAnchor<'_> {
        rustls_pki_types::TrustAnchor {
            subject: Der::from_slice(&self.subject),
            subject_public_key_info: Der::from_slice(&self.key_info),
            name_constraints: None,
        }
    }
}

/// Why bytes cannot stand as a simulated trust anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// The certificate is not one of a root.
    #[error("this certificate cannot be a root: {0}")]
    Certificate(CertificateFault),
    /// Issuer and subject differ.
    #[error("this certificate cannot be a root: somebody else issued it")]
    NotSelfIssued,
    /// Its signature is not by its own key.
    #[error("this certificate cannot be a root: its signature is not its own")]
    NotSelfSigned,
    /// This is AWS's root: [`TrustAnchor::aws_nitro`].
    #[error("this is the root of AWS Nitro Enclaves, which is built in, and no simulated one")]
    IsAwsNitro,
}

/// SHA-256 of the root's DER. The zip archive that AWS publishes and the certificate in `vectors/certs` have it:
/// <https://docs.aws.amazon.com/enclaves/latest/user/verify-root.html>.
const AWS_NITRO_FINGERPRINT: [u8; 32] = [
    0x64, 0x1a, 0x03, 0x21, 0xa3, 0xe2, 0x44, 0xef, 0xe4, 0x56, 0x46, 0x31, 0x95, 0xd6, 0x06, 0x31, 0x7e,
    0xd7, 0xcd, 0xcc, 0x3c, 0x17, 0x56, 0xe0, 0x98, 0x93, 0xf3, 0xc6, 0x8f, 0x79, 0xbb, 0x5b,
];

/// C=US, O=Amazon, OU=AWS, CN=aws.nitro-enclaves.
const AWS_NITRO_SUBJECT: &[u8] =
    b"1\x0b0\x09\x06\x03U\x04\x06\x13\x02US1\x0f0\x0d\x06\x03U\x04\x0a\x0c\x06Amazon1\x0c0\x0a\x06\x03U\x04\x0b\x0c\x03\
      AWS1\x1b0\x19\x06\x03U\x04\x03\x0c\x12aws.nitro-enclaves";

/// id-ecPublicKey, secp384r1, and the point.
const AWS_NITRO_KEY_INFO: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22, 0x03, 0x62, 0x00, 0x04, 0xfc, 0x02, 0x54, 0xeb, 0xa6, 0x08, 0xc1, 0xf3, 0x68, 0x70, 0xe2, 0x9a,
    0xda, 0x90, 0xbe, 0x46, 0x38, 0x32, 0x92, 0x73, 0x6e, 0x89, 0x4b, 0xff, 0xf6, 0x72, 0xd9, 0x89, 0x44,
    0x4b, 0x50, 0x51, 0xe5, 0x34, 0xa4, 0xb1, 0xf6, 0xdb, 0xe3, 0xc0, 0xbc, 0x58, 0x1a, 0x32, 0xb7, 0xb1,
    0x76, 0x07, 0x0e, 0xde, 0x12, 0xd6, 0x9a, 0x3f, 0xea, 0x21, 0x1b, 0x66, 0xe7, 0x52, 0xcf, 0x7d, 0xd1,
    0xdd, 0x09, 0x5f, 0x6f, 0x13, 0x70, 0xf4, 0x17, 0x08, 0x43, 0xd9, 0xdc, 0x10, 0x01, 0x21, 0xe4, 0xcf,
    0x63, 0x01, 0x28, 0x09, 0x66, 0x44, 0x87, 0xc9, 0x79, 0x62, 0x84, 0x30, 0x4d, 0xc5, 0x3f, 0xf4,
];

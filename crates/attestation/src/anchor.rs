//! Trust anchors: AWS's root, or a simulated one that is named explicitly.

use crate::crypto;

/// Which kind of root a judgement rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RootKind {
    /// The AWS Nitro Enclaves root, G1: the hardware of AWS speaks.
    AwsNitro,
    /// A root of somebody's own making. Whoever has its key can make any document: nothing is proved to anybody else.
    Simulated,
}

/// The certificate that a chain must end in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAnchor {
    kind: RootKind,
    fingerprint: [u8; 32],
}

impl TrustAnchor {
    /// The AWS Nitro Enclaves root, G1.
    #[must_use]
    pub fn aws_nitro() -> Self {
        Self { kind: RootKind::AwsNitro, fingerprint: AWS_NITRO_FINGERPRINT }
    }

    /// A root of one's own, from the DER of its certificate.
    ///
    /// # Errors
    /// [`AnchorError`] if it is not a certificate that can stand as a root.
    pub fn simulated(der: &[u8]) -> Result<Self, AnchorError> {
        if der.is_empty() {
            return Err(AnchorError::NotACertificate);
        }
        let fingerprint = crypto::sha256(der);
        Ok(Self { kind: RootKind::Simulated, fingerprint })
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
}

/// Why bytes cannot stand as a trust anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// Not an X.509 certificate in DER.
    #[error("not an X.509 certificate in DER")]
    NotACertificate,
}

/// Published by AWS: <https://docs.aws.amazon.com/enclaves/latest/user/verify-root.html>.
const AWS_NITRO_FINGERPRINT: [u8; 32] = [
    0x64, 0x1a, 0x03, 0x21, 0xa3, 0xe2, 0x44, 0xef, 0xe4, 0x56, 0x46, 0x31, 0x95, 0xd6, 0x06, 0x31, 0x7e,
    0xd7, 0xcd, 0xcc, 0x3c, 0x17, 0x56, 0xe0, 0x98, 0x93, 0xf3, 0xc6, 0x8f, 0x79, 0xbb, 0x5b,
];

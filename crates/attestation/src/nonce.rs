//! Nonces: what makes a document an answer to one question.

use core::fmt;

/// 32 bytes that the asking side drew at random for one question (PROTOCOL §4).
///
/// Drawing them is the caller's: this crate has no source of randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; 32]);

impl Nonce {
    /// Takes 32 bytes; they must be fresh and unpredictable for the check to mean anything.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::digest::write_hex(f, &self.0)
    }
}

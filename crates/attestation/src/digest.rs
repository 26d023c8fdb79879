//! SHA-384 values: PCRs and the identities of files.

use core::{fmt, str::FromStr};

use crate::crypto;

/// A SHA-384 value, 48 bytes: the content of a PCR, or the identity of a file (PROTOCOL §0).
///
/// Shown and parsed as 96 lower-case hex digits; upper case is refused, so that equal values are equal texts.
/// Comparison is not in constant time: a digest of this kind is public.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest384([u8; 48]);

impl Digest384 {
    /// 48 zero bytes: a PCR that nothing was measured into, and the missing request in run-seed derivations.
    pub const ZERO: Self = Self([0; 48]);

    /// The SHA-384 of `data`.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        Self(crypto::sha384(&[data]))
    }

    /// The SHA-384 of the concatenation of `parts`. Nothing separates them: domain separation is the caller's to add.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        Self(crypto::sha384(parts))
    }

    /// Takes 48 bytes as they are, without hashing.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 48]) -> Self {
        Self(bytes)
    }

    /// The 48 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }

    /// Whether all 48 bytes are zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

impl AsRef<[u8]> for Digest384 {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<[u8; 48]> for Digest384 {
    fn from(bytes: [u8; 48]) -> Self {
        Self(bytes)
    }
}

impl TryFrom<&[u8]> for Digest384 {
    type Error = DigestError;

    fn try_from(bytes: &[u8]) -> Result<Self, DigestError> {
        <[u8; 48]>::try_from(bytes).map(Self).map_err(|_| DigestError::Length { found: bytes.len() })
    }
}

impl fmt::Display for Digest384 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Digest384 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl FromStr for Digest384 {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.as_bytes();
        if digits.len() != 96 {
            return Err(DigestError::Length { found: digits.len() / 2 });
        }
        let mut bytes = [0; 48];
        decode_hex(digits, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// Why a text or a byte string is not a SHA-384 value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// A SHA-384 value has 48 bytes, or 96 hex digits.
    #[error("a SHA-384 value has 48 bytes (96 hex digits), this has {found} bytes")]
    Length {
        /// Bytes found (for a text: its length halved).
        found: usize,
    },
    /// Something else than `0`–`9`, `a`–`f`.
    #[error("character {position} is not a lower-case hex digit")]
    Digit {
        /// Index of the first such byte of the text, from 0.
        position: usize,
    },
}

pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for byte in bytes {
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

/// Decodes exactly `2 * out.len()` lower-case hex digits.
pub(crate) fn decode_hex(digits: &[u8], out: &mut [u8]) -> Result<(), DigestError> {
    for (index, (pair, byte)) in digits.chunks_exact(2).zip(out).enumerate() {
        let high = hex_digit(pair[0]).ok_or(DigestError::Digit { position: 2 * index })?;
        let low = hex_digit(pair[1]).ok_or(DigestError::Digit { position: 2 * index + 1 })?;
        *byte = high << 4 | low;
    }
    Ok(())
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

//! X25519 identities and recipients of age (age-encryption.org/v1).

use age::x25519;
use zeroize::{Zeroize, Zeroizing};

/// The age identity whose 32 secret bytes are `secret`.
///
/// The `age` crate takes an identity as Bech32 text only, so it is written out and wiped again.
pub(crate) fn identity(secret: &[u8; 32]) -> x25519::Identity {
    let prefix = bech32::Hrp::parse("age-secret-key-").expect("a constant, valid prefix");
    let mut text =
        bech32::encode::<bech32::Bech32>(prefix, secret).expect("32 bytes are far below Bech32's limit");
    let identity = text.parse().expect("32 bytes under age's own prefix are an identity");
    text.zeroize();
    identity
}

/// Bech32 text of the identity (`AGE-SECRET-KEY-1…`), for a file that stock `age -i` reads.
pub(crate) fn identity_text(secret: &[u8; 32]) -> Zeroizing<String> {
    use age::secrecy::ExposeSecret;
    Zeroizing::new(identity(secret).to_string().expose_secret().to_owned())
}

/// Parses an X25519 recipient. Other kinds (`age1pq…`, `age1tag…`, plugins, `ssh-…`) are not used here.
pub(crate) fn recipient(text: &str) -> Result<x25519::Recipient, RecipientError> {
    text.parse().map_err(|_| RecipientError)
}

/// Whether `text` is an X25519 recipient (`age1…`), the only kind that results are sealed to.
#[must_use]
pub fn is_x25519_recipient(text: &str) -> bool {
    recipient(text).is_ok()
}

/// Not an X25519 recipient of age (`age1…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an X25519 recipient of age (age1…)")]
pub struct RecipientError;

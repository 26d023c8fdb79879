//! age recipients.

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};

/// The bytes of an age X25519 recipient: a Montgomery u-coordinate, canonical and not of small order.
///
/// age accepts a non-canonical encoding of a point as well; here each point has one text, so that "no two parties share a
/// key" can be decided by comparing.
pub(crate) fn decode_recipient(text: &str) -> Result<[u8; 32], ResultKeyError> {
    if text.to_ascii_lowercase().starts_with("age-secret-key-") {
        return Err(ResultKeyError::Secret);
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(ResultKeyError::Uppercase);
    }
    let checked = CheckedHrpstring::new::<Bech32>(text).map_err(|_| ResultKeyError::Bech32)?;
    if checked.hrp() != Hrp::parse_unchecked("age") {
        return Err(ResultKeyError::Kind);
    }
    let bytes: Vec<u8> = checked.byte_iter().collect();
    // A checksum over padding bits that are not zero would give one key two texts.
    let key: [u8; 32] = bytes.try_into().map_err(|_| ResultKeyError::Length)?;
    let again =
        bech32::encode::<Bech32>(Hrp::parse_unchecked("age"), &key).map_err(|_| ResultKeyError::Bech32)?;
    if again != text {
        return Err(ResultKeyError::Bech32);
    }
    if !canonical(&key) {
        return Err(ResultKeyError::NotCanonical);
    }
    if SMALL_ORDER.contains(&key) {
        return Err(ResultKeyError::SmallOrder);
    }
    Ok(key)
}

/// Whether the little-endian number is below p = 2^255 − 19 (RFC 7748 section 5).
fn canonical(key: &[u8; 32]) -> bool {
    if key[31] > 0x7f {
        return false;
    }
    !(key[31] == 0x7f && key[1..31].iter().all(|byte| *byte == 0xff) && key[0] >= 0xed)
}

/// The canonical u-coordinates of small order (RFC 7748 section 6.1, D. J. Bernstein's list): with one of them age's shared
/// secret is zero, and anybody could read the result.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];

/// Why a text is not an age X25519 recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultKeyError {
    /// An upper-case letter.
    #[error("an age recipient is lower-case; write it as `age-keygen -y` prints it")]
    Uppercase,
    /// The beginning of a secret key.
    #[error("this is a secret key; write the recipient, as `age-keygen -y` prints it, and make a new key")]
    Secret,
    /// Not bech32, or its checksum is wrong.
    #[error("not an age recipient, or mistyped; write it as `age-keygen -y` prints it, age1…")]
    Bech32,
    /// Another kind of recipient, such as a plugin's.
    #[error("not an X25519 recipient; write one that begins with age1, as `age-keygen -y` prints it")]
    Kind,
    /// Not 32 bytes.
    #[error("not an X25519 recipient; it has not 32 bytes")]
    Length,
    /// Not below 2^255 − 19: a second text for one key.
    #[error("not the canonical form of its key; write it as `age-keygen -y` prints it")]
    NotCanonical,
    /// A point with which everybody shares the secret.
    #[error("anybody could read what is sealed to this key; make one with `age-keygen`")]
    SmallOrder,
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};

    fn encode(key: &[u8]) -> String {
        bech32::encode::<Bech32>(Hrp::parse_unchecked("age"), key).unwrap()
    }

    /// With each of them the shared secret is zero, which the library refuses.
    #[test]
    fn small_orders_are_refused() {
        let private = PrivateKey::from_private_key(&X25519, &[3; 32]).unwrap();
        for point in SMALL_ORDER {
            assert_eq!(decode_recipient(&encode(&point)), Err(ResultKeyError::SmallOrder));
            let peer = UnparsedPublicKey::new(&X25519, point);
            let zero = agree(&private, peer, (), |secret| if secret == [0; 32] { Err(()) } else { Ok(()) });
            assert_eq!(zero, Err(()));
        }
    }

    #[test]
    fn one_text_a_key() {
        assert_eq!(decode_recipient(&encode(&[9; 32])), Ok([9; 32]));
        let mut high = [9; 32];
        high[31] = 0x89;
        assert_eq!(decode_recipient(&encode(&high)), Err(ResultKeyError::NotCanonical));
        let mut p = [0xff; 32];
        (p[0], p[31]) = (0xed, 0x7f);
        assert_eq!(decode_recipient(&encode(&p)), Err(ResultKeyError::NotCanonical));
        assert_eq!(decode_recipient(&encode(&[9; 31])), Err(ResultKeyError::Length));
        let yubikey = bech32::encode::<Bech32>(Hrp::parse_unchecked("age1yubikey"), &[9; 33]).unwrap();
        assert_eq!(decode_recipient(&yubikey), Err(ResultKeyError::Kind));
        let m = bech32::encode::<bech32::Bech32m>(Hrp::parse_unchecked("age"), &[9; 32]).unwrap();
        assert_eq!(decode_recipient(&m), Err(ResultKeyError::Bech32));
        assert_eq!(decode_recipient("age-secret-key-1qqq"), Err(ResultKeyError::Secret));
        assert_eq!(decode_recipient("AGE-SECRET-KEY-1QQQ"), Err(ResultKeyError::Secret));
        assert_eq!(decode_recipient(""), Err(ResultKeyError::Bech32));
    }
}

//! The form of a `CiphertextBlob`: opaque to clients, ours alone.
//!
//! ```text
//! 1 byte    format, 0x01
//! 16 bytes  key id (UUID)
//! 4 bytes   version of the key material, big-endian: older ones stay when a key is rotated
//! 32 bytes  salt
//! n bytes   AES-256-GCM ciphertext and 16-byte tag
//! ```
//!
//! Each blob has a key and nonce of its own, HKDF-SHA-384 of the key material with the salt, so that no number of calls wears out a key. The header and the
//! encryption context are the additional data: a blob opens with the context that it was made with, or not at all.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{self, HKDF_SHA384, KeyType, Salt};
use zeroize::Zeroizing;

const FORMAT: u8 = 1;
const HEADER: usize = 1 + 16 + 4 + 32;

/// The encryption context of a request.
pub(crate) type Context = BTreeMap<String, String>;

/// A 256-bit key of the service.
pub(crate) struct Material(Zeroizing<[u8; 32]>);

impl Material {
    pub(crate) const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    pub(crate) fn expose_secret(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What anybody can read of a blob.
pub(crate) struct Header<'a> {
    pub(crate) key: [u8; 16],
    pub(crate) version: u32,
    header: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> Header<'a> {
    pub(crate) fn parse(blob: &'a [u8]) -> Option<Self> {
        let (header, sealed) = blob.split_at_checked(HEADER)?;
        let (format, rest) = header.split_first()?;
        let (key, rest) = rest.split_at_checked(16)?;
        let (version, _salt) = rest.split_at_checked(4)?;
        if *format != FORMAT {
            return None;
        }
        Some(Self {
            key: key.try_into().ok()?,
            version: u32::from_be_bytes(version.try_into().ok()?),
            header,
            sealed,
        })
    }

    pub(crate) fn open(&self, material: &Material, context: &Context) -> Option<Zeroizing<Vec<u8>>> {
        let salt = self.header.get(HEADER.checked_sub(32)?..)?;
        let (key, nonce) = message_key(material, salt)?;
        let mut plaintext = Zeroizing::new(self.sealed.to_vec());
        let length =
            key.open_in_place(nonce, Aad::from(additional(self.header, context)), &mut plaintext).ok()?.len();
        plaintext.truncate(length);
        Some(plaintext)
    }
}

/// Encrypts. `salt` is 32 fresh random bytes. None only if aws-lc fails.
pub(crate) fn seal(
    key: &[u8; 16],
    version: u32,
    material: &Material,
    salt: &[u8; 32],
    context: &Context,
    plaintext: &[u8],
) -> Option<Vec<u8>> {
    let mut blob = Vec::with_capacity(HEADER.checked_add(plaintext.len())?.checked_add(16)?);
    blob.push(FORMAT);
    blob.extend_from_slice(key);
    blob.extend_from_slice(&version.to_be_bytes());
    blob.extend_from_slice(salt);
    let (message_key, nonce) = message_key(material, salt)?;
    let mut body = Zeroizing::new(plaintext.to_vec());
    let tag = message_key
        .seal_in_place_separate_tag(nonce, Aad::from(additional(&blob, context)), &mut body)
        .ok()?;
    blob.extend_from_slice(&body);
    blob.extend_from_slice(tag.as_ref());
    Some(blob)
}

struct KeyAndNonce;

impl KeyType for KeyAndNonce {
    fn len(&self) -> usize {
        44
    }
}

fn message_key(material: &Material, salt: &[u8]) -> Option<(LessSafeKey, Nonce)> {
    let mut derived = Zeroizing::new([0; 44]);
    let prk: hkdf::Prk = Salt::new(HKDF_SHA384, salt).extract(material.expose_secret());
    prk.expand(&[b"entente-keyservice/v1 blob"], KeyAndNonce).ok()?.fill(derived.as_mut_slice()).ok()?;
    let (key, nonce) = derived.split_at(32);
    let key = UnboundKey::new(&AES_256_GCM, key).ok()?;
    Some((LessSafeKey::new(key), Nonce::try_assume_unique_for_key(nonce).ok()?))
}

/// Header, then each name and value with its length before it, in the order of names.
fn additional(header: &[u8], context: &Context) -> Vec<u8> {
    let mut bytes = header.to_vec();
    for text in context.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(pairs: &[(&str, &str)]) -> Context {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_blob_opens_only_whole_and_with_its_context() {
        let material = Material::new(Zeroizing::new([7; 32]));
        let right = context(&[("a", "1"), ("b", "2")]);
        let blob = seal(&[1; 16], 0, &material, &[2; 32], &right, b"secret").unwrap();
        assert_eq!(blob.len(), HEADER + 6 + 16);
        let open = |blob: &[u8], context: &Context| Header::parse(blob)?.open(&material, context);
        assert_eq!(open(&blob, &right).unwrap().as_slice(), b"secret");
        for wrong in [&[("a", "1")][..], &[("a", "12"), ("b", "")], &[("a", "1"), ("b", "2"), ("c", "")], &[]]
        {
            assert!(open(&blob, &context(wrong)).is_none(), "{wrong:?}");
        }
        for index in 0..blob.len() {
            let mut changed = blob.clone();
            changed[index] ^= 1;
            assert!(open(&changed, &right).is_none(), "byte {index}");
            assert!(open(&blob[..index], &right).is_none(), "{index} bytes");
        }
        let other = Material::new(Zeroizing::new([8; 32]));
        assert!(Header::parse(&blob).unwrap().open(&other, &right).is_none());
    }
}

//! The key of one sealing and what is derived from it (PROTOCOL §2).

use aws_lc_rs::hkdf;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use entente_agreement::{Name, SealingId};
use entente_attestation::Digest384;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// `K`: 32 secret bytes, drawn fresh for every sealing and never used for a second file, dataset or agreement.
///
/// # Security
///
/// Whoever holds `K` opens the sealed file. It is wiped when dropped and has no `Debug`, `Clone` or `PartialEq`; the one
/// way to its bytes is [`DatasetKey::expose_for_wrapping`].
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DatasetKey([u8; 32]);

impl DatasetKey {
    /// Length of `K` in bytes.
    pub const BYTES: usize = 32;

    /// Draws a fresh key from the system's generator.
    ///
    /// # Errors
    ///
    /// [`RandomnessFailed`] if the generator gives nothing.
    pub fn generate() -> Result<Self, RandomnessFailed> {
        let mut key = Self([0; 32]);
        fill_random(&mut key.0)?;
        Ok(key)
    }

    /// Takes a key that came out of a key service's answer; the argument is wiped.
    #[must_use]
    pub fn from_bytes(mut bytes: Zeroizing<[u8; 32]>) -> Self {
        let key = Self(*bytes);
        bytes.zeroize();
        key
    }

    /// The 32 bytes, for the owner's key service to wrap (KMS `Encrypt`). There is no other use for them.
    #[must_use]
    pub fn expose_for_wrapping(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The system's random generator failed. Nothing was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random generator failed")]
pub struct RandomnessFailed;

/// Fills `out` from the system's generator.
pub(crate) fn fill_random(out: &mut [u8]) -> Result<(), RandomnessFailed> {
    SystemRandom::new().fill(out).map_err(|_| RandomnessFailed)
}

/// What a sealing is bound to: the same `K` under another agreement, dataset slot or sealing gives unrelated keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Digest of the agreement's exact bytes (`A`, the salt of the extraction).
    pub agreement: Digest384,
    /// Name of the dataset slot in that agreement.
    pub dataset: Name,
    /// The 16 random bytes that the owner drew for this sealing.
    pub sealing: SealingId,
}

impl Binding {
    /// `"entente/v1 " || p || 0x00 || dataset || 0x00 || sealing` (PROTOCOL §2).
    fn info(&self, purpose: &str) -> Vec<u8> {
        let dataset = self.dataset.as_str().as_bytes();
        let mut info = Vec::with_capacity(64 + dataset.len());
        info.extend_from_slice(b"entente/v1 ");
        info.extend_from_slice(purpose.as_bytes());
        info.push(0);
        info.extend_from_slice(dataset);
        info.push(0);
        info.extend_from_slice(self.sealing.as_bytes());
        info
    }
}

/// One owner's 48-byte share of the run seed (PROTOCOL §6). Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Contribution([u8; 48]);

impl Contribution {
    pub(crate) fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }
}

/// All keys of one sealing, derived from [`DatasetKey`] and [`Binding`]:
///
/// ```text
/// PRK        = HKDF-Extract(salt = A, ikm = K)                 HKDF-SHA-384, RFC 5869
/// key(p, n)  = HKDF-Expand(PRK, "entente/v1 " || p || 0x00 || dataset || 0x00 || sealing, n)
/// commitment = key("commit", 48)      parquet key = key("parquet", 32)
/// age key    = key("age", 32)         contribution = key("run-seed", 48)
/// ```
///
/// # Security
///
/// Secret but for the commitment, which the signed manifest shows; wiped when dropped; no `Debug`, `Clone`, `PartialEq`.
pub struct SealingKeys {
    commitment: [u8; 48],
    dataset: Name,
    parquet: Zeroizing<[u8; 32]>,
    age: Zeroizing<[u8; 32]>,
    contribution: Contribution,
}

impl SealingKeys {
    /// Derives the keys. The owner's way: it drew `K` itself and writes [`SealingKeys::commitment`] into the manifest.
    #[must_use]
    pub fn derive(key: &DatasetKey, binding: &Binding) -> Self {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA384, binding.agreement.as_bytes()).extract(&key.0);
        let mut commitment = [0; 48];
        expand(&prk, &binding.info("commit"), &mut commitment);
        let mut parquet = Zeroizing::new([0; 32]);
        expand(&prk, &binding.info("parquet"), &mut parquet[..]);
        let mut age = Zeroizing::new([0; 32]);
        expand(&prk, &binding.info("age"), &mut age[..]);
        let mut contribution = Contribution([0; 48]);
        expand(&prk, &binding.info("run-seed"), &mut contribution.0);
        Self { commitment, dataset: binding.dataset.clone(), parquet, age, contribution }
    }

    /// Derives the keys from a `K` that came back from a key service and accepts them only if they fit the commitment in
    /// the manifest that the owner signed. The enclave's way (PROTOCOL §5): an answer can be made by anybody, so this
    /// comparison, in constant time, is the only decision about it.
    ///
    /// # Errors
    ///
    /// [`CommitmentMismatch`], whatever the reason.
    pub fn derive_committed(
        key: &DatasetKey,
        binding: &Binding,
        commitment: &[u8; 48],
    ) -> Result<Self, CommitmentMismatch> {
        let keys = Self::derive(key, binding);
        if bool::from(keys.commitment.ct_eq(commitment)) { Ok(keys) } else { Err(CommitmentMismatch) }
    }

    /// The commitment to `K` that the manifest carries. It is public.
    #[must_use]
    pub fn commitment(&self) -> &[u8; 48] {
        &self.commitment
    }

    /// This dataset's share of the run seed.
    #[must_use]
    pub fn contribution(&self) -> &Contribution {
        &self.contribution
    }

    /// The dataset that the keys belong to; its name is the master key id inside a sealed table.
    pub(crate) fn dataset(&self) -> &Name {
        &self.dataset
    }

    /// Wraps the key-encryption keys of a sealed table.
    pub(crate) fn parquet_key(&self) -> &[u8; 32] {
        &self.parquet
    }

    /// Secret bytes of the X25519 identity of a sealed blob.
    pub(crate) fn age_key(&self) -> &[u8; 32] {
        &self.age
    }
}

/// The key does not belong to the manifest: wrong `K`, wrong agreement, wrong dataset or wrong sealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key does not fit the manifest's commitment")]
pub struct CommitmentMismatch;

/// HKDF-Expand of exactly `out.len()` bytes; every caller's length is a constant far below 255 × 48.
fn expand(prk: &hkdf::Prk, info: &[u8], out: &mut [u8]) {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    prk.expand(&[info], Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .expect("HKDF-SHA-384 gives up to 12,240 bytes; these are 32 or 48");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;

    fn binding() -> Binding {
        Binding {
            agreement: Digest384::from_bytes(std::array::from_fn(|i| u8::try_from(i).unwrap())),
            dataset: "bids-north".parse().unwrap(),
            sealing: SealingId::from_bytes(std::array::from_fn(|i| u8::try_from(0xa0 + i).unwrap())),
        }
    }

    fn key() -> DatasetKey {
        DatasetKey::from_bytes(Zeroizing::new(std::array::from_fn(|i| u8::try_from(255 - i).unwrap())))
    }

    /// Values computed with Python's `hmac` module (RFC 5869 written out), not with this program:
    /// `tests/vectors/derive.py` prints them.
    #[test]
    fn derivation_equals_an_independent_one() {
        let keys = SealingKeys::derive(&key(), &binding());
        assert_eq!(hex::encode(keys.commitment), vectors::COMMITMENT);
        assert_eq!(hex::encode(*keys.parquet), vectors::PARQUET);
        assert_eq!(hex::encode(*keys.age), vectors::AGE);
        assert_eq!(hex::encode(keys.contribution.0), vectors::CONTRIBUTION);
    }

    #[test]
    fn every_part_of_the_binding_counts() {
        let good = SealingKeys::derive(&key(), &binding()).commitment;
        assert!(SealingKeys::derive_committed(&key(), &binding(), &good).is_ok());
        let mut other_agreement = binding();
        other_agreement.agreement = Digest384::of(b"x");
        let mut other_dataset = binding();
        other_dataset.dataset = "bids-south".parse().unwrap();
        let mut other_sealing = binding();
        other_sealing.sealing = SealingId::from_bytes([1; 16]);
        for other in [other_agreement, other_dataset, other_sealing] {
            assert_eq!(
                SealingKeys::derive_committed(&key(), &other, &good).map(|_| ()),
                Err(CommitmentMismatch)
            );
        }
        let another = DatasetKey::from_bytes(Zeroizing::new([0; 32]));
        assert!(SealingKeys::derive_committed(&another, &binding(), &good).is_err());
    }

    #[test]
    fn fresh_keys_differ() {
        let a = DatasetKey::generate().unwrap();
        let b = DatasetKey::generate().unwrap();
        assert!(a.expose_for_wrapping() != b.expose_for_wrapping());
    }
}

//! The run seed (PROTOCOL §6): the only source of visible random choices.

use crate::key::Contribution;
use aws_lc_rs::{hkdf, hmac};
use entente_agreement::Name;
use entente_attestation::Digest384;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Seed of one run, made of the secret contributions of all present datasets.
///
/// Every random choice that can be seen in an output (ties, noise, the salt of an archive) comes from a stream of it, so
/// that a rerun repeats the outputs byte by byte.
///
/// # Security
///
/// Nobody who lacks one honest owner's `K` can predict or steer a stream. Public digests alone are never a seed: whoever
/// seals last could try many.
pub struct RunSeed {
    prk: hkdf::Prk,
    suffix: [u8; 96],
}

impl RunSeed {
    /// `seed = HKDF-Extract("entente/v1 run-seed", contributions in dataset order)`; streams are bound to the input set
    /// and to the request, or to 48 zero bytes where the analysis takes none.
    pub fn new<'a>(
        contributions: impl IntoIterator<Item = &'a Contribution>,
        inputs: &Digest384,
        request: Option<&Digest384>,
    ) -> Self {
        let mut material = Vec::new();
        for contribution in contributions {
            // Grow by hand: a reallocation would leave an unwiped copy behind.
            let mut longer = Vec::with_capacity(material.len() + 48);
            longer.extend_from_slice(&material);
            longer.extend_from_slice(contribution.as_bytes());
            material.zeroize();
            material = longer;
        }
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA384, b"entente/v1 run-seed").extract(&material);
        material.zeroize();
        let mut suffix = [0; 96];
        suffix[..48].copy_from_slice(inputs.as_bytes());
        if let Some(request) = request {
            suffix[48..].copy_from_slice(request.as_bytes());
        }
        Self { prk, suffix }
    }

    /// `HKDF-Expand(seed, "entente/v1 " || purpose || 0x00 || H(input set) || H(request) or zeros, out.len())`.
    ///
    /// Two purposes give independent streams; one purpose always gives the same bytes.
    ///
    /// # Errors
    ///
    /// [`StreamTooLong`] above 12,240 bytes (255 blocks of SHA-384): use another purpose for more.
    pub fn stream(&self, purpose: &str, out: &mut [u8]) -> Result<(), StreamTooLong> {
        struct Length(usize);
        impl hkdf::KeyType for Length {
            fn len(&self) -> usize {
                self.0
            }
        }
        let info = [&b"entente/v1 "[..], purpose.as_bytes(), &[0], &self.suffix];
        self.prk
            .expand(&info, Length(out.len()))
            .and_then(|okm| okm.fill(out))
            .map_err(|_| StreamTooLong { bytes: out.len() })
    }

    /// `T` = stream "tie", 48 bytes: breaks ties of an auction and is given in every result so that everybody can check.
    #[must_use]
    pub fn tie_key(&self) -> TieKey {
        let mut bytes = [0; 48];
        self.short("tie", &mut bytes);
        TieKey(bytes)
    }

    /// The salt of one result archive, 32 bytes: keeps the digest in the receipt from being guessed, and is the same in
    /// every rerun. Each output and recipient has its own (stream "salt OUTPUT.RECIPIENT").
    #[must_use]
    pub fn archive_salt(&self, output: &Name, recipient: &Name) -> [u8; 32] {
        let mut salt = [0; 32];
        self.short(&format!("salt {output}.{recipient}"), &mut salt);
        salt
    }

    /// A stream of at most one block.
    fn short(&self, purpose: &str, out: &mut [u8]) {
        self.stream(purpose, out).expect("32 and 48 bytes are at most one block");
    }
}

/// More was asked of one stream than HKDF can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stream gives at most 12240 bytes, {bytes} were asked for")]
pub struct StreamTooLong {
    /// The length asked for.
    pub bytes: usize,
}

/// The tie-breaking key `T`. It is disclosed with every result, but before the run is over nobody may know it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct TieKey([u8; 48]);

impl TieKey {
    /// Rebuilds `T` from a result, to recompute a ranking.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 48]) -> Self {
        Self(bytes)
    }

    /// The 48 bytes, as they are written into a result.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }

    /// `HMAC-SHA-384(T, lot || 0x00 || bidder)`: among equal bids of a lot the lowest rank is first.
    #[must_use]
    pub fn rank(&self, lot: &str, bidder: &str) -> [u8; 48] {
        let key = hmac::Key::new(hmac::HMAC_SHA384, &self.0);
        let mut context = hmac::Context::with_key(&key);
        context.update(lot.as_bytes());
        context.update(&[0]);
        context.update(bidder.as_bytes());
        let mut rank = [0; 48];
        rank.copy_from_slice(context.sign().as_ref());
        rank
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Binding, DatasetKey, SealingKeys};
    use crate::vectors;
    use entente_agreement::SealingId;
    use zeroize::Zeroizing;

    fn keys() -> SealingKeys {
        let key =
            DatasetKey::from_bytes(Zeroizing::new(std::array::from_fn(|i| u8::try_from(255 - i).unwrap())));
        let binding = Binding {
            agreement: Digest384::from_bytes(std::array::from_fn(|i| u8::try_from(i).unwrap())),
            dataset: "bids-north".parse().unwrap(),
            sealing: SealingId::from_bytes(std::array::from_fn(|i| u8::try_from(0xa0 + i).unwrap())),
        };
        SealingKeys::derive(&key, &binding)
    }

    #[test]
    fn streams_equal_independent_ones() {
        let keys = keys();
        let parts = [keys.contribution(), keys.contribution()];
        let inputs = Digest384::of(b"inputs");
        let seed = RunSeed::new(parts, &inputs, None);
        assert_eq!(hex::encode(seed.tie_key().as_bytes()), vectors::TIE);
        assert_eq!(hex::encode(seed.tie_key().rank("villa", "north")), vectors::RANK);
        let mut noise = [0; 100];
        seed.stream("noise", &mut noise).unwrap();
        assert_eq!(hex::encode(noise), vectors::NOISE);
        let seed = RunSeed::new(parts, &inputs, Some(&Digest384::of(b"request")));
        assert_eq!(hex::encode(seed.tie_key().as_bytes()), vectors::TIE_WITH_REQUEST);
    }

    #[test]
    fn a_stream_has_an_end() {
        let keys = keys();
        let seed = RunSeed::new([keys.contribution()], &Digest384::of(b""), None);
        assert_eq!(seed.stream("x", &mut [0; 12_241]), Err(StreamTooLong { bytes: 12_241 }));
        assert_eq!(seed.stream("x", &mut [0; 12_240]), Ok(()));
    }

    #[test]
    fn salts_differ_by_output_and_recipient() {
        let keys = keys();
        let seed = RunSeed::new([keys.contribution()], &Digest384::of(b""), None);
        let (a, b, c) = ("a".parse().unwrap(), "b".parse().unwrap(), "c".parse().unwrap());
        assert_ne!(seed.archive_salt(&a, &b), seed.archive_salt(&a, &c));
        assert_ne!(seed.archive_salt(&a, &b), seed.archive_salt(&b, &a));
        assert_eq!(seed.archive_salt(&a, &b), seed.archive_salt(&a, &b));
    }
}

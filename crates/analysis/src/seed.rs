//! The randomness of a run.

/// Deterministic bytes that all owners made together (PROTOCOL §6).
///
/// `entente_sealing::RunSeed` is the real one; tests bring their own.
///
/// # Security
/// The bytes are as unpredictable as the best-kept contribution, and fixed by the input set: a rerun gives the same ones. The
/// seed's own value never leaves the enclave, but a stream that an analysis writes into an outcome is public from then on, so
/// streams have purposes and none tells about another.
pub trait SeedStream {
    /// The first bytes of the stream for `purpose`, as many as `out` is long, at most 12,240 (255 blocks of HKDF-SHA-384).
    fn fill(&self, purpose: &str, out: &mut [u8]);
}

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
    /// The first 48 bytes of the stream for `purpose`; ties of an auction are drawn with the purpose `tie`.
    fn draw(&self, purpose: &str) -> [u8; 48];
}

impl SeedStream for entente_sealing::RunSeed {
    fn draw(&self, purpose: &str) -> [u8; 48] {
        let mut bytes = [0; 48];
        self.stream(purpose, &mut bytes).expect("48 bytes are one block of HKDF-SHA-384, a stream has 255");
        bytes
    }
}

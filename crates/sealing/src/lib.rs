//! Sealed inputs and sealed results: everything between an owner's plaintext and the bytes that a host may store.
//!
//! One fresh key `K` per sealing determines all keys below it ([`SealingKeys`], PROTOCOL §2). Tables are Parquet with
//! Modular Encryption ([`table`]), other files are age ([`blob`]); a [`ChunkList`] commits to the sealed file piece by
//! piece; the [`RunSeed`] (§6) makes every visible random choice repeatable; results are padded archives in age
//! files ([`result`], §7).
//!
//! # Threat model
//!
//! The host stores and relays the sealed bytes and may change any of them: it learns lengths only, and a change is found
//! before a byte is used. An owner may seal a hostile file (it knows `K`): reading one is bounded by the agreement's
//! declared limits and ends in a typed error that voids that owner's own input and nothing else.
//! Not hidden: the length of a sealed file, and of the modules inside an unpadded table.
//!
//! # Example
//!
//! ```
//! use entente_sealing::{Binding, DatasetKey, SealingKeys, blob};
//! use entente_agreement::{Name, SealingId};
//! use entente_attestation::Digest384;
//!
//! let key = DatasetKey::generate()?;
//! let binding = Binding {
//!     agreement: Digest384::of(b"the agreement's exact bytes"),
//!     dataset: "prices".parse::<Name>()?,
//!     sealing: SealingId::from_bytes([7; 16]),
//! };
//! let keys = SealingKeys::derive(&key, &binding);
//!
//! let mut sealed = Vec::new();
//! blob::seal_blob(&mut &b"a model"[..], &mut sealed, &keys, &[])?;
//! let opened = blob::open_blob(&sealed, &keys, 1024)?;
//! assert_eq!(&opened[..], b"a model");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// The fixture of the tests is shared with the integration tests, which see this crate by its name.
#[cfg(test)]
extern crate self as entente_sealing;

pub mod blob;
mod chunks;
mod identity;
mod key;
mod material;
pub mod result;
mod seed;
pub mod table;
mod thrift;
#[cfg(test)]
mod vectors;

pub use chunks::{ChunkError, ChunkList, ChunkWriter, PIECE_BYTES};
pub use identity::{RecipientError, is_x25519_recipient};
pub use key::{Binding, CommitmentMismatch, Contribution, DatasetKey, RandomnessFailed, SealingKeys};
pub use seed::{RunSeed, StreamTooLong, TieKey};

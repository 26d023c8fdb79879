//! Nitro attestation documents: parse, authenticate, appraise

mod anchor;
mod crypto;
mod digest;
mod nonce;
mod pcr;
mod time;

pub use anchor::{AnchorError, RootKind, TrustAnchor};
pub use digest::{Digest384, DigestError};
pub use nonce::Nonce;
pub use pcr::{DebugMode, Measurements, PcrIndex, extend, pcr16_for, pcr17_for};
pub use time::{TimeError, UnixTime};

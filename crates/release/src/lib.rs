//! Key release.
pub mod recipient;

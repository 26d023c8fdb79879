//! Key release.
pub mod recipient;

pub mod policy;

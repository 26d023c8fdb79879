//! One module a command group.

pub(crate) mod agreement;
pub(crate) mod attest;
pub(crate) mod data;
pub(crate) mod demo;
pub(crate) mod host;
pub(crate) mod image;
pub(crate) mod inputs;
pub(crate) mod key;
pub(crate) mod party;
pub(crate) mod receipt;
pub(crate) mod result;
pub(crate) mod run;

mod files;
mod runtime;

//! The tests of the crate's public face, in one program.
#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::panic, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests run ssh-keygen on files")]
#![expect(clippy::disallowed_macros, reason = "tests say when they skip")]

mod agreements;
mod explained;
mod inputs;
mod mutations;
mod signatures;
mod support;

//! The host from outside: real HTTP on loopback, real sockets to enclaves that are threads of the test.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod api;
mod crash;
mod fake;
mod hostile;
mod local;
mod mutations;
mod requests;
mod runs;
mod uploads;
mod world;

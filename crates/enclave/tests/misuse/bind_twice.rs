//! A life is bound once.
use entente_analysis::Analysis;
use entente_enclave::{Booted, Host};
use std::os::unix::net::UnixStream;

fn step<A: Analysis>(booted: Booted<A>, host: &mut Host<UnixStream>) {
    let _ = booted.bind(host);
    let _ = booted.bind(host);
}

fn main() {}

//! No host input is read while an analysis runs: the step takes no host.
use entente_analysis::Analysis;
use entente_enclave::{Host, Loaded};
use std::os::unix::net::UnixStream;

fn step<A: Analysis>(loaded: Loaded<A>, host: &mut Host<UnixStream>) {
    let _ = loaded.compute(host);
}

fn main() {}

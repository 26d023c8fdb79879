//! What has not passed disclosure is not handed out.
use entente_analysis::Analysis;
use entente_enclave::{Computed, Host};
use std::os::unix::net::UnixStream;

fn step<A: Analysis>(computed: Computed<A>, host: &mut Host<UnixStream>) {
    let _ = computed.hand_out(host);
}

fn main() {}

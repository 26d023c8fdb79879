//! The enclave program of the sealed-bid auction: the runtime with this one analysis compiled in, and nothing else.

use std::process::ExitCode;

use entente_auction::Auction;

fn main() -> ExitCode {
    entente_enclave::run::<Auction>()
}

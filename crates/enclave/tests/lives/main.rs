//! Whole lives of an enclave, in this process, with hosts, modules and parties that are honest or not.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod happy;
mod module;
mod relay;
mod tally;
mod world;

use entente_enclave::machine::AvailableMemory;
use entente_enclave::{Halted, Host, live};
use entente_nsm::codec::Request;

use crate::module::Module;
use crate::relay::{Relay, Seen};
use crate::tally::Tally;

/// What came of one life.
pub(crate) struct Life {
    pub(crate) end: Result<(), Halted>,
    pub(crate) seen: Seen,
    pub(crate) asked_module: Vec<Request>,
}

/// Lives once.
pub(crate) fn life(module: Module, relay: Relay) -> Life {
    let (nsm, module) = module.start();
    let (connection, relay) = relay.start();
    let mut host = Host::new(connection);
    let end = live::<Tally, _>(nsm, AvailableMemory::from_mib(256), &mut host);
    drop(host);
    Life { end, seen: relay.join().unwrap(), asked_module: module.join().unwrap() }
}

//! Whole lives of an enclave, in this process, with hosts, modules and parties that are honest or not.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod defects;
mod happy;
mod hostile_documents;
mod hostile_host;
mod hostile_module;
mod module;
mod relay;
mod tally;
mod world;

use std::sync::LazyLock;

use entente_analysis::Analysis;
use entente_channel::ErrorCode;
use entente_enclave::machine::AvailableMemory;
use entente_enclave::{Halted, Host, Refusal, live};
use entente_nsm::codec::Request;

use crate::module::Module;
use crate::relay::{Relay, Seen};
use crate::tally::Tally;
use crate::world::World;

/// What came of one life.
pub(crate) struct Life {
    pub(crate) end: Result<(), Halted>,
    pub(crate) seen: Seen,
    pub(crate) asked_module: Vec<Request>,
}

impl Life {
    /// The life ended with this code, the host was told it as the last word, and nothing went out.
    pub(crate) fn refused(&self, code: ErrorCode) -> &Refusal {
        let halted = self.end.as_ref().unwrap_err();
        assert_eq!(halted.code(), code, "{:?}", halted.refusal());
        assert_eq!(self.seen.halted, Some(code));
        assert_eq!(self.seen.questions.last(), Some(&format!("halted {code}")));
        assert!(self.seen.files.is_empty() && self.seen.receipt.is_none() && !self.seen.finished);
        halted.refusal()
    }

    /// The same, before any key was asked for.
    pub(crate) fn refused_early(&self, code: ErrorCode) -> &Refusal {
        assert_eq!(self.seen.key_questions, []);
        self.refused(code)
    }
}

/// One world for all tests that do not need another.
pub(crate) static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// Lives once.
pub(crate) fn life(module: Module, relay: Relay) -> Life {
    life_with(module, relay, 256)
}

/// Lives once, with so many MiB of memory.
pub(crate) fn life_with(module: Module, relay: Relay, mib: u64) -> Life {
    life_of::<Tally>(module, relay, mib)
}

/// Lives once with another analysis compiled in.
pub(crate) fn life_of<A: Analysis>(module: Module, relay: Relay, mib: u64) -> Life {
    let (nsm, module) = module.start();
    let (connection, relay) = relay.start();
    let mut host = Host::new(connection);
    let end = live::<A, _>(nsm, AvailableMemory::from_mib(mib), &mut host);
    drop(host);
    Life { end, seen: relay.join().unwrap(), asked_module: module.join().unwrap() }
}

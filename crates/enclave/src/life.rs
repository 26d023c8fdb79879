//! One life from start to end.

use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use entente_analysis::Analysis;
use entente_channel::{Connection, ErrorCode, Listener};
use entente_nsm::Nsm;

use crate::machine::{AvailableMemory, harden_process};
use crate::refusal::Refusal;
use crate::{Booted, Host};

/// The descriptor over which a simulated hypervisor gives the socket on which the host is awaited.
const INHERITED_LISTENER: std::os::fd::RawFd = 4;

/// The end of a life that failed. The host has been told its code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("halted: {}", .refusal.code())]
pub struct Halted {
    refusal: Box<Refusal>,
}

impl Halted {
    /// Why, exactly: for tests. It never leaves an enclave.
    #[must_use]
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// What the host was told.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.refusal.code()
    }
}

/// Lives once: from a fresh NSM and a fresh connection to results, or to one code.
///
/// # Errors
/// [`Halted`], after the host has been told the code.
pub fn live<A: Analysis, C: Read + Write>(
    nsm: Nsm,
    memory: AvailableMemory,
    host: &mut Host<C>,
) -> Result<(), Halted> {
    // A panic is a defect, and a defect has one code; its message, which may hold data, goes nowhere.
    let lived =
        catch_unwind(AssertUnwindSafe(|| job::<A, C>(nsm, memory, host))).unwrap_or(Err(Refusal::Run));
    lived.map_err(|refusal| {
        host.halted(refusal.code());
        Halted { refusal: Box::new(refusal) }
    })
}

fn job<A: Analysis, C: Read + Write>(
    nsm: Nsm,
    memory: AvailableMemory,
    host: &mut Host<C>,
) -> Result<(), Refusal> {
    let bound = Booted::<A>::new(nsm, memory).bind(host)?;
    let keyed = bound.take_keys(host)?;
    let loaded = keyed.load(host)?;
    let computed = loaded.compute();
    let disclosed = computed.disclose()?;
    disclosed.hand_out(host)
}

/// The whole program of an image: `fn main() -> ExitCode { entente_enclave::run::<A>() }`.
///
/// Arguments and environment are not looked at, nothing is printed or logged, and the exit code says only whether results were
/// handed out (0) or not (1).
#[must_use]
pub fn run<A: Analysis>() -> ExitCode {
    // Step 1. The NSM first: descriptor 3 must be looked at before anything could have been opened as it.
    let nsm = Nsm::open();
    let inherited = entente_nsm::inherited_socket(INHERITED_LISTENER);
    silence_panics();
    if harden_process().is_err() {
        return ExitCode::FAILURE;
    }
    let memory = AvailableMemory::measure();
    let listener = match inherited {
        Some(socket) => Listener::inherited(socket),
        None => Listener::vsock(),
    };
    let Ok(connection) = listener.and_then(Listener::accept_one) else { return ExitCode::FAILURE };
    end_on_abort(&connection);
    let mut host = Host::new(connection);
    let lived = match nsm {
        Ok(nsm) => live::<A, Connection>(nsm, memory, &mut host).is_ok(),
        Err(error) => {
            host.halted(Refusal::Nsm(error).code());
            false
        }
    };
    if lived { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A panic's message may hold data, and standard error is the host's to read.
fn silence_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Where panics abort (images may be built so), nothing after the hook runs: the code goes out in the hook then, and the exit
/// code is that of every life that failed. Where they unwind, [`live`] does both.
fn end_on_abort(connection: &Connection) {
    if !cfg!(panic = "abort") {
        return;
    }
    let connection = connection.try_clone().map(std::sync::Mutex::new);
    std::panic::set_hook(Box::new(move |_| {
        if let Ok(mut connection) =
            connection.as_ref().map_err(|_| ()).and_then(|one| one.lock().map_err(|_| ()))
        {
            Host::new(&mut *connection).halted(ErrorCode::RunFailed);
        }
        std::process::exit(1);
    }));
}

//! Where enclaves run. One trait; `local` implements it here, `qemu` and `nitro` fit the same seam.
//!
//! A platform takes an image file and memory, and gives a running enclave: the address of its vsock listener, whether
//! it has ended, and the power to end it. It has no console and carries no bytes: those are the relay's.
//!
//! * `local`: a child program `entente-hypervisor-sim`; the address is a Unix socket of the hybrid-vsock convention.
//! * `qemu` (to come): `qemu-system-x86_64 -M nitro-enclave` beside `vhost-device-vsock`; the same kind of address.
//! * `nitro` (to come): `/dev/nitro_enclaves`; the address is a CID.

mod local;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use local::{Local, LocalError};

/// Starts enclaves.
pub trait Platform: Send + Sync + 'static {
    /// `local`, `qemu` or `nitro`.
    fn name(&self) -> &'static str;

    /// Starts one enclave. Blocks for as long as starting takes; booting goes on afterwards. The thread that calls
    /// lives as long as the enclave does, so that a parent-death signal means the host's death.
    ///
    /// # Errors
    /// [`PlatformError`] if nothing was started.
    fn start(&self, launch: &Launch) -> Result<Box<dyn Enclave>, PlatformError>;

    /// Ends what is left of an enclave that an earlier life of this host started. Blocks until it is gone.
    fn clean_up(&self, remains: &Remains);
}

/// A running enclave. Dropping it ends it.
pub trait Enclave: Send + Sync {
    /// Where its vsock listeners are reached.
    fn address(&self) -> VsockAddress;

    /// Its process on this machine, if it has one.
    fn process(&self) -> Option<ProcessIdentity>;

    /// Whether it has ended, and how; does not block.
    fn ended(&self) -> Option<EnclaveEnd>;

    /// Ends it; returns when it is gone. Harmless if it has ended.
    fn kill(&self);
}

/// How the parent reaches an enclave's vsock listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VsockAddress {
    /// A Unix socket that takes `CONNECT <port>\n` (vhost-device-vsock, Firecracker, the simulated hypervisor).
    Hybrid {
        /// The socket.
        path: PathBuf,
    },
    /// AF_VSOCK.
    Cid {
        /// The enclave's context id.
        cid: u32,
    },
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Launch {
    image: PathBuf,
    memory_mib: u32,
    work: PathBuf,
}

impl Launch {
    /// `image`: the EIF. `memory_mib`: memory of the enclave. `work`: a directory for this enclave alone, whose path is
    /// short enough for a Unix socket in it.
    #[must_use]
    pub fn new(image: PathBuf, memory_mib: u32, work: PathBuf) -> Self {
        Self { image, memory_mib, work }
    }

    /// The EIF.
    #[must_use]
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Memory of the enclave, MiB.
    #[must_use]
    pub fn memory_mib(&self) -> u32 {
        self.memory_mib
    }

    /// A directory for this enclave alone.
    #[must_use]
    pub fn work(&self) -> &Path {
        &self.work
    }
}

/// What a host that ended remembers of an enclave.
#[derive(Debug, Clone)]
pub struct Remains {
    process: Option<ProcessIdentity>,
    work: PathBuf,
}

impl Remains {
    pub(crate) fn new(process: Option<ProcessIdentity>, work: PathBuf) -> Self {
        Self { process, work }
    }

    /// The enclave's process, unless the host ended before it could be noted.
    #[must_use]
    pub fn process(&self) -> Option<&ProcessIdentity> {
        self.process.as_ref()
    }

    /// The enclave's directory.
    #[must_use]
    pub fn work(&self) -> &Path {
        &self.work
    }
}

/// How an enclave ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnclaveEnd {
    /// Its program returned this.
    Code(i32),
    /// It was killed, or the platform cannot say.
    Killed,
}

impl fmt::Display for EnclaveEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Killed => f.write_str("killed"),
        }
    }
}

/// A process that is not mistaken for a later one with the same number: number, time of start, and boot of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pid: i32,
    started_ticks: u64,
    boot: String,
}

impl ProcessIdentity {
    /// The process that has this number now; `None` if there is none.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // proc(5): field 2 is the name in parentheses, which may hold anything; field 22 is the time of start.
        let (_, rest) = stat.rsplit_once(')')?;
        let started_ticks = rest.split_ascii_whitespace().nth(19)?.parse().ok()?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        Some(Self { pid, started_ticks, boot })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it is still this very process.
    #[must_use]
    pub fn is_current(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }
}

/// Why an enclave was not started. The text goes to the host's log and to the operator; it never holds enclave output.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PlatformError(String);

impl PlatformError {
    /// With one sentence.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

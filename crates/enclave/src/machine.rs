//! The process and the machine that it runs on (PROTOCOL §10.1).

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Bytes in a MiB.
const MIB: u64 = 1 << 20;

/// Memory that a run may count on, in MiB, measured when the program starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AvailableMemory(u64);

impl AvailableMemory {
    /// So many MiB.
    #[must_use]
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib)
    }

    /// In MiB.
    #[must_use]
    pub const fn mib(self) -> u64 {
        self.0
    }

    /// What the kernel says is available without swapping, and no more than this process may map or write to.
    #[must_use]
    pub fn measure() -> Self {
        let machine = std::fs::read("/proc/meminfo").ok().and_then(|text| mem_available_kib(&text));
        let bytes = machine.map_or_else(free_bytes, |kib| kib.saturating_mul(1024));
        // The simulated hypervisor gives an enclave its memory as such limits.
        let limit = |resource| rustix::process::getrlimit(resource).current.unwrap_or(u64::MAX);
        Self(bytes.min(limit(Resource::As)).min(limit(Resource::Data)) / MIB)
    }
}

/// `MemAvailable` of `/proc/meminfo`, in KiB.
fn mem_available_kib(meminfo: &[u8]) -> Option<u64> {
    let line = meminfo.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"MemAvailable:"))?;
    std::str::from_utf8(line).ok()?.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Where `/proc` is not mounted: free memory, which is less than what is available.
fn free_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.freeram.saturating_mul(u64::from(info.mem_unit))
}

/// Why this process must not run an analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProcessRefused {
    /// Process 1 is the init of an image, whose duties (closing descriptors, refusing command lines) are another program's.
    #[error("the analysis program must not be process 1")]
    IsInit,
    /// Core dumps could not be switched off.
    #[error("core dumps cannot be switched off")]
    CoreDumps,
}

/// Makes sure that this process may run an analysis and leaves no copy of its memory behind: not process 1, no core dumps, not
/// traceable by processes of the same user.
///
/// # Errors
/// [`ProcessRefused`].
pub fn harden_process() -> Result<(), ProcessRefused> {
    if std::process::id() == 1 {
        return Err(ProcessRefused::IsInit);
    }
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).map_err(|_| ProcessRefused::CoreDumps)?;
    // A core pattern that pipes to a program ignores the limit; it respects this.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|_| ProcessRefused::CoreDumps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read_strictly() {
        let text =
            b"MemTotal:        4030464 kB\nMemFree:  1 kB\nMemAvailable:    2015232 kB\nBuffers: 0 kB\n";
        assert_eq!(mem_available_kib(text), Some(2_015_232));
        for wrong in [&b""[..], b"MemAvailable: 5", b"MemAvailable: x kB\n", b"MemFree: 5 kB\n"] {
            assert_eq!(mem_available_kib(wrong), None);
        }
        assert!(AvailableMemory::measure().mib() > 0);
        assert!(free_bytes() > 0);
    }
}

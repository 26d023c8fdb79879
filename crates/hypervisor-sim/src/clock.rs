//! Where the simulated hypervisor takes its time from.

use std::time::{SystemTime, UNIX_EPOCH};

use entente_attestation::UnixTime;

/// A source of time for certificates and documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Always the same time: for tests with stale documents.
    Fixed(UnixTime),
}

impl Clock {
    /// The time now, with millisecond resolution as on hardware.
    pub fn now(self) -> UnixTime {
        match self {
            Self::System => {
                let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
                UnixTime::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
            }
            Self::Fixed(time) => time,
        }
    }
}

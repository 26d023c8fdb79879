//! The host's clock. It stamps records for people; nothing is decided by it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use entente_attestation::UnixTime;

pub(crate) fn now() -> UnixTime {
    // A clock before 1970 is a wrong clock, not a reason to stop.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    UnixTime::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

//! Times: what is shown can be read again, and no arithmetic overflows.
#![no_main]

use std::time::Duration;

use entente_attestation::UnixTime;
use libfuzzer_sys::fuzz_target;

/// 10000-01-01T00:00:00Z
const END_OF_RFC3339: u64 = 253_402_300_800_000;

fuzz_target!(|input: &[u8]| {
    if let Some(millis) = input.first_chunk() {
        let time = UnixTime::from_millis(u64::from_be_bytes(*millis));
        let shown = time.to_string();
        assert_eq!(UnixTime::parse_rfc3339(&shown).is_ok(), time.as_millis() < END_OF_RFC3339);
        if let Ok(read) = UnixTime::parse_rfc3339(&shown) {
            assert_eq!(read, time);
        }
        let duration = Duration::from_nanos(u64::from_le_bytes(*millis)).saturating_mul(1 << 20);
        assert!(time.saturating_add(duration) >= time);
        assert!(time.saturating_sub(duration) <= time);
        let _ = UnixTime::from_secs(time.as_millis());
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(time) = UnixTime::parse_rfc3339(text)
    {
        assert!(time.as_millis() < END_OF_RFC3339);
        assert_eq!(UnixTime::parse_rfc3339(&time.to_string()), Ok(time));
    }
});

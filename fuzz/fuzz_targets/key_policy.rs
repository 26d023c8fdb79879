//! Key policies, and answers of a key service: no panic, and what was read is written and read again.
#![no_main]

use entente_release::policy::KeyPolicy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(policy) = KeyPolicy::parse(text) {
        let again = KeyPolicy::parse(&policy.to_json());
        assert!(again.is_ok_and(|again| again.to_json() == policy.to_json()));
    }
});

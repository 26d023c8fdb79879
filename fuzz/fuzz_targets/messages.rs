//! What enclave, host and security module say to each other: no panic, and one message has one encoding.
#![no_main]

use entente_channel::{Answer, Ask};
use entente_nsm::codec::{Request, Response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ask) = Ask::decode(bytes) {
        assert!(ask.encode().is_ok_and(|again| again == bytes));
    }
    if let Ok(answer) = Answer::decode(bytes) {
        assert!(answer.encode().is_ok_and(|again| again == bytes));
    }
    let _ = Request::decode(bytes);
    let _ = Response::decode(bytes);
});

//! Result archives and lists of pieces: no panic.
#![no_main]

use entente_sealing::result::ResultArchive;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = ResultArchive::parse(bytes);
});

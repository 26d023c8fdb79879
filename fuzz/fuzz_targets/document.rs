//! Bytes to a document, authenticated at its own time and at the end of time: no panic, and nothing that does not
//! verify is believed.
#![no_main]

use entente_attestation::{SignedDocument, TrustAnchor, UnixTime, explain};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = SignedDocument::parse(bytes) else { return };
    let _ = explain::facts_unverified(&document);
    let at = document.timestamp_unverified();
    for time in [at, UnixTime::from_millis(0), UnixTime::from_millis(u64::MAX)] {
        if let Ok(document) = document.clone().authenticate(&TrustAnchor::aws_nitro(), time) {
            let _ = explain::facts(&document, UnixTime::from_millis(u64::MAX));
        }
    }
    // A root that the document brings itself is one that a test might hand over.
    if let Ok(anchor) = TrustAnchor::simulated(document.root_certificate_unverified()) {
        let _ = document.authenticate(&anchor, at);
    }
});

//! Text objects that parties sign, keys and signatures: no panic, and a generated object has one text.
#![no_main]

use entente_agreement::{Agreement, InputSet, KnownParties, Manifest, Namespace, Request, SignKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(agreement) = Agreement::parse(bytes) {
        let _ = agreement.sentences();
    }
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.bytes(), bytes);
    }
    if let Ok(set) = InputSet::parse(bytes) {
        assert_eq!(set.bytes(), bytes);
    }
    if let Ok(request) = Request::parse(bytes) {
        assert_eq!(request.bytes(), bytes);
    }
    let _ = KnownParties::parse(bytes);
    if let Ok(key) = std::str::from_utf8(bytes).map_err(drop).and_then(|line| SignKey::from_openssh(line).map_err(drop)) {
        assert!(key.verify(Namespace::Agreement, b"message", bytes).is_err());
    }
});

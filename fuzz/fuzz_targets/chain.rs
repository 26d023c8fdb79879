//! Any bytes in the place of one certificate of a genuine chain: never authentic.
#![no_main]

use std::sync::LazyLock;

use entente_attestation::{SignedDocument, TrustAnchor, UnixTime};
use entente_testkit::{Attestation, ForgedHypervisor, Forgery};
use libfuzzer_sys::fuzz_target;

const TIME: u64 = 1_776_810_820_000;

struct Genuine {
    anchor: TrustAnchor,
    forgery: Forgery,
    certificates: Vec<Vec<u8>>,
}

static GENUINE: LazyLock<Genuine> = LazyLock::new(|| {
    let hypervisor = ForgedHypervisor::new();
    let forgery = hypervisor.forgery(&Attestation::at(TIME));
    let certificates = forgery.chain.sign();
    let anchor = TrustAnchor::simulated(hypervisor.root_der()).expect("the forge's root is one");
    Genuine { anchor, forgery, certificates }
});

fuzz_target!(|input: &[u8]| {
    let Some((place, certificate)) = input.split_first() else { return };
    let mut certificates = GENUINE.certificates.clone();
    let place = usize::from(*place) % certificates.len();
    let _ = TrustAnchor::simulated(certificate);
    if certificates[place] == certificate {
        return;
    }
    certificates[place] = certificate.to_vec();
    let Ok(document) = SignedDocument::parse(&GENUINE.forgery.sign_over(&certificates)) else { return };
    assert!(document.authenticate(&GENUINE.anchor, UnixTime::from_millis(TIME)).is_err());
});

//! Any registers and fields against one policy: accepted only if all of them are the policy's.
#![no_main]

use std::{sync::LazyLock, time::Duration};

use entente_attestation::{
    Digest384, DocumentKind, Freshness, HardwareRegisters, Measurements, Nonce, Policy, SignedDocument, TrustAnchor,
    UnixTime, UserRegisters,
};
use entente_testkit::{Attestation, ForgedHypervisor};
use libfuzzer_sys::fuzz_target;

const TIME: u64 = 1_776_810_820_000;

static HYPERVISOR: LazyLock<ForgedHypervisor> = LazyLock::new(ForgedHypervisor::new);

// The first byte says which parts differ from the policy's, the rest with what.
fuzz_target!(|input: &[u8]| {
    let Some((changes, rest)) = input.split_first() else { return };
    let digest = |name: &str| Digest384::of(name.as_bytes());
    let (agreement, input_set) = (digest("agreement"), digest("inputs"));
    let genuine = Attestation::at(TIME)
        .bound_to(agreement.as_ref(), input_set.as_ref())
        .with_nonce(&[7; 32]);
    let mut asked = genuine.clone();
    let value = Digest384::of(rest);
    if changes & 1 != 0 {
        asked = asked.with_pcr(rest.first().map_or(0, |byte| byte % 32), value.as_ref());
    }
    if changes & 2 != 0 {
        asked.pcrs.remove(&rest.first().map_or(0, |byte| byte % 32));
    }
    if changes & 4 != 0 {
        asked = asked.with_nonce(rest.get(..1024).unwrap_or(rest));
    }
    if changes & 8 != 0 {
        asked = asked.with_user_data(rest.get(..1024).unwrap_or(rest));
    }
    if changes & 16 != 0 {
        asked = asked.with_public_key(rest.get(..1024).unwrap_or(rest));
    }
    let mut offset = [0; 8];
    if changes & 32 != 0 {
        offset.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    }
    let offset = u64::from_be_bytes(offset);
    let policy = Policy {
        measurements: Measurements::new(digest("pcr0"), digest("pcr1"), digest("pcr2")).expect("none is zero"),
        hardware_registers: HardwareRegisters::unnamed(),
        user_registers: UserRegisters::Bound { agreement, input_set },
        freshness: Freshness::Recent {
            now: UnixTime::from_millis(TIME.wrapping_add(offset)),
            max_age: Duration::from_secs(60),
            max_ahead: Duration::from_secs(5),
        },
        kind: DocumentKind::SelfCheck { nonce: Nonce::from_bytes([7; 32]) },
    };
    let anchor = TrustAnchor::simulated(HYPERVISOR.root_der()).expect("the forge's root is one");
    let Ok(document) = SignedDocument::parse(&HYPERVISOR.attest(&asked)) else { return };
    let document = document.authenticate(&anchor, UnixTime::from_millis(TIME)).expect("nothing is forged");
    // PCR3 to PCR15 are free in this policy; all else is not.
    let decisive = |attestation: &Attestation| {
        let mut attestation = attestation.clone();
        attestation.pcrs.retain(|index, _| !(3..16).contains(index));
        (attestation.pcrs, attestation.nonce, attestation.user_data, attestation.public_key)
    };
    let in_time = offset <= 60_000 || offset >= 0_u64.wrapping_sub(5_000);
    let wanted = decisive(&asked) == decisive(&genuine) && in_time;
    assert_eq!(document.appraise(&policy).is_ok(), wanted);
});

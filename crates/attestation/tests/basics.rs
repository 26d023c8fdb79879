//! Digests, registers and times.

use entente_attestation::{
    DebugMode, Digest384, DigestError, Measurements, PcrIndex, TimeError, UnixTime, extend, pcr16_for,
};

#[test]
fn digests_are_lower_case_hex() {
    let digest = Digest384::of(b"abc");
    let text =
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7";
    assert_eq!(digest.to_string(), text, "FIPS 180-4 example");
    assert_eq!(text.parse(), Ok(digest));
    assert_eq!(Digest384::of_parts(&[b"a", b"", b"bc"]), digest);
    assert_eq!(text.to_uppercase().parse::<Digest384>(), Err(DigestError::Digit { position: 0 }));
    assert_eq!(text[..94].parse::<Digest384>(), Err(DigestError::Length { found: 47 }));
    let broken = format!("{}g", &text[..95]);
    assert_eq!(broken.parse::<Digest384>(), Err(DigestError::Digit { position: 95 }));
}

#[test]
fn extension_follows_the_nsm() {
    // WIRE.md: the PCR2 of an image with one ramdisk is the extension of zero with SHA-384 of nothing.
    assert_eq!(
        extend(&Digest384::ZERO, Digest384::of(b"").as_bytes()).to_string(),
        "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
    );
    let agreement = Digest384::of(b"agreement");
    assert_eq!(pcr16_for(&agreement), Digest384::of_parts(&[&[0; 48], agreement.as_bytes()]));
}

#[test]
fn zero_measurements_are_debug_mode() {
    let one = Digest384::of(b"1");
    assert!(Measurements::new(one, one, one).is_ok());
    let all = Measurements::new(Digest384::ZERO, Digest384::ZERO, Digest384::ZERO);
    assert_eq!(all, Err(DebugMode { register: PcrIndex::IMAGE }));
    assert_eq!(
        Measurements::new(one, one, Digest384::ZERO),
        Err(DebugMode { register: PcrIndex::APPLICATION })
    );
}

#[test]
fn times_read_and_show_rfc3339() {
    for (text, millis) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T23:59:59Z", 951_868_799_000),
        ("2026-04-21T22:33:40.123Z", 1_776_810_820_123),
        ("2100-03-01T00:00:00Z", 4_107_542_400_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ] {
        assert_eq!(UnixTime::parse_rfc3339(text), Ok(UnixTime::from_millis(millis)), "{text}");
        assert_eq!(UnixTime::from_millis(millis).to_string(), text);
    }
    assert_eq!(UnixTime::parse_rfc3339("1970-01-01T00:00:00.5Z").unwrap().as_millis(), 500);
    for text in [
        "",
        "Z",
        "1970-01-01",
        "1970-01-01T00:00:00+00:00",
        "1970-01-01t00:00:00Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00.1234Z",
        "1970-01-01T00:00:0aZ",
        "+970-01-01T00:00:00Z",
        "1970-01-01T00:00Z",
    ] {
        assert_eq!(UnixTime::parse_rfc3339(text), Err(TimeError::Form), "{text}");
    }
    for text in [
        "1969-12-31T23:59:59Z",
        "2001-02-29T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:60Z",
    ] {
        assert_eq!(UnixTime::parse_rfc3339(text), Err(TimeError::Range), "{text}");
    }
    // Documents carry 64 bits of milliseconds: showing one never panics.
    assert_eq!(UnixTime::from_millis(u64::MAX).to_string(), "584556019-04-03T14:25:51.615Z");
}

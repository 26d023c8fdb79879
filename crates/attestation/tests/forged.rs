//! One thing wrong at a time: the forge makes a whole chain and document, changes one thing, signs again, and each
//! change must get its one error.
#![expect(clippy::unwrap_used, reason = "tests")]

use core::time::Duration;
use std::sync::LazyLock;

use entente_attestation::{
    AppraisalError, AttestedEnclave, AuthenticDocument, AuthenticationError, CborFault, CborKind,
    CertificateFault, CertificatePosition, ChannelRole, DebugMode, Digest384, DocumentKind, Field, Freshness,
    HardwareRegisters, KindName, Limits, Measurements, Nonce, ParseError, PcrIndex, Policy, RequestBinding,
    SignedDocument, TrustAnchor, UnixTime, UserRegisters,
};
use entente_testkit::{
    Attestation, Curve, ForgedHypervisor, Forgery, Key, PayloadForm, Position, SignatureForm,
    cbor::Cbor,
    certificate::{Certificate, Extension, key_usage, validity},
    der,
};

/// 2026-04-21T22:33:40Z
const NOW: u64 = 1_776_810_820_000;
const HOUR: u64 = 3_600_000;

static HYPERVISOR: LazyLock<ForgedHypervisor> = LazyLock::new(ForgedHypervisor::new);

fn attestation() -> Attestation {
    Attestation::at(NOW)
}

fn forgery() -> Forgery {
    HYPERVISOR.forgery(&attestation())
}

fn anchor() -> TrustAnchor {
    TrustAnchor::simulated(HYPERVISOR.root_der()).unwrap()
}

fn parse(forgery: &Forgery) -> Result<SignedDocument, ParseError> {
    SignedDocument::parse(&forgery.sign())
}

fn authenticate(forgery: &Forgery) -> Result<AuthenticDocument, AuthenticationError> {
    parse(forgery).unwrap().authenticate(&anchor(), UnixTime::from_millis(NOW))
}

#[track_caller]
fn refuses_to_parse(forgery: &Forgery, expected: &ParseError) {
    assert_eq!(parse(forgery).as_ref().map(|_| "parsed"), Err(expected));
}

/// Compares the error without its offset, which depends on the lengths of signatures.
#[track_caller]
fn refuses_cbor(forgery: &Forgery, expected: CborFault) {
    match parse(forgery) {
        Err(ParseError::Cbor { fault, .. }) => assert_eq!(fault, expected),
        other => assert_eq!(other.map(|_| "parsed"), Err(ParseError::Cbor { offset: 0, fault: expected })),
    }
}

#[track_caller]
fn refuses_type(forgery: &Forgery, field: Field, found: CborKind) {
    match parse(forgery) {
        Err(ParseError::WrongType { field: f, found: k, .. }) => assert_eq!((f, k), (field, found)),
        other => {
            assert_eq!(other.map(|_| "parsed"), Err(ParseError::WrongType { field, found, offset: 0 }));
        }
    }
}

#[track_caller]
fn refuses_to_authenticate(forgery: &Forgery, expected: &AuthenticationError) {
    assert_eq!(authenticate(forgery).as_ref().map(|_| "authentic"), Err(expected));
}

const POSITIONS: [(Position, CertificatePosition); 4] = [
    (Position::Regional, CertificatePosition::Bundle(1)),
    (Position::Zonal, CertificatePosition::Bundle(2)),
    (Position::Instance, CertificatePosition::Bundle(3)),
    (Position::Leaf, CertificatePosition::Leaf),
];

#[test]
fn nothing_wrong_is_authentic() {
    let forgeries = [
        forgery(),
        Forgery { payload_form: PayloadForm::Definite, ..forgery() },
        Forgery { tags: vec![18], ..forgery() },
        Forgery { signature: SignatureForm::Mirrored, ..forgery() },
        // Optional entries may be left out (CDDL) and maps have no order.
        forgery().without_entry("public_key").without_entry("user_data").without_entry("nonce"),
        {
            let mut reversed = forgery();
            reversed.payload.reverse();
            reversed
        },
        // Real instance certificates often have no subjectKeyIdentifier.
        forgery().with_certificate(Position::Instance, |c| c.remove_extension(der::SUBJECT_KEY_IDENTIFIER)),
        // A document made long after the leaf's beginning.
        HYPERVISOR.forgery(&attestation()).with_certificate(Position::Leaf, |c| {
            c.validity = validity(NOW - 2 * HOUR, NOW + HOUR);
        }),
        forgery().with_certificate(Position::Leaf, |c| {
            *c.extension_mut(der::KEY_USAGE) = key_usage(der::Flag::Yes, 7, 0x80);
        }),
        forgery().with_certificate(Position::Zonal, |c| {
            c.extensions.push(Extension {
                oid: vec![0x55, 0x1d, 0x1f],
                critical: der::Flag::No,
                value: vec![0x30, 0],
            });
        }),
    ];
    for (index, forgery) in forgeries.iter().enumerate() {
        assert_eq!(authenticate(forgery).err(), None, "{index}");
    }
}

// ---------------------------------------------------------------- the message

#[test]
fn message() {
    for cut in 0..forgery_bytes().len() {
        let bytes = forgery_bytes();
        let result = SignedDocument::parse(&bytes[..cut]);
        assert!(
            matches!(result, Err(ParseError::Cbor { fault: CborFault::Truncated, .. })),
            "{cut}: {result:?}"
        );
    }
    let mut long = forgery_bytes().to_vec();
    long.push(0);
    assert_eq!(
        SignedDocument::parse(&long).err(),
        Some(ParseError::TrailingBytes { after: Field::Message, count: 1 })
    );
    refuses_to_parse(&Forgery { tags: vec![61], ..forgery() }, &ParseError::Tag { found: 61 });
    refuses_to_parse(&Forgery { tags: vec![17], ..forgery() }, &ParseError::Tag { found: 17 });
    refuses_type(&Forgery { tags: vec![18, 18], ..forgery() }, Field::Message, CborKind::Tag);
    for length in [95, 97, 0] {
        refuses_to_parse(
            &Forgery { signature: SignatureForm::Raw(vec![1; length]), ..forgery() },
            &ParseError::SignatureLength { found: length },
        );
    }
    let elements = |items: Vec<Cbor>| SignedDocument::parse(&Cbor::Array(items).encode()).err();
    let bytes = || Cbor::bytes(&[0xa1, 0x01, 0x38, 0x22]);
    let map = || Cbor::Map(vec![]);
    assert_eq!(elements(vec![bytes(), map(), bytes()]), Some(ParseError::MessageLength { found: 3 }));
    assert_eq!(
        elements(vec![bytes(), map(), bytes(), bytes(), bytes()]),
        Some(ParseError::MessageLength { found: 5 })
    );
    assert_eq!(
        elements(vec![bytes(), map(), Cbor::NULL, bytes()]),
        Some(ParseError::WrongType { field: Field::Payload, found: CborKind::Null, offset: 7 }),
        "a detached payload"
    );
    assert_eq!(
        elements(vec![bytes(), map(), Cbor::OpenBytes(vec![vec![1], vec![2]]), bytes()]),
        Some(ParseError::Cbor { offset: 7, fault: CborFault::IndefiniteLength })
    );
    assert_eq!(
        SignedDocument::parse(&Cbor::OpenArray(vec![bytes(), map(), bytes(), bytes()]).encode()).err(),
        Some(ParseError::Cbor { offset: 0, fault: CborFault::IndefiniteLength })
    );
    assert_eq!(
        SignedDocument::parse(&Cbor::Array(vec![]).wide(1).encode()).err(),
        Some(ParseError::Cbor { offset: 0, fault: CborFault::NonMinimal })
    );
    assert_eq!(
        SignedDocument::parse(&Cbor::Array(vec![bytes().wide(4), map(), bytes(), bytes()]).encode()).err(),
        Some(ParseError::Cbor { offset: 1, fault: CborFault::NonMinimal })
    );
    let limit = Limits::HARDWARE.document;
    assert_eq!(
        SignedDocument::parse(&vec![0x84; limit + 1]).err(),
        Some(ParseError::TooLong { limit, found: limit + 1 })
    );
    // A nesting bomb is refused at its first level.
    assert_eq!(SignedDocument::parse(&vec![0x81; limit]).err(), Some(ParseError::MessageLength { found: 1 }));
    assert_eq!(
        SignedDocument::parse(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).err(),
        Some(ParseError::MessageLength { found: u64::MAX })
    );
    for initial in 0..=255 {
        assert!(SignedDocument::parse(&[initial]).is_err());
    }
}

fn forgery_bytes() -> &'static [u8] {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| forgery().sign());
    &BYTES
}

#[test]
fn headers() {
    let protected = |item: Cbor| Forgery { protected: item.encode(), ..forgery() };
    let es384 = || (Cbor::Uint(1), Cbor::Negative(34));
    for (algorithm, found) in [(Cbor::Negative(6), -7), (Cbor::Negative(35), -36), (Cbor::Uint(5), 5)] {
        refuses_to_parse(
            &protected(Cbor::Map(vec![(Cbor::Uint(1), algorithm)])),
            &ParseError::Algorithm { found },
        );
    }
    refuses_to_parse(&protected(Cbor::Map(vec![])), &ParseError::AlgorithmMissing);
    refuses_cbor(&protected(Cbor::Raw(vec![])), CborFault::Truncated);
    refuses_to_parse(
        &protected(Cbor::Map(vec![es384(), (Cbor::Uint(4), Cbor::bytes(b"kid"))])),
        &ParseError::ProtectedHeader { label: 4 },
    );
    refuses_to_parse(
        &protected(Cbor::Map(vec![es384(), es384()])),
        &ParseError::ProtectedHeader { label: 1 },
    );
    refuses_type(
        &protected(Cbor::Map(vec![(Cbor::text("alg"), Cbor::Negative(34))])),
        Field::HeaderLabel,
        CborKind::Text,
    );
    refuses_type(
        &protected(Cbor::Map(vec![(Cbor::Uint(1), Cbor::text("ES384"))])),
        Field::Algorithm,
        CborKind::Text,
    );
    refuses_type(&protected(Cbor::Array(vec![])), Field::ProtectedHeader, CborKind::Array);
    refuses_cbor(&protected(Cbor::OpenMap(vec![es384()])), CborFault::IndefiniteLength);
    refuses_cbor(&protected(Cbor::Map(vec![es384()]).wide(1)), CborFault::NonMinimal);
    refuses_cbor(
        &protected(Cbor::Map(vec![(Cbor::Uint(1).wide(1), Cbor::Negative(34))])),
        CborFault::NonMinimal,
    );
    refuses_cbor(
        &protected(Cbor::Map(vec![(Cbor::Uint(1), Cbor::Negative(34).wide(2))])),
        CborFault::NonMinimal,
    );
    refuses_to_parse(
        &Forgery { protected: vec![0xa1, 0x01, 0x38, 0x22, 0x00], ..forgery() },
        &ParseError::TrailingBytes { after: Field::ProtectedHeader, count: 1 },
    );
    refuses_to_parse(
        &Forgery { unprotected: Cbor::Map(vec![es384()]), ..forgery() },
        &ParseError::UnprotectedHeader { entries: 1 },
    );
    refuses_cbor(&Forgery { unprotected: Cbor::OpenMap(vec![]), ..forgery() }, CborFault::IndefiniteLength);
    refuses_type(&Forgery { unprotected: Cbor::NULL, ..forgery() }, Field::UnprotectedHeader, CborKind::Null);
}

// ---------------------------------------------------------------- the payload

const FIELDS: [(&str, Field); 9] = [
    ("module_id", Field::ModuleId),
    ("digest", Field::Digest),
    ("timestamp", Field::Timestamp),
    ("pcrs", Field::Pcrs),
    ("certificate", Field::Certificate),
    ("cabundle", Field::Cabundle),
    ("public_key", Field::PublicKey),
    ("user_data", Field::UserData),
    ("nonce", Field::Nonce),
];

#[test]
fn payload_fields_missing_twice_or_of_another_type() {
    let kinds = [
        (Cbor::Negative(0), CborKind::Negative),
        (Cbor::Simple(20), CborKind::Simple),
        (Cbor::UNDEFINED, CborKind::Simple),
        (Cbor::Float(1.0), CborKind::Simple),
        (Cbor::Tag(2, Box::new(Cbor::bytes(b"x"))), CborKind::Tag),
        (Cbor::Raw(vec![0xff]), CborKind::Break),
        (Cbor::Uint(7), CborKind::Unsigned),
        (Cbor::bytes(b"x"), CborKind::Bytes),
        (Cbor::text("x"), CborKind::Text),
        (Cbor::Array(vec![Cbor::bytes(b"x")]), CborKind::Array),
        (Cbor::Map(vec![(Cbor::Uint(0), Cbor::bytes(b"x"))]), CborKind::Map),
    ];
    for (name, field) in FIELDS {
        let right = match field {
            Field::ModuleId | Field::Digest => CborKind::Text,
            Field::Timestamp => CborKind::Unsigned,
            Field::Pcrs => CborKind::Map,
            Field::Cabundle => CborKind::Array,
            _ => CborKind::Bytes,
        };
        let optional = matches!(field, Field::PublicKey | Field::UserData | Field::Nonce);
        if !optional {
            refuses_to_parse(&forgery().without_entry(name), &ParseError::Missing { field });
        }
        let genuine = forgery().payload.iter().find(|(key, _)| *key == Cbor::text(name)).unwrap().1.clone();
        refuses_to_parse(
            &forgery().with_extra_entry(Cbor::text(name), genuine),
            &ParseError::Duplicate { field },
        );
        for (value, found) in &kinds {
            if *found != right {
                refuses_type(&forgery().with_entry(name, value.clone()), field, *found);
            }
        }
        if !optional && !matches!(field, Field::Certificate | Field::Cabundle) {
            // The forge puts the chain in place of null there; the mock vector has such a bundle.
            refuses_type(&forgery().with_entry(name, Cbor::NULL), field, CborKind::Null);
        }
        // Keys in other forms.
        let mut other = forgery();
        other.payload.iter_mut().find(|(key, _)| *key == Cbor::text(name)).unwrap().0 =
            Cbor::OpenText(vec![name.to_owned()]);
        refuses_cbor(&other, CborFault::IndefiniteLength);
        let mut other = forgery();
        other.payload.iter_mut().find(|(key, _)| *key == Cbor::text(name)).unwrap().0 =
            Cbor::text(name).wide(2);
        refuses_cbor(&other, CborFault::NonMinimal);
        let mut other = forgery();
        other.payload.iter_mut().find(|(key, _)| *key == Cbor::text(name)).unwrap().0 =
            Cbor::bytes(name.as_bytes());
        refuses_type(&other, Field::PayloadKey, CborKind::Bytes);
    }
}

#[test]
fn payload_as_a_whole() {
    let unknown = forgery().with_extra_entry(Cbor::text("pcr"), Cbor::NULL);
    assert!(matches!(parse(&unknown), Err(ParseError::UnknownKey { .. })));
    let unknown = forgery().with_extra_entry(Cbor::text("Nonce"), Cbor::NULL);
    assert!(matches!(parse(&unknown), Err(ParseError::UnknownKey { .. })));
    refuses_type(
        &forgery().with_extra_entry(Cbor::Uint(0), Cbor::NULL),
        Field::PayloadKey,
        CborKind::Unsigned,
    );
    refuses_cbor(
        &forgery().with_extra_entry(Cbor::Raw(vec![0x62, 0xc3, 0x28]), Cbor::NULL),
        CborFault::InvalidUtf8,
    );
    for form in [PayloadForm::Definite, PayloadForm::Indefinite] {
        refuses_to_parse(
            &Forgery { payload_form: form, payload_trailing: vec![0xf6, 0xf6], ..forgery() },
            &ParseError::TrailingBytes { after: Field::Payload, count: 2 },
        );
    }
    let raw = |bytes: Vec<u8>| Forgery { payload_form: PayloadForm::Raw(bytes), ..forgery() };
    refuses_cbor(&raw(vec![]), CborFault::Truncated);
    refuses_to_parse(&raw(vec![0xa0]), &ParseError::Missing { field: Field::Digest });
    refuses_to_parse(&raw(vec![0xbf, 0xff]), &ParseError::Missing { field: Field::Digest });
    refuses_type(&raw(vec![0x80]), Field::Payload, CborKind::Array);
    refuses_type(&raw(vec![0xd8, 0x37, 0xa0]), Field::Payload, CborKind::Tag);
    refuses_cbor(&raw(vec![0xb8, 0x01]), CborFault::NonMinimal);
    refuses_cbor(&raw(vec![0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), CborFault::Truncated);
    refuses_cbor(&raw(vec![0xbc]), CborFault::Reserved);
    refuses_cbor(&raw(vec![0x1f]), CborFault::Reserved);
    // A break where a value should be.
    refuses_type(&raw([&[0xbf, 0x66][..], b"digest", &[0xff]].concat()), Field::Digest, CborKind::Break);
    // Nesting bombs in every place that has a type.
    for (name, _) in FIELDS {
        let bomb = Cbor::Raw(vec![0x81; 8000]);
        assert!(parse(&forgery().with_entry(name, bomb)).is_err(), "{name}");
        let bomb = Cbor::Raw(vec![0x9f; 8000]);
        assert!(parse(&forgery().with_entry(name, bomb)).is_err(), "{name}");
        let bomb = Cbor::Raw(vec![0xd2; 8000]);
        assert!(parse(&forgery().with_entry(name, bomb)).is_err(), "{name}");
    }
}

#[test]
fn payload_sizes() {
    for (name, field, least) in [
        ("public_key", Field::PublicKey, 0_usize),
        ("user_data", Field::UserData, 0),
        ("nonce", Field::Nonce, 0),
        ("certificate", Field::Certificate, 1),
    ] {
        let sized = |size: usize| forgery().with_entry(name, Cbor::bytes(&vec![0x55; size]));
        assert_eq!(parse(&sized(least)).err(), None, "{name}");
        assert_eq!(parse(&sized(1024)).err(), None, "{name}");
        let error = |found| ParseError::Length { field, least, most: 1024, found };
        refuses_to_parse(&sized(1025), &error(1025));
        if least > 0 {
            refuses_to_parse(&sized(0), &error(0));
        }
        refuses_cbor(&forgery().with_entry(name, Cbor::bytes(&[1; 32]).wide(2)), CborFault::NonMinimal);
        refuses_cbor(
            &forgery().with_entry(name, Cbor::OpenBytes(vec![vec![1; 32]])),
            CborFault::IndefiniteLength,
        );
    }
    let all = forgery()
        .with_entry("public_key", Cbor::bytes(&[1; 1024]))
        .with_entry("user_data", Cbor::bytes(&[1; 1024]))
        .with_entry("nonce", Cbor::bytes(&[1; 1024]));
    assert_eq!(authenticate(&all).err(), None);

    refuses_to_parse(
        &forgery().with_entry("module_id", Cbor::text("")),
        &ParseError::Length { field: Field::ModuleId, least: 1, most: 1024, found: 0 },
    );
    refuses_cbor(
        &forgery().with_entry("module_id", Cbor::Raw(vec![0x62, 0xc3, 0x28])),
        CborFault::InvalidUtf8,
    );
    for digest in ["", "SHA256", "sha384", "SHA384 ", "SHA512"] {
        refuses_to_parse(&forgery().with_entry("digest", Cbor::text(digest)), &ParseError::DigestAlgorithm);
    }
    refuses_to_parse(&forgery().with_entry("timestamp", Cbor::Uint(0)), &ParseError::TimestampZero);
    refuses_cbor(
        &forgery().with_entry("timestamp", Cbor::Uint(1_776_810_820).wide(8)),
        CborFault::NonMinimal,
    );
    assert_eq!(parse(&forgery().with_entry("timestamp", Cbor::Uint(u64::MAX))).err(), None);
    // 2^64 as a bignum.
    refuses_type(
        &forgery().with_entry("timestamp", Cbor::Tag(2, Box::new(Cbor::bytes(&[1, 0, 0, 0, 0, 0, 0, 0, 0])))),
        Field::Timestamp,
        CborKind::Tag,
    );
}

type Change<'a> = &'a dyn Fn(&mut Vec<(Cbor, Cbor)>);

#[test]
fn registers() {
    let with = |change: Change<'_>| {
        let mut forgery = forgery();
        change(forgery.pcrs_mut());
        forgery
    };
    refuses_to_parse(&with(&|pcrs| pcrs.clear()), &ParseError::PcrCount { found: 0 });
    let all = with(&|pcrs| pcrs.extend((16..32).map(|index| (Cbor::Uint(index), Cbor::bytes(&[1; 48])))));
    assert_eq!(authenticate(&all).err(), None, "32 registers");
    let mut surplus = all.clone();
    surplus.pcrs_mut().push((Cbor::Uint(32), Cbor::bytes(&[1; 48])));
    refuses_to_parse(&surplus, &ParseError::PcrCount { found: 33 });
    for number in [32, 255, 256, u64::MAX] {
        let forged = with(&|pcrs| pcrs.push((Cbor::Uint(number), Cbor::bytes(&[1; 48]))));
        refuses_to_parse(&forged, &ParseError::PcrNumber { found: number });
    }
    let register = |number| PcrIndex::new(number).unwrap();
    for (at, number) in [(0, 0), (5, 5), (15, 15)] {
        for size in [0, 1, 32, 47, 49, 64] {
            let forged = with(&|pcrs| pcrs[at].1 = Cbor::bytes(&vec![1; size]));
            refuses_to_parse(&forged, &ParseError::PcrLength { register: register(number), found: size });
        }
        let forged = with(&|pcrs| {
            let twice = pcrs[at].clone();
            pcrs.push(twice);
        });
        refuses_to_parse(&forged, &ParseError::PcrDuplicate { register: register(number) });
    }
    for number in 0..3 {
        let forged = with(&|pcrs| drop(pcrs.remove(number)));
        let number = u8::try_from(number).unwrap();
        refuses_to_parse(&forged, &ParseError::PcrMissing { register: register(number) });
    }
    refuses_type(&with(&|pcrs| pcrs[3].0 = Cbor::text("3")), Field::PcrNumber, CborKind::Text);
    refuses_type(&with(&|pcrs| pcrs[3].0 = Cbor::Negative(3)), Field::PcrNumber, CborKind::Negative);
    refuses_type(&with(&|pcrs| pcrs[3].1 = Cbor::NULL), Field::PcrValue, CborKind::Null);
    refuses_cbor(&with(&|pcrs| pcrs[3].0 = Cbor::Uint(3).wide(1)), CborFault::NonMinimal);
    refuses_cbor(&with(&|pcrs| pcrs[3].1 = Cbor::bytes(&[1; 48]).wide(2)), CborFault::NonMinimal);
    refuses_cbor(
        &with(&|pcrs| pcrs[3].1 = Cbor::OpenBytes(vec![vec![1; 24], vec![1; 24]])),
        CborFault::IndefiniteLength,
    );
    let pairs = forgery().pcrs_mut().clone();
    refuses_cbor(&forgery().with_entry("pcrs", Cbor::OpenMap(pairs)), CborFault::IndefiniteLength);
}

#[test]
fn bundle() {
    let certificates = forgery().chain.sign();
    let bundle = |ders: &[&[u8]]| {
        let forged = forgery();
        forged.with_entry("cabundle", Cbor::Array(ders.iter().map(|der| Cbor::bytes(der)).collect()))
    };
    refuses_to_parse(&bundle(&[]), &ParseError::BundleLength { most: 7, found: 0 });
    let thirty: Vec<&[u8]> = std::iter::repeat_n(certificates[1].as_slice(), 30).collect();
    refuses_to_parse(
        &Forgery { trailing: vec![], ..bundle(&thirty[..8]) },
        &ParseError::BundleLength { most: 7, found: 8 },
    );
    let wide = Limits { document: 1 << 20, bundle: 7 };
    assert_eq!(
        SignedDocument::parse_within(&bundle(&thirty).sign(), &wide).err(),
        Some(ParseError::BundleLength { most: 7, found: 30 })
    );
    let error = |found| ParseError::Length { field: Field::BundleCertificate, least: 1, most: 1024, found };
    refuses_to_parse(&bundle(&[&certificates[0], &[]]), &error(0));
    refuses_to_parse(&bundle(&[&certificates[0], &[0x30; 1025]]), &error(1025));
    let item = |item: Cbor| forgery().with_entry("cabundle", Cbor::Array(vec![item]));
    refuses_type(&item(Cbor::NULL), Field::BundleCertificate, CborKind::Null);
    refuses_type(&item(Cbor::text("x")), Field::BundleCertificate, CborKind::Text);
    refuses_cbor(&item(Cbor::bytes(&[1; 30]).wide(2)), CborFault::NonMinimal);
    refuses_cbor(
        &forgery().with_entry("cabundle", Cbor::OpenArray(vec![Cbor::bytes(&certificates[0])])),
        CborFault::IndefiniteLength,
    );

    // The right certificates in another arrangement: one forgery, so that keys and names stay.
    let forged = forgery();
    let [root, regional, zonal, instance, leaf] = <[Vec<u8>; 5]>::try_from(forged.chain.sign()).unwrap();
    let arranged = |ders: [&Vec<u8>; 5]| {
        let bytes = forged.sign_over(&ders.map(Clone::clone));
        SignedDocument::parse(&bytes).unwrap().authenticate(&anchor(), UnixTime::from_millis(NOW)).err()
    };
    assert_eq!(arranged([&root, &regional, &zonal, &instance, &leaf]), None);
    assert_eq!(
        arranged([&root, &zonal, &regional, &instance, &leaf]),
        Some(AuthenticationError::PathLength { at: CertificatePosition::Bundle(1), allowed: 1, found: 2 })
    );
    assert!(matches!(
        arranged([&instance, &zonal, &regional, &root, &leaf]),
        Some(AuthenticationError::RootDiffers { .. })
    ));
    let shorter = |ders: &[&Vec<u8>]| {
        let ders: Vec<Vec<u8>> = ders.iter().map(|der| (*der).clone()).collect();
        let bytes = forged.sign_over(&ders);
        SignedDocument::parse(&bytes).unwrap().authenticate(&anchor(), UnixTime::from_millis(NOW)).err()
    };
    let wrong_issuer = |at| Some(AuthenticationError::WrongIssuer { at });
    assert_eq!(shorter(&[&root, &regional, &instance, &leaf]), wrong_issuer(CertificatePosition::Bundle(2)));
    assert_eq!(shorter(&[&root, &regional, &zonal, &leaf]), wrong_issuer(CertificatePosition::Leaf));
    assert_eq!(shorter(&[&root, &leaf]), wrong_issuer(CertificatePosition::Leaf));
    assert!(matches!(
        shorter(&[&regional, &zonal, &instance, &leaf]),
        Some(AuthenticationError::RootDiffers { .. })
    ));
    assert_eq!(
        shorter(&[&root, &root, &regional, &zonal, &instance, &leaf]),
        Some(AuthenticationError::Path { reason: "it leaves out certificates of cabundle".to_owned() })
    );
}

// ---------------------------------------------------------------- certificates

#[test]
fn certificates_one_by_one() {
    type Change = (&'static str, CertificateFault, fn(&mut Certificate));
    let changes: [Change; 32] = [
        ("no version", CertificateFault::Version, |c| c.version.clear()),
        ("version 1", CertificateFault::Version, |c| c.version = der::tlv(0xa0, &der::integer(&[0]))),
        ("version 4", CertificateFault::Version, |c| c.version = der::tlv(0xa0, &der::integer(&[3]))),
        ("negative serial", CertificateFault::SerialNumber, |c| c.serial = der::integer(&[0x80, 1])),
        ("zero serial", CertificateFault::SerialNumber, |c| c.serial = der::integer(&[0])),
        ("empty serial", CertificateFault::SerialNumber, |c| c.serial = der::integer(&[])),
        ("serial not minimal", CertificateFault::SerialNumber, |c| c.serial = der::integer(&[0, 1])),
        ("serial of 21 octets", CertificateFault::SerialNumber, |c| c.serial = der::integer(&[1; 21])),
        ("inner SHA-256", CertificateFault::SignatureAlgorithm, |c| {
            c.inner_algorithm = der::sequence(&[&der::oid(der::ECDSA_WITH_SHA256)]);
        }),
        ("outer SHA-256", CertificateFault::SignatureAlgorithm, |c| {
            c.outer_algorithm = der::sequence(&[&der::oid(der::ECDSA_WITH_SHA256)]);
        }),
        ("parameters", CertificateFault::SignatureAlgorithm, |c| {
            c.inner_algorithm = der::sequence(&[&der::oid(der::ECDSA_WITH_SHA384), &[5, 0]]);
            c.outer_algorithm.clone_from(&c.inner_algorithm);
        }),
        ("ends before it begins", CertificateFault::Validity, |c| {
            c.validity = validity(NOW + 1000, NOW - 1000);
        }),
        ("month 13", CertificateFault::Validity, |c| {
            c.validity = der::sequence(&[&der::tlv(0x17, b"261321223337Z"), &der::time(NOW + HOUR)]);
        }),
        ("no seconds", CertificateFault::Validity, |c| {
            c.validity = der::sequence(&[&der::tlv(0x17, b"2604212233Z"), &der::time(NOW + HOUR)]);
        }),
        ("GeneralizedTime too early", CertificateFault::Validity, |c| {
            c.validity = der::sequence(&[&der::tlv(0x18, b"20260421223337Z"), &der::time(NOW + HOUR)]);
        }),
        ("three times", CertificateFault::Validity, |c| {
            c.validity = der::sequence(&[&der::time(NOW), &der::time(NOW), &der::time(NOW)]);
        }),
        ("P-256 key", CertificateFault::Key, |c| c.spki = Key::generate(Curve::P256).spki()),
        ("compressed point", CertificateFault::Key, |c| {
            let mut compressed = Key::p384().point()[..49].to_vec();
            compressed[0] = 2;
            c.spki = der::sequence(&[
                &der::sequence(&[&der::oid(der::EC_PUBLIC_KEY), &der::oid(der::SECP384R1)]),
                &der::bit_string(0, &compressed),
            ]);
        }),
        ("an extension twice", CertificateFault::DuplicateExtension, |c| {
            let twice = c.extensions[1].clone();
            c.extensions.push(twice);
        }),
        ("unknown critical extension", CertificateFault::CriticalExtension, |c| {
            c.extensions.push(Extension {
                oid: vec![0x2a, 3, 4],
                critical: der::Flag::Yes,
                value: vec![5, 0],
            });
        }),
        ("name constraints, critical", CertificateFault::RestrictingExtension, |c| {
            c.extensions.push(Extension {
                oid: vec![0x55, 0x1d, 0x1e],
                critical: der::Flag::Yes,
                value: vec![0x30, 0],
            });
        }),
        ("extended key usage: clientAuth", CertificateFault::RestrictingExtension, |c| {
            c.extensions.push(Extension {
                oid: vec![0x55, 0x1d, 0x25],
                critical: der::Flag::No,
                value: der::sequence(&[&der::oid(&[0x2b, 6, 1, 5, 5, 7, 3, 2])]),
            });
        }),
        ("no basicConstraints", CertificateFault::BasicConstraintsMissing, |c| {
            c.remove_extension(der::BASIC_CONSTRAINTS);
        }),
        ("no extensions", CertificateFault::BasicConstraintsMissing, |c| c.extensions.clear()),
        ("no keyUsage", CertificateFault::KeyUsageMissing, |c| c.remove_extension(der::KEY_USAGE)),
        ("keyUsage: cRLSign only", CertificateFault::KeyUsage, |c| {
            *c.extension_mut(der::KEY_USAGE) = key_usage(der::Flag::Yes, 1, 0x02);
        }),
        ("keyUsage with a trailing zero bit", CertificateFault::Extension, |c| {
            *c.extension_mut(der::KEY_USAGE) = key_usage(der::Flag::Yes, 0, 0x86);
        }),
        ("empty keyUsage", CertificateFault::Extension, |c| {
            c.extension_mut(der::KEY_USAGE).value = vec![3, 1, 0];
        }),
        ("basicConstraints with explicit default", CertificateFault::Extension, |c| {
            c.extension_mut(der::BASIC_CONSTRAINTS).value = vec![0x30, 3, 1, 1, 0];
        }),
        ("negative path length", CertificateFault::Extension, |c| {
            c.extension_mut(der::BASIC_CONSTRAINTS).value = vec![0x30, 6, 1, 1, 0xff, 2, 1, 0xff];
        }),
        ("bytes after it", CertificateFault::TrailingBytes, |c| c.trailing.push(0)),
        ("issuerUniqueID", CertificateFault::Form, |c| c.spki.extend(der::tlv(0x81, &[0, 1]))),
    ];
    for (position, at) in POSITIONS {
        for (name, fault, change) in &changes {
            let error = authenticate(&forgery().with_certificate(position, change)).err();
            assert_eq!(error, Some(AuthenticationError::Certificate { at, fault: *fault }), "{name} at {at}");
        }
    }
}

#[test]
fn certificates_used_for_what_they_are_not() {
    for (position, at) in &POSITIONS[..3] {
        let fault = |fault| AuthenticationError::Certificate { at: *at, fault };
        let not_authority = forgery().with_certificate(*position, |c| {
            c.extension_mut(der::BASIC_CONSTRAINTS).value = vec![0x30, 0];
        });
        refuses_to_authenticate(&not_authority, &fault(CertificateFault::NotAnAuthority));
        // rustls-webpki alone lets this one pass.
        let no_cert_sign = forgery().with_certificate(*position, |c| {
            *c.extension_mut(der::KEY_USAGE) = key_usage(der::Flag::Yes, 1, 0x82);
        });
        refuses_to_authenticate(&no_cert_sign, &fault(CertificateFault::KeyUsage));
    }
    let fault = |fault| AuthenticationError::Certificate { at: CertificatePosition::Leaf, fault };
    let authority = forgery().with_certificate(Position::Leaf, |c| {
        c.extension_mut(der::BASIC_CONSTRAINTS).value = vec![0x30, 3, 1, 1, 0xff];
    });
    refuses_to_authenticate(&authority, &fault(CertificateFault::AuthorityAsLeaf));
    for bits in [key_usage(der::Flag::Yes, 6, 0x40), key_usage(der::Flag::Yes, 2, 0x84)] {
        let forged = forgery().with_certificate(Position::Leaf, |c| *c.extension_mut(der::KEY_USAGE) = bits);
        refuses_to_authenticate(&forged, &fault(CertificateFault::KeyUsage));
    }
    for (position, at, allowed, found) in [
        (Position::Regional, CertificatePosition::Bundle(1), 1, 2),
        (Position::Zonal, CertificatePosition::Bundle(2), 0, 1),
    ] {
        let forged = forgery().with_certificate(position, |c| {
            c.extension_mut(der::BASIC_CONSTRAINTS).value = vec![0x30, 6, 1, 1, 0xff, 2, 1, allowed];
        });
        refuses_to_authenticate(&forged, &AuthenticationError::PathLength { at, allowed, found });
    }
}

#[test]
fn certificates_in_time() {
    for (position, at) in POSITIONS {
        let asked = UnixTime::from_millis(NOW);
        let expired = forgery().with_certificate(position, |c| c.validity = validity(NOW - HOUR, NOW - 1000));
        let not_after = UnixTime::from_millis(NOW - 1000);
        refuses_to_authenticate(&expired, &AuthenticationError::Expired { at, not_after, asked });
        let early = forgery().with_certificate(position, |c| c.validity = validity(NOW + 1000, NOW + HOUR));
        let not_before = UnixTime::from_millis(NOW + 1000);
        refuses_to_authenticate(&early, &AuthenticationError::NotYetValid { at, not_before, asked });
        let exact = forgery().with_certificate(position, |c| c.validity = validity(NOW, NOW));
        assert_eq!(authenticate(&exact).err(), None, "a validity of one second, {at}");
    }
}

#[test]
fn certificates_of_others() {
    for (position, at) in POSITIONS {
        let other_name = forgery().with_certificate(position, |c| c.issuer = der::name("somebody else"));
        refuses_to_authenticate(&other_name, &AuthenticationError::WrongIssuer { at });
    }
    // Same names, other keys: a chain of somebody else's under our root.
    let genuine = forgery();
    let other = HYPERVISOR.forgery(&attestation());
    let (ours, theirs) = (genuine.chain.sign(), other.chain.sign());
    for (index, (_, at)) in (1..5).zip(POSITIONS) {
        let mut mixed = ours.clone();
        mixed[index].clone_from(&theirs[index]);
        let bytes = genuine.sign_over(&mixed);
        let error =
            SignedDocument::parse(&bytes).unwrap().authenticate(&anchor(), UnixTime::from_millis(NOW)).err();
        // Replaced alone, a certificate is itself not signed by the one above (the regional one is: the root is the
        // same), and then the one below, or the document, is not signed by it.
        let expected = match index {
            1 => AuthenticationError::CertificateSignature { at: CertificatePosition::Bundle(2) },
            _ => AuthenticationError::CertificateSignature { at },
        };
        assert_eq!(error, Some(expected), "{index}");
    }
    // A whole chain of another hypervisor's, under the root that is expected in name only.
    let stranger = ForgedHypervisor::new();
    let theirs = stranger.forgery(&attestation());
    let mut certificates = theirs.chain.sign();
    certificates[0] = HYPERVISOR.root_der().to_vec();
    let bytes = theirs.sign_over(&certificates);
    assert_eq!(
        SignedDocument::parse(&bytes).unwrap().authenticate(&anchor(), UnixTime::from_millis(NOW)).err(),
        Some(AuthenticationError::CertificateSignature { at: CertificatePosition::Bundle(1) })
    );
    // The root signed anew: same name, same key, other bytes.
    let mut resigned = forgery();
    let _ = resigned.chain.link_mut(Position::Root);
    let (bytes, root) = resigned.sign_with_root();
    let new_anchor = TrustAnchor::simulated(&root).unwrap();
    let document = SignedDocument::parse(&bytes).unwrap();
    assert_eq!(
        document.clone().authenticate(&anchor(), UnixTime::from_millis(NOW)).err(),
        Some(AuthenticationError::RootDiffers {
            expected: anchor().fingerprint(),
            found: new_anchor.fingerprint()
        })
    );
    assert!(document.authenticate(&new_anchor, UnixTime::from_millis(NOW)).is_ok());
}

#[test]
fn leaf_and_document() {
    let other_module =
        forgery().with_entry("module_id", Cbor::text("i-06fb0bf4e70d5129f-enc019a5376999041b2"));
    assert!(matches!(authenticate(&other_module), Err(AuthenticationError::WrongModule { .. })));
    let module = "i-06fb0bf4e70d5129f-enc019a5376999041b1";
    for common_name in [
        "aws".to_owned(),
        module.to_owned(),
        format!("{module}.aws"),
        format!("{module}..aws"),
        format!("{module}.eu-central-1"),
        format!("{module}0.eu-central-1.aws"),
        format!("{module}.eu.central.aws"),
        format!("x{module}.eu-central-1.aws"),
    ] {
        let forged = forgery().with_certificate(Position::Leaf, |c| c.subject = der::name(&common_name));
        refuses_to_authenticate(
            &forged,
            &AuthenticationError::WrongModule { module_id: module.to_owned(), common_name },
        );
    }
    let two_names = forgery().with_certificate(Position::Leaf, |c| {
        let name = der::attribute(der::COMMON_NAME, &format!("{module}.eu-central-1.aws"));
        c.subject = der::sequence(&[&name, &name]);
    });
    assert!(matches!(authenticate(&two_names), Err(AuthenticationError::WrongModule { .. })));

    let signature = |bytes: Vec<u8>| Forgery { signature: SignatureForm::Raw(bytes), ..forgery() };
    let genuine = [1; 48];
    for raw in [[genuine, [0; 48]].concat(), [[0; 48], genuine].concat(), vec![0; 96], vec![0xff; 96]] {
        refuses_to_authenticate(&signature(raw), &AuthenticationError::DocumentSignature);
    }
    let other_key = Forgery { signing_key: Some(Key::p384()), ..forgery() };
    refuses_to_authenticate(&other_key, &AuthenticationError::DocumentSignature);
    let by_instance = forgery();
    let key = by_instance.chain.link(Position::Instance).key.clone();
    refuses_to_authenticate(
        &Forgery { signing_key: Some(key), ..by_instance },
        &AuthenticationError::DocumentSignature,
    );
}

// ---------------------------------------------------------------- the anchor

#[test]
fn anchors() {
    use entente_attestation::AnchorError;
    assert_eq!(TrustAnchor::simulated(b""), Err(AnchorError::Certificate(CertificateFault::Form)));
    let certificates = forgery().chain.sign();
    assert_eq!(TrustAnchor::simulated(&certificates[1]), Err(AnchorError::NotSelfIssued));
    assert_eq!(
        TrustAnchor::simulated(&certificates[4]),
        Err(AnchorError::Certificate(CertificateFault::NotAnAuthority))
    );
    let mut damaged = certificates[0].clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(TrustAnchor::simulated(&damaged), Err(AnchorError::NotSelfSigned));
    let expired_root =
        forgery().with_certificate(Position::Root, |c| c.validity = validity(NOW - HOUR, NOW - 1000));
    let (bytes, root) = expired_root.sign_with_root();
    let document = SignedDocument::parse(&bytes).unwrap();
    assert_eq!(
        document.authenticate(&TrustAnchor::simulated(&root).unwrap(), UnixTime::from_millis(NOW)).err(),
        Some(AuthenticationError::Expired {
            at: CertificatePosition::Bundle(0),
            not_after: UnixTime::from_millis(NOW - 1000),
            asked: UnixTime::from_millis(NOW)
        })
    );
}

// ---------------------------------------------------------------- appraisal

fn digest_of(name: &str) -> Digest384 {
    Digest384::of(name.as_bytes())
}

fn nonce() -> Nonce {
    Nonce::from_bytes([7; 32])
}

fn policy(kind: DocumentKind) -> Policy {
    Policy {
        measurements: Measurements::new(digest_of("pcr0"), digest_of("pcr1"), digest_of("pcr2")).unwrap(),
        hardware_registers: HardwareRegisters::unnamed(),
        user_registers: UserRegisters::Bound {
            agreement: digest_of("agreement"),
            input_set: digest_of("inputs"),
        },
        freshness: Freshness::Recent {
            now: UnixTime::from_millis(NOW),
            max_age: Duration::from_secs(60),
            max_ahead: Duration::from_secs(5),
        },
        kind,
    }
}

fn bound() -> Attestation {
    attestation().bound_to(digest_of("agreement").as_bytes(), digest_of("inputs").as_bytes())
}

fn self_check() -> Attestation {
    bound().with_nonce(nonce().as_bytes())
}

fn appraise(attestation: &Attestation, policy: &Policy) -> Result<AttestedEnclave, AppraisalError> {
    authenticate(&HYPERVISOR.forgery(attestation)).unwrap().appraise(policy)
}

#[test]
fn appraisal_of_registers() {
    let policy = policy(DocumentKind::SelfCheck { nonce: nonce() });
    let enclave = appraise(&self_check(), &policy).unwrap();
    assert_eq!(*enclave.measurements(), policy.measurements);
    assert_eq!(enclave.recipient_key(), None);

    assert_eq!(
        appraise(&self_check().in_debug_mode(), &policy),
        Err(AppraisalError::DebugMode(DebugMode { register: PcrIndex::IMAGE }))
    );
    for number in [0, 1, 2, 16, 17] {
        let register = PcrIndex::new(number).unwrap();
        let genuine = self_check();
        let expected = Digest384::try_from(genuine.pcrs[&number].as_slice()).unwrap();
        for bit in [0, 383] {
            let mut value = expected.as_bytes().to_vec();
            value[bit / 8] ^= 0x80 >> (bit % 8);
            let found = Digest384::try_from(value.as_slice()).unwrap();
            assert_eq!(
                appraise(&self_check().with_pcr(number, &value), &policy),
                Err(AppraisalError::PcrDiffers { register, expected, found })
            );
        }
    }
    for number in [16, 17] {
        let mut without = self_check();
        without.pcrs.remove(&number);
        let register = PcrIndex::new(number).unwrap();
        assert_eq!(appraise(&without, &policy), Err(AppraisalError::PcrMissing { register }));
    }
    for number in [18, 31] {
        let register = PcrIndex::new(number).unwrap();
        for value in [[0; 48], [1; 48]] {
            assert_eq!(
                appraise(&self_check().with_pcr(number, &value), &policy),
                Err(AppraisalError::PcrUnexpected { register })
            );
        }
    }
    // Before binding: no user register may be locked, zero or not.
    let unbound = Policy { user_registers: UserRegisters::Unbound, ..policy.clone() };
    let fresh = attestation().with_nonce(nonce().as_bytes());
    assert!(appraise(&fresh, &unbound).is_ok());
    assert_eq!(
        appraise(&fresh.clone().with_pcr(16, &[0; 48]), &unbound),
        Err(AppraisalError::PcrUnexpected { register: PcrIndex::AGREEMENT })
    );
    assert_eq!(
        appraise(&self_check(), &unbound),
        Err(AppraisalError::PcrUnexpected { register: PcrIndex::AGREEMENT })
    );
    assert_eq!(
        appraise(&fresh, &policy),
        Err(AppraisalError::PcrMissing { register: PcrIndex::AGREEMENT }),
        "an absent register equals nothing"
    );
    // Agreement and input set in each other's place.
    let swapped = attestation()
        .bound_to(digest_of("inputs").as_bytes(), digest_of("agreement").as_bytes())
        .with_nonce(nonce().as_bytes());
    assert!(matches!(
        appraise(&swapped, &policy),
        Err(AppraisalError::PcrDiffers { register: PcrIndex::AGREEMENT, .. })
    ));

    let named = |registers| Policy { hardware_registers: registers, ..policy.clone() };
    let role = named(HardwareRegisters::unnamed().and_parent_role(digest_of("pcr3")));
    assert!(appraise(&self_check(), &role).is_ok());
    let instance = named(HardwareRegisters::unnamed().and_parent_instance(digest_of("another")));
    assert!(matches!(
        appraise(&self_check(), &instance),
        Err(AppraisalError::PcrDiffers { register: PcrIndex::PARENT_INSTANCE, .. })
    ));
    let signed = named(HardwareRegisters::unnamed().and_signed_by(digest_of("certificate")));
    assert_eq!(
        appraise(&self_check(), &signed),
        Err(AppraisalError::PcrDiffers {
            register: PcrIndex::SIGNING_CERTIFICATE,
            expected: digest_of("certificate"),
            found: Digest384::ZERO
        })
    );
    let mut without = self_check();
    without.pcrs.remove(&8);
    assert_eq!(
        appraise(&without, &signed),
        Err(AppraisalError::PcrMissing { register: PcrIndex::SIGNING_CERTIFICATE })
    );
}

#[test]
fn appraisal_of_time() {
    let kind = DocumentKind::SelfCheck { nonce: nonce() };
    let recent = |millis: u64| Policy {
        freshness: Freshness::Recent {
            now: UnixTime::from_millis(millis),
            max_age: Duration::from_secs(60),
            max_ahead: Duration::from_secs(5),
        },
        ..policy(kind)
    };
    let judge = |policy: &Policy| appraise(&self_check(), policy).map(|_| ());
    assert_eq!(judge(&recent(NOW + 60_000)), Ok(()));
    assert!(matches!(judge(&recent(NOW + 60_001)), Err(AppraisalError::TooOld { .. })));
    assert_eq!(judge(&recent(NOW - 5000)), Ok(()));
    assert!(matches!(judge(&recent(NOW - 5001)), Err(AppraisalError::FromTheFuture { .. })));
    let window = |from: u64, to: u64| Policy {
        freshness: Freshness::Window {
            not_before: UnixTime::from_millis(from),
            not_after: UnixTime::from_millis(to),
        },
        ..policy(kind)
    };
    assert_eq!(judge(&window(NOW, NOW + 1)), Ok(()));
    for (from, to) in [(NOW + 1, u64::MAX), (0, NOW), (NOW, NOW), (NOW + 1, NOW - 1)] {
        assert!(matches!(judge(&window(from, to)), Err(AppraisalError::OutsideWindow { .. })));
    }
}

/// DER of a public key in the form of RSA keys; the numbers are not those of a real key.
fn rsa_spki(modulus_bytes: usize, exponent: &[u8]) -> Vec<u8> {
    let mut modulus = vec![0];
    modulus.extend(std::iter::repeat_n(0xa5, modulus_bytes));
    let key = der::sequence(&[&der::integer(&modulus), &der::integer(exponent)]);
    let rsa = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    der::sequence(&[&der::sequence(&[&der::oid(rsa), &[5, 0]]), &der::bit_string(0, &key)])
}

/// Each kind accepts its own filling and refuses every other.
#[test]
fn appraisal_of_kinds() {
    let request = digest_of("request");
    let exporter = [9; 32];
    let statement = digest_of("statement");
    let bound_request = RequestBinding::Request(request).user_data().unwrap();
    let as_server = ChannelRole::Server.user_data(&exporter);
    let key = rsa_spki(256, &[1, 0, 1]);
    let kinds = [
        (DocumentKind::SelfCheck { nonce: nonce() }, self_check()),
        (DocumentKind::KeyRequest { request: RequestBinding::NoRequest }, bound().with_public_key(&key)),
        (
            DocumentKind::KeyRequest { request: RequestBinding::Request(request) },
            bound().with_public_key(&key).with_user_data(bound_request.as_bytes()),
        ),
        (
            DocumentKind::Channel { role: ChannelRole::Server, exporter, nonce: nonce() },
            self_check().with_user_data(as_server.as_bytes()),
        ),
        (DocumentKind::Receipt { statement }, bound().with_user_data(statement.as_bytes())),
    ];
    for (wanted, (kind, _)) in kinds.iter().enumerate() {
        for (made, (_, attestation)) in kinds.iter().enumerate() {
            let result = appraise(attestation, &policy(*kind));
            assert_eq!(result.is_ok(), wanted == made, "wanted {wanted}, made {made}");
        }
    }
    let judge =
        |attestation: &Attestation, kind| appraise(attestation, &policy(kind)).map(|_| ()).unwrap_err();
    let kind = DocumentKind::SelfCheck { nonce: nonce() };
    let name = KindName::SelfCheck;
    assert_eq!(judge(&bound(), kind), AppraisalError::FieldAbsent { field: Field::Nonce, kind: name });
    assert_eq!(judge(&bound().with_nonce(&[8; 32]), kind), AppraisalError::NonceDiffers);
    assert_eq!(judge(&bound().with_nonce(&[7; 31]), kind), AppraisalError::NonceDiffers);
    assert_eq!(judge(&bound().with_nonce(&[7; 33]), kind), AppraisalError::NonceDiffers);
    assert_eq!(judge(&bound().with_nonce(&[]), kind), AppraisalError::NonceDiffers);
    assert_eq!(
        judge(&self_check().with_user_data(&[]), kind),
        AppraisalError::FieldPresent { field: Field::UserData, kind: name },
        "empty is not absent"
    );
    assert_eq!(
        judge(&self_check().with_public_key(&key), kind),
        AppraisalError::FieldPresent { field: Field::PublicKey, kind: name }
    );
    // A reflected document: made by a server, shown by a client.
    let kind = DocumentKind::Channel { role: ChannelRole::Client, exporter, nonce: nonce() };
    assert_eq!(
        judge(&self_check().with_user_data(as_server.as_bytes()), kind),
        AppraisalError::UserDataDiffers { kind: KindName::Channel }
    );
    let kind = DocumentKind::KeyRequest { request: RequestBinding::NoRequest };
    for wrong in [
        rsa_spki(128, &[1, 0, 1]),
        rsa_spki(255, &[1, 0, 1]),
        rsa_spki(257, &[1, 0, 1]),
        rsa_spki(384, &[1, 0, 1]),
        rsa_spki(256, &[3]),
        Key::p384().spki(),
        [key.as_slice(), &[0]].concat(),
        vec![],
    ] {
        assert_eq!(judge(&bound().with_public_key(&wrong), kind), AppraisalError::PublicKey);
    }
    let enclave = appraise(&bound().with_public_key(&key), &policy(kind)).unwrap();
    assert_eq!(enclave.recipient_key(), Some(key.as_slice()));
    assert_eq!(
        judge(&self_check().with_public_key(&key), kind),
        AppraisalError::FieldPresent { field: Field::Nonce, kind: KindName::KeyRequest }
    );
}

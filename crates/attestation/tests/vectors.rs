//! Real documents, and what is not one, must get the verdict of the vectors' MANIFEST.md.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "tests read the vectors and say when there are none"
)]

use std::{collections::BTreeMap, path::PathBuf};

use entente_attestation::{
    AnchorError, AuthenticationError, CborKind, CertificatePosition, DebugMode, Field, ParseError, PcrIndex,
    RootKind, SignedDocument, TrustAnchor, UnixTime, explain,
};
use proptest::{prelude::*, test_runner::Config};

fn directory() -> Option<PathBuf> {
    let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors"));
    if directory.is_dir() {
        return Some(directory);
    }
    assert!(std::env::var_os("CI").is_none(), "the test vectors are missing: {}", directory.display());
    eprintln!("skipped: no test vectors in {}", directory.display());
    None
}

fn documents() -> BTreeMap<String, Vec<u8>> {
    let Some(directory) = directory() else { return BTreeMap::new() };
    let documents: BTreeMap<_, _> = std::fs::read_dir(directory.join("attestation"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    assert_eq!(documents.len(), 27, "the vectors that these tests were written for");
    documents
}

fn real_documents() -> impl Iterator<Item = (String, Vec<u8>)> {
    documents().into_iter().filter(|(name, _)| name.starts_with("real-"))
}

#[test]
fn the_built_in_root_is_the_published_certificate() {
    let Some(directory) = directory() else { return };
    let der = std::fs::read(directory.join("certs/aws-nitro-root-g1.der")).unwrap();
    assert_eq!(TrustAnchor::simulated(&der), Err(AnchorError::IsAwsNitro), "same fingerprint");
    let anchor = TrustAnchor::aws_nitro();
    assert_eq!(anchor.kind(), RootKind::AwsNitro);
    // Subject and key are proved to be the certificate's by each chain that verifies below.
}

#[test]
fn real_documents_are_authentic_at_their_own_time() {
    for (name, bytes) in real_documents() {
        let document = SignedDocument::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let at = document.timestamp_unverified();
        let document = document
            .authenticate(&TrustAnchor::aws_nitro(), at)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(document.root(), RootKind::AwsNitro);
        assert_eq!(document.certificates().len(), 5, "{name}");
        assert_eq!(document.timestamp(), at);
        let measurements = document.measurements();
        if name.contains("-debug-") {
            assert_eq!(measurements, Err(DebugMode { register: PcrIndex::IMAGE }), "{name}");
        } else {
            assert!(measurements.is_ok(), "{name}");
        }
        assert!(document.pcr(PcrIndex::PARENT_INSTANCE).is_some_and(|pcr4| !pcr4.is_zero()), "{name}");
        assert!(!explain::facts(&document, at).is_empty());
    }
}

#[test]
fn real_documents_expire_and_begin() {
    let now = UnixTime::parse_rfc3339("2026-11-23T00:00:00Z").unwrap();
    for (name, bytes) in real_documents() {
        let parsed = SignedDocument::parse(&bytes).unwrap();
        let at = parsed.timestamp_unverified();
        let leaf =
            parsed.clone().authenticate(&TrustAnchor::aws_nitro(), at).unwrap().certificates()[4].clone();
        assert_eq!(leaf.position(), CertificatePosition::Leaf);
        let judge = |asked| parsed.clone().authenticate(&TrustAnchor::aws_nitro(), asked);
        let expired = |asked| AuthenticationError::Expired {
            at: CertificatePosition::Leaf,
            not_after: leaf.not_after(),
            asked,
        };
        assert_eq!(judge(now), Err(expired(now)), "{name}");
        let before = UnixTime::from_secs(leaf.not_before().as_secs() - 1);
        assert_eq!(
            judge(before),
            Err(AuthenticationError::NotYetValid {
                at: CertificatePosition::Leaf,
                not_before: leaf.not_before(),
                asked: before
            }),
            "{name}"
        );
        let after = UnixTime::from_secs(leaf.not_after().as_secs() + 1);
        assert_eq!(judge(after), Err(expired(after)), "{name}");
        // Both ends belong to the validity.
        assert!(judge(leaf.not_before()).is_ok(), "{name}");
        assert!(judge(UnixTime::from_millis(leaf.not_after().as_millis() + 999)).is_ok(), "{name}");
    }
}

#[test]
fn real_documents_are_not_authentic_under_another_root() {
    let hypervisor = entente_testkit::ForgedHypervisor::new();
    let anchor = TrustAnchor::simulated(hypervisor.root_der()).unwrap();
    for (name, bytes) in real_documents() {
        let document = SignedDocument::parse(&bytes).unwrap();
        let at = document.timestamp_unverified();
        assert_eq!(
            document.authenticate(&anchor, at),
            Err(AuthenticationError::RootDiffers {
                expected: anchor.fingerprint(),
                found: TrustAnchor::aws_nitro().fingerprint(),
            }),
            "{name}"
        );
    }
}

#[test]
fn what_the_manifest_says_about_single_documents() {
    let documents = documents();
    let Some(document) = documents.get("real-2024-09-07-prod-72ffd835") else { return };
    let authentic = |bytes: &[u8]| {
        let document = SignedDocument::parse(bytes).unwrap();
        let at = document.timestamp_unverified();
        document.authenticate(&TrustAnchor::aws_nitro(), at).unwrap()
    };
    let large = authentic(document);
    for field in [large.public_key(), large.user_data(), large.nonce()] {
        assert_eq!(field.map(<[u8]>::len), Some(1024));
    }
    let empty = authentic(&documents["real-2023-07-10-prod-a71ebbd2"]);
    assert_eq!((empty.user_data(), empty.nonce()), (Some(&[][..]), Some(&[][..])));
    let locked = authentic(&documents["real-2025-11-10-prod-8e5652f3"]);
    assert_eq!(locked.pcrs().count(), 17);
    assert!(locked.pcr(PcrIndex::AGREEMENT).is_some());
    assert_eq!(locked.pcr(PcrIndex::INPUT_SET), None);
    assert_eq!(locked.module_id(), "i-06fb0bf4e70d5129f-enc019a5376999041b1");
}

#[test]
fn what_is_not_a_document_is_refused_exactly() {
    for (name, expected) in [
        ("qemu-10.0.2-unsigned", ParseError::Algorithm { found: -1 }),
        (
            "mock-or-corrupt-e388022c",
            ParseError::WrongType { field: Field::UnprotectedHeader, found: CborKind::Null, offset: 6 },
        ),
        ("mock-or-corrupt-f8a9f1dc", ParseError::SignatureLength { found: 16 }),
    ] {
        let Some(bytes) = documents().remove(name) else { return };
        assert_eq!(SignedDocument::parse(&bytes), Err(expected), "{name}");
    }
}

/// 10,000 random mutations of real documents: none is authentic, none panics.
#[test]
fn no_mutation_is_authentic() {
    let documents: Vec<_> = real_documents()
        .map(|(_, bytes)| (SignedDocument::parse(&bytes).unwrap().timestamp_unverified(), bytes))
        .collect();
    if documents.is_empty() {
        return;
    }
    let anchor = TrustAnchor::aws_nitro();
    let config = Config { cases: 10_000, failure_persistence: None, ..Config::default() };
    proptest!(config, |(
        which in 0..documents.len(),
        place in any::<prop::sample::Index>(),
        kind in 0..5_u8,
        byte in any::<u8>(),
        count in 1..40_usize,
    )| {
        let (time, genuine) = &documents[which];
        let mut bytes = genuine.clone();
        let at = place.index(bytes.len());
        match kind {
            0 => bytes[at] ^= 1 << (byte % 8),
            1 => bytes[at] = byte,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..(at + count).min(genuine.len()))),
            _ => drop(bytes.splice(at..at, std::iter::repeat_n(byte, count))),
        }
        prop_assume!(bytes != *genuine);
        if let Ok(document) = SignedDocument::parse(&bytes) {
            prop_assert!(document.authenticate(&anchor, *time).is_err());
        }
    });
}

/// Every byte of a document matters: flipping its lowest bit is always refused (a third of them, and the whole
/// signature, to save time).
#[test]
fn every_byte_counts() {
    let Some((_, genuine)) = real_documents().last() else { return };
    let time = SignedDocument::parse(&genuine).unwrap().timestamp_unverified();
    for at in (0..genuine.len()).step_by(3).chain(genuine.len() - 100..genuine.len()) {
        let mut bytes = genuine.clone();
        bytes[at] ^= 1;
        let verdict = SignedDocument::parse(&bytes)
            .map(|document| document.authenticate(&TrustAnchor::aws_nitro(), time).is_err());
        assert_ne!(verdict, Ok(false), "byte {at}");
    }
}

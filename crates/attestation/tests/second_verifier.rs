//! A second verifier, in Python, written from docs/verifying.md alone, gives the same verdicts on forged documents, one
//! mutation each. 1,000 of them; `ENTENTE_FORGED=10000` for more.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "the test runs another program, and says when it cannot"
)]

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use entente_attestation::{SignedDocument, TrustAnchor, UnixTime};
use entente_testkit::{Attestation, ForgedHypervisor, Forgery, PayloadForm, Position, cbor::Cbor, der};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

const TIME: u64 = 1_776_810_820_000;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/verifier/verify.py");

#[derive(Debug, Clone)]
struct Mutation {
    target: u8,
    place: prop::sample::Index,
    kind: u8,
    byte: u8,
    count: usize,
}

impl Mutation {
    fn strategy() -> impl Strategy<Value = Self> {
        (0..8_u8, any::<prop::sample::Index>(), 0..5_u8, any::<u8>(), 1..40_usize)
            .prop_map(|(target, place, kind, byte, count)| Self { target, place, kind, byte, count })
    }

    fn of(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        let at = self.place.index(out.len());
        match self.kind {
            0 | 1 => out[at] ^= 1 << (self.byte % 8),
            2 => out[at] = self.byte,
            3 => drop(out.drain(at..(at + self.count).min(bytes.len()))),
            _ => drop(out.splice(at..at, std::iter::repeat_n(self.byte, self.count))),
        }
        out
    }

    /// The document with one thing changed; what is signed is signed again around the change.
    fn forge(&self, genuine: &Forgery, certificates: &[Vec<u8>]) -> Vec<u8> {
        let link = |position| genuine.chain.link(position);
        match self.target {
            0 => self.of(&genuine.sign_over(certificates)),
            1 => {
                Forgery { protected: self.of(&genuine.protected), ..genuine.clone() }.sign_over(certificates)
            }
            2 | 3 => {
                let mut payload = genuine.payload.clone();
                for (key, value) in &mut payload {
                    if *key == Cbor::text("certificate") {
                        *value = Cbor::bytes(&certificates[4]);
                    } else if *key == Cbor::text("cabundle") {
                        *value = Cbor::Array(certificates[..4].iter().map(|der| Cbor::bytes(der)).collect());
                    }
                }
                let bytes =
                    if self.target == 2 { Cbor::Map(payload) } else { Cbor::OpenMap(payload) }.encode();
                Forgery { payload_form: PayloadForm::Raw(self.of(&bytes)), ..genuine.clone() }
                    .sign_over(certificates)
            }
            target => {
                let (place, position, issuer) = match target {
                    4 => (1, Position::Regional, Position::Root),
                    5 => (2, Position::Zonal, Position::Regional),
                    6 => (3, Position::Instance, Position::Zonal),
                    _ => (4, Position::Leaf, Position::Instance),
                };
                let signed_part = self.of(&link(position).certificate.signed_part());
                let signature = link(issuer).key.sign_asn1(&signed_part);
                let algorithm = &link(position).certificate.outer_algorithm;
                let mut changed = certificates.to_vec();
                changed[place] = der::sequence(&[&signed_part, algorithm, &der::bit_string(0, &signature)]);
                genuine.sign_over(&changed)
            }
        }
    }
}

fn ours(document: &[u8], anchor: &TrustAnchor) -> String {
    let name =
        |error: String| error.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
    match SignedDocument::parse(document) {
        Err(error) => name(format!("{error:?}")),
        Ok(document) => match document.authenticate(anchor, UnixTime::from_millis(TIME)) {
            Err(error) => name(format!("{error:?}")),
            Ok(document) if document.measurements().is_err() => "debug-mode".to_owned(),
            Ok(_) => "authentic".to_owned(),
        },
    }
}

#[test]
fn two_verifiers_agree() {
    let ready = Command::new("python3").args(["-c", "import cryptography"]).stderr(Stdio::null()).status();
    if !ready.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "python3 with the package cryptography is missing");
        eprintln!("skipped: no python3 with the package cryptography");
        return;
    }
    let cases = std::env::var("ENTENTE_FORGED").map_or(1000, |count| count.parse().unwrap());
    let hypervisor = ForgedHypervisor::new();
    let anchor = TrustAnchor::simulated(hypervisor.root_der()).unwrap();
    let root: String = hypervisor.root_fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
    let attestation = Attestation::at(TIME).bound_to(&[1; 48], &[2; 48]).with_nonce(&[3; 32]);
    let genuine = hypervisor.forgery(&attestation);
    let certificates = genuine.chain.sign();

    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[42; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = Mutation::strategy();
    let mutations: Vec<Mutation> =
        (0..cases).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    let documents: Vec<Vec<u8>> =
        mutations.iter().map(|mutation| mutation.forge(&genuine, &certificates)).collect();

    let mut python =
        Command::new("python3").arg(SCRIPT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = python.stdin.take().unwrap();
    let lines: String = documents
        .iter()
        .map(|document| {
            let hex: String = document.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex} {root} {TIME}\n")
        })
        .collect();
    let writer = std::thread::Builder::new().spawn(move || input.write_all(lines.as_bytes())).unwrap();
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let theirs = String::from_utf8(output.stdout).unwrap();
    assert_eq!(theirs.lines().count(), documents.len());

    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    for ((document, mutation), theirs) in documents.iter().zip(&mutations).zip(theirs.lines()) {
        let ours = ours(document, &anchor);
        assert_eq!(ours, theirs, "{mutation:?}");
        *verdicts.entry(ours).or_default() += 1;
    }
    // Mutations that hit a nonce, a register or a free part of a name leave a document authentic once it is signed again.
    assert!(verdicts.len() > 15 && verdicts["authentic"] < documents.len() / 2, "{verdicts:?}");
}

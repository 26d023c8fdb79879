//! Receipts that verify, and all the ways in which one does not.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, sync::LazyLock};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use entente_agreement::{
    Agreement, ApprovedAgreement, InputEntry, InputSet, InputsError, Manifest, ManifestTerms, Name,
    Namespace, SealingId, SignedInputs, SignedManifest, sshsig,
};
use entente_attestation::{
    AppraisalError, AuthenticationError, DebugMode, Digest384, Field, KindName, Measurements, PcrIndex,
    RootKind, TrustAnchor, UnixTime,
};
use entente_receipt::{
    Place, Receipt, ReceiptError, ResultError, ResultFile, Statement, StatementError, VerificationError,
    VerifiedReceipt, verify,
};
use entente_testkit::{Attestation, ForgedHypervisor, Forgery};
use proptest::{prelude::*, test_runner::Config};
use serde_json::{Value, json};

/// 2026-11-23T12:00:00Z, inside the agreement's window.
const NOW: u64 = 1_795_435_200_000;
const DAY: u64 = 86_400_000;

const TEXT: &str = include_str!("../../agreement/tests/data/auction.toml");
const TEXT_ROOT: &str = "simulated:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9";

static HYPERVISOR: LazyLock<ForgedHypervisor> = LazyLock::new(ForgedHypervisor::new);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn agreement_with(change: impl FnOnce(String) -> String) -> Agreement {
    let root: String = HYPERVISOR.root_fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
    let text = TEXT.replace(TEXT_ROOT, &format!("simulated:{root}"));
    Agreement::parse(change(text).as_bytes()).unwrap()
}

fn agreement() -> Agreement {
    agreement_with(|text| text)
}

fn anchor() -> TrustAnchor {
    TrustAnchor::simulated(HYPERVISOR.root_der()).unwrap()
}

fn image(agreement: &Agreement) -> Measurements {
    *agreement.images()[0].measurements()
}

fn manifest(agreement: &Agreement, dataset: &str, salt: u8) -> Manifest {
    let slot = agreement.dataset(&name(dataset)).unwrap();
    Manifest::new(&ManifestTerms {
        agreement: agreement.digest(),
        dataset: slot.name().clone(),
        owner: slot.owner().clone(),
        sealing: SealingId::from_bytes([salt; 16]),
        format: slot.format(),
        bytes: 4096,
        chunks: Digest384::of(b"chunks"),
        wrapped_key: vec![9; 184],
        commitment: [5; 48],
    })
    .unwrap()
}

fn input_set(agreement: &Agreement, salt: u8) -> InputSet {
    let entry = |dataset: &str| {
        let manifest = manifest(agreement, dataset, salt);
        InputEntry::present(manifest.dataset().clone(), manifest.owner().clone(), manifest.digest())
    };
    let entries =
        vec![entry("bids-ada"), InputEntry::absent(name("bids-bea"), name("bea")), entry("reserves")];
    InputSet::new(agreement.digest(), &name("auction"), 1, entries).unwrap()
}

fn results(run: &str) -> Vec<ResultFile> {
    [("outcome", "harbour"), ("own", "ada"), ("own", "bea")]
        .into_iter()
        .map(|(output, recipient)| ResultFile {
            output: name(output),
            recipient: name(recipient),
            sealed: Digest384::of(format!("{run} sealed {recipient}").as_bytes()),
            opened: Digest384::of(format!("{run} opened {recipient}").as_bytes()),
        })
        .collect()
}

fn statement() -> Statement {
    let agreement = agreement();
    Statement::new(&input_set(&agreement, 1), None, &image(&agreement), &results("first")).unwrap()
}

/// The document that an enclave of this image, bound to this agreement and set, gets for a statement.
fn attestation(agreement: &Agreement, set: &InputSet, statement: &Statement) -> Attestation {
    let image = image(agreement);
    Attestation::at(NOW)
        .with_measurements(image.pcr0().as_ref(), image.pcr1().as_ref(), image.pcr2().as_ref())
        .bound_to(agreement.digest().as_ref(), set.digest().as_ref())
        .with_user_data(statement.user_data().as_ref())
}

fn genuine_attestation() -> Attestation {
    let agreement = agreement();
    attestation(&agreement, &input_set(&agreement, 1), &statement())
}

fn receipt_of(statement: &Statement, attestation: &Attestation) -> Vec<u8> {
    Receipt::assemble(statement, &HYPERVISOR.attest(attestation)).unwrap().bytes().to_vec()
}

fn genuine() -> Vec<u8> {
    static GENUINE: LazyLock<Vec<u8>> = LazyLock::new(|| receipt_of(&statement(), &genuine_attestation()));
    GENUINE.clone()
}

fn judge(receipt: &[u8]) -> Result<VerifiedReceipt, VerificationError> {
    verify(receipt, &agreement(), &anchor())
}

#[track_caller]
fn refuses(receipt: &[u8], expected: &VerificationError) {
    assert_eq!(judge(receipt).as_ref().map(|_| "verified"), Err(expected));
}

#[test]
fn a_genuine_receipt_verifies() {
    let receipt = judge(&genuine()).unwrap();
    assert_eq!(receipt.root(), RootKind::Simulated);
    assert_eq!(receipt.made_at(), UnixTime::from_millis(NOW));
    assert_eq!(*receipt.statement(), statement());
    assert!(receipt.to_string().starts_with("SIMULATED: the image "), "{receipt}");

    let first = &results("first")[1];
    let (own, ada) = (name("own"), name("ada"));
    let matched = receipt.match_file(&own, &ada, first.sealed).unwrap();
    assert_eq!(matched.match_archive(first.opened).unwrap().result(), first);
    assert_eq!(
        matched.match_archive(first.sealed),
        Err(ResultError::OtherArchive { expected: first.opened, found: first.sealed })
    );
    // Another recipient's file, and another run's.
    let bea = results("first")[2].sealed;
    let other = results("second")[1].sealed;
    for found in [bea, other] {
        assert_eq!(
            receipt.match_file(&own, &ada, found),
            Err(ResultError::OtherFile { expected: first.sealed, found })
        );
    }
    assert_eq!(
        receipt.match_file(&name("outcome"), &ada, first.sealed),
        Err(ResultError::NoSuchResult { output: name("outcome"), recipient: ada })
    );
}

#[test]
fn the_statement_has_one_rendering() {
    let statement = statement();
    assert_eq!(statement.bytes(), self::statement().bytes());
    let text = std::str::from_utf8(statement.bytes()).unwrap();
    assert!(text.starts_with(
        r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"outcome.harbour.age","digest":{"sha384":""#
    ));
    assert!(text.contains(r#""predicateType":"urn:entente:run:v1","predicate":{"agreement":""#));
    assert!(text.contains(r#"{"name":"bids-bea","owner":"bea","manifest":"absent"}"#));
    assert!(text.contains(r#""request":null"#));
    assert_eq!(statement.user_data(), pae_digest(statement.bytes()));
    let with_request =
        Statement::new(&input_set(&agreement(), 1), Some(Digest384::of(b"r")), statement.image(), &[])
            .unwrap();
    assert_eq!(with_request.request(), Some(Digest384::of(b"r")));
}

/// The pre-authentication encoding, written a second time.
fn pae_digest(statement: &[u8]) -> Digest384 {
    let length = statement.len().to_string();
    Digest384::of(&[b"DSSEv1 28 application/vnd.in-toto+json ", length.as_bytes(), b" ", statement].concat())
}

#[test]
fn roots_are_never_mistaken() {
    assert_eq!(
        verify(&genuine(), &agreement(), &TrustAnchor::aws_nitro()),
        Err(VerificationError::AgreementIsSimulated)
    );
    let other = ForgedHypervisor::new();
    assert_eq!(
        verify(&genuine(), &agreement(), &TrustAnchor::simulated(other.root_der()).unwrap()),
        Err(VerificationError::OtherRoot {
            expected: anchor().fingerprint(),
            found: TrustAnchor::simulated(other.root_der()).unwrap().fingerprint()
        })
    );
    // An agreement on hardware: a simulated enclave's receipt passes under neither root.
    let hardware = Agreement::parse(TEXT.replace(TEXT_ROOT, "aws-nitro").as_bytes()).unwrap();
    let set = input_set(&hardware, 1);
    let statement = Statement::new(&set, None, &image(&hardware), &results("first")).unwrap();
    let receipt = receipt_of(&statement, &attestation(&hardware, &set, &statement));
    assert_eq!(verify(&receipt, &hardware, &anchor()), Err(VerificationError::AnchorIsSimulated));
    assert!(matches!(
        verify(&receipt, &hardware, &TrustAnchor::aws_nitro()),
        Err(VerificationError::Authentication(AuthenticationError::RootDiffers { .. }))
    ));
    // Documents of another simulator under this agreement.
    let forged = Receipt::assemble(&self::statement(), &other.attest(&genuine_attestation())).unwrap();
    assert!(matches!(
        judge(forged.bytes()),
        Err(VerificationError::Authentication(AuthenticationError::RootDiffers { .. }))
    ));
}

#[test]
fn the_document_says_the_same_as_the_statement() {
    let of = |attestation: &Attestation| receipt_of(&statement(), attestation);
    let appraisal = VerificationError::Appraisal;
    refuses(
        &of(&genuine_attestation().in_debug_mode()),
        &appraisal(AppraisalError::DebugMode(DebugMode { register: PcrIndex::IMAGE })),
    );
    for number in [0, 1, 2, 16, 17] {
        let register = PcrIndex::new(number).unwrap();
        let expected = Digest384::try_from(genuine_attestation().pcrs[&number].as_slice()).unwrap();
        let found = Digest384::of(b"another");
        refuses(
            &of(&genuine_attestation().with_pcr(number, found.as_ref())),
            &appraisal(AppraisalError::PcrDiffers { register, expected, found }),
        );
    }
    for number in [16, 17] {
        let mut without = genuine_attestation();
        without.pcrs.remove(&number);
        let register = PcrIndex::new(number).unwrap();
        refuses(&of(&without), &appraisal(AppraisalError::PcrMissing { register }));
    }
    refuses(
        &of(&genuine_attestation().with_nonce(&[1; 32])),
        &appraisal(AppraisalError::FieldPresent { field: Field::Nonce, kind: KindName::Receipt }),
    );
    refuses(
        &of(&genuine_attestation().with_public_key(&[1; 32])),
        &appraisal(AppraisalError::FieldPresent { field: Field::PublicKey, kind: KindName::Receipt }),
    );
    let mut bare = genuine_attestation();
    bare.user_data = None;
    refuses(&of(&bare), &VerificationError::NotThisStatement);
    refuses(
        &of(&genuine_attestation().with_user_data(Digest384::of(statement().bytes()).as_ref())),
        &VerificationError::NotThisStatement,
    );
    for time in [NOW - 30 * DAY, NOW + 30 * DAY] {
        let late = Attestation { time, ..genuine_attestation() };
        assert!(matches!(
            judge(&of(&late)),
            Err(VerificationError::Appraisal(AppraisalError::OutsideWindow { .. }))
        ));
    }
    // Expired long ago, but made in the window: that is what a receipt is for.
    assert!(judge(&of(&Attestation { time: NOW - 20 * DAY, ..genuine_attestation() })).is_ok());
    // A leaf that was not valid when the document says that it was made.
    let forged: Forgery = HYPERVISOR.forgery(&genuine_attestation()).with_certificate(
        entente_testkit::Position::Leaf,
        |leaf| {
            leaf.validity = entente_testkit::certificate::validity(NOW + DAY, NOW + 2 * DAY);
        },
    );
    let receipt = Receipt::assemble(&statement(), &forged.sign()).unwrap();
    assert!(matches!(
        judge(receipt.bytes()),
        Err(VerificationError::Authentication(AuthenticationError::NotYetValid { .. }))
    ));
}

/// An enclave of the right image states something wrong: it signs whatever statement this makes.
fn stated(change: impl FnOnce(&mut Value)) -> Result<VerifiedReceipt, VerificationError> {
    let mut json: Value = serde_json::from_slice(statement().bytes()).unwrap();
    change(&mut json);
    judge(&envelope(&serde_json::to_vec(&json).unwrap()))
}

/// Wraps any bytes as the enclave of the genuine run would.
fn envelope(statement: &[u8]) -> Vec<u8> {
    let document = HYPERVISOR.attest(&genuine_attestation().with_user_data(pae_digest(statement).as_ref()));
    serde_json::to_vec(&json!({
        "payload": STANDARD.encode(statement),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"keyid": "nitro-attestation", "sig": STANDARD.encode(document)}],
    }))
    .unwrap()
}

#[track_caller]
fn states(expected: &VerificationError, change: impl FnOnce(&mut Value)) {
    assert_eq!(stated(change).as_ref().map(|_| "verified"), Err(expected));
}

#[test]
fn what_the_statement_says_must_hold() {
    assert_eq!(stated(|_| {}).err(), None);
    let other = Digest384::of(b"another");
    states(&VerificationError::OtherAgreement { expected: agreement().digest(), found: other }, |s| {
        s["predicate"]["agreement"] = json!(other.to_string());
    });
    states(&VerificationError::UnknownAnalysis { analysis: name("else") }, |s| {
        s["predicate"]["analysis"] = json!("else");
    });
    for (key, register) in
        [("pcr0", PcrIndex::IMAGE), ("pcr1", PcrIndex::KERNEL), ("pcr2", PcrIndex::APPLICATION)]
    {
        let genuine = Digest384::try_from(genuine_attestation().pcrs[&register.number()].as_slice()).unwrap();
        states(&VerificationError::OtherImage { register, expected: genuine, found: other }, |s| {
            s["predicate"]["image"][key] = json!(other.to_string());
        });
    }
    states(
        &VerificationError::InputSetDiffers { rendered: input_set(&agreement(), 1).digest(), claimed: other },
        |s| s["predicate"]["inputs"] = json!(other.to_string()),
    );
    for (pointer, value) in [
        ("/predicate/round", json!(2)),
        ("/predicate/datasets/0/manifest", json!(other.to_string())),
        ("/predicate/datasets/1/manifest", json!(other.to_string())),
        ("/predicate/datasets/0/owner", json!("bea")),
        ("/predicate/datasets/0/name", json!("bids")),
    ] {
        let verdict = stated(|s| *s.pointer_mut(pointer).unwrap() = value);
        assert!(matches!(verdict, Err(VerificationError::InputSetDiffers { .. })), "{pointer}: {verdict:?}");
    }
    // A set that hangs together but that this analysis cannot have.
    let agreement = agreement();
    let entries = vec![InputEntry::absent(name("reserves"), name("harbour"))];
    let lone = InputSet::new(agreement.digest(), &name("auction"), 1, entries).unwrap();
    let statement = Statement::new(&lone, None, &image(&agreement), &results("first")).unwrap();
    refuses(
        &receipt_of(&statement, &attestation(&agreement, &lone, &statement)),
        &InputsError::DatasetMissing { dataset: name("bids-ada") }.into(),
    );
}

#[test]
fn results_are_exactly_the_agreements() {
    let other = Digest384::of(b"another");
    let differs = |expected: &str, found: &str| VerificationError::ResultDiffers {
        expected: expected.to_owned(),
        found: found.to_owned(),
    };
    states(&differs("outcome.harbour.age", "outcome.ada.age"), |s| {
        s["subject"][0]["name"] = json!("outcome.ada.age");
    });
    states(&differs("outcome.harbour.age", "own.ada.age"), |s| {
        s["subject"].as_array_mut().unwrap().swap(0, 1);
    });
    states(&VerificationError::ResultCount { expected: 3, found: 2 }, |s| {
        s["subject"].as_array_mut().unwrap().pop();
        s["predicate"]["opened"].as_array_mut().unwrap().pop();
    });
    states(&VerificationError::ResultCount { expected: 3, found: 4 }, |s| {
        let digest = json!({"sha384": other.to_string()});
        s["subject"].as_array_mut().unwrap().push(json!({"name": "own.eve.age", "digest": digest}));
        s["predicate"]["opened"].as_array_mut().unwrap().push(json!(other.to_string()));
    });
}

#[test]
fn the_statements_form() {
    let other = Digest384::of(b"another");
    let form = |error| VerificationError::Form(ReceiptError::Statement(error));
    states(&form(StatementError::DebugMode(DebugMode { register: PcrIndex::KERNEL })), |s| {
        s["predicate"]["image"]["pcr1"] = json!(Digest384::ZERO.to_string());
    });
    states(&form(StatementError::OpenedCount { subjects: 3, opened: 2 }), |s| {
        s["predicate"]["opened"].as_array_mut().unwrap().pop();
    });
    states(&form(StatementError::SubjectTwice { name: "own.ada.age".to_owned() }), |s| {
        s["subject"][2]["name"] = json!("own.ada.age");
    });
    for found in ["own.ada", "own-ada.age", "own.ada.x.age", "Own.ada.age", "../own.ada.age", ".age", ""] {
        states(&form(StatementError::SubjectName { found: found.to_owned() }), |s| {
            s["subject"][1]["name"] = json!(found);
        });
    }
    states(&form(StatementError::DatasetOrder { name: name("bids-ada") }), |s| {
        s["predicate"]["datasets"].as_array_mut().unwrap().swap(0, 1);
    });
    states(&form(StatementError::Type { found: "https://in-toto.io/Statement/v0.1".to_owned() }), |s| {
        s["_type"] = json!("https://in-toto.io/Statement/v0.1");
    });
    states(&form(StatementError::PredicateType { found: "urn:entente:run:v2".to_owned() }), |s| {
        s["predicateType"] = json!("urn:entente:run:v2");
    });
    for (pointer, place) in [
        ("/predicate/agreement", Place::Agreement),
        ("/predicate/inputs", Place::Inputs),
        ("/predicate/request", Place::Request),
        ("/predicate/image/pcr2", Place::Image),
        ("/predicate/opened/1", Place::Opened),
        ("/subject/1/digest/sha384", Place::Subject),
        ("/predicate/datasets/0/manifest", Place::Dataset),
    ] {
        let verdict = stated(|s| *s.pointer_mut(pointer).unwrap() = json!(other.to_string().to_uppercase()));
        match verdict {
            Err(VerificationError::Form(ReceiptError::Statement(StatementError::Digest {
                place: found,
                ..
            }))) => assert_eq!(found, place),
            verdict => assert_eq!(verdict.map(|_| "verified"), Ok(pointer)),
        }
    }
}

#[test]
fn statements_are_strict_json() {
    let text = String::from_utf8(statement().bytes().to_vec()).unwrap();
    let reason = |statement: &str| match Statement::parse(statement.as_bytes()) {
        Err(StatementError::Json { reason, .. }) => reason,
        other => format!("{other:?}"),
    };
    let insert = |at: &str, what: &str| text.replacen(at, &format!("{at}{what}"), 1);
    for (changed, expected) in [
        (insert("{", r#""verdict":"released","#), "unknown field `verdict`"),
        (insert(r#""predicate":{"#, r#""count":1,"#), "unknown field `count`"),
        (insert(r#""image":{"#, r#""pcr3":"","#), "unknown field `pcr3`"),
        (insert(r#""digest":{"#, r#""sha256":"","#), "unknown field `sha256`"),
        (insert("{", r#""subject":[],"#), "duplicate field `subject`"),
        (insert(r#""predicate":{"#, r#""round":1,"#), "duplicate field `round`"),
        (insert(r#""predicate":{"#, r#""request":null,"#), "duplicate field `request`"),
        // An escaped spelling of the same member.
        (insert(r#""predicate":{"#, r#""\u0072ound":1,"#), "duplicate field `round`"),
        (text.replace(r#""request":null,"#, ""), "missing field `request`"),
        (text.replace(r#""round":1,"#, ""), "missing field `round`"),
        (text.replace(r#""round":1,"#, r#""round":1.0,"#), "invalid type: floating point `1.0`"),
        (text.replace(r#""round":1,"#, r#""round":"1","#), "invalid type: string"),
        (text.replace(r#""round":1,"#, r#""round":-1,"#), "invalid value: integer `-1`"),
        (format!("{text} {{}}"), "trailing characters"),
        (text[1..].to_owned(), "invalid type"),
        (format!("\u{feff}{text}"), "expected value"),
        (text.replace("null", "NaN"), "expected value"),
        (String::new(), "EOF while parsing a value"),
    ] {
        let found = reason(&changed);
        assert!(found.starts_with(expected), "{found} instead of {expected}");
    }
    let long = vec![b' '; (2 << 20) + 1];
    assert_eq!(Statement::parse(&long), Err(StatementError::TooLong { found: (2 << 20) + 1 }));
}

#[test]
fn envelopes_are_strict_json() {
    let receipt: Value = serde_json::from_slice(&genuine()).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut changed = receipt.clone();
        change(&mut changed);
        Receipt::parse(&serde_json::to_vec(&changed).unwrap()).map(|_| ())
    };
    assert_eq!(with(&|_| {}), Ok(()));
    assert_eq!(
        with(&|r| r["payloadType"] = json!("application/json")),
        Err(ReceiptError::PayloadType { found: "application/json".to_owned() })
    );
    assert_eq!(
        with(&|r| r["signatures"][0]["keyid"] = json!("")),
        Err(ReceiptError::KeyId { found: String::new() })
    );
    assert_eq!(with(&|r| r["signatures"] = json!([])), Err(ReceiptError::SignatureCount { found: 0 }));
    assert_eq!(
        with(&|r| {
            let twice = r["signatures"][0].clone();
            r["signatures"].as_array_mut().unwrap().push(twice);
        }),
        Err(ReceiptError::SignatureCount { found: 2 })
    );
    assert_eq!(with(&|r| r["payload"] = json!("e30")), Err(ReceiptError::PayloadBase64));
    assert_eq!(with(&|r| r["signatures"][0]["sig"] = json!("_-8=")), Err(ReceiptError::SignatureBase64));
    assert!(matches!(with(&|r| r["signatures"][0]["sig"] = json!("")), Err(ReceiptError::Document(_))));
    assert!(matches!(with(&|r| r["more"] = json!(1)), Err(ReceiptError::Json { .. })));
    assert!(matches!(with(&|r| r["signatures"][0]["cert"] = json!("")), Err(ReceiptError::Json { .. })));
    assert!(matches!(Receipt::parse(&[b'['; 100_000]), Err(ReceiptError::Json { .. })));
    assert!(matches!(Receipt::parse(&vec![b' '; 4 << 20]), Err(ReceiptError::TooLong { .. })));
}

/// Two genuine receipts of one agreement: whatever is taken from one and put into the other, neither verifies.
#[test]
fn nothing_can_be_exchanged_between_two_receipts() {
    let agreement = agreement();
    let set = input_set(&agreement, 2);
    let second = Statement::new(&set, None, &image(&agreement), &results("second")).unwrap();
    let second_receipt = receipt_of(&second, &attestation(&agreement, &set, &second));
    assert_eq!(judge(&second_receipt).err(), None);

    let (a, b): (Value, Value) =
        (serde_json::from_slice(&genuine()).unwrap(), serde_json::from_slice(&second_receipt).unwrap());
    for pointer in ["/payload", "/signatures/0/sig", "/signatures/0", "/signatures"] {
        let mut mixed = a.clone();
        *mixed.pointer_mut(pointer).unwrap() = b.pointer(pointer).unwrap().clone();
        refuses(&serde_json::to_vec(&mixed).unwrap(), &VerificationError::NotThisStatement);
    }
    // Each leaf of the statement, with the document as it was, and with a document made for the mixture by an enclave
    // that is bound as in the first run.
    let (a, b): (Value, Value) = (
        serde_json::from_slice(statement().bytes()).unwrap(),
        serde_json::from_slice(second.bytes()).unwrap(),
    );
    let document = &HYPERVISOR.attest(&genuine_attestation());
    let mut exchanged = 0;
    for pointer in leaves(&a, String::new()) {
        let (ours, theirs) = (a.pointer(&pointer).unwrap(), b.pointer(&pointer).unwrap());
        if ours == theirs {
            continue;
        }
        exchanged += 1;
        let mut mixed = a.clone();
        *mixed.pointer_mut(&pointer).unwrap() = theirs.clone();
        let mixed = serde_json::to_vec(&mixed).unwrap();
        if let Ok(statement) = Statement::parse(&mixed) {
            let receipt = Receipt::assemble(&statement, document).unwrap();
            refuses(receipt.bytes(), &VerificationError::NotThisStatement);
        }
        // What binds the inputs is in PCR17; the digests of the results are the enclave's own word.
        if pointer.starts_with("/predicate/datasets") || pointer.starts_with("/predicate/inputs") {
            assert!(judge(&envelope(&mixed)).is_err(), "{pointer}");
        }
    }
    assert_eq!(exchanged, 9, "two manifests, the input set, three files sealed and opened");
    // The whole second statement, honestly signed by an enclave that is bound to the first set.
    assert!(matches!(
        judge(&envelope(second.bytes())),
        Err(VerificationError::Appraisal(AppraisalError::PcrDiffers { register: PcrIndex::INPUT_SET, .. }))
    ));
}

fn leaves(value: &Value, at: String) -> Vec<String> {
    match value {
        Value::Object(members) => {
            members.iter().flat_map(|(key, value)| leaves(value, format!("{at}/{key}"))).collect()
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(index, value)| leaves(value, format!("{at}/{index}")))
            .collect(),
        _ => vec![at],
    }
}

#[test]
fn every_byte_counts() {
    let genuine = genuine();
    let (agreement, anchor) = (agreement(), anchor());
    for at in 0..genuine.len() {
        // Base64 makes four characters of three bytes: a sample of the positions still touches every part.
        if at > 400 && at < genuine.len() - 400 && at % 23 != 0 {
            continue;
        }
        for mask in [0x01, 0x20] {
            let mut flipped = genuine.clone();
            flipped[at] ^= mask;
            assert!(verify(&flipped, &agreement, &anchor).is_err(), "byte {at}");
        }
    }
}

#[test]
fn mutations_never_panic_and_never_verify() {
    let genuine = genuine();
    let (agreement, anchor) = (agreement(), anchor());
    let statement = statement();
    let config = Config { cases: 10_000, failure_persistence: None, ..Config::default() };
    proptest!(config, |(
        place in any::<prop::sample::Index>(),
        kind in 0..4_u8,
        byte in any::<u8>(),
        count in 1..20_usize,
    )| {
        for original in [genuine.as_slice(), statement.bytes()] {
            let mut bytes = original.to_vec();
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at),
                2 => drop(bytes.drain(at..(at + count).min(original.len()))),
                _ => drop(bytes.splice(at..at, std::iter::repeat_n(byte, count))),
            }
            // White space between the tokens of JSON means nothing.
            prop_assume!(!byte.is_ascii_whitespace() && bytes != *original);
            prop_assert!(verify(&bytes, &agreement, &anchor).is_err());
            let _ = Statement::parse(&bytes);
        }
    });
}

#[test]
fn signatures_at_hand_must_be_this_runs() {
    let agreement = agreement();
    let approve = |agreement: &Agreement| {
        let approvals = sign_by(&["harbour", "ada", "bea"], Namespace::Agreement, agreement.bytes());
        ApprovedAgreement::verify(agreement.clone(), &approvals).unwrap()
    };
    let approved = approve(&agreement);
    let inputs = |salt| {
        let set = input_set(&agreement, salt);
        let signatures = sign_by(&["harbour", "ada", "bea"], Namespace::Inputs, set.bytes());
        let manifests = [("bids-ada", "ada"), ("reserves", "harbour")].map(|(dataset, owner)| {
            let manifest = manifest(&agreement, dataset, salt);
            let signature = sign(owner, Namespace::Manifest, manifest.bytes());
            (name(dataset), SignedManifest::new(manifest, signature))
        });
        SignedInputs::new(set, signatures, manifests.into())
    };
    let receipt = judge(&genuine()).unwrap();
    let authorized = receipt.clone().check_signatures(&approved, inputs(1), None).unwrap();
    assert_eq!(authorized.inputs().set().digest(), receipt.statement().claimed_input_set());
    assert_eq!(
        receipt.clone().check_signatures(&approved, inputs(2), None),
        Err(VerificationError::OtherInputSet {
            expected: input_set(&agreement, 1).digest(),
            found: input_set(&agreement, 2).digest()
        })
    );
    let mut unsigned = inputs(1).signatures().clone();
    unsigned.remove("bea");
    let incomplete = SignedInputs::new(inputs(1).set().clone(), unsigned, inputs(1).manifests().clone());
    assert_eq!(
        receipt.clone().check_signatures(&approved, incomplete, None),
        Err(InputsError::SetSignatureMissing { party: name("bea") }.into())
    );
    let another = agreement_with(|text| text.replace("memory_mib = 256", "memory_mib = 257"));
    assert_eq!(
        receipt.check_signatures(&approve(&another), inputs(1), None),
        Err(VerificationError::OtherAgreement { expected: agreement.digest(), found: another.digest() })
    );
    assert_eq!(
        verify(&genuine(), &another, &anchor()),
        Err(VerificationError::OtherAgreement { expected: another.digest(), found: agreement.digest() })
    );
}

fn sign_by(parties: &[&str], namespace: Namespace, message: &[u8]) -> BTreeMap<Name, Vec<u8>> {
    parties.iter().map(|party| (name(party), sign(party, namespace, message))).collect()
}

/// The keys of the example agreement come from these seeds.
fn sign(party: &str, namespace: Namespace, message: &[u8]) -> Vec<u8> {
    let seed = match party {
        "harbour" => 1,
        "ada" => 2,
        _ => 3,
    };
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let raw = pair.sign(&sshsig::signed_data(namespace, message));
    let agreement = agreement();
    let key = agreement.party(&name(party)).unwrap().sign_key().clone();
    sshsig::armor(&key, namespace, raw.as_ref()).unwrap().into_bytes()
}

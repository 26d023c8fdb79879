//! Receipts, attestation documents and images on the command line: verdicts, exit codes, JSON.

use std::fs;
use std::path::Path;

use entente_agreement::Agreement;
use entente_attestation::TrustAnchor;
use entente_e2e::{Done, Play, demo_directory, entente, program, stock, vectors};

fn verify(directory: &Path, receipt: &str, more: &[&str]) -> Done {
    entente(
        directory,
        &[&["receipt", "verify", receipt, "--agreement", "agreement.toml", "--json"][..], more].concat(),
    )
}

#[test]
fn a_receipt_verifies_under_its_own_root_and_no_other() {
    let play = Play::copy();
    let directory = play.directory();
    let good = verify(directory, "results/receipt.json", &["--root", "ca/root.pem"]);
    assert_eq!(good.code, 0, "{good}");
    let facts = good.json();
    assert_eq!(facts["verdict"], "verified");
    assert_eq!(facts["error"], serde_json::Value::Null);
    assert_eq!(facts["root"], "SIMULATED");
    assert_eq!(facts["simulated"], true);
    assert_eq!(facts["signatures"], "not given");
    assert_eq!(facts["round"], 1);
    assert_eq!(facts["analysis"], "auction");
    assert_eq!(facts["request"], serde_json::Value::Null);
    for name in ["agreement", "inputs", "made_at", "measurements", "results"] {
        assert!(!facts[name].is_null(), "{name}");
    }
    assert_eq!(facts["measurements"]["pcr0"].as_str().unwrap().len(), 96);
    let all = ["--root", "ca/root.pem", "--inputs", "inputs.toml", "--sealed", "sealed"];
    let signed = verify(directory, "results/receipt.json", &all);
    assert_eq!((signed.code, signed.json()["signatures"].as_str()), (0, Some("verified")), "{signed}");
    let text = entente(
        directory,
        &[
            "receipt",
            "verify",
            "results/receipt.json",
            "--agreement",
            "agreement.toml",
            "--root",
            "ca/root.pem",
        ],
    );
    assert!(text.stdout.contains("SIMULATED"), "{text}");

    // Never as AWS's.
    let refused = verify(directory, "results/receipt.json", &[]);
    assert_eq!(refused.code, 1, "{refused}");
    assert_eq!(refused.json()["verdict"], "refused");
    assert!(refused.json()["error"].is_string());
    // Never under another authority of the same make.
    let other =
        stock(directory, program("entente-hypervisor-sim").to_str().unwrap(), &["ca", "--dir", "other"]);
    assert_eq!(other.code, 0, "{other}");
    let refused = verify(directory, "results/receipt.json", &["--root", "other/root.pem"]);
    assert_eq!((refused.code, refused.json()["verdict"].as_str()), (1, Some("refused")), "{refused}");
    // AWS's root by file is AWS's root.
    if let Some(certs) = vectors("certs") {
        let root = certs.join("aws-nitro-root-g1.pem");
        assert_eq!(verify(directory, "results/receipt.json", &["--root", root.to_str().unwrap()]).code, 1);
    }

    // An agreement that differs in a comment is another agreement.
    let mut text = play.read("agreement.toml");
    text.extend_from_slice(b"# the same otherwise\n");
    fs::write(play.path("agreement.toml"), text).unwrap();
    let refused = verify(directory, "results/receipt.json", &["--root", "ca/root.pem"]);
    assert_eq!((refused.code, refused.json()["verdict"].as_str()), (1, Some("refused")), "{refused}");
}

#[test]
fn misuse_is_told_from_refusal() {
    let play = Play::copy();
    let directory = play.directory();
    fs::write(play.path("nonsense"), "nonsense\n").unwrap();
    for arguments in [
        &["receipt", "verify", "results/receipt.json"][..],
        &["receipt", "verify", "results/missing.json", "--agreement", "agreement.toml"],
        &["receipt", "verify", "results/receipt.json", "--agreement", "missing.toml"],
        &["receipt", "verify", "results/receipt.json", "--agreement", "nonsense"],
        &["receipt", "verify", "results/receipt.json", "--agreement", "agreement.toml", "--root", "missing"],
        &["receipt", "verify", "results/receipt.json", "--agreement", "agreement.toml", "--root", "nonsense"],
        &[
            "receipt",
            "verify",
            "results/receipt.json",
            "--agreement",
            "agreement.toml",
            "--inputs",
            "inputs.toml",
        ],
        &["attest", "verify", "missing", "--at", "now"],
        &["attest", "verify", "nonsense"],
        &["attest", "verify", "nonsense", "--at", "yesterday"],
        &["image", "measure", "missing.eif"],
        &["receipt"],
        &[],
    ] {
        let done = entente(directory, arguments);
        assert_eq!(done.code, 2, "{arguments:?}: {done}");
    }
    // What was handed over for judgement and is nonsense is refused.
    for arguments in [
        &["receipt", "verify", "nonsense", "--agreement", "agreement.toml", "--root", "ca/root.pem"][..],
        &["attest", "verify", "nonsense", "--at", "now"],
        &["image", "measure", "nonsense"],
    ] {
        let done = entente(directory, arguments);
        assert_eq!(done.code, 1, "{arguments:?}: {done}");
    }
}

/// Every bit of a receipt, through the library: 0 receipts verify but the one. Samples, through the program.
#[test]
fn flipped_bytes() {
    let play = Play::copy();
    let agreement = Agreement::parse(&play.read("agreement.toml")).unwrap();
    let anchor = TrustAnchor::simulated(&play.read("ca/root.der")).unwrap();
    let receipt = play.read("results/receipt.json");
    entente_receipt::verify(&receipt, &agreement, &anchor).unwrap();
    let mut mutated = receipt.clone();
    for at in 0..receipt.len() {
        // One bit for each byte, another bit for each next one: all eight are met in every field.
        mutated[at] ^= 1 << (at % 8);
        let verdict = entente_receipt::verify(&mutated, &agreement, &anchor);
        assert!(verdict.is_err(), "byte {at} of {}", receipt.len());
        mutated[at] = receipt[at];
    }
    for at in (0..receipt.len()).step_by(receipt.len() / 12) {
        mutated[at] ^= 1;
        fs::write(play.path("flipped.json"), &mutated).unwrap();
        let done = verify(play.directory(), "flipped.json", &["--root", "ca/root.pem"]);
        assert_eq!((done.code, done.json()["verdict"].as_str()), (1, Some("refused")), "byte {at}: {done}");
        mutated[at] = receipt[at];
    }
    for cut in [0, 1, receipt.len() / 2, receipt.len() - 1] {
        fs::write(play.path("flipped.json"), &receipt[..cut]).unwrap();
        assert_eq!(verify(play.directory(), "flipped.json", &["--root", "ca/root.pem"]).code, 1, "{cut}");
    }
}

#[test]
fn documents_of_others_get_the_verdict_that_is_known() {
    let Some(directory) = vectors("attestation") else { return };
    let mut count = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let judge = |at: &str| entente(&directory, &["attest", "verify", &name, "--at", at, "--json"]);
        let (code, verdict) = match () {
            () if !name.starts_with("real-") => (1, "refused"),
            () if name.contains("-debug-") => (1, "debug-mode"),
            () => (0, "authentic"),
        };
        let done = judge("document");
        let facts = done.json();
        assert_eq!((done.code, facts["verdict"].as_str()), (code, Some(verdict)), "{name}: {done}");
        assert_eq!(facts["error"].is_null(), code == 0, "{name}");
        assert_eq!(facts["measurements"].is_null(), code != 0, "{name}");
        for at in ["now", "2020-01-01T00:00:00Z"] {
            let done = judge(at);
            assert_eq!(
                (done.code, done.json()["verdict"].as_str()),
                (1, Some("refused")),
                "{name} at {at}: {done}"
            );
        }
        count += 1;
    }
    assert_eq!(count, 27);
    // Under a root of somebody's own none is authentic.
    let root = demo_directory().join("ca/root.pem");
    let name = "real-2026-04-21-prod-f1f05745.cose";
    let done = entente(
        &directory,
        &["attest", "verify", name, "--at", "document", "--root", root.to_str().unwrap(), "--json"],
    );
    assert_eq!((done.code, done.json()["verdict"].as_str()), (1, Some("refused")), "{done}");
}

#[test]
fn images_of_others_measure_as_aws_says() {
    let Some(directory) = vectors("eif") else { return };
    let mut count = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".eif") else { continue };
        // What AWS's program printed: some words, then the object.
        let printed = fs::read_to_string(directory.join(format!("{stem}.json"))).unwrap();
        let expected: serde_json::Value =
            serde_json::from_str(&printed[printed.find('{').unwrap()..]).unwrap();
        let expected = expected.get("Measurements").unwrap_or(&expected);
        let done = entente(&directory, &["image", "measure", &name, "--json"]);
        assert_eq!(done.code, 0, "{done}");
        for pcr in ["PCR0", "PCR1", "PCR2", "PCR8"] {
            assert_eq!(done.json().get(pcr), expected.get(pcr), "{name} {pcr}");
        }
        count += 1;
    }
    assert_eq!(count, 4);
}

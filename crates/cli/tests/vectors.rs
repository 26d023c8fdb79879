//! The stable forms of `attest verify` and `image measure`, over documents and images that AWS made.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The vectors lie beside the checkout; in CI they must.
fn vectors() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
    eprintln!("skipped: {} is missing", path.display());
    None
}

fn entente(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_entente")).args(arguments).output().unwrap()
}

/// Exit code and the JSON object.
fn facts(arguments: &[&str]) -> (i32, Value) {
    let done = entente(arguments);
    let object = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", String::from_utf8_lossy(&done.stderr)));
    (done.status.code().unwrap(), object)
}

fn documents(vectors: &Path) -> Vec<(String, String)> {
    let mut documents: Vec<_> = std::fs::read_dir(vectors.join("attestation"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), path.to_str().unwrap().to_owned())
        })
        .collect();
    documents.sort();
    assert!(documents.len() > 20);
    documents
}

#[test]
fn each_document_has_the_verdict_of_the_manifest() {
    let Some(vectors) = vectors() else { return };
    for (name, path) in documents(&vectors) {
        let (code, object) = facts(&["attest", "verify", &path, "--at", "document", "--json"]);
        let verdict = object["verdict"].as_str().unwrap();
        if !name.starts_with("real-") {
            assert_eq!((code, verdict), (1, "refused"), "{name}");
            assert!(object["error"].is_string() && object["measurements"].is_null(), "{name}");
        } else if name.contains("-debug-") {
            assert_eq!((code, verdict), (1, "debug-mode"), "{name}");
            assert_eq!(object["error"], "DebugMode", "{name}");
            assert!(object["measurements"].is_null(), "{name}");
        } else {
            assert_eq!((code, verdict), (0, "authentic"), "{name}");
            assert!(object["error"].is_null(), "{name}");
            assert_eq!(object["root"], "aws-nitro", "{name}");
            for register in ["pcr0", "pcr1", "pcr2"] {
                assert_eq!(object["measurements"][register].as_str().unwrap().len(), 96, "{name}");
            }
        }
    }
}

#[test]
fn no_document_is_valid_now_or_before_it_was_made() {
    let Some(vectors) = vectors() else { return };
    for (name, path) in documents(&vectors).iter().filter(|(name, _)| name.starts_with("real-")) {
        let (code, object) = facts(&["attest", "verify", path, "--at", "now", "--json"]);
        assert_eq!((code, &object["error"]), (1, &"Expired".into()), "{name}");
        let (code, object) = facts(&["attest", "verify", path, "--at", "2020-01-01T00:00:00Z", "--json"]);
        assert_eq!((code, &object["error"]), (1, &"NotYetValid".into()), "{name}");
    }
}

#[test]
fn the_root_is_the_one_that_was_named() {
    let Some(vectors) = vectors() else { return };
    let document = vectors.join("attestation/real-2025-01-06-prod-19b71700.cose");
    let document = document.to_str().unwrap();
    for root in ["certs/aws-nitro-root-g1.pem", "certs/aws-nitro-root-g1.der"] {
        let root = vectors.join(root);
        let (code, object) = facts(&[
            "attest",
            "verify",
            document,
            "--at",
            "document",
            "--root",
            root.to_str().unwrap(),
            "--json",
        ]);
        assert_eq!((code, object["simulated"].as_bool()), (0, Some(false)));
    }
    let directory = tempfile::tempdir().unwrap();
    let other = directory.path().join("other.der");
    std::fs::write(&other, entente_testkit::ForgedHypervisor::new().root_der()).unwrap();
    let (code, object) = facts(&[
        "attest",
        "verify",
        document,
        "--at",
        "document",
        "--root",
        other.to_str().unwrap(),
        "--json",
    ]);
    assert_eq!((code, &object["error"]), (1, &"RootDiffers".into()));
}

#[test]
fn a_simulated_document_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let hypervisor = entente_testkit::ForgedHypervisor::new();
    let (document, root) = (directory.path().join("document.cose"), directory.path().join("root.der"));
    std::fs::write(&document, hypervisor.attest(&entente_testkit::Attestation::at(1_776_810_820_000)))
        .unwrap();
    std::fs::write(&root, hypervisor.root_der()).unwrap();
    let [document, root] = [&document, &root].map(|path| path.to_str().unwrap());
    let done = entente(&["attest", "verify", document, "--at", "document", "--root", root]);
    assert_eq!(done.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&done.stdout).contains("SIMULATED: authentic"));
    let (code, object) = facts(&["attest", "verify", document, "--at", "document", "--json"]);
    assert_eq!((code, &object["error"]), (1, &"RootDiffers".into()));
}

#[test]
fn misuse_has_its_own_exit_code() {
    let cases: &[&[&str]] = &[
        &["attest", "verify", "/nonexistent/document", "--at", "now"],
        &["attest", "verify", "/dev/null"],
        &["attest", "verify", "/dev/null", "--at", "yesterday"],
        &["attest", "verify", "/dev/null", "--at", "now", "--root", "/dev/null"],
        &["receipt", "verify", "/dev/null", "--agreement", "/nonexistent/agreement"],
        &["receipt", "verify", "/dev/null"],
        &["image", "measure", "/nonexistent/image"],
        &["no-such-command"],
    ];
    for arguments in cases {
        let done = entente(arguments);
        assert_eq!(done.status.code(), Some(2), "{arguments:?}");
        assert!(!done.stderr.is_empty(), "{arguments:?}");
    }
    // An empty file is no document: that is an answer, not misuse.
    assert_eq!(entente(&["attest", "verify", "/dev/null", "--at", "now"]).status.code(), Some(1));
}

#[test]
fn images_are_measured_as_eif_build_does() {
    let Some(vectors) = vectors() else { return };
    for name in ["x86-1rd", "x86-2rd", "x86-2rd-signed-p384", "arm-2rd"] {
        let image = vectors.join(format!("eif/{name}.eif"));
        let (code, found) = facts(&["image", "measure", image.to_str().unwrap(), "--json"]);
        assert_eq!(code, 0, "{name}");
        let text = std::fs::read_to_string(vectors.join(format!("eif/{name}.json"))).unwrap();
        let expected: Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
        for (register, value) in expected.as_object().unwrap() {
            assert_eq!(&found[register], value, "{name} {register}");
        }
        assert_eq!(found["measurements"]["pcr0"], expected["PCR0"], "{name}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let Some(vectors) = vectors() else { return };
    let image = vectors.join("eif/x86-2rd.eif");
    let script = format!("{} image describe {} | head -n 1", env!("CARGO_BIN_EXE_entente"), image.display());
    let done = Command::new("bash").args(["-o", "pipefail", "-c", &script]).output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
}

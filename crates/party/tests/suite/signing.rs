//! Our signatures under stock `ssh-keygen`, and stock ones with us.

use crate::world::name;
use entente_agreement::{Namespace, SignKey};
use entente_party::{Home, SignKeySource, Signer, SignerError};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const MESSAGE: &[u8] = b"type = \"entente/manifest/v1\"\n";

fn keygen(directory: &Path, file: &str, arguments: &[&str]) {
    let output = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "", "-f", file])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn stock_verifies(directory: &Path, party: &str, key: &SignKey, signature: &[u8]) -> bool {
    fs::write(directory.join("allowed"), format!("{party} namespaces=\"entente-*\" {}\n", key.to_openssh()))
        .unwrap();
    fs::write(directory.join("signature"), signature).unwrap();
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-f", "allowed", "-I", party, "-n", "entente-manifest", "-s", "signature"])
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(MESSAGE).unwrap();
    child.wait().unwrap().success()
}

#[test]
fn every_key_type_signs_for_both_sides() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (file, arguments) in [
        ("ed25519", &["-t", "ed25519"][..]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("rsa", &["-t", "rsa", "-b", "3072"]),
    ] {
        keygen(path, file, arguments);
        let home = Home::init(
            &path.join(format!("home-{file}")),
            &name("north"),
            &SignKeySource::Existing(path.join(file)),
        )
        .unwrap();
        let ours = home.signer().unwrap().sign(Namespace::Manifest, MESSAGE).unwrap();
        assert!(stock_verifies(path, "north", home.sign_key(), &ours), "{file}");
        assert!(!stock_verifies(path, "north", home.sign_key(), &ours[1..]), "{file}");

        fs::write(path.join("message"), MESSAGE).unwrap();
        let _ = fs::remove_file(path.join("message.sig"));
        let status = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", "entente-manifest", "-f", file, "message"])
            .current_dir(path)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        let stock = fs::read(path.join("message.sig")).unwrap();
        home.sign_key().verify(Namespace::Manifest, MESSAGE, &stock).unwrap();
        assert!(home.sign_key().verify(Namespace::Inputs, MESSAGE, &stock).is_err());
        // The block that an agreement takes has no line that an agreement refuses.
        assert!(home.party_block().lines().all(|line| line.len() <= 200));
    }
}

#[test]
fn a_generated_key_is_a_stock_key() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::init(&directory.path().join("n"), &name("north"), &SignKeySource::Generate).unwrap();
    let signature = home.signer().unwrap().sign(Namespace::Manifest, MESSAGE).unwrap();
    assert!(stock_verifies(directory.path(), "north", home.sign_key(), &signature));
    let output = Command::new("ssh-keygen")
        .args(["-y", "-f"])
        .arg(home.directory().join("sign_key"))
        .output()
        .unwrap();
    assert!(output.status.success());
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(SignKey::from_openssh(line.trim_end()).unwrap() == *home.sign_key());
}

#[test]
fn keys_that_may_not_sign_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    keygen(path, "p521", &["-t", "ecdsa", "-b", "521"]);
    keygen(path, "short", &["-t", "rsa", "-b", "2048"]);
    for file in ["p521", "short"] {
        assert!(matches!(Signer::open(&path.join(file)), Err(SignerError::KeyType(_))), "{file}");
    }
    fs::write(path.join("text"), "hello").unwrap();
    assert!(matches!(Signer::open(&path.join("text")), Err(SignerError::NotAKey { .. })));
    assert!(matches!(Signer::open(&path.join("nothing")), Err(SignerError::File(_))));
}

#[test]
fn a_key_that_ssh_keygen_cannot_use_gives_its_words() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    keygen(path, "key", &["-t", "ed25519"]);
    // Only the public half: its private side is in no agent.
    fs::rename(path.join("key.pub"), path.join("alone.pub")).unwrap();
    let signer = Signer::open(&path.join("alone.pub")).unwrap();
    assert!(matches!(
        signer.sign(Namespace::Manifest, MESSAGE),
        Err(SignerError::SshKeygen { problem }) if !problem.is_empty()
    ));
}

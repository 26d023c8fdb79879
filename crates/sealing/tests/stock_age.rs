//! The stock `age` program opens what is sealed here, and what it seals opens here.
#![expect(clippy::unwrap_used, reason = "tests")]

use entente_agreement::SealingId;
use entente_attestation::Digest384;
use entente_sealing::blob::{OpenBlobError, blob_identity, open_blob, seal_blob};
use entente_sealing::result::{ArchiveFile, ResultArchive, ResultBinding, ResultIdentity, Verdict};
use entente_sealing::{Binding, DatasetKey, SealingKeys};
use std::fs;
use std::path::Path;
use std::process::Command;

fn keys() -> SealingKeys {
    let binding = Binding {
        agreement: Digest384::of(b"the agreement"),
        dataset: "model".parse().unwrap(),
        sealing: SealingId::from_bytes([0x5a; 16]),
    };
    SealingKeys::derive(&DatasetKey::generate().unwrap(), &binding)
}

/// Whether stock age is here; CI must have it.
fn age_is_here() -> bool {
    let here = Command::new("age").arg("--version").output().is_ok();
    assert!(here || std::env::var_os("CI").is_none(), "stock age is not installed");
    if !here {
        println!("skipped: stock age is not installed");
    }
    here
}

fn run(program: &str, arguments: &[&str], directory: &Path) {
    let output = Command::new(program).args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_result_opens_with_age_and_tar() {
    if !age_is_here() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let identity = ResultIdentity::generate().unwrap();
    let binding = ResultBinding {
        agreement: Digest384::of(b"agreement"),
        inputs: Digest384::of(b"inputs"),
        request: None,
        analysis: "auction".parse().unwrap(),
        recipient: "seller".parse().unwrap(),
        output: "outcome".parse().unwrap(),
        verdict: Verdict::Released,
        salt: [9; 32],
    };
    let files = [ArchiveFile::new("outcome.csv", b"lot,price\nvilla,7.50\n".to_vec()).unwrap()];
    let archive = ResultArchive::build(&binding, &files, 16_384).unwrap();
    let path = directory.path();
    fs::write(path.join("outcome.seller.age"), archive.seal(&identity.recipient()).unwrap()).unwrap();
    fs::write(path.join("identity.txt"), identity.to_text().as_bytes()).unwrap();
    run("age", &["-d", "-i", "identity.txt", "-o", "outcome.tar", "outcome.seller.age"], path);
    assert_eq!(fs::read(path.join("outcome.tar")).unwrap(), archive.as_bytes());
    run("tar", &["-x", "-f", "outcome.tar"], path);
    assert_eq!(fs::read(path.join("outcome.csv")).unwrap(), files[0].bytes());
    assert_eq!(fs::read_to_string(path.join("BINDING.toml")).unwrap(), binding.render());
}

#[test]
fn blobs_go_both_ways() {
    if !age_is_here() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let keys = keys();
    let model: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let owner = ResultIdentity::generate().unwrap();
    let mut sealed = Vec::new();
    let count = seal_blob(&mut model.as_slice(), &mut sealed, &keys, &[&owner.recipient()]).unwrap();
    assert_eq!(count, model.len() as u64);
    fs::write(path.join("model.age"), &sealed).unwrap();
    fs::write(path.join("derived.txt"), blob_identity(&keys).as_bytes()).unwrap();
    fs::write(path.join("owner.txt"), owner.to_text().as_bytes()).unwrap();
    for identity in ["derived.txt", "owner.txt"] {
        run("age", &["-d", "-i", identity, "-o", "model", "model.age"], path);
        assert_eq!(fs::read(path.join("model")).unwrap(), model);
    }
    run("age", &["-e", "-i", "derived.txt", "-o", "stock.age", "model"], path);
    let stock = fs::read(path.join("stock.age")).unwrap();
    assert_eq!(*open_blob(&stock, &keys, 1 << 20).unwrap(), model);
}

#[test]
fn damaged_blobs_give_typed_errors() {
    let keys = keys();
    let mut sealed = Vec::new();
    seal_blob(&mut &[7; 100_000][..], &mut sealed, &keys, &[]).unwrap();
    assert_eq!(open_blob(&sealed, &keys, 100_000).unwrap().len(), 100_000);
    assert_eq!(open_blob(&sealed, &keys, 99_999), Err(OpenBlobError::TooLarge { limit: 99_999 }));
    assert_eq!(open_blob(&sealed[..sealed.len() - 1], &keys, 100_000), Err(OpenBlobError::Damaged));
    for at in (0..sealed.len()).step_by(997).chain(0..300) {
        let mut changed = sealed.clone();
        changed[at] ^= 4;
        assert!(open_blob(&changed, &keys, 100_000).is_err(), "byte {at}");
    }
    assert_eq!(open_blob(b"PAR1", &keys, 100), Err(OpenBlobError::NotAge));
}

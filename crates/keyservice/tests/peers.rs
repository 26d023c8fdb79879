//! Stock clients in Python: boto3, the aws command line, openssl.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use entente_testkit::Attestation;
use support::{REGION, Running, now};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/keyservice_boto3.py");

/// The interpreter of the peers' environment (`cargo xtask peers`), or the system's if it has boto3.
fn python() -> Option<PathBuf> {
    let peers = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/bin/python")).to_owned();
    let found = [peers, PathBuf::from("python3")].into_iter().find(|python| {
        let import = Command::new(python)
            .args(["-c", "import boto3"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        import.is_ok_and(|status| status.success())
    });
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "no Python with boto3: cargo xtask peers");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_and_the_aws_command_line_work() {
    let Some(python) = python() else {
        println!("skipped: no Python with boto3 (cargo xtask peers makes one)");
        return;
    };
    let running = Running::start().await;
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key.pem"][..],
        &["pkey", "-in", "key.pem", "-pubout", "-outform", "DER", "-out", "public.der"],
    ] {
        let made =
            Command::new("openssl").args(arguments).current_dir(dir.path()).stderr(Stdio::null()).status();
        assert!(made.unwrap().success());
    }
    let public = std::fs::read(dir.path().join("public.der")).unwrap();
    let attestation = Attestation::at(now().as_millis()).with_public_key(&public);
    std::fs::write(dir.path().join("document"), running.hypervisor.attest(&attestation)).unwrap();
    let key = running.owner.access_key();
    let mut command = Command::new(python);
    command
        .arg(SCRIPT)
        .arg(format!("http://{}", running.address))
        .arg(REGION)
        .arg(dir.path().join("document"))
        .arg(dir.path().join("key.pem"))
        .env("AWS_ACCESS_KEY_ID", key.id())
        .env("AWS_SECRET_ACCESS_KEY", key.expose_secret())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("AWS_SESSION_TOKEN")
        .env_remove("AWS_PROFILE");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    print!("{text}");
}

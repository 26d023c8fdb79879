//! The sealed-bid auction: two buyers, a seller, a host, an enclave.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::stage::{Show, Stage};
use crate::output::{Output, Verdict};

/// The parties: name, account of their key service, their table and what it is.
const PARTIES: [PartyPart; 3] = [
    PartyPart { name: "harbour", account: "111111111111", dataset: "reserves", table: "reserves.csv" },
    PartyPart { name: "north", account: "222222222222", dataset: "bids-north", table: "bids-north.csv" },
    PartyPart { name: "south", account: "333333333333", dataset: "bids-south", table: "bids-south.csv" },
];

/// Where the keys say they are.
const REGION: &str = "eu-central-1";

struct PartyPart {
    name: &'static str,
    account: &'static str,
    dataset: &'static str,
    table: &'static str,
}

/// Play it.
pub(crate) fn run(directory: Option<PathBuf>, output: &mut Output) -> Result<Verdict> {
    let source = source()?;
    let directory = directory.unwrap_or_else(unused_directory);
    let programs = build(&source, output)?;
    let mut stage = Stage::new(&directory, output)?;
    let start = std::time::Instant::now();
    copy_tables(&source, &mut stage)?;
    stage.say("SIMULATED: on this machine a simulated hypervisor signs the evidence; there is no isolation.");

    developer(&mut stage, &programs)?;
    platform(&mut stage, &programs)?;
    let arns = owners(&mut stage)?;
    agreement(&mut stage, &arns)?;
    sealing(&mut stage)?;
    authorize(&mut stage)?;
    let url = host(&mut stage, &programs)?;
    run_it(&mut stage, &url)?;
    open(&mut stage)?;
    verify(&mut stage)?;

    let seconds = start.elapsed().as_secs_f64();
    let place = stage.directory().display().to_string();
    stage.chapter(
        "Look around",
        &format!("Everything is in {place}\nsteps.sh there has every command. This took {seconds:.1} s."),
    );
    stage.fact("directory", place);
    stage.fact("seconds", seconds);
    stage.fact("simulated", true);
    Ok(Verdict::Good)
}

/// The host's role, at each owner's key service.
const HOST_ROLE: &str = "entente-host";

fn developer(stage: &mut Stage<'_>, programs: &Programs) -> Result<()> {
    stage.chapter(
        "The code developer builds the enclave image",
        "One static program, nothing else. Its measurements are what the parties will sign.
        A reviewer who builds the same source gets the same measurements.",
    );
    let program = programs.enclave.display().to_string();
    stage.entente(
        &["image", "build", "--program", &program, "--name", "auction", "--out", "auction.eif"],
        Show::Output,
    )?;
    stage.sees("everybody", "the code and its measurements");
    Ok(())
}

fn platform(stage: &mut Stage<'_>, programs: &Programs) -> Result<()> {
    stage.chapter(
        "The platform owner sets up its machine",
        "Here a simulated hypervisor, with a certificate authority made on this machine. On EC2 this is AWS Nitro,
        and its root is AWS's.",
    );
    let program = programs.hypervisor.display().to_string();
    stage.stock(&program, &["ca", "--dir", "ca"], Show::Output)?;
    Ok(())
}

/// Each owner: keys, card, key service. Gives the ARNs.
fn owners(stage: &mut Stage<'_>) -> Result<Vec<String>> {
    stage.chapter(
        "Each party makes its keys, and runs a key service of its own",
        "The signing key is an SSH key, the result key an age key. The key service speaks the AWS KMS protocol and
        gives a key only to an enclave that its policy describes.",
    );
    let mut arns = Vec::new();
    for part in &PARTIES {
        let (home, keys) = (format!("{}/home", part.name), format!("{}/keys", part.name));
        stage.entente(&["party", "init", part.name, "--home", &home], Show::Nothing)?;
        stage.entente(
            &[
                "key",
                "init",
                "--dir",
                &keys,
                "--account",
                part.account,
                "--region",
                REGION,
                "--simulated",
                "ca/root.pem",
            ],
            Show::Nothing,
        )?;
        let address = free_address()?;
        stage.server(
            &["key", "serve", "--dir", &keys, "--listen", &address],
            &format!("{}/keys.log", part.name),
        )?;
        let arn = stage
            .as_owner(part.name, |stage| stage.assign(&format!("{}_key", part.name), &["key", "create"]))?;
        arns.push(arn);
        stage.redirect(&["party", "show", "--home", &home], &format!("{}.card", part.name))?;
    }
    stage.say("They exchange cards, compare fingerprints over another road, and pin each other's keys:");
    for part in &PARTIES {
        for other in PARTIES.iter().filter(|other| other.name != part.name) {
            let (card, home) = (format!("{}.card", other.name), format!("{}/home", part.name));
            stage.entente(&["party", "trust", other.name, &card, "--home", &home], Show::Nothing)?;
        }
    }
    stage.sees("everybody", "public keys; no data yet");
    Ok(arns)
}

fn agreement(stage: &mut Stage<'_>, arns: &[String]) -> Result<()> {
    stage.chapter(
        "The parties agree",
        "One text file says who puts in what, which image computes what, who learns what, and until when.
        Each party reads it, checks it and signs it with its SSH key.",
    );
    let keys: Vec<String> =
        PARTIES.iter().zip(arns).map(|(part, arn)| format!("{}={arn}", part.name)).collect();
    let cards: Vec<String> = PARTIES.iter().map(|part| format!("{}.card", part.name)).collect();
    let mut arguments = vec!["agreement", "new", "auction", "--seller", "harbour", "--lots", "lots.csv"];
    for card in &cards {
        arguments.extend(["--party", card]);
    }
    for key in &keys {
        arguments.extend(["--key", key]);
    }
    arguments.extend(["--image", "auction.eif", "--simulated", "ca/root.pem", "--out", "agreement.toml"]);
    stage.entente(&arguments, Show::Output)?;
    stage.entente(&["agreement", "show", "agreement.toml"], Show::Output)?;
    for part in &PARTIES {
        let home = format!("{}/home", part.name);
        stage.entente(
            &[
                "agreement",
                "sign",
                "agreement.toml",
                "--home",
                &home,
                "--rebuilt",
                "auction.eif",
                "--simulated",
                "ca/root.pem",
            ],
            Show::Nothing,
        )?;
    }
    stage.entente(&["agreement", "verify", "agreement.toml"], Show::Output)?;
    Ok(())
}

fn sealing(stage: &mut Stage<'_>) -> Result<()> {
    stage.chapter(
        "Each party seals its table, on its own machine",
        "A fresh key encrypts the table; the party's key service wraps that key. The signed manifest commits to both.",
    );
    for part in &PARTIES {
        let (home, table) = (format!("{}/home", part.name), part.table);
        let arguments = [
            "data",
            "seal",
            table,
            "--agreement",
            "agreement.toml",
            "--dataset",
            part.dataset,
            "--home",
            &home,
            "--out",
            "sealed",
        ];
        stage.as_owner(part.name, |stage| stage.entente(&arguments, Show::Nothing))?;
    }
    stage.entente(
        &["data", "inspect", "sealed/bids-north.manifest.toml", "--agreement", "agreement.toml"],
        Show::Output,
    )?;
    stage.sees("each party", "its own table");
    stage.sees(
        "whoever holds the sealed files",
        "whose they are and their padded sizes; not what is in them, nor how many rows",
    );
    Ok(())
}

fn authorize(stage: &mut Stage<'_>) -> Result<()> {
    stage.chapter(
        "All owners authorize one input set",
        "It names every sealed table. Signing it installs the key policy: the key goes to exactly this image (PCR0, 1, 2),
        under exactly this agreement (PCR16), with exactly these inputs (PCR17). Nobody can vary an input after seeing anything.",
    );
    stage.entente(
        &[
            "inputs",
            "new",
            "--agreement",
            "agreement.toml",
            "--analysis",
            "auction",
            "--sealed",
            "sealed",
            "--out",
            "inputs.toml",
        ],
        Show::Output,
    )?;
    for part in &PARTIES {
        let home = format!("{}/home", part.name);
        let owner = format!("arn:aws:iam::{}:root", part.account);
        let host = format!("arn:aws:iam::{}:role/{HOST_ROLE}", part.account);
        let arguments = [
            "inputs",
            "sign",
            "inputs.toml",
            "--agreement",
            "agreement.toml",
            "--sealed",
            "sealed",
            "--home",
            &home,
            "--owner-principal",
            &owner,
            "--host-principal",
            &host,
        ];
        stage.as_owner(part.name, |stage| stage.entente(&arguments, Show::Nothing))?;
    }
    Ok(())
}

/// Start the host and hand it everything. Gives its address.
fn host(stage: &mut Stage<'_>, programs: &Programs) -> Result<String> {
    stage.chapter(
        "The platform owner serves the host and receives what the parties hand over",
        "Ciphertext, signatures, the image. It has credentials that let it ask the key services; the answers open inside the enclave only.",
    );
    write_host_config(stage, programs)?;
    let address = free_address()?;
    let said = stage.server(
        &["host", "serve", "--data", "host", "--config", "host.toml", "--listen", &address],
        "host.log",
    )?;
    let url =
        said.get("url").and_then(serde_json::Value::as_str).context("the host said no address")?.to_owned();
    stage.entente(
        &[
            "host",
            "push",
            "--host",
            &url,
            "--token",
            "host/token",
            "--agreement",
            "agreement.toml",
            "--image",
            "auction.eif",
            "--inputs",
            "inputs.toml",
            "--sealed",
            "sealed",
        ],
        Show::Output,
    )?;
    stage.sees("the platform owner", "who deals with whom, signatures, padded ciphertext");
    Ok(url)
}

/// `host.toml`: the platform, and what each owner's key service gave the host.
fn write_host_config(stage: &mut Stage<'_>, programs: &Programs) -> Result<()> {
    let platform = format!("[local]\nprogram = \"{}\"\nca = \"ca\"\n", programs.hypervisor.display());
    stage.shell(&format!("cat > host.toml <<'END'\n{platform}END"));
    let mut config = platform;
    for part in &PARTIES {
        let secret = format!("{}/keys/host.secret", part.name);
        stage.shell(&format!(
            "sed 's#\"host.secret\"#\"{secret}\"#' {}/keys/host.toml >> host.toml",
            part.name
        ));
        let block = std::fs::read_to_string(stage.directory().join(part.name).join("keys/host.toml"))
            .context("the key service wrote no host.toml")?;
        config.push_str(&block.replace("\"host.secret\"", &format!("\"{secret}\"")));
    }
    std::fs::write(stage.directory().join("host.toml"), config).context("cannot write host.toml")
}

fn run_it(stage: &mut Stage<'_>, url: &str) -> Result<()> {
    stage.chapter(
        "The enclave runs",
        "It checks agreement and signatures, binds itself to them (PCR16, PCR17), asks each owner's key service with an attestation
        document, checks every piece of the sealed tables, computes, and seals one result for each recipient.",
    );
    stage.entente(
        &[
            "run",
            "start",
            "--host",
            url,
            "--token",
            "host/token",
            "--agreement",
            "agreement.toml",
            "--inputs",
            "inputs.toml",
            "--wait",
            "--out",
            "results",
        ],
        Show::Output,
    )?;
    stage.sees("the platform owner", "that it ran, how long, and padded results that it cannot open");
    Ok(())
}

fn open(stage: &mut Stage<'_>) -> Result<()> {
    stage.chapter(
        "Each party opens its own result",
        "Only after the receipt verifies and names this very file. Stock age opens the same file.",
    );
    for part in &PARTIES {
        let name = part.name;
        let output = if name == "harbour" { "outcome" } else { "own" };
        let (file, home, out) =
            (format!("results/{output}.{name}.age"), format!("{name}/home"), format!("{name}/result"));
        stage.entente(
            &[
                "result",
                "open",
                &file,
                "--receipt",
                "results/receipt.json",
                "--agreement",
                "agreement.toml",
                "--root",
                "ca/root.pem",
                "--home",
                &home,
                "--out",
                &out,
            ],
            Show::Nothing,
        )?;
        stage.table(name, if name == "harbour" { "outcome.csv" } else { "lots.csv" })?;
        stage.table(name, "notices.csv")?;
        if on_path("age") {
            let (identity, tar) = (format!("{home}/age_identity.txt"), format!("{name}/result.tar"));
            stage.stock("age", &["-d", "-i", &identity, "-o", &tar, &file], Show::Nothing)?;
        } else {
            stage.say("age is not installed here: `age -d -i …/age_identity.txt` opens the same file");
        }
    }
    stage.sees("harbour", "winner and price of each lot; no other bid");
    stage.sees("north, south", "their own lots; nothing of the other's bids beyond the price they pay");
    Ok(())
}

fn verify(stage: &mut Stage<'_>) -> Result<()> {
    stage.chapter(
        "Anybody verifies the receipt, offline",
        "It proves: this image, under this agreement, on these sealed inputs, made these sealed files at this time.",
    );
    stage.entente(
        &[
            "receipt",
            "verify",
            "results/receipt.json",
            "--agreement",
            "agreement.toml",
            "--root",
            "ca/root.pem",
            "--inputs",
            "inputs.toml",
            "--sealed",
            "sealed",
        ],
        Show::Output,
    )?;
    Ok(())
}

/// The checkout: the demo builds the enclave program from it, as a code developer does.
fn source() -> Result<PathBuf> {
    let from_cargo =
        std::env::var_os("CARGO_MANIFEST_DIR").map(|directory| Path::new(&directory).join("../.."));
    let here = std::env::current_dir().context("cannot find the current directory")?;
    let candidates = from_cargo.into_iter().chain(here.ancestors().map(Path::to_path_buf));
    candidates
        .filter_map(|candidate| candidate.canonicalize().ok())
        .find(|candidate| candidate.join("examples/auction").is_dir() && candidate.join("images/auction").is_dir())
        .context("the demo builds the enclave program from source: run it in a checkout, with `cargo run --release -- demo auction`")
}

fn unused_directory() -> PathBuf {
    let stamp = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    Path::new("demo").join(format!("auction-{stamp}"))
}

/// The tables that the parties bring.
fn copy_tables(source: &Path, stage: &mut Stage<'_>) -> Result<()> {
    let examples = source.join("examples/auction");
    let mut copy = |from: &str, to: &str| -> Result<()> {
        let from = examples.join(from);
        stage.shell(&format!("cp {} {to}", from.display()));
        std::fs::copy(&from, stage.directory().join(to))
            .with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(())
    };
    copy("lots.csv", "lots.csv")?;
    for part in &PARTIES {
        copy(part.table, part.table)?;
    }
    Ok(())
}

/// A loopback port that is free now, so that the script says where each server listens.
fn free_address() -> Result<String> {
    let listener =
        std::net::TcpListener::bind("127.0.0.1:0").context("no free port on the loopback address")?;
    Ok(listener.local_addr().context("no address")?.to_string())
}

/// What has to be built before the play begins.
struct Programs {
    enclave: PathBuf,
    hypervisor: PathBuf,
}

/// Build the simulated hypervisor beside this program, and the enclave program for the image.
fn build(source: &Path, output: &mut Output) -> Result<Programs> {
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    output.line("building the simulated hypervisor and the enclave program (minutes, the first time) …");
    let status = Command::new(&cargo)
        .args(["build", "--quiet", "--locked", "--profile", profile, "--package", "entente-hypervisor-sim"])
        .current_dir(source)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "cargo could not build the simulated hypervisor");
    // musl needs its C compiler; where it is missing, glibc linked statically serves on this platform just as well.
    let (target, flags) = if on_path("musl-gcc") || on_path("x86_64-linux-musl-gcc") {
        ("x86_64-unknown-linux-musl", "")
    } else {
        output.line("musl-gcc is missing (Debian: musl-tools): linking with glibc statically; measurements differ from a musl build's");
        ("x86_64-unknown-linux-gnu", "-C target-feature=+crt-static")
    };
    let mut command = Command::new(&cargo);
    command
        .args([
            "build",
            "--locked",
            "--profile",
            "enclave",
            "--target",
            target,
            "--package",
            "entente-image-auction",
        ])
        .args(["--message-format", "json-render-diagnostics", "--quiet"])
        .current_dir(source)
        .stderr(std::process::Stdio::inherit());
    if !flags.is_empty() {
        command.env("RUSTFLAGS", flags);
    }
    let done = command.output().context("cannot run cargo")?;
    ensure!(done.status.success(), "cargo could not build the enclave program");
    let enclave = String::from_utf8_lossy(&done.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .next_back()
        .context("cargo named no enclave program")?;
    let hypervisor =
        std::env::current_exe().context("cannot find this program")?.with_file_name("entente-hypervisor-sim");
    ensure!(hypervisor.exists(), "{} is missing", hypervisor.display());
    Ok(Programs { enclave, hypervisor })
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).is_file()))
}

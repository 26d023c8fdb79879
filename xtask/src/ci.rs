//! All checks, in the order in which they fail fastest. `.ci/run` calls this after it installed what it needs.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::{Workspace, cargo};
use crate::{claims, closure, layering, peers};

struct Step {
    name: &'static str,
    run: fn(&Workspace) -> Result<Outcome>,
}

enum Outcome {
    Passed,
    Skipped(String),
}

const STEPS: &[Step] = &[
    Step { name: "format", run: |_| tool(Command::new(cargo()).args(["fmt", "--all", "--check"])) },
    Step { name: "layering", run: |_| layering::run().map(|()| Outcome::Passed) },
    Step { name: "closure", run: |_| closure::run(closure::Golden::Compare).map(|()| Outcome::Passed) },
    Step { name: "claims", run: |_| claims::run().map(|()| Outcome::Passed) },
    Step { name: "deny", run: deny },
    Step {
        name: "clippy",
        run: |_| {
            tool(Command::new(cargo()).args([
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ]))
        },
    },
    Step {
        name: "docs",
        run: |_| {
            tool(
                Command::new(cargo())
                    .args(["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"])
                    .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"),
            )
        },
    },
    Step { name: "wasm", run: wasm },
    Step { name: "enclave", run: enclave },
    Step { name: "tests", run: tests },
    Step {
        name: "doctests",
        run: |_| tool(Command::new(cargo()).args(["test", "--workspace", "--doc", "--locked"])),
    },
    Step { name: "demo", run: demo },
    Step { name: "fuzz", run: fuzz },
];

/// Run all steps, or those named.
///
/// # Errors
/// The first step that failed.
pub(crate) fn run(only: &[String]) -> Result<()> {
    for name in only {
        ensure!(STEPS.iter().any(|step| step.name == name), "no step is called {name}");
    }
    let workspace = Workspace::load()?;
    let mut summary = Vec::new();
    for step in STEPS.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)) {
        eprintln!("==> {}", step.name);
        let start = Instant::now();
        let outcome = (step.run)(&workspace).with_context(|| format!("step {} failed", step.name))?;
        let seconds = start.elapsed().as_secs();
        summary.push(match outcome {
            Outcome::Passed => format!("{:10} passed   {seconds:5} s", step.name),
            Outcome::Skipped(why) => format!("{:10} skipped  {why}", step.name),
        });
    }
    println!("{}", summary.join("\n"));
    Ok(())
}

fn tool(command: &mut Command) -> Result<Outcome> {
    let status = command.status().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if status.success() {
        Ok(Outcome::Passed)
    } else {
        bail!("{:?} ended with {status}", command.get_args().collect::<Vec<_>>())
    }
}

fn have(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).is_file()))
}

/// A tool that is missing is a failure in CI and a sentence elsewhere.
fn missing(what: &str, how: &str) -> Result<Outcome> {
    ensure!(std::env::var_os("CI").is_none(), "{what} is missing: {how}");
    Ok(Outcome::Skipped(format!("{what} is missing: {how}")))
}

fn deny(_: &Workspace) -> Result<Outcome> {
    if !have("cargo-deny") {
        return missing("cargo-deny", "cargo install --locked cargo-deny");
    }
    // Advisories need a database that is fetched; licences, bans and sources are decided offline.
    tool(Command::new(cargo()).args([
        "deny",
        "--offline",
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ]))
}

fn wasm(_: &Workspace) -> Result<Outcome> {
    tool(Command::new(cargo()).args([
        "check",
        "--locked",
        "--target",
        "wasm32-unknown-unknown",
        "--package",
        "entente-attestation",
    ]))
}

fn enclave(_: &Workspace) -> Result<Outcome> {
    if !have("musl-gcc") {
        return missing("musl-gcc", "apt-get install musl-tools");
    }
    tool(Command::new(cargo()).args([
        "build",
        "--locked",
        "--profile",
        "enclave",
        "--target",
        "x86_64-unknown-linux-musl",
        "--package",
        "entente-image-auction",
    ]))
}

fn tests(workspace: &Workspace) -> Result<Outcome> {
    let python = peers::python()?;
    // The programs that end-to-end tests start must be there and current.
    tool(Command::new(cargo()).args([
        "build",
        "--locked",
        "--package",
        "entente",
        "--package",
        "entente-hypervisor-sim",
    ]))?;
    let runner: &[&str] = if have("cargo-nextest") {
        &["nextest", "run", "--no-fail-fast"]
    } else {
        &["test", "--no-fail-fast", "--all-targets"]
    };
    tool(
        Command::new(cargo())
            .args(runner)
            .args(["--workspace", "--locked"])
            .current_dir(&workspace.root)
            .env("ENTENTE_PEERS_PYTHON", python)
            .env("ENTENTE_REQUIRE_PEERS", "1"),
    )
}

fn demo(workspace: &Workspace) -> Result<Outcome> {
    let directory = workspace.target.join("demo-ci");
    if directory.exists() {
        std::fs::remove_dir_all(&directory).context("old demo directory")?;
    }
    tool(
        Command::new(cargo())
            .args(["run", "--release", "--locked", "--", "demo", "auction", "--dir"])
            .arg(&directory)
            .current_dir(&workspace.root),
    )
}

fn fuzz(workspace: &Workspace) -> Result<Outcome> {
    let directory = workspace.root.join("fuzz");
    if !directory.join("Cargo.toml").exists() {
        return Ok(Outcome::Skipped("no fuzz targets".to_owned()));
    }
    if !have("cargo-fuzz") || !nightly() {
        // A nightly compiler cannot be had everywhere; the mutation tests among the others run without it.
        let what = "cargo-fuzz or a nightly toolchain is missing: cargo install --locked cargo-fuzz; rustup toolchain install nightly";
        return Ok(Outcome::Skipped(what.to_owned()));
    }
    for target in fuzz_targets(&directory)? {
        // cargo-fuzz wants the nightly cargo, which `CARGO` and the pinned toolchain must not override.
        let seconds = std::env::var("ENTENTE_FUZZ_SECONDS").unwrap_or_else(|_| "10".to_owned());
        tool(
            Command::new("cargo")
                .args(["+nightly", "fuzz", "run", "--sanitizer", "none", &target, "--", "-rss_limit_mb=2048"])
                .arg(format!("-max_total_time={seconds}"))
                .current_dir(&workspace.root)
                .env_remove("CARGO")
                .env_remove("RUSTUP_TOOLCHAIN")
                .env("CARGO_TARGET_DIR", workspace.target.join("fuzz")),
        )?;
    }
    Ok(Outcome::Passed)
}

fn nightly() -> bool {
    Command::new("rustup")
        .args(["toolchain", "list"])
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("nightly"))
}

fn fuzz_targets(directory: &Path) -> Result<Vec<String>> {
    let mut targets: Vec<String> = std::fs::read_dir(directory.join("fuzz_targets"))
        .context("fuzz/fuzz_targets")?
        .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
        .collect();
    targets.sort();
    Ok(targets)
}

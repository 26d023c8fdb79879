//! The stock tools that tests and benchmarks compare with, from the package registries.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;

/// Python packages, pinned: a peer that changes under us is no peer.
const PACKAGES: &str = "tests/peers/requirements.txt";

/// Make the environment and print the path of its interpreter.
///
/// # Errors
/// What could not be installed.
pub(crate) fn run() -> Result<()> {
    println!("{}", python()?.display());
    Ok(())
}

/// The interpreter of the peers' environment, which is made when it is missing or its list of packages changed.
///
/// # Errors
/// No Python 3, or a package that could not be installed.
pub(crate) fn python() -> Result<PathBuf> {
    let workspace = Workspace::load()?;
    let wanted = std::fs::read_to_string(workspace.root.join(PACKAGES)).context(PACKAGES)?;
    let directory = workspace.target.join("peers");
    let interpreter = directory.join("bin/python");
    let stamp = directory.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) && interpreter.exists() {
        return Ok(interpreter);
    }
    eprintln!("peers: making a Python environment in {}", directory.display());
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&directory).status();
    ensure!(
        made.context("python3 is missing")?.success(),
        "python3 -m venv failed: on Debian, install python3-venv"
    );
    let installed = Command::new(&interpreter)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(workspace.root.join(PACKAGES))
        .status()
        .context("pip")?;
    ensure!(installed.success(), "pip could not install {PACKAGES}");
    std::fs::write(&stamp, wanted).context("stamp of the environment")?;
    Ok(interpreter)
}

//! Benchmarks: each is a program of its own under `benches/`, so that its peers' weight stays out of everything else.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::{peers, workspace};

/// The benchmarks that exist.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Name {
    /// Sealed-bid auction, sealed in and sealed out, against DuckDB on plaintext
    Auction,
}

impl Name {
    fn package(self) -> &'static str {
        match self {
            Self::Auction => "entente-bench-auction",
        }
    }
}

/// Build and run one benchmark.
///
/// # Errors
/// It could not be built, or its answers differ from the peer's.
pub(crate) fn run(name: Name, arguments: &[String]) -> Result<()> {
    let python = peers::python()?;
    let status = Command::new(workspace::cargo())
        .args(["run", "--release", "--locked", "--package", name.package(), "--"])
        .args(arguments)
        .env("ENTENTE_PEERS_PYTHON", python)
        .status()
        .context("cargo run")?;
    ensure!(status.success(), "the benchmark failed");
    Ok(())
}

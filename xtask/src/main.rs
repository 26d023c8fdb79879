//! Project tasks: `cargo xtask layering | closure | bench NAME | ci | peers`.
//!
//! Everything a contributor or CI does beyond `cargo build` is a subcommand here, so that it is the same everywhere.

mod bench;
mod ci;
mod claims;
mod closure;
mod layering;
mod peers;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "Project tasks of Entente")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check the dependency graph against the borders in lints/layers.json, and the pure crates' lint files
    Layering,
    /// Compare each enclave program's dependency closure with its golden list (images/NAME/closure.txt)
    Closure {
        /// Write the lists anew instead of comparing
        #[arg(long)]
        bless: bool,
    },
    /// Check that the tests that SECURITY.md names exist
    Claims,
    /// Measure a peer and ours side by side; the last line is `NAME: ratio R goal G met|missed`
    Bench {
        /// Which benchmark
        name: bench::Name,
        /// Arguments handed to the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Set up the stock tools that tests compare with (a Python environment under the target directory) and print its path
    Peers,
    /// Run everything that CI runs: format, lints, docs, layering, licences, tests, fuzz smoke
    Ci {
        /// Run only these steps (as named in the summary)
        #[arg(long)]
        only: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Layering => layering::run(),
        Task::Closure { bless } => {
            closure::run(if bless { closure::Golden::Write } else { closure::Golden::Compare })
        }
        Task::Claims => claims::run(),
        Task::Bench { name, arguments } => bench::run(name, &arguments),
        Task::Peers => peers::run(),
        Task::Ci { only } => ci::run(&only),
    }
}

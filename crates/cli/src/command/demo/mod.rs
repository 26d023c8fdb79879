//! `entente demo`: a whole joint analysis on this machine, every step by a command that can be repeated by hand.

mod auction;
mod stage;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::output::{Output, Verdict};

/// See a whole joint analysis happen on this machine.
#[derive(Subcommand)]
pub(crate) enum Demo {
    /// A sealed-bid auction among two buyers and a seller, on the files under examples/auction
    ///
    /// Leaves every file in a directory, with `steps.sh`, the commands that made them.
    ///
    /// Example: cargo run --release -- demo auction --dir /tmp/auction
    Auction {
        /// Where to leave all files; must not exist yet. Without it, a new directory under ./demo
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

impl Demo {
    pub(crate) fn run(self, output: &mut Output) -> Result<Verdict> {
        match self {
            Self::Auction { dir } => auction::run(dir, output),
        }
    }
}

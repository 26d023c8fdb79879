//! `entente`: the one program that data owners, platform owners and code developers use.
//!
//! Each command is a module under `command`; what they print is plain sentences for people or, with `--json`, one JSON
//! object for programs. Exit codes: 0 done and the verdict is good; 1 the answer is no (a refused document, a signature
//! that does not verify, a run that halted) or something failed; 2 the command was not used as it can be.

mod command;
mod output;
mod progress;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::output::{Format, Output};

/// Joint answers from data that nobody has to show.
///
/// Data owners, a platform owner and a code developer, none trusting another, get an agreed answer over private data
/// inside attested enclaves. See the whole way in one go: `entente demo auction`.
#[derive(Parser)]
#[command(
    name = "entente",
    version,
    max_term_width = 110,
    propagate_version = true,
    infer_subcommands = false
)]
struct Arguments {
    /// Print one JSON object instead of sentences
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Be a party: keys, and whom you know
    #[command(subcommand)]
    Party(command::party::Party),
    /// Write, read, sign and compare agreements
    #[command(subcommand)]
    Agreement(command::agreement::Agreement),
    /// Build and measure enclave images
    #[command(subcommand)]
    Image(command::image::Image),
    /// Seal data for one agreement, and look at what was sealed
    #[command(subcommand)]
    Data(command::data::Data),
    /// The input set of a round: read it, authorize it
    #[command(subcommand)]
    Inputs(command::inputs::Inputs),
    /// The key service and the policies that release keys
    #[command(subcommand)]
    Key(command::key::Key),
    /// Be the platform owner: serve the host, hand files to it
    #[command(subcommand)]
    Host(command::host::Host),
    /// Start runs on a host and follow them
    #[command(subcommand)]
    Run(command::run::Run),
    /// Open a result that was made for you
    #[command(subcommand)]
    Result(command::result::ResultCommand),
    /// Read and verify receipts
    #[command(subcommand)]
    Receipt(command::receipt::Receipt),
    /// Read and verify attestation documents
    #[command(subcommand)]
    Attest(command::attest::Attest),
    /// See a whole joint analysis happen on this machine
    #[command(subcommand)]
    Demo(command::demo::Demo),
    /// Print a completion script for a shell
    ///
    /// Example: entente completions bash > ~/.local/share/bash-completion/completions/entente
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut output = Output::new(if arguments.json { Format::Json } else { Format::Text });
    let done = match arguments.command {
        Command::Party(command) => command.run(&mut output),
        Command::Agreement(command) => command.run(&mut output),
        Command::Image(command) => command.run(&mut output),
        Command::Data(command) => command.run(&mut output),
        Command::Inputs(command) => command.run(&mut output),
        Command::Key(command) => command.run(&mut output),
        Command::Host(command) => command.run(&mut output),
        Command::Run(command) => command.run(&mut output),
        Command::Result(command) => command.run(&mut output),
        Command::Receipt(command) => command.run(&mut output),
        Command::Attest(command) => command.run(&mut output),
        Command::Demo(command) => command.run(&mut output),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(
                shell,
                &mut <Arguments as clap::CommandFactory>::command(),
                "entente",
                &mut script,
            );
            output.raw(&script);
            Ok(output::Verdict::Good)
        }
    };
    output.finish(done)
}

//! `entente result`: open a result.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use entente_agreement::Name;
use entente_attestation::RootKind;
use entente_party::{ExpectedInputs, Home, OpenOrder, open_result, read_inputs};
use entente_sealing::result::Verdict as Released;

use super::agreement::read as read_agreement;
use super::attest::{anchor, root_name};
use crate::output::{Misuse, Output, Verdict};

/// Open a result that was made for you.
#[derive(Subcommand)]
pub(crate) enum ResultCommand {
    /// Verify the receipt, check that this file is the one it names, open it
    ///
    /// Nothing is written before everything is checked. `age -d` opens the same file without the checks: anybody can encrypt
    /// to you, so a file without its receipt is not a result.
    ///
    /// Example: entente result open results/own.north.age --receipt results/receipt.json --agreement agreement.toml
    /// --home north --out result
    Open(Open),
}

#[derive(Args)]
pub(crate) struct Open {
    /// The sealed result, OUTPUT.RECIPIENT.age
    file: PathBuf,
    /// The receipt of the run
    #[arg(long, value_name = "FILE")]
    receipt: PathBuf,
    /// The agreement that you signed
    #[arg(long, value_name = "FILE")]
    agreement: PathBuf,
    /// The root certificate (PEM or DER) of a simulated agreement
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// The input set that an owner whom you trust told you; without it, the one that you authorized
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,
    /// This party's directory
    #[arg(long)]
    home: PathBuf,
    /// Where to write the files of the result
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl ResultCommand {
    pub(crate) fn run(self, output: &mut Output) -> Result<Verdict> {
        let Self::Open(open) = self;
        open.run(output)
    }
}

impl Open {
    fn run(&self, output: &mut Output) -> Result<Verdict> {
        let home = Home::open(&self.home)?;
        let agreement = read_agreement(&self.agreement)?;
        let anchor = anchor(self.root.as_deref())?;
        let name = self.output_name()?;
        let inputs = match &self.inputs {
            None => ExpectedInputs::Authorized,
            Some(path) => ExpectedInputs::ToldByOwner(read_inputs(path)?.digest()),
        };
        let order = OpenOrder {
            agreement: &agreement,
            anchor: &anchor,
            receipt: &self.receipt,
            sealed: &self.file,
            output: &name,
            inputs,
        };
        let opened = open_result(&home, &order)?;
        let paths = opened.write_to(&self.out)?;
        output.line(opened.receipt());
        for path in &paths {
            output.line(format_args!("wrote {}", path.display()));
        }
        let released = opened.verdict() == Released::Released;
        if !released {
            output.line(
                "verdict: refused. The analysis gave nothing for this output under the agreement's rules",
            );
        }
        output.fact("verdict", opened.verdict().as_str());
        output.fact("root", root_name(opened.receipt().root()));
        output.fact("simulated", opened.receipt().root() == RootKind::Simulated);
        output.fact("opened", opened.archive().to_string());
        output.fact("files", paths);
        Ok(if released { Verdict::Good } else { Verdict::Bad })
    }

    /// The file says which output it is; the receipt then has the last word.
    fn output_name(&self) -> Result<Name> {
        let name = self.file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.split_once('.')
            .and_then(|(output, rest)| (rest.ends_with("age")).then(|| output.parse().ok())?)
            .ok_or_else(|| {
                Misuse(format!("{}: a result is called OUTPUT.RECIPIENT.age", self.file.display())).into()
            })
    }
}

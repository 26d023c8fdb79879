//! `entente receipt`: read and verify receipts.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use entente_agreement::{ApprovedAgreement, SignedInputs};
use entente_attestation::RootKind;
use entente_attestation::explain::{Explain, Explanation};
use entente_party::{read_agreement, read_approvals, read_inputs, read_signatures};
use entente_receipt::{
    AuthorizedReceipt, Receipt as Parsed, Statement, VerificationError, VerifiedReceipt, verify,
};

use super::attest::{anchor, measurements_json, root_name};
use super::{files, inputs};
use crate::output::{Misuse, Output, Verdict};

/// What is read of a receipt, in bytes.
const RECEIPT_LIMIT: u64 = 4 << 20;

/// Read and verify receipts.
#[derive(Subcommand)]
pub(crate) enum Receipt {
    /// Verify a receipt under an agreement, offline
    ///
    /// Exit code 0: it verifies. 1: it does not. 2: misuse. It proves: this image, under this agreement, on these sealed
    /// inputs, made these sealed files at this time. A simulated agreement verifies only with its root handed over.
    ///
    /// Example: entente receipt verify receipt.json --agreement agreement.toml
    Verify(Verify),
    /// Print what a receipt says; nothing is verified
    ///
    /// Example: entente receipt show receipt.json
    Show {
        /// The receipt
        receipt: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct Verify {
    /// The receipt (DSSE envelope, JSON)
    receipt: PathBuf,
    /// The agreement that the run was made under
    #[arg(long, value_name = "FILE")]
    agreement: PathBuf,
    /// The root certificate (PEM or DER) of a simulated agreement
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// The signed input set: with it, approvals and the owners' signatures are verified, too
    #[arg(long, value_name = "FILE", requires = "sealed")]
    inputs: Option<PathBuf>,
    /// The directory of the signed manifests
    #[arg(long, value_name = "DIR", requires = "inputs")]
    sealed: Option<PathBuf>,
}

impl Receipt {
    pub(crate) fn run(self, output: &mut Output) -> Result<Verdict> {
        match self {
            Self::Verify(arguments) => arguments.run(output),
            Self::Show { receipt } => {
                let bytes = files::read_beginning(&receipt, RECEIPT_LIMIT)?;
                match Parsed::parse(&bytes) {
                    Ok(parsed) => {
                        output.line("NOT VERIFIED: anybody could have written what follows");
                        output.fact("verified", false);
                        print(parsed.statement_unverified(), output);
                        Ok(Verdict::Good)
                    }
                    Err(error) => Ok(refuse(&VerificationError::Form(error), output)),
                }
            }
        }
    }
}

impl Verify {
    fn run(&self, output: &mut Output) -> Result<Verdict> {
        let agreement =
            read_agreement(&self.agreement).map_err(|error| Misuse(format!("the agreement: {error}")))?;
        let anchor = anchor(self.root.as_deref())?;
        let bytes = files::read_beginning(&self.receipt, RECEIPT_LIMIT)?;
        let receipt = match verify(&bytes, &agreement, &anchor) {
            Ok(receipt) => receipt,
            Err(error) => return Ok(refuse(&error, output)),
        };
        let sentence = receipt.to_string();
        let (receipt, authorized) = match (&self.inputs, &self.sealed) {
            (Some(set), Some(sealed)) => match self.authorized(receipt, set, sealed)? {
                Ok(authorized) => (authorized.receipt().clone(), true),
                Err(error) => return Ok(refuse(&error, output)),
            },
            _ => (receipt, false),
        };
        print(receipt.statement(), output);
        output.fact("verdict", "verified");
        output.fact("error", serde_json::Value::Null);
        output.fact("root", root_name(receipt.root()));
        output.fact("simulated", receipt.root() == RootKind::Simulated);
        output.fact("made_at", receipt.made_at().to_string());
        output.fact("signatures", if authorized { "verified" } else { "not given" });
        output.line(format_args!("verified: {sentence}"));
        if authorized {
            output.line(
                "every party approved the agreement, every owner signed the input set and its manifest",
            );
        }
        if receipt.root() == RootKind::Simulated {
            output.line(
                "SIMULATED: this proves nothing to anybody who does not trust the holder of that root's key",
            );
        }
        Ok(Verdict::Good)
    }

    fn authorized(
        &self,
        receipt: VerifiedReceipt,
        set: &Path,
        sealed: &Path,
    ) -> Result<Result<AuthorizedReceipt, VerificationError>> {
        let misuse = |error: &dyn std::fmt::Display| Misuse(error.to_string());
        let agreement = read_agreement(&self.agreement).map_err(|error| misuse(&error))?;
        let approvals = read_approvals(&self.agreement).map_err(|error| misuse(&error))?;
        let approved = ApprovedAgreement::verify(agreement, &approvals)?;
        let signatures = read_signatures(set).map_err(|error| misuse(&error))?;
        let set = read_inputs(set).map_err(|error| misuse(&error))?;
        let manifests = inputs::manifests(sealed, &set)?;
        Ok(receipt.check_signatures(&approved, SignedInputs::new(set, signatures, manifests), None))
    }
}

fn refuse(error: &VerificationError, output: &mut Output) -> Verdict {
    let Explanation { problem, advice } = error.explain();
    let debug = format!("{error:?}");
    output.fact("verdict", "refused");
    output.fact("error", debug.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default());
    output.fact("problem", &problem);
    output.fact("advice", &advice);
    output.line(format_args!("refused: {problem}\n{advice}"));
    Verdict::Bad
}

fn print(statement: &Statement, output: &mut Output) {
    output.line(format_args!("agreement  {}", statement.agreement()));
    output.line(format_args!("analysis   {}, round {}", statement.analysis(), statement.round()));
    output.line(format_args!("input set  {}", statement.claimed_input_set()));
    for entry in statement.input_set().datasets() {
        let manifest = entry.manifest().map_or_else(|| "absent".to_owned(), |digest| digest.to_string());
        output.line(format_args!(
            "  {:16} of {:12} {manifest}",
            entry.name().as_str(),
            entry.owner().as_str()
        ));
    }
    output.line(format_args!("image      PCR0 {}", statement.image().pcr0()));
    for file in statement.results() {
        output.line(format_args!("result     {}  {}", file.file_name(), file.sealed));
    }
    output.fact("agreement", statement.agreement().to_string());
    output.fact("analysis", statement.analysis().to_string());
    output.fact("round", statement.round());
    output.fact("inputs", statement.claimed_input_set().to_string());
    output.fact("request", statement.request().map(|digest| digest.to_string()));
    output.fact("measurements", measurements_json(statement.image()));
    let results: Vec<_> = statement
        .results()
        .iter()
        .map(|file| {
            serde_json::json!({
                "name": file.file_name(),
                "output": file.output.to_string(),
                "recipient": file.recipient.to_string(),
                "sha384": file.sealed.to_string(),
                "opened": file.opened.to_string(),
            })
        })
        .collect();
    output.fact("results", results);
}

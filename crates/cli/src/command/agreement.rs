//! `entente agreement`: write, read, sign and compare agreements.

mod new;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use entente_agreement::{Agreement as Agreed, ApprovedAgreement, Root, diff};
use entente_analysis::Analysis as _;
use entente_attestation::Measurements;
use entente_auction::Auction;
use entente_image::Eif;
use entente_party::{
    Home, ImageAssurance, ReviewTerms, SimulatedRoot, approve, read_agreement, read_approvals, review,
};

use super::attest::{anchor, now};
use super::files;
use crate::output::{Misuse, Output, Verdict, hex};

/// Write, read, sign and compare agreements.
#[derive(Subcommand)]
pub(crate) enum Agreement {
    /// Write an agreement, commented, for people to read and change
    #[command(subcommand)]
    New(new::New),
    /// Say in sentences who will learn what from whom
    ///
    /// Example: entente agreement show agreement.toml
    Show {
        /// The agreement
        file: PathBuf,
    },
    /// Check an agreement as its party must, and sign it: FILE.NAME.sig
    ///
    /// Example: entente agreement sign agreement.toml --home north --rebuilt auction.eif
    Sign(Sign),
    /// Check that every party has signed: the files FILE.NAME.sig beside it
    ///
    /// Exit code 0: approved by all. 1: not. 2: misuse.
    ///
    /// Example: entente agreement verify agreement.toml
    Verify {
        /// The agreement
        file: PathBuf,
    },
    /// Say what a new version lets somebody learn that the old one did not, and what else changed
    ///
    /// Example: entente agreement diff old.toml new.toml
    Diff {
        /// The old version
        old: PathBuf,
        /// The new version
        new: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct Sign {
    /// The agreement
    file: PathBuf,
    /// This party's directory
    #[arg(long)]
    home: PathBuf,
    /// An image (EIF) that you built yourself from reviewed source; one for each image of the agreement
    #[arg(long, value_name = "FILE", required_unless_present = "vouched_by", conflicts_with = "vouched_by")]
    rebuilt: Vec<PathBuf>,
    /// Who rebuilt the images for you and tells you these measurements
    #[arg(long, value_name = "WHO")]
    vouched_by: Option<String>,
    /// Accept this simulated root (certificate, PEM or DER): for development and tests
    #[arg(long, value_name = "FILE")]
    simulated: Option<PathBuf>,
    /// The agreement that this one supersedes
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
}

impl Agreement {
    pub(crate) fn run(self, output: &mut Output) -> Result<Verdict> {
        match self {
            Self::New(new) => new.run(output),
            Self::Show { file } => show(&file, output),
            Self::Sign(sign) => sign.run(output),
            Self::Verify { file } => verify(&file, output),
            Self::Diff { old, new } => compare(&old, &new, output),
        }
    }
}

/// Read an agreement that the user named.
pub(crate) fn read(path: &Path) -> Result<Agreed> {
    Ok(read_agreement(path)?)
}

/// Read an agreement and the approvals beside it.
pub(crate) fn read_approved(path: &Path) -> Result<ApprovedAgreement> {
    let approvals = read_approvals(path)?;
    ApprovedAgreement::verify(read(path)?, &approvals)
        .with_context(|| format!("{} is not approved", path.display()))
}

fn show(file: &Path, output: &mut Output) -> Result<Verdict> {
    let agreement = read(file)?;
    let mut paragraphs: Vec<(String, Vec<String>)> = agreement
        .sentences()
        .paragraphs()
        .iter()
        .map(|paragraph| (paragraph.heading().to_owned(), paragraph.sentences().to_vec()))
        .collect();
    for analysis in agreement.analyses() {
        // The one analysis that this program knows the meaning of; others are shown by their parameters above.
        if let Ok(auction) = Auction::configure(&agreement, analysis) {
            paragraphs.push((format!("What `{}` computes", analysis.name()), auction.sentences()));
        }
    }
    output.fact("digest", agreement.digest().to_string());
    output.fact("simulated", matches!(agreement.root(), Root::Simulated { .. }));
    output.line(format_args!("digest {}", agreement.digest()));
    for (heading, sentences) in &paragraphs {
        output.line(format_args!("\n{heading}"));
        for sentence in sentences {
            output.line(format_args!("  {sentence}"));
        }
    }
    let paragraphs: Vec<_> = paragraphs
        .into_iter()
        .map(|(heading, sentences)| serde_json::json!({ "heading": heading, "sentences": sentences }))
        .collect();
    output.fact("paragraphs", paragraphs);
    Ok(Verdict::Good)
}

impl Sign {
    fn run(&self, output: &mut Output) -> Result<Verdict> {
        let agreement = read(&self.file)?;
        let home = Home::open(&self.home)?;
        check_analyses(&agreement)?;
        let previous = self.previous.as_deref().map(read).transpose()?;
        let simulated = match &self.simulated {
            None => SimulatedRoot::Refuse,
            Some(root) => SimulatedRoot::Accept { ca_sha256: anchor(Some(root))?.fingerprint() },
        };
        let images = match &self.vouched_by {
            Some(by) => ImageAssurance::VouchedFor { by: by.clone() },
            None => ImageAssurance::Rebuilt(
                self.rebuilt.iter().map(|path| measurements_of(path)).collect::<Result<Vec<_>>>()?,
            ),
        };
        let at = now();
        let terms = ReviewTerms { simulated, images, previous: previous.as_ref(), at };
        let reviewed = review(&home, &agreement, &terms)?;
        let signature = approve(&home, &reviewed, &self.file, at)?;
        if let Root::Simulated { ca_sha256 } = agreement.root() {
            output.line(format_args!(
                "SIMULATED: you accept enclaves that the holder of root {} vouches for",
                hex(&ca_sha256)
            ));
        }
        output.line(format_args!("{} signed {}", home.name(), agreement.digest()));
        output.line(format_args!("wrote {}", signature.display()));
        output.fact("digest", agreement.digest().to_string());
        output.fact("party", home.name().to_string());
        output.fact("signature", signature);
        Ok(Verdict::Good)
    }
}

/// An agreement whose analysis the enclave would refuse is never signed.
fn check_analyses(agreement: &Agreed) -> Result<()> {
    for analysis in agreement.analyses() {
        if entente_analysis::is_kind_of(analysis.name(), Auction::NAME) {
            Auction::configure(agreement, analysis)
                .with_context(|| format!("the analysis `{}` cannot be run", analysis.name()))?;
        }
    }
    Ok(())
}

/// PCR0 to PCR2 of an image.
fn measurements_of(path: &Path) -> Result<Measurements> {
    let bytes = files::read(path, 4 << 30)?;
    let image = Eif::parse(&bytes)
        .map_err(|error| Misuse(format!("{} is not an enclave image: {error}", path.display())))?;
    let measured = image.measure();
    Ok(Measurements::new(*measured.pcr0(), *measured.pcr1(), *measured.pcr2())?)
}

fn verify(file: &Path, output: &mut Output) -> Result<Verdict> {
    let agreement = read_agreement(file).map_err(|error| Misuse(error.to_string()))?;
    let approvals = read_approvals(file).map_err(|error| Misuse(error.to_string()))?;
    output.fact("digest", agreement.digest().to_string());
    let simulated = matches!(agreement.root(), Root::Simulated { .. });
    output.fact("simulated", simulated);
    for party in agreement.parties() {
        output.line(format_args!("{:16} {}", party.name().as_str(), party.sign_key().fingerprint()));
    }
    match ApprovedAgreement::verify(agreement, &approvals) {
        Ok(approved) => {
            let simulated = if simulated { "SIMULATED: " } else { "" };
            output.line(format_args!(
                "{simulated}approved by all {} parties: {}",
                approved.parties().len(),
                approved.digest()
            ));
            output
                .line("that these keys are theirs is for you to know: compare fingerprints by another road");
            output.fact("verdict", "approved");
            Ok(Verdict::Good)
        }
        Err(error) => {
            output.line(format_args!("not approved: {error}"));
            output.fact("verdict", "refused");
            output.fact("error", error.to_string());
            Ok(Verdict::Bad)
        }
    }
}

fn compare(old: &Path, new: &Path, output: &mut Output) -> Result<Verdict> {
    let changes = diff(&read(old)?, &read(new)?);
    output.fact("learns", changes.learns());
    output.fact("others", changes.others());
    if changes.learns().is_empty() {
        output.line("nobody can learn more than before");
    } else {
        output.line("what somebody can learn that the old one did not let them:");
        for sentence in changes.learns() {
            output.line(format_args!("  {sentence}"));
        }
    }
    if !changes.others().is_empty() {
        output.line("what else changed:");
        for sentence in changes.others() {
            output.line(format_args!("  {sentence}"));
        }
    }
    Ok(Verdict::Good)
}

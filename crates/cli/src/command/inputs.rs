//! `entente inputs`: the input set of a round.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use entente_agreement::{InputSet, Name, SignedManifest};
use entente_party::{
    Home, KeyRelease, KmsCredentials, KmsKeyService, authorize, propose_inputs, read_inputs, read_manifest,
    read_signatures, revoke,
};
use entente_release::policy::PrincipalArn;

use super::agreement::{read as read_agreement, read_approved};
use super::attest::now;
use super::files;
use crate::output::{Misuse, Output, Verdict};

/// Most files of a directory that are looked at for manifests.
const DIRECTORY_LIMIT: usize = 10_000;

/// The input set of a round: read it, authorize it.
#[derive(Subcommand)]
pub(crate) enum Inputs {
    /// Write the input set of a round from the manifests at hand; an optional dataset without one is absent
    ///
    /// Example: entente inputs new --agreement agreement.toml --analysis auction --sealed sealed --out inputs.toml
    New(New),
    /// Say what is in an input set, and who has signed it
    ///
    /// Example: entente inputs show inputs.toml --agreement agreement.toml --sealed sealed
    Show {
        /// The input set
        file: PathBuf,
        /// The agreement
        #[arg(long, value_name = "FILE")]
        agreement: PathBuf,
        /// The directory of the signed manifests
        #[arg(long, value_name = "DIR")]
        sealed: PathBuf,
    },
    /// Authorize an input set: check all of it, sign it, and have your key service release your keys to it
    ///
    /// One set a round, ever; the same set again does no harm. The key service is found as AWS's own tools find it
    /// (AWS_PROFILE, AWS_CONFIG_FILE, AWS_ENDPOINT_URL_KMS, …).
    ///
    /// Example: entente inputs sign inputs.toml --agreement agreement.toml --sealed sealed --home north
    /// --owner-principal arn:aws:iam::222222222222:root --host-principal arn:aws:iam::222222222222:role/entente-host
    Sign(Sign),
    /// Take back the release of your keys to an input set; a running enclave is not recalled
    ///
    /// Example: entente inputs revoke inputs.toml --agreement agreement.toml --home north
    Revoke {
        /// The input set
        file: PathBuf,
        /// The agreement
        #[arg(long, value_name = "FILE")]
        agreement: PathBuf,
        /// This party's directory
        #[arg(long)]
        home: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct New {
    /// The agreement
    #[arg(long, value_name = "FILE")]
    agreement: PathBuf,
    /// Which analysis of it
    #[arg(long)]
    analysis: Name,
    /// Which round, from 1
    #[arg(long, default_value_t = 1)]
    round: u32,
    /// The directory of the signed manifests
    #[arg(long, value_name = "DIR")]
    sealed: PathBuf,
    /// Where to write the set; must not exist
    #[arg(long)]
    out: PathBuf,
}

#[derive(Args)]
pub(crate) struct Sign {
    /// The input set
    file: PathBuf,
    /// The agreement; the approvals lie beside it
    #[arg(long, value_name = "FILE")]
    agreement: PathBuf,
    /// The directory of the signed manifests
    #[arg(long, value_name = "DIR")]
    sealed: PathBuf,
    /// This party's directory
    #[arg(long)]
    home: PathBuf,
    /// Your own principal at the key service: it keeps all rights
    #[arg(long, value_name = "ARN")]
    owner_principal: String,
    /// The host's principal: it may ask for keys, and gets them for this enclave only
    #[arg(long, value_name = "ARN")]
    host_principal: String,
}

impl Inputs {
    pub(crate) fn run(self, output: &mut Output) -> Result<Verdict> {
        match self {
            Self::New(new) => new.run(output),
            Self::Show { file, agreement, sealed } => show(&file, &agreement, &sealed, output),
            Self::Sign(sign) => sign.run(output),
            Self::Revoke { file, agreement, home } => {
                let agreement = read_agreement(&agreement)?;
                let set = read_inputs(&file)?;
                revoke(&Home::open(&home)?, &agreement, &set, &key_service(), now())?;
                output.line(format_args!("revoked the release to {}", set.digest()));
                output.line("an enclave that already has a key is not recalled");
                output.fact("inputs", set.digest().to_string());
                Ok(Verdict::Good)
            }
        }
    }
}

impl New {
    fn run(&self, output: &mut Output) -> Result<Verdict> {
        let agreement = read_agreement(&self.agreement)?;
        let manifests = all_manifests(&self.sealed)?;
        let analysis = agreement
            .analysis(&self.analysis)
            .with_context(|| Misuse(format!("the agreement has no analysis `{}`", self.analysis)))?;
        let mut chosen = BTreeMap::new();
        for signed in manifests {
            let manifest = signed.manifest();
            let name = manifest.dataset().clone();
            if manifest.agreement() == agreement.digest() && analysis.datasets().contains(&name) {
                let twice = chosen.insert(name.clone(), signed).is_some();
                ensure!(
                    !twice,
                    Misuse(format!(
                        "there are two manifests of `{name}` in {}; move one away",
                        self.sealed.display()
                    ))
                );
            }
        }
        let set = propose_inputs(&agreement, &self.analysis, self.round, &chosen)?;
        files::create(&self.out, set.bytes())?;
        output.line(format_args!("wrote {}", self.out.display()));
        print(&set, output);
        Ok(Verdict::Good)
    }
}

impl Sign {
    fn run(&self, output: &mut Output) -> Result<Verdict> {
        let home = Home::open(&self.home)?;
        let approved = read_approved(&self.agreement)?;
        let set = read_inputs(&self.file)?;
        let manifests = manifests(&self.sealed, &set)?;
        let service = key_service();
        let release = KeyRelease {
            owner: principal(&self.owner_principal)?,
            host: principal(&self.host_principal)?,
            policies: &service,
            standing: Vec::new(),
        };
        let done = authorize(&home, &approved, &set, &manifests, &self.file, &release, now())?;
        if done.repeated {
            output.line("this set had been signed before; all is as it was");
        }
        output.line(format_args!("{} signed the input set {}", home.name(), set.digest()));
        for dataset in &done.released {
            output.line(format_args!("the key of {dataset} is now released to an enclave with PCR17 of this set, and to nobody else"));
        }
        output.fact("inputs", set.digest().to_string());
        output.fact("party", home.name().to_string());
        output.fact("signature", &done.signature);
        output.fact("released", done.released.iter().map(ToString::to_string).collect::<Vec<_>>());
        output.fact("repeated", done.repeated);
        Ok(Verdict::Good)
    }
}

fn principal(text: &str) -> Result<PrincipalArn> {
    text.parse().map_err(|error| Misuse(format!("{text}: {error}")).into())
}

/// The owner's key service, found as AWS's own tools find it.
pub(crate) fn key_service() -> KmsKeyService {
    KmsKeyService::aws(KmsCredentials::Ambient)
}

fn show(file: &Path, agreement: &Path, sealed: &Path, output: &mut Output) -> Result<Verdict> {
    let agreement = read_agreement(agreement)?;
    let set = read_inputs(file)?;
    let signatures = read_signatures(file)?;
    let known = manifests(sealed, &set)?;
    print(&set, output);
    if set.agreement() != agreement.digest() {
        bail!("this set is for the agreement {}, not for {}", set.agreement(), agreement.digest());
    }
    for entry in set.datasets() {
        match known.get(entry.name()) {
            Some(signed) => {
                let manifest = signed.manifest();
                output.line(format_args!(
                    "{}: {} bytes sealed by {}, sealing {}",
                    entry.name(),
                    manifest.size(),
                    manifest.owner(),
                    manifest.sealing()
                ));
            }
            None if entry.manifest().is_some() => {
                output.line(format_args!("{}: its manifest is not in {}", entry.name(), sealed.display()));
            }
            None => {}
        }
    }
    let mut signed = Vec::new();
    for (name, armored) in &signatures {
        let good = agreement.party(name).is_some_and(|party| {
            party.sign_key().verify(entente_agreement::Namespace::Inputs, set.bytes(), armored).is_ok()
        });
        output.line(format_args!("{} {name}", if good { "signed by     " } else { "WRONG signature" }));
        signed.push(serde_json::json!({ "party": name.to_string(), "valid": good }));
    }
    output.fact("signatures", signed);
    Ok(Verdict::Good)
}

fn print(set: &InputSet, output: &mut Output) {
    output.line(format_args!("input set {}", set.digest()));
    output.line(format_args!("analysis {}, round {}", set.analysis(), set.round()));
    let mut datasets = Vec::new();
    for entry in set.datasets() {
        let manifest = entry.manifest().map(|digest| digest.to_string());
        output.line(format_args!(
            "  {:16} of {:12} {}",
            entry.name().as_str(),
            entry.owner().as_str(),
            manifest.as_deref().unwrap_or("absent")
        ));
        datasets.push(serde_json::json!({ "name": entry.name().to_string(), "owner": entry.owner().to_string(), "manifest": manifest }));
    }
    output.fact("inputs", set.digest().to_string());
    output.fact("agreement", set.agreement().to_string());
    output.fact("analysis", set.analysis().to_string());
    output.fact("round", set.round());
    output.fact("datasets", datasets);
}

/// The manifests that a set names, from a directory, by dataset.
pub(crate) fn manifests(directory: &Path, set: &InputSet) -> Result<BTreeMap<Name, SignedManifest>> {
    let mut found = BTreeMap::new();
    for signed in all_manifests(directory)? {
        let digest = signed.manifest().digest();
        if let Some(entry) = set.datasets().iter().find(|entry| entry.manifest() == Some(digest)) {
            found.insert(entry.name().clone(), signed);
        }
    }
    Ok(found)
}

/// All signed manifests of a directory: files called `….manifest.toml`.
pub(crate) fn all_manifests(directory: &Path) -> Result<Vec<SignedManifest>> {
    let entries = fs::read_dir(directory)
        .map_err(|error| Misuse(format!("cannot read {}: {error}", directory.display())))?;
    let mut paths = Vec::new();
    for entry in entries.take(DIRECTORY_LIMIT) {
        let path = entry.with_context(|| directory.display().to_string())?.path();
        if path.to_string_lossy().ends_with(".manifest.toml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| Ok(read_manifest(path)?)).collect()
}

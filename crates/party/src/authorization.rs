//! Input sets: proposing, authorizing (PROTOCOL §11, steps 10 to 12), revoking.

use crate::files::FileError;
use crate::home::{Home, HomeError};
use crate::journal::{Act, Journal, JournalError};
use crate::key_service::{KeyPolicies, KeyServiceError};
use crate::objects::write_signature;
use crate::signer::SignerError;
use entente_agreement::{
    Agreement, Analysis, ApprovedAgreement, Dataset, InputEntry, InputSet, InputsError, KeyArn, Name,
    Namespace, SignedManifest, TextError, check_set, check_slot,
};
use entente_attestation::{Digest384, UnixTime};
use entente_release::policy::{KeyPolicy, PolicyError, PrincipalArn};
use entente_release::{Finding, Release, RenderError, RoundState, audit};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How a dataset key is to be released.
pub struct KeyRelease<'a> {
    /// The owner's principal, which keeps all rights on its keys.
    pub owner: PrincipalArn,
    /// The host's principal, whose credentials key requests are signed with.
    pub host: PrincipalArn,
    /// The owner's key service.
    pub policies: &'a dyn KeyPolicies,
    /// Releases of other rounds or agreements that may stand in the same policies. A release that is not listed is excess.
    pub standing: Vec<Release>,
}

/// What [`authorize`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorized {
    /// The signature file beside the input set.
    pub signature: PathBuf,
    /// Own datasets whose key policy now has the release.
    pub released: Vec<Name>,
    /// Whether this set had been signed before: then all is as it was.
    pub repeated: bool,
}

/// Makes the input set of a round from the manifests at hand; an optional dataset without manifest is absent. Nothing is
/// checked but that every dataset that is not optional is there: each owner checks before it signs.
///
/// # Errors
///
/// [`AuthorizationError::Inputs`] or [`AuthorizationError::Text`].
pub fn propose_inputs(
    agreement: &Agreement,
    analysis: &Name,
    round: u32,
    manifests: &BTreeMap<Name, SignedManifest>,
) -> Result<InputSet, AuthorizationError> {
    let analysis = find(agreement, analysis)?;
    let mut entries = Vec::new();
    for name in analysis.datasets() {
        let slot = slot(agreement, name)?;
        entries.push(match manifests.get(name) {
            Some(signed) => {
                InputEntry::present(name.clone(), slot.owner().clone(), signed.manifest().digest())
            }
            None => InputEntry::absent(name.clone(), slot.owner().clone()),
        });
    }
    let set = InputSet::new(agreement.digest(), analysis.name(), round, entries)?;
    check_set(agreement, analysis, &set)?;
    Ok(set)
}

/// Authorizes an input set: all checks of PROTOCOL §11, steps 10 and 11, then journal, signature (`FILE.PARTY.sig`), key policies
/// and their audit (step 12), in this order. The same set can be authorized again, as often as one likes, and a broken-off
/// authorization is completed so.
///
/// # Errors
///
/// [`AuthorizationError`]. Up to and with the audit of what would be installed, nothing has been written; an error of the key
/// service after that leaves the set signed and its keys unreleased.
pub fn authorize(
    home: &Home,
    approved: &ApprovedAgreement,
    set: &InputSet,
    manifests: &BTreeMap<Name, SignedManifest>,
    file: &Path,
    release: &KeyRelease<'_>,
    at: UnixTime,
) -> Result<Authorized, AuthorizationError> {
    let agreement = approved.agreement();
    let analysis = find(agreement, set.analysis())?;
    let mut journal = home.journal()?;
    if !journal.approved(&agreement.digest()) {
        return Err(AuthorizationError::NotApproved { agreement: agreement.digest() });
    }
    if at >= agreement.window().not_after() {
        return Err(AuthorizationError::Over { not_after: agreement.window().not_after() });
    }
    // Step 10.
    check_set(agreement, analysis, set)?;
    check_manifests(home, agreement, set, manifests, &journal)?;
    let own: Vec<&Dataset> = own_datasets(home, agreement, analysis);
    if own.is_empty() {
        return Err(AuthorizationError::NotAnOwner { party: home.name().clone() });
    }
    // Step 11: the journal, and the key policies, which survive a restored backup of the journal.
    let before = journal.authorized(&agreement.digest(), set.analysis(), set.round());
    if let Some(before) = before.filter(|before| *before != set.digest()) {
        return Err(AuthorizationError::OtherSetSigned { round: set.round(), before });
    }
    let mut plans = Vec::new();
    for (key, datasets) in by_key(&own) {
        let policy = read_policy(release.policies, key)?;
        if let RoundState::Taken { register } = policy.round_state(set) {
            return Err(AuthorizationError::OtherSetInstalled { round: set.round(), register });
        }
        plans.push(plan(agreement, set, release, key, &datasets, &policy)?);
    }
    // Step 12.
    let signer = home.signer()?;
    if before.is_none() {
        journal.record(
            at,
            Act::Authorized {
                agreement: agreement.digest(),
                analysis: set.analysis().clone(),
                round: set.round(),
                inputs: set.digest(),
            },
        )?;
    }
    let armored = signer.sign(Namespace::Inputs, set.bytes())?;
    let signature = write_signature(file, home.name(), &armored)?;
    let mut released = Vec::new();
    for plan in plans {
        install(release, set, &plan)?;
        released.extend(plan.datasets);
    }
    Ok(Authorized { signature, released, repeated: before.is_some() })
}

/// Takes the releases of an input set out of the key policies of this party's datasets. A running enclave is not recalled.
/// Gives the datasets whose policy changed.
///
/// # Errors
///
/// [`AuthorizationError`].
pub fn revoke(
    home: &Home,
    agreement: &Agreement,
    set: &InputSet,
    policies: &dyn KeyPolicies,
    at: UnixTime,
) -> Result<Vec<Name>, AuthorizationError> {
    let analysis = find(agreement, set.analysis())?;
    let mut journal = home.journal()?;
    let changed =
        replace(policies, &own_datasets(home, agreement, analysis), |policy| policy.without_round(set))?;
    journal.record(at, Act::Revoked { inputs: set.digest() })?;
    Ok(changed)
}

/// Takes every release under an agreement out of the key policies of this party's datasets.
///
/// # Errors
///
/// [`AuthorizationError`].
pub fn revoke_agreement(
    home: &Home,
    agreement: &Agreement,
    policies: &dyn KeyPolicies,
) -> Result<Vec<Name>, AuthorizationError> {
    let own: Vec<&Dataset> =
        agreement.datasets().iter().filter(|dataset| dataset.owner() == home.name()).collect();
    replace(policies, &own, |policy| policy.without_agreement(&agreement.digest()))
}

fn find<'a>(agreement: &'a Agreement, analysis: &Name) -> Result<&'a Analysis, InputsError> {
    agreement.analysis(analysis).ok_or_else(|| InputsError::UnknownAnalysis { analysis: analysis.clone() })
}

fn slot<'a>(agreement: &'a Agreement, dataset: &Name) -> Result<&'a Dataset, InputsError> {
    agreement.dataset(dataset).ok_or_else(|| InputsError::DatasetMissing { dataset: dataset.clone() })
}

fn own_datasets<'a>(home: &Home, agreement: &'a Agreement, analysis: &Analysis) -> Vec<&'a Dataset> {
    analysis
        .datasets()
        .iter()
        .filter_map(|name| agreement.dataset(name))
        .filter(|dataset| dataset.owner() == home.name())
        .collect()
}

/// Step 10: every manifest that the set names is there, signed by its owner, and fits its slot; the own ones are those that this
/// party made.
fn check_manifests(
    home: &Home,
    agreement: &Agreement,
    set: &InputSet,
    manifests: &BTreeMap<Name, SignedManifest>,
    journal: &Journal,
) -> Result<(), AuthorizationError> {
    for entry in set.datasets() {
        let dataset = || entry.name().clone();
        let Some(digest) = entry.manifest() else { continue };
        let signed =
            manifests.get(entry.name()).ok_or_else(|| InputsError::ManifestMissing { dataset: dataset() })?;
        let manifest = signed.manifest();
        if manifest.digest() != digest {
            return Err(InputsError::ManifestDigest { dataset: dataset(), found: manifest.digest() }.into());
        }
        let owner = agreement
            .party(entry.owner())
            .ok_or_else(|| InputsError::DatasetMissing { dataset: dataset() })?;
        owner
            .sign_key()
            .verify(Namespace::Manifest, manifest.bytes(), signed.signature())
            .map_err(|error| InputsError::ManifestSignature { dataset: dataset(), error })?;
        check_slot(agreement, entry.name(), manifest)?;
        if entry.owner() == home.name() && !journal.sealed(&digest) {
            return Err(AuthorizationError::ForeignManifest { dataset: dataset() });
        }
    }
    Ok(())
}

/// Datasets by the key that wraps theirs; owners may use one key for several.
fn by_key<'a>(datasets: &[&'a Dataset]) -> Vec<(&'a KeyArn, Vec<&'a Dataset>)> {
    let mut keys: BTreeMap<&str, (&'a KeyArn, Vec<&'a Dataset>)> = BTreeMap::new();
    for dataset in datasets {
        keys.entry(dataset.key().as_str()).or_insert((dataset.key(), Vec::new())).1.push(dataset);
    }
    keys.into_values().collect()
}

/// What is to be installed at one key.
struct Plan<'a> {
    key: &'a KeyArn,
    datasets: Vec<Name>,
    releases: Vec<Release>,
    policy: KeyPolicy,
    changed: bool,
}

fn plan<'a>(
    agreement: &Agreement,
    set: &InputSet,
    release: &KeyRelease<'_>,
    key: &'a KeyArn,
    datasets: &[&Dataset],
    policy: &KeyPolicy,
) -> Result<Plan<'a>, AuthorizationError> {
    let mut releases = release.standing.clone();
    let mut after = policy.clone();
    let mut names = Vec::new();
    for dataset in datasets {
        let present = set.dataset(dataset.name()).is_some_and(|entry| entry.manifest().is_some());
        if present {
            let wanted = Release::of(agreement, set, dataset.name(), &release.host)?;
            after = after.with_release(&wanted)?;
            releases.push(wanted);
            names.push(dataset.name().clone());
        }
    }
    let findings = audit(&after, &release.owner, &releases);
    if !findings.is_empty() {
        return Err(AuthorizationError::excess(key, &findings));
    }
    let changed = after.to_json() != policy.to_json();
    Ok(Plan { key, datasets: names, releases, policy: after, changed })
}

/// Installs a policy, reads it back and audits what is really there.
fn install(release: &KeyRelease<'_>, set: &InputSet, plan: &Plan<'_>) -> Result<(), AuthorizationError> {
    if plan.changed {
        release.policies.put_policy(plan.key, &plan.policy.to_json())?;
    }
    let installed = read_policy(release.policies, plan.key)?;
    let findings = audit(&installed, &release.owner, &plan.releases);
    if !findings.is_empty() {
        return Err(AuthorizationError::excess(plan.key, &findings));
    }
    if !plan.datasets.is_empty() && installed.round_state(set) != RoundState::Installed {
        return Err(AuthorizationError::NotInstalled { key: plan.key.as_str().to_owned() });
    }
    Ok(())
}

fn read_policy(policies: &dyn KeyPolicies, key: &KeyArn) -> Result<KeyPolicy, AuthorizationError> {
    KeyPolicy::parse(&policies.policy(key)?)
        .map_err(|error| AuthorizationError::Policy { key: key.as_str().to_owned(), error })
}

fn replace(
    policies: &dyn KeyPolicies,
    datasets: &[&Dataset],
    change: impl Fn(&KeyPolicy) -> KeyPolicy,
) -> Result<Vec<Name>, AuthorizationError> {
    let mut changed = Vec::new();
    for (key, datasets) in by_key(datasets) {
        let before = read_policy(policies, key)?;
        let after = change(&before);
        if after.to_json() != before.to_json() {
            policies.put_policy(key, &after.to_json())?;
            changed.extend(datasets.into_iter().map(|dataset| dataset.name().clone()));
        }
    }
    Ok(changed)
}

/// An input set must not be signed, or could not be, or its keys could not be released.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizationError {
    /// This party never signed the agreement.
    #[error("this party has not signed the agreement {agreement}")]
    NotApproved {
        /// Its digest.
        agreement: Digest384,
    },
    /// The agreement's window is over.
    #[error("the agreement ended at {not_after}")]
    Over {
        /// Its end.
        not_after: UnixTime,
    },
    /// This party owns no dataset of the analysis: it has nothing to authorize.
    #[error("`{party}` owns no dataset of the analysis")]
    NotAnOwner {
        /// This party.
        party: Name,
    },
    /// Set or manifests do not fit the agreement.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// The set cannot be written.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The set names a manifest of this party's dataset that it did not make, though its signature is good: a copy of the key
    /// is in other hands, or the journal is not this party's.
    #[error("the manifest of the own dataset `{dataset}` is not one that this party's journal knows")]
    ForeignManifest {
        /// The dataset.
        dataset: Name,
    },
    /// This party signed another set for the round. A run that failed is repeated with that one.
    #[error("for round {round} the input set {before} was signed; repeat that one")]
    OtherSetSigned {
        /// The round.
        round: u32,
        /// Digest of the set that was signed.
        before: Digest384,
    },
    /// The key policy releases the key to another set of the round: it was signed once, whatever the journal says.
    #[error("for round {round} the key policy has another input set (PCR17 {register}); repeat that one")]
    OtherSetInstalled {
        /// The round.
        round: u32,
        /// PCR17 in the policy.
        register: String,
    },
    /// A policy that cannot be understood cannot be audited.
    #[error("the policy of {key}: {error}")]
    Policy {
        /// The key.
        key: String,
        /// What is wrong with it.
        error: PolicyError,
    },
    /// The policy allows more than was agreed.
    #[error("the policy of {key} allows more than was agreed: {}", findings.join("; "))]
    Excess {
        /// The key.
        key: String,
        /// One sentence for each statement.
        findings: Vec<String>,
    },
    /// The key service took the policy and does not have it.
    #[error("the policy of {key} does not have the release that was installed")]
    NotInstalled {
        /// The key.
        key: String,
    },
    /// No release can be written.
    #[error(transparent)]
    Release(#[from] RenderError),
    /// The key service.
    #[error(transparent)]
    KeyService(#[from] KeyServiceError),
    /// The party's directory.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The signature.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// Writing the signature.
    #[error(transparent)]
    File(#[from] FileError),
}

impl AuthorizationError {
    fn excess(key: &KeyArn, findings: &[Finding]) -> Self {
        let findings = findings.iter().map(ToString::to_string).collect();
        Self::Excess { key: key.as_str().to_owned(), findings }
    }
}

//! The checked combination of input set, manifests and request (PROTOCOL §10, Bind 4).

use std::collections::{BTreeMap, BTreeSet};

use entente_attestation::Digest384;

use crate::agreement::Agreement;
use crate::analysis::{Analysis, Authorize};
use crate::approval::ApprovedAgreement;
use crate::dataset::{Format, Presence};
use crate::inputs::{InputEntry, InputSet};
use crate::manifest::Manifest;
use crate::name::Name;
use crate::namespace::Namespace;
use crate::request::Request;
use crate::sshsig::SignatureError;

/// A manifest and its owner's armored signature, not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedManifest {
    manifest: Manifest,
    signature: Vec<u8>,
}

impl SignedManifest {
    /// Puts the two together.
    #[must_use]
    pub const fn new(manifest: Manifest, signature: Vec<u8>) -> Self {
        Self { manifest, signature }
    }

    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The armored signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

/// A request and its armored signatures by party, not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    request: Request,
    signatures: BTreeMap<Name, Vec<u8>>,
}

impl SignedRequest {
    /// Puts the two together.
    #[must_use]
    pub const fn new(request: Request, signatures: BTreeMap<Name, Vec<u8>>) -> Self {
        Self { request, signatures }
    }

    /// The request.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// The armored signatures by party.
    #[must_use]
    pub const fn signatures(&self) -> &BTreeMap<Name, Vec<u8>> {
        &self.signatures
    }
}

/// An input set with the armored signatures of the owners, and the signed manifests by dataset; not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedInputs {
    set: InputSet,
    signatures: BTreeMap<Name, Vec<u8>>,
    manifests: BTreeMap<Name, SignedManifest>,
}

impl SignedInputs {
    /// Puts them together: signatures by owner, manifests by dataset.
    #[must_use]
    pub const fn new(
        set: InputSet,
        signatures: BTreeMap<Name, Vec<u8>>,
        manifests: BTreeMap<Name, SignedManifest>,
    ) -> Self {
        Self { set, signatures, manifests }
    }

    /// The input set.
    #[must_use]
    pub const fn set(&self) -> &InputSet {
        &self.set
    }

    /// The armored signatures by owner.
    #[must_use]
    pub const fn signatures(&self) -> &BTreeMap<Name, Vec<u8>> {
        &self.signatures
    }

    /// The manifests by dataset.
    #[must_use]
    pub const fn manifests(&self) -> &BTreeMap<Name, SignedManifest> {
        &self.manifests
    }
}

/// Inputs that fit an approved agreement and that everybody signed who has to. Only its `verify` functions make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedInputs {
    set: InputSet,
    manifests: BTreeMap<Name, Manifest>,
    request: Option<Request>,
}

impl VerifiedInputs {
    /// PROTOCOL §10, Bind 4, in its order: the set is for this agreement and analysis, its round in range, its datasets exactly
    /// the analysis's; all owners signed it; each manifest has the set's digest, its owner's signature and fits its slot; the
    /// request, where there is one, is for this set, by a runner, and signed by who has to.
    ///
    /// With `authorize = "request"` a request is required. Whether an analysis with `authorize = "inputs"` takes one is for the
    /// analysis to say: look at [`VerifiedInputs::request`].
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify(
        approved: &ApprovedAgreement,
        analysis: &Name,
        inputs: SignedInputs,
        request: Option<SignedRequest>,
    ) -> Result<Self, InputsError> {
        let agreement = approved.agreement();
        let analysis = agreement
            .analysis(analysis)
            .ok_or_else(|| InputsError::UnknownAnalysis { analysis: analysis.clone() })?;
        let SignedInputs { set, signatures, manifests } = inputs;
        check_set(agreement, analysis, &set)?;
        let owners: BTreeSet<Name> = agreement.owners(analysis).into_iter().collect();
        check_signatures(agreement, Namespace::Inputs, set.bytes(), &owners, &signatures, |party, fault| {
            match fault {
                Fault::Missing => InputsError::SetSignatureMissing { party },
                Fault::Unexpected => InputsError::SetSignatureUnexpected { party },
                Fault::Wrong(error) => InputsError::SetSignature { party, error },
            }
        })?;
        let manifests = check_manifests(agreement, &set, manifests)?;
        let request = match request {
            Some(request) => Some(check_request(agreement, analysis, &set, owners, request)?),
            None if analysis.authorize() == Authorize::Request => return Err(InputsError::RequestMissing),
            None => None,
        };
        Ok(Self { set, manifests, request })
    }

    /// The input set.
    #[must_use]
    pub const fn set(&self) -> &InputSet {
        &self.set
    }

    /// The manifest of a dataset; `None`: absent.
    #[must_use]
    pub fn manifest(&self, dataset: &Name) -> Option<&Manifest> {
        self.manifests.get(dataset)
    }

    /// The manifests of the datasets that are present, ascending by dataset.
    pub fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.manifests.values()
    }

    /// The request, where there is one.
    #[must_use]
    pub const fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }
}

/// Checks everything about a set that is not a signature: what an owner looks at before it signs one.
///
/// # Errors
/// The first check that fails.
pub fn check_set(agreement: &Agreement, analysis: &Analysis, set: &InputSet) -> Result<(), InputsError> {
    if set.agreement() != agreement.digest() {
        return Err(InputsError::SetAgreement { expected: agreement.digest(), found: set.agreement() });
    }
    if set.analysis() != analysis.name() {
        return Err(InputsError::SetAnalysis {
            expected: analysis.name().clone(),
            found: set.analysis().clone(),
        });
    }
    if set.round() > analysis.rounds() {
        return Err(InputsError::SetRound { rounds: analysis.rounds(), found: set.round() });
    }
    for name in analysis.datasets() {
        let slot =
            agreement.dataset(name).ok_or_else(|| InputsError::DatasetMissing { dataset: name.clone() })?;
        let entry = set.dataset(name).ok_or_else(|| InputsError::DatasetMissing { dataset: name.clone() })?;
        if entry.owner() != slot.owner() {
            return Err(InputsError::DatasetOwner {
                dataset: name.clone(),
                expected: slot.owner().clone(),
                found: entry.owner().clone(),
            });
        }
        if entry.manifest().is_none() && slot.presence() == Presence::Required {
            return Err(InputsError::DatasetAbsent { dataset: name.clone() });
        }
    }
    if let Some(entry) = set.datasets().iter().find(|entry| !analysis.datasets().contains(entry.name())) {
        return Err(InputsError::DatasetUnexpected { dataset: entry.name().clone() });
    }
    // With no contribution the run seed would be made of public bytes alone (PROTOCOL §6).
    if set.datasets().iter().all(|entry| entry.manifest().is_none()) {
        return Err(InputsError::NothingPresent);
    }
    Ok(())
}

/// Checks a manifest against its slot and the input set's entry, and its owner's signature.
fn check_manifest(
    agreement: &Agreement,
    entry: &InputEntry,
    signed: &SignedManifest,
) -> Result<(), InputsError> {
    let SignedManifest { manifest, signature } = signed;
    let dataset = || entry.name().clone();
    if entry.manifest() != Some(manifest.digest()) {
        return Err(InputsError::ManifestDigest { dataset: dataset(), found: manifest.digest() });
    }
    let (Some(slot), Some(owner)) = (agreement.dataset(entry.name()), agreement.party(entry.owner())) else {
        return Err(InputsError::DatasetMissing { dataset: dataset() });
    };
    owner
        .sign_key()
        .verify(Namespace::Manifest, manifest.bytes(), signature)
        .map_err(|error| InputsError::ManifestSignature { dataset: dataset(), error })?;
    check_slot(agreement, slot.name(), manifest)
}

/// Checks that a manifest fits the slot of a dataset in all but signatures: agreement, dataset, owner, format, size.
///
/// # Errors
/// The first check that fails.
pub fn check_slot(agreement: &Agreement, dataset: &Name, manifest: &Manifest) -> Result<(), InputsError> {
    let slot =
        agreement.dataset(dataset).ok_or_else(|| InputsError::DatasetMissing { dataset: dataset.clone() })?;
    let dataset = || dataset.clone();
    if manifest.agreement() != agreement.digest() {
        return Err(InputsError::ManifestAgreement {
            dataset: dataset(),
            expected: agreement.digest(),
            found: manifest.agreement(),
        });
    }
    if manifest.dataset() != slot.name() {
        return Err(InputsError::ManifestDataset { dataset: dataset(), found: manifest.dataset().clone() });
    }
    if manifest.owner() != slot.owner() {
        return Err(InputsError::ManifestOwner {
            dataset: dataset(),
            expected: slot.owner().clone(),
            found: manifest.owner().clone(),
        });
    }
    if manifest.format() != slot.format() {
        return Err(InputsError::ManifestFormat {
            dataset: dataset(),
            expected: slot.format(),
            found: manifest.format(),
        });
    }
    if manifest.size() > slot.max_bytes() {
        return Err(InputsError::ManifestSize {
            dataset: dataset(),
            limit: slot.max_bytes(),
            found: manifest.size(),
        });
    }
    Ok(())
}

fn check_manifests(
    agreement: &Agreement,
    set: &InputSet,
    mut manifests: BTreeMap<Name, SignedManifest>,
) -> Result<BTreeMap<Name, Manifest>, InputsError> {
    let mut checked = BTreeMap::new();
    for entry in set.datasets().iter().filter(|entry| entry.manifest().is_some()) {
        let signed = manifests
            .remove(entry.name())
            .ok_or_else(|| InputsError::ManifestMissing { dataset: entry.name().clone() })?;
        check_manifest(agreement, entry, &signed)?;
        checked.insert(entry.name().clone(), signed.manifest);
    }
    match manifests.into_keys().next() {
        Some(dataset) => Err(InputsError::ManifestUnexpected { dataset }),
        None => Ok(checked),
    }
}

fn check_request(
    agreement: &Agreement,
    analysis: &Analysis,
    set: &InputSet,
    owners: BTreeSet<Name>,
    signed: SignedRequest,
) -> Result<Request, InputsError> {
    let SignedRequest { request, signatures } = signed;
    if request.agreement() != agreement.digest() {
        return Err(InputsError::RequestAgreement {
            expected: agreement.digest(),
            found: request.agreement(),
        });
    }
    if request.analysis() != analysis.name() {
        return Err(InputsError::RequestAnalysis {
            expected: analysis.name().clone(),
            found: request.analysis().clone(),
        });
    }
    if request.inputs() != set.digest() {
        return Err(InputsError::RequestInputs { expected: set.digest(), found: request.inputs() });
    }
    if !analysis.runners().contains(request.runner()) {
        return Err(InputsError::RequestRunner { runner: request.runner().clone() });
    }
    let mut signers = match analysis.authorize() {
        Authorize::Inputs => BTreeSet::new(),
        Authorize::Request => owners,
    };
    signers.insert(request.runner().clone());
    check_signatures(
        agreement,
        Namespace::Request,
        request.bytes(),
        &signers,
        &signatures,
        |party, fault| match fault {
            Fault::Missing => InputsError::RequestSignatureMissing { party },
            Fault::Unexpected => InputsError::RequestSignatureUnexpected { party },
            Fault::Wrong(error) => InputsError::RequestSignature { party, error },
        },
    )?;
    Ok(request)
}

enum Fault {
    Missing,
    Unexpected,
    Wrong(SignatureError),
}

/// Exactly one good signature of each signer, and of nobody else.
fn check_signatures(
    agreement: &Agreement,
    namespace: Namespace,
    message: &[u8],
    signers: &BTreeSet<Name>,
    signatures: &BTreeMap<Name, Vec<u8>>,
    error: impl Fn(Name, Fault) -> InputsError,
) -> Result<(), InputsError> {
    for signer in signers {
        let (Some(party), Some(armored)) = (agreement.party(signer), signatures.get(signer)) else {
            return Err(error(signer.clone(), Fault::Missing));
        };
        party
            .sign_key()
            .verify(namespace, message, armored)
            .map_err(|wrong| error(signer.clone(), Fault::Wrong(wrong)))?;
    }
    match signatures.keys().find(|name| !signers.contains(*name)) {
        Some(name) => Err(error(name.clone(), Fault::Unexpected)),
        None => Ok(()),
    }
}

/// Why inputs do not fit an agreement. Everything in it is public.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputsError {
    /// The agreement has no such analysis.
    #[error("the agreement has no analysis `{analysis}`; name one that it has")]
    UnknownAnalysis {
        /// The analysis.
        analysis: Name,
    },
    /// The set is for another agreement.
    #[error("the input set is for the agreement {found}, not for {expected}; use the set of this agreement")]
    SetAgreement {
        /// This agreement.
        expected: Digest384,
        /// The set's.
        found: Digest384,
    },
    /// The set is for another analysis.
    #[error("the input set is for the analysis `{found}`, not for `{expected}`; use that analysis's set")]
    SetAnalysis {
        /// The analysis asked for.
        expected: Name,
        /// The set's.
        found: Name,
    },
    /// The round is beyond those agreed.
    #[error("the input set is for round {found} of {rounds}; agree on more rounds first")]
    SetRound {
        /// Rounds agreed.
        rounds: u32,
        /// The set's.
        found: u32,
    },
    /// A dataset of the analysis is not in the set.
    #[error("the dataset `{dataset}` is not in the input set; add it, as absent if it is optional")]
    DatasetMissing {
        /// The dataset.
        dataset: Name,
    },
    /// The set has a dataset that the analysis does not.
    #[error("the analysis does not read the dataset `{dataset}` of the input set; leave it out")]
    DatasetUnexpected {
        /// The dataset.
        dataset: Name,
    },
    /// The set names another owner than the agreement.
    #[error(
        "the input set says that `{dataset}` is of `{found}`, the agreement that it is of `{expected}`; make the set again"
    )]
    DatasetOwner {
        /// The dataset.
        dataset: Name,
        /// The agreement's.
        expected: Name,
        /// The set's.
        found: Name,
    },
    /// A dataset that is not optional is absent.
    #[error("the dataset `{dataset}` is absent but not optional; wait for it")]
    DatasetAbsent {
        /// The dataset.
        dataset: Name,
    },
    /// Every dataset is absent.
    #[error("every dataset of the input set is absent; wait for one")]
    NothingPresent,
    /// An owner has not signed the set.
    #[error("`{party}` has not signed the input set; wait for its signature")]
    SetSignatureMissing {
        /// The owner.
        party: Name,
    },
    /// A signature of the set by somebody who owns none of its datasets.
    #[error("`{party}` owns no dataset of the analysis but has a signature of the input set; remove it")]
    SetSignatureUnexpected {
        /// The name.
        party: Name,
    },
    /// An owner's signature of the set does not count.
    #[error("the input set's signature of `{party}`: {error}")]
    SetSignature {
        /// The owner.
        party: Name,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// The manifest of a present dataset is not there.
    #[error("the manifest of `{dataset}` is not there; fetch it from its owner")]
    ManifestMissing {
        /// The dataset.
        dataset: Name,
    },
    /// A manifest of a dataset that is absent or not in the set.
    #[error("a manifest of `{dataset}`, which is not present in the input set; remove it")]
    ManifestUnexpected {
        /// The dataset.
        dataset: Name,
    },
    /// Another manifest than the one in the set.
    #[error("the manifest of `{dataset}` is {found}, not the one in the input set; use that one")]
    ManifestDigest {
        /// The dataset.
        dataset: Name,
        /// The manifest's digest.
        found: Digest384,
    },
    /// The owner's signature of the manifest does not count.
    #[error("the manifest of `{dataset}`: {error}")]
    ManifestSignature {
        /// The dataset.
        dataset: Name,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// A manifest for another agreement.
    #[error(
        "the manifest of `{dataset}` is for the agreement {found}, not for {expected}; seal the dataset for this one"
    )]
    ManifestAgreement {
        /// The dataset.
        dataset: Name,
        /// This agreement.
        expected: Digest384,
        /// The manifest's.
        found: Digest384,
    },
    /// A manifest of another dataset.
    #[error("the manifest given for `{dataset}` is of `{found}`; give the right one")]
    ManifestDataset {
        /// The dataset.
        dataset: Name,
        /// The manifest's.
        found: Name,
    },
    /// A manifest by another owner.
    #[error(
        "the manifest of `{dataset}` says that its owner is `{found}`, the agreement says `{expected}`; make it again"
    )]
    ManifestOwner {
        /// The dataset.
        dataset: Name,
        /// The agreement's.
        expected: Name,
        /// The manifest's.
        found: Name,
    },
    /// A manifest of a file of another format.
    #[error(
        "the manifest of `{dataset}` is of the format {found}, the agreement says {expected}; seal it again"
    )]
    ManifestFormat {
        /// The dataset.
        dataset: Name,
        /// The agreement's.
        expected: Format,
        /// The manifest's.
        found: Format,
    },
    /// A sealed file that is too large.
    #[error("the sealed file of `{dataset}` has {found} bytes, more than the {limit} agreed; seal less")]
    ManifestSize {
        /// The dataset.
        dataset: Name,
        /// The agreement's limit.
        limit: u64,
        /// The manifest's size.
        found: u64,
    },
    /// The agreement wants every request signed, and there is none.
    #[error("the analysis runs on signed requests only, and there is none; make one")]
    RequestMissing,
    /// A request for another agreement.
    #[error("the request is for the agreement {found}, not for {expected}; make it again")]
    RequestAgreement {
        /// This agreement.
        expected: Digest384,
        /// The request's.
        found: Digest384,
    },
    /// A request for another analysis.
    #[error("the request is for the analysis `{found}`, not for `{expected}`; make it again")]
    RequestAnalysis {
        /// The analysis asked for.
        expected: Name,
        /// The request's.
        found: Name,
    },
    /// A request for another input set.
    #[error("the request is for the input set {found}, not for {expected}; make it again")]
    RequestInputs {
        /// This set.
        expected: Digest384,
        /// The request's.
        found: Digest384,
    },
    /// A request by somebody who may not ask.
    #[error("`{runner}` may not run this analysis; let one of its runners ask")]
    RequestRunner {
        /// Who asked.
        runner: Name,
    },
    /// Who has to sign the request has not.
    #[error("`{party}` has not signed the request; wait for its signature")]
    RequestSignatureMissing {
        /// The party.
        party: Name,
    },
    /// A signature of the request by somebody who does not sign it.
    #[error("`{party}` does not sign this request but has a signature of it; remove it")]
    RequestSignatureUnexpected {
        /// The name.
        party: Name,
    },
    /// A signature of the request does not count.
    #[error("the request's signature of `{party}`: {error}")]
    RequestSignature {
        /// The party.
        party: Name,
        /// What is wrong with it.
        error: SignatureError,
    },
}

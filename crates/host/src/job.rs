//! What one run needs, gathered from the store: the documents for the enclave, and what the enclave may ask and deliver.

use std::collections::BTreeMap;

use entente_agreement::{
    Agreement, Analysis, ApprovedAgreement, InputsError, KeyArn, Name, SignedInputs, VerifiedInputs,
};
use entente_attestation::Digest384;
use entente_channel::{Answer, Documents, MAX_LIST, PartySignature, SignedManifest, SignedRequest};

use crate::config::Limits;
use crate::messages::NewRun;
use crate::objects;
use crate::store::{CHUNK_BYTES, Store, StoreError};

/// A run's documents and borders.
pub(crate) struct Job {
    pub(crate) run: NewRun,
    pub(crate) documents: Documents,
    pub(crate) pcr0: Digest384,
    pub(crate) memory_mib: u32,
    /// Present datasets by name.
    pub(crate) inputs: BTreeMap<String, JobInput>,
    /// Result files in the agreement's order.
    pub(crate) outputs: Vec<JobOutput>,
}

/// A present dataset.
pub(crate) struct JobInput {
    pub(crate) manifest: Digest384,
    pub(crate) bytes: u64,
    pub(crate) chunk_count: u64,
    pub(crate) key: KeyArn,
    pub(crate) wrapped_key: Vec<u8>,
    pub(crate) encryption_context: Vec<(String, String)>,
}

/// A result file that the run delivers.
pub(crate) struct JobOutput {
    pub(crate) name: String,
    /// Size of the archive in it, bytes.
    pub(crate) archive_bytes: u64,
}

impl JobOutput {
    /// The most bytes that the age file of such an archive has: the header for one X25519 recipient, with room for the
    /// random stanza that age implementations add, the nonce, and a tag for each 64 KiB.
    pub(crate) fn most_bytes(&self) -> u64 {
        self.archive_bytes + 16 * (self.archive_bytes.div_ceil(64 * 1024) + 1) + 4096
    }
}

/// Why a run cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// Something is not stored here (yet).
    #[error("{0}")]
    Incomplete(String),
    /// What is stored does not fit together, so that the enclave would refuse it.
    #[error("{0}")]
    Refused(String),
    /// More memory than the host gives.
    #[error("the analysis needs {needed} MiB of memory; this host gives an enclave at most {limit}")]
    Memory { needed: u32, limit: u32 },
    /// More result bytes than the host keeps.
    #[error("the analysis delivers up to {needed} bytes; this host keeps at most {limit} of a run")]
    Results { needed: u64, limit: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Job {
    /// Gathers and checks everything that is public, so that an enclave is only started for a run that can succeed. The
    /// enclave relies on none of it.
    pub(crate) fn assemble(store: &Store, run: &NewRun, limits: &Limits) -> Result<Self, JobError> {
        let agreement = objects::agreement(store, run.agreement)?
            .ok_or_else(|| JobError::Incomplete(format!("agreement {} is not here", run.agreement)))?;
        let name = Name::new(&run.analysis).map_err(|error| JobError::Refused(error.to_string()))?;
        let analysis = agreement
            .analysis(&name)
            .ok_or_else(|| JobError::Refused(format!("the agreement has no analysis {name}")))?
            .clone();

        let parties = agreement.parties().iter().map(|party| party.name().clone());
        let approvals = signatures(store, run.agreement, parties, "agreement")?;
        let approved = ApprovedAgreement::verify(agreement.clone(), &approvals)
            .map_err(|error| JobError::Refused(error.to_string()))?;

        let set = objects::inputs(store, run.inputs)?
            .ok_or_else(|| JobError::Incomplete(format!("input set {} is not here", run.inputs)))?;
        let input_signatures = signatures(store, run.inputs, agreement.owners(&analysis), "input set")?;
        let (inputs, manifests) = gather_inputs(store, &agreement, &set)?;

        let request = match run.request {
            Some(digest) => {
                let request = objects::request(store, digest)?
                    .ok_or_else(|| JobError::Incomplete(format!("request {digest} is not here")))?;
                let signers = objects::request_signers(&request, &agreement);
                let request_signatures = signatures(store, digest, signers, "request")?;
                Some(entente_agreement::SignedRequest::new(request, request_signatures))
            }
            None => None,
        };

        let documents = Documents {
            agreement: agreement.bytes().to_vec(),
            approvals: party_signatures(&approvals),
            analysis: name.as_str().to_owned(),
            inputs: set.bytes().to_vec(),
            input_signatures: party_signatures(&input_signatures),
            manifests: manifests
                .iter()
                .map(|(dataset, signed)| SignedManifest {
                    dataset: dataset.as_str().to_owned(),
                    bytes: signed.manifest().bytes().to_vec(),
                    armored: signed.signature().to_vec(),
                })
                .collect(),
            request: request.as_ref().map(|signed| SignedRequest {
                bytes: signed.request().bytes().to_vec(),
                signatures: party_signatures(signed.signatures()),
            }),
        };
        VerifiedInputs::verify(
            &approved,
            &name,
            SignedInputs::new(set, input_signatures, manifests),
            request,
        )
        .map_err(|error: InputsError| JobError::Refused(error.to_string()))?;
        let pcr0 = image_of(store, &agreement, &analysis, limits)?;
        // What does not fit into one answer could never be given to an enclave.
        let longest = documents.approvals.len().max(documents.manifests.len());
        let is_sendable = u64::try_from(longest).is_ok_and(|count| count <= MAX_LIST)
            && Answer::Documents(Box::new(documents.clone())).encode().is_ok();
        if !is_sendable {
            return Err(JobError::Refused("the documents of the run are too many for an enclave".to_owned()));
        }
        Ok(Self {
            run: run.clone(),
            documents,
            pcr0,
            memory_mib: analysis.memory_mib(),
            inputs,
            outputs: outputs_of(&analysis, limits)?,
        })
    }

    /// Bytes of all sealed files together.
    pub(crate) fn input_bytes(&self) -> u64 {
        self.inputs.values().fold(0, |sum, input| sum.saturating_add(input.bytes))
    }
}

fn image_of(
    store: &Store,
    agreement: &Agreement,
    analysis: &Analysis,
    limits: &Limits,
) -> Result<Digest384, JobError> {
    // An agreement's analyses name images of the agreement.
    let image = agreement
        .image(analysis.image())
        .ok_or_else(|| JobError::Refused(format!("the agreement has no image {}", analysis.image())))?;
    let pcr0 = *image.measurements().pcr0();
    if store.image(&pcr0)?.is_none() {
        return Err(JobError::Incomplete(format!("image {} with PCR0 {pcr0} is not here", image.name())));
    }
    let needed = analysis.memory_mib();
    if needed > limits.enclave_memory_mib {
        return Err(JobError::Memory { needed, limit: limits.enclave_memory_mib });
    }
    Ok(pcr0)
}

fn outputs_of(analysis: &Analysis, limits: &Limits) -> Result<Vec<JobOutput>, JobError> {
    let outputs: Vec<JobOutput> = analysis
        .outputs()
        .iter()
        .map(|output| JobOutput { name: output.file_name(), archive_bytes: output.bytes() })
        .collect();
    let needed = outputs.iter().fold(0u64, |sum, output| sum.saturating_add(output.most_bytes()));
    if needed > limits.result_bytes {
        return Err(JobError::Results { needed, limit: limits.result_bytes });
    }
    Ok(outputs)
}

type Inputs = (BTreeMap<String, JobInput>, BTreeMap<Name, entente_agreement::SignedManifest>);

fn gather_inputs(
    store: &Store,
    agreement: &Agreement,
    set: &entente_agreement::InputSet,
) -> Result<Inputs, JobError> {
    let mut inputs = BTreeMap::new();
    let mut manifests = BTreeMap::new();
    for entry in set.datasets() {
        let Some(digest) = entry.manifest() else { continue };
        let name = entry.name();
        let manifest = objects::manifest(store, digest)?.ok_or_else(|| {
            JobError::Incomplete(format!("manifest {digest} of dataset {name} is not here"))
        })?;
        let armored = store.signature(&digest, manifest.owner().as_str())?.ok_or_else(|| {
            JobError::Incomplete(format!(
                "the signature of {} on manifest {digest} is not here",
                manifest.owner()
            ))
        })?;
        if !store.is_complete(&digest)? {
            return Err(JobError::Incomplete(format!(
                "the sealed file of dataset {name} is not here in full; ask /v1/manifests/{digest}/missing"
            )));
        }
        let dataset = agreement
            .dataset(name)
            .ok_or_else(|| JobError::Refused(format!("the agreement has no dataset {name}")))?;
        let input = JobInput {
            manifest: digest,
            bytes: manifest.size(),
            chunk_count: manifest.size().div_ceil(CHUNK_BYTES),
            key: dataset.key().clone(),
            wrapped_key: manifest.wrapped_key().to_vec(),
            // PROTOCOL §5.
            encryption_context: vec![
                ("entente-agreement".to_owned(), agreement.digest().to_string()),
                ("entente-dataset".to_owned(), name.as_str().to_owned()),
                ("entente-sealing".to_owned(), manifest.sealing().to_string()),
            ],
        };
        inputs.insert(name.as_str().to_owned(), input);
        manifests.insert(name.clone(), entente_agreement::SignedManifest::new(manifest, armored));
    }
    Ok((inputs, manifests))
}

fn signatures(
    store: &Store,
    object: Digest384,
    parties: impl IntoIterator<Item = Name>,
    what: &str,
) -> Result<BTreeMap<Name, Vec<u8>>, JobError> {
    let mut found = BTreeMap::new();
    for party in parties {
        match store.signature(&object, party.as_str())? {
            Some(armored) => found.insert(party, armored),
            None => {
                return Err(JobError::Incomplete(format!(
                    "the signature of {party} on {what} {object} is not here"
                )));
            }
        };
    }
    Ok(found)
}

fn party_signatures(signatures: &BTreeMap<Name, Vec<u8>>) -> Vec<PartySignature> {
    signatures
        .iter()
        .map(|(party, armored)| PartySignature { party: party.as_str().to_owned(), armored: armored.clone() })
        .collect()
}

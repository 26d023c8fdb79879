//! *Keyed → Loaded*: the sealed files, each piece once and checked before use, and then what is in them (PROTOCOL §10.7–8).

use std::collections::BTreeMap;
use std::io::{Read, Write};

use bytes::Bytes;
use entente_agreement::{Agreement, Dataset, Format, Manifest, Name};
use entente_analysis::{Analysis, Input, InputTables, VoidReason};
use entente_nsm::Nsm;
use entente_sealing::blob::{OpenBlobError, open_blob};
use entente_sealing::table::{OpenTableError, TableReader, TableTerms};
use entente_sealing::{ChunkList, RunSeed, SealingKeys};

use crate::refusal::Refusal;
use crate::{Host, Job, Loaded};

/// The keys of all present datasets are here; the RSA key is gone.
#[must_use = "a life goes on until it ends"]
pub struct Keyed<A> {
    nsm: Nsm,
    job: Job<A>,
    keys: BTreeMap<Name, SealingKeys>,
}

impl<A: Analysis> Keyed<A> {
    pub(crate) fn new(nsm: Nsm, job: Job<A>, keys: BTreeMap<Name, SealingKeys>) -> Self {
        Self { nsm, job, keys }
    }

    /// Steps 7 and 8 of PROTOCOL §10. First all files, ascending by dataset, each piece exactly once and in order, so that nothing
    /// that the host sees follows a decrypted value; then they are opened.
    ///
    /// # Errors
    /// [`Refusal::Ciphertext`]: the host's doing. What is the owners' doing is no error: such a dataset is void.
    pub fn load<C: Read + Write>(self, host: &mut Host<C>) -> Result<Loaded<A>, Refusal> {
        let Self { nsm, job, keys } = self;
        let mut sealed = BTreeMap::new();
        for manifest in job.inputs.manifests() {
            sealed.insert(manifest.dataset().clone(), fetch(manifest, host)?);
        }

        let agreement: &Agreement = &job.agreement;
        let inputs = InputTables::gather(agreement, &job.terms, |dataset| {
            match (sealed.remove(dataset.name()), keys.get(dataset.name())) {
                (Some(sealed), Some(keys)) => {
                    open(dataset, sealed, keys, decoded_limit(agreement, &job.terms, dataset))
                }
                _ => Input::Absent,
            }
        });
        let contributions = keys.values().map(SealingKeys::contribution);
        let seed = RunSeed::new(contributions, &job.inputs.set().digest(), job.request_digest().as_ref());
        Ok(Loaded::new(nsm, job, inputs, seed))
    }
}

/// One sealed file, exactly as its owner signed it.
fn fetch<C: Read + Write>(manifest: &Manifest, host: &mut Host<C>) -> Result<Vec<u8>, Refusal> {
    let dataset = manifest.dataset().as_str();
    let digests = host.chunk_digests(dataset).map_err(|_| Refusal::Ciphertext)?;
    let list =
        ChunkList::parse(&digests, manifest.size(), &manifest.chunks()).map_err(|_| Refusal::Ciphertext)?;
    // Grows as checked pieces come in: the manifest's size alone reserves nothing.
    let mut sealed = Vec::new();
    for index in 0..list.pieces() {
        let number = u64::try_from(index).map_err(|_| Refusal::Ciphertext)?;
        let piece = host.chunk(dataset, number).map_err(|_| Refusal::Ciphertext)?;
        list.check(index, &piece).map_err(|_| Refusal::Ciphertext)?;
        sealed.extend_from_slice(&piece);
    }
    Ok(sealed)
}

/// Bytes that the content of one dataset may take in memory: half of the agreed memory is for inputs, and it is divided as the
/// agreement's `max_bytes` are. It follows from the agreement alone, so that a dataset is void everywhere or nowhere.
#[must_use]
pub fn decoded_limit(
    agreement: &Agreement,
    analysis: &entente_agreement::Analysis,
    dataset: &Dataset,
) -> u64 {
    let datasets = analysis.datasets().iter().filter_map(|name| agreement.dataset(name));
    let total: u128 = datasets.map(|dataset| u128::from(dataset.max_bytes())).sum();
    let half = u128::from(analysis.memory_mib()) << 19;
    let share = (half * u128::from(dataset.max_bytes())).checked_div(total).unwrap_or(0);
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Opens what an owner sealed, strictly in the form of PROTOCOL §2.
fn open(dataset: &Dataset, sealed: Vec<u8>, keys: &SealingKeys, limit: u64) -> Input {
    match dataset.format() {
        Format::Age => match open_blob(&sealed, keys, limit) {
            Ok(blob) => Input::Blob(blob),
            Err(OpenBlobError::TooLarge { .. }) => Input::Void(VoidReason::ExceedsLimits),
            Err(_) => Input::Void(VoidReason::DoesNotOpen),
        },
        Format::Parquet => {
            let Ok(terms) = TableTerms::of(dataset) else { return Input::Void(VoidReason::DoesNotOpen) };
            let opened =
                TableReader::open(Bytes::from(sealed), keys, &terms, limit).and_then(TableReader::read_all);
            match opened {
                Ok(batches) => Input::Table(batches),
                Err(error) => Input::Void(void_reason(&error)),
            }
        }
    }
}

fn void_reason(error: &OpenTableError) -> VoidReason {
    match error {
        OpenTableError::TooLarge { .. } | OpenTableError::TooManyRows { .. } => VoidReason::ExceedsLimits,
        OpenTableError::Schema(_) | OpenTableError::Value(_) => VoidReason::DoesNotFitSchema,
        _ => VoidReason::DoesNotOpen,
    }
}

//! What the host keeps: public objects, signatures and run records in one database, big files beside it.
//!
//! ```text
//! DATA/host.lock     locked while a host runs
//! DATA/token         the bearer token
//! DATA/facts.redb    objects, signatures, chunk lists, run records, events
//! DATA/scratch/      files being written; emptied at start
//! DATA/images/PCR0.eif
//! DATA/sealed/MANIFEST/NUMBER    one verified chunk each
//! DATA/results/RUN/              all result files, the receipt and index.json
//! ```
//!
//! A file gets its name only when it is whole, verified and synced. The database says what is complete; where a crash
//! falls between a rename and the database's commit, the file is found again or written again, never half-used.

pub(crate) mod files;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use entente_attestation::Digest384;
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction,
};
use serde::{Deserialize, Serialize};

use crate::config::Limits;
use crate::messages::{ChunkRange, ImageFacts, MissingChunks, ResultFacts, RunEvent, RunHappening, RunId};
use crate::record::RunRecord;
use files::Pending;

/// A chunk of a sealed file, bytes (PROTOCOL §2).
pub(crate) const CHUNK_BYTES: u64 = 1 << 20;
/// Bytes of one digest in a chunk list.
pub(crate) const DIGEST_BYTES: usize = 48;
/// Ranges of missing chunks that one answer lists.
const MISSING_RANGES: usize = 1_000;
/// Events that one answer lists, and that a run keeps: the oldest go first.
const EVENTS: u64 = 1_000;
/// Form of the database. Another one is refused.
const FORM: u64 = 1;
/// Memory that the database may use for pages, bytes.
const CACHE_BYTES: usize = 32 << 20;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// (kind, digest) → bytes
const OBJECTS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("objects");
/// (kind, agreement, digest)
const BELONGS: TableDefinition<'_, (&str, &str, &str), ()> = TableDefinition::new("belongs");
/// (object, party) → armored signature
const SIGNATURES: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("signatures");
/// manifest → digests, one after the other
const CHUNKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("chunks");
/// manifests whose chunks are all here
const COMPLETE: TableDefinition<'_, &str, ()> = TableDefinition::new("complete");
/// PCR0 → facts, JSON
const IMAGES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("images");
/// (what, identity) → bytes on disk, those expected included
const SIZES: TableDefinition<'_, (&str, &str), u64> = TableDefinition::new("sizes");
/// id → record, JSON
const RUNS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("runs");
/// ids of runs that have not ended
const ACTIVE: TableDefinition<'_, &str, ()> = TableDefinition::new("active");
/// number → id, in the order of creation
const RUN_ORDER: TableDefinition<'_, u64, &str> = TableDefinition::new("run-order");
/// (id, number) → event, JSON
const EVENT_LOG: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("events");

/// Sorts after every digest, name and id.
const LAST: &str = "~";

/// The four text objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Agreement,
    Manifest,
    Inputs,
    Request,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::Manifest => "manifest",
            Self::Inputs => "inputs",
            Self::Request => "request",
        }
    }
}

/// Why the data directory did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Database(Box<redb::Error>),
    #[error("a record of the database is not of its form: {0}")]
    Record(#[from] serde_json::Error),
    #[error("{what}: at most {limit}")]
    Limit { what: &'static str, limit: u64 },
    #[error("not there")]
    Missing,
    #[error("a queued or live run needs it")]
    InUse,
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}
from_redb!(
    redb::Error,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError
);

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenStoreError {
    /// Another host uses it.
    #[error("{path} is in use by another host; end that one first")]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// It was written by another version.
    #[error("{path} has form {found}, this program reads form {expected}")]
    Form {
        /// The data directory.
        path: PathBuf,
        /// Form found.
        found: u64,
        /// Form that this program reads.
        expected: u64,
    },
    /// There are files but no records of them.
    #[error(
        "{path} holds files, but its database facts.redb is missing or empty; restore it, or begin in an empty directory"
    )]
    Lost {
        /// The data directory.
        path: PathBuf,
    },
    /// A directory or file cannot be made, read or written.
    #[error("{path}: {error}")]
    Io {
        /// Directory or file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The database cannot be opened.
    #[error("{path}: {problem}")]
    Database {
        /// The database.
        path: PathBuf,
        /// What it says.
        problem: String,
    },
}

pub(crate) struct Store {
    root: PathBuf,
    scratch: PathBuf,
    database: Database,
    limits: Limits,
    /// Held while a sealed file's list comes or goes, or its chunks are counted: directory and tables change together.
    sealed: Mutex<()>,
    // Declared last: the lock goes when everything else is closed.
    _lock: File,
}

/// Results of a run, on their way. Dropped, they leave nothing but scratch.
pub(crate) struct PendingResults {
    directory: tempfile::TempDir,
    files: Vec<ResultFacts>,
    receipt: bool,
}

#[derive(Serialize, Deserialize)]
struct ResultIndex {
    results: Vec<ResultFacts>,
}

impl Store {
    /// Opens the data directory, made if it is missing, for this process alone.
    pub(crate) fn open(root: &Path, limits: &Limits) -> Result<Self, OpenStoreError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| OpenStoreError::Io { path, error }
        };
        files::make_directory(root).map_err(io(root))?;
        let root = root.canonicalize().map_err(io(root))?;
        let lock_path = root.join("host.lock");
        let lock = files::open_lock(&lock_path).map_err(io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(OpenStoreError::Locked { path: root }),
            Err(fs::TryLockError::Error(error)) => return Err(io(&lock_path)(error)),
        }
        let mut has_files = false;
        for name in ["images", "sealed", "results"] {
            let path = root.join(name);
            files::make_directory(&path).map_err(io(&path))?;
            has_files |= fs::read_dir(&path).map_err(io(&path))?.next().is_some();
        }
        let scratch = root.join("scratch");
        files::empty_directory(&scratch).map_err(io(&scratch))?;
        let path = root.join("facts.redb");
        let database_error = |problem: String| OpenStoreError::Database { path: path.clone(), problem };
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            // A file that was changed since is an error here, where a plain open may panic later.
            .set_check_integrity_on_open(true)
            .create(&path)
            .map_err(|error| database_error(error.to_string()))?;
        let found = form_of(&database).map_err(|error| database_error(error.to_string()))?;
        // A new database would make every file one that no record stands for.
        if found.is_none() && has_files {
            return Err(OpenStoreError::Lost { path: root });
        }
        let found = found.unwrap_or(FORM);
        if found != FORM {
            return Err(OpenStoreError::Form { path: root, found, expected: FORM });
        }
        prepare(&database).map_err(|error| database_error(error.to_string()))?;
        files::sync_directory(&root).map_err(io(&root))?;
        let store =
            Self { root, scratch, database, limits: limits.clone(), sealed: Mutex::new(()), _lock: lock };
        store.sweep().map_err(|error| database_error(error.to_string()))?;
        Ok(store)
    }

    /// Removes files that no record of the database stands for: a crash fell between the two.
    fn sweep(&self) -> Result<(), StoreError> {
        let transaction = self.database.begin_read()?;
        let (chunks, images, runs) =
            (transaction.open_table(CHUNKS)?, transaction.open_table(IMAGES)?, transaction.open_table(RUNS)?);
        for (directory, table) in [("sealed", &chunks), ("images", &images), ("results", &runs)] {
            for entry in fs::read_dir(self.root.join(directory))? {
                let path = entry?.path();
                let known = match path.file_stem().and_then(|stem| stem.to_str()) {
                    Some(key) => table.get(key)?.is_some(),
                    None => false,
                };
                if known {
                    continue;
                }
                if path.is_dir() {
                    files::remove_directory(&self.scratch, &path)?;
                } else {
                    fs::remove_file(&path)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }

    // ---- text objects and signatures ----

    /// Stores an object that was parsed. Storing the same again changes nothing.
    pub(crate) fn put_object(
        &self,
        kind: Kind,
        agreement: &Digest384,
        digest: &Digest384,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let (agreement, digest) = (agreement.to_string(), digest.to_string());
        let transaction = self.database.begin_write()?;
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            let key = (kind.name(), digest.as_str());
            if objects.get(key)?.is_some() {
                return Ok(());
            }
            // Objects are never removed, so a counter is enough.
            let mut meta = transaction.open_table(META)?;
            let count = meta.get(kind.name())?.map_or(0, |count| count.value());
            if count >= self.limits.objects {
                return Err(StoreError::Limit { what: "objects of one kind", limit: self.limits.objects });
            }
            meta.insert(kind.name(), count + 1)?;
            objects.insert(key, bytes)?;
            transaction
                .open_table(BELONGS)?
                .insert((kind.name(), agreement.as_str(), digest.as_str()), ())?;
        }
        Ok(transaction.commit()?)
    }

    pub(crate) fn object(&self, kind: Kind, digest: &Digest384) -> Result<Option<Vec<u8>>, StoreError> {
        let digest = digest.to_string();
        let objects = self.database.begin_read()?.open_table(OBJECTS)?;
        Ok(objects.get((kind.name(), digest.as_str()))?.map(|bytes| bytes.value().to_vec()))
    }

    /// Digests of all agreements, ascending.
    pub(crate) fn agreements(&self) -> Result<Vec<Digest384>, StoreError> {
        let belongs = self.database.begin_read()?.open_table(BELONGS)?;
        let kind = Kind::Agreement.name();
        belongs.range((kind, "", "")..(kind, LAST, ""))?.map(|entry| parse_key(entry?.0.value().2)).collect()
    }

    /// Digests of the objects of one kind that belong to an agreement, ascending.
    pub(crate) fn objects_of(&self, kind: Kind, agreement: &Digest384) -> Result<Vec<Digest384>, StoreError> {
        let agreement = agreement.to_string();
        let belongs = self.database.begin_read()?.open_table(BELONGS)?;
        let range = (kind.name(), agreement.as_str(), "")..(kind.name(), agreement.as_str(), LAST);
        belongs.range(range)?.map(|entry| parse_key(entry?.0.value().2)).collect()
    }

    /// Stores a signature that was verified, in place of one that was there.
    pub(crate) fn put_signature(
        &self,
        object: &Digest384,
        party: &str,
        armored: &[u8],
    ) -> Result<(), StoreError> {
        let object = object.to_string();
        let transaction = self.database.begin_write()?;
        transaction.open_table(SIGNATURES)?.insert((object.as_str(), party), armored)?;
        Ok(transaction.commit()?)
    }

    pub(crate) fn signature(&self, object: &Digest384, party: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let object = object.to_string();
        let signatures = self.database.begin_read()?.open_table(SIGNATURES)?;
        Ok(signatures.get((object.as_str(), party))?.map(|bytes| bytes.value().to_vec()))
    }

    // ---- sealed files ----

    fn sealed_directory(&self, manifest: &Digest384) -> PathBuf {
        self.root.join("sealed").join(manifest.to_string())
    }

    fn lock_sealed(&self) -> MutexGuard<'_, ()> {
        self.sealed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chunk_path(&self, manifest: &Digest384, number: u32) -> PathBuf {
        self.sealed_directory(manifest).join(format!("{number:08}"))
    }

    /// Stores a chunk list that fits its manifest, and sets `bytes` aside for the sealed file.
    pub(crate) fn put_chunk_list(
        &self,
        manifest: &Digest384,
        bytes: u64,
        digests: &[u8],
    ) -> Result<(), StoreError> {
        let _guard = self.lock_sealed();
        files::make_directory(&self.sealed_directory(manifest))?;
        files::sync_directory(&self.root.join("sealed"))?;
        let manifest = manifest.to_string();
        let transaction = self.database.begin_write()?;
        {
            let mut chunks = transaction.open_table(CHUNKS)?;
            if chunks.get(manifest.as_str())?.is_some() {
                return Ok(());
            }
            self.set_aside(&transaction, "sealed", &manifest, bytes)?;
            chunks.insert(manifest.as_str(), digests)?;
        }
        Ok(transaction.commit()?)
    }

    pub(crate) fn chunk_list(&self, manifest: &Digest384) -> Result<Option<Vec<u8>>, StoreError> {
        let manifest = manifest.to_string();
        let chunks = self.database.begin_read()?.open_table(CHUNKS)?;
        Ok(chunks.get(manifest.as_str())?.map(|bytes| bytes.value().to_vec()))
    }

    /// The digest that a chunk must have, and how many chunks there are; `None` without a chunk list or beyond it.
    pub(crate) fn chunk_digest(
        &self,
        manifest: &Digest384,
        number: u32,
    ) -> Result<Option<Digest384>, StoreError> {
        let manifest = manifest.to_string();
        let chunks = self.database.begin_read()?.open_table(CHUNKS)?;
        let Some(digests) = chunks.get(manifest.as_str())? else { return Ok(None) };
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        Ok(digests
            .value()
            .chunks_exact(DIGEST_BYTES)
            .nth(number)
            .and_then(|digest| Digest384::try_from(digest).ok()))
    }

    /// Stores a chunk whose digest was compared.
    pub(crate) fn put_chunk(
        &self,
        manifest: &Digest384,
        number: u32,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let path = self.chunk_path(manifest, number);
        if path.exists() {
            return Ok(());
        }
        let mut pending = Pending::new(&self.scratch)?;
        io::Write::write_all(&mut pending, bytes)?;
        match pending.keep(&path) {
            // Its directory went: the manifest was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing),
            other => Ok(other?),
        }
    }

    /// Reads a chunk of at most 1 MiB.
    pub(crate) fn chunk(&self, manifest: &Digest384, number: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let file = match File::open(self.chunk_path(manifest, number)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        file.take(CHUNK_BYTES).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Which chunks are missing; when none is, that is noted durably. `None` without a chunk list.
    pub(crate) fn missing_chunks(&self, manifest: &Digest384) -> Result<Option<MissingChunks>, StoreError> {
        let _guard = self.lock_sealed();
        let key = manifest.to_string();
        let transaction = self.database.begin_read()?;
        let Some(length) =
            transaction.open_table(CHUNKS)?.get(key.as_str())?.map(|digests| digests.value().len())
        else {
            return Ok(None);
        };
        let chunk_count = u32::try_from(length / DIGEST_BYTES).unwrap_or(u32::MAX);
        let none = MissingChunks { chunk_count, missing_count: 0, missing: Vec::new() };
        if transaction.open_table(COMPLETE)?.get(key.as_str())?.is_some() {
            return Ok(Some(none));
        }
        drop(transaction);
        let mut present = vec![false; usize::try_from(chunk_count).unwrap_or(usize::MAX)];
        for entry in fs::read_dir(self.sealed_directory(manifest))? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.parse::<usize>().ok());
            if let Some(slot) = number.and_then(|number| present.get_mut(number)) {
                *slot = true;
            }
        }
        let mut answer = none;
        let mut open: Option<ChunkRange> = None;
        for (number, is_present) in (0u32..).zip(present) {
            if is_present {
                answer.missing.extend(open.take());
                continue;
            }
            answer.missing_count += 1;
            open = Some(ChunkRange { first: open.map_or(number, |range| range.first), last: number });
        }
        answer.missing.extend(open);
        answer.missing.truncate(MISSING_RANGES);
        if answer.missing_count == 0 {
            files::sync_directory(&self.sealed_directory(manifest))?;
            let transaction = self.database.begin_write()?;
            transaction.open_table(COMPLETE)?.insert(key.as_str(), ())?;
            transaction.commit()?;
        }
        Ok(Some(answer))
    }

    pub(crate) fn is_complete(&self, manifest: &Digest384) -> Result<bool, StoreError> {
        let key = manifest.to_string();
        let complete = self.database.begin_read()?.open_table(COMPLETE)?;
        Ok(complete.get(key.as_str())?.is_some())
    }

    /// Removes a sealed file: its chunks and their list. Manifest and signature stay: they are what others signed.
    /// `needed` says, of runs that are queued or live, which one needs it.
    pub(crate) fn remove_sealed(
        &self,
        manifest: &Digest384,
        needed: impl Fn(&RunRecord) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let _guard = self.lock_sealed();
        let key = manifest.to_string();
        let transaction = self.database.begin_write()?;
        {
            if transaction.open_table(CHUNKS)?.remove(key.as_str())?.is_none() {
                return Err(StoreError::Missing);
            }
            refuse_if_needed(&transaction, needed)?;
            transaction.open_table(COMPLETE)?.remove(key.as_str())?;
            transaction.open_table(SIZES)?.remove(("sealed", key.as_str()))?;
        }
        transaction.commit()?;
        Ok(files::remove_directory(&self.scratch, &self.sealed_directory(manifest))?)
    }

    // ---- images ----

    pub(crate) fn image_path(&self, pcr0: &Digest384) -> PathBuf {
        self.root.join("images").join(format!("{pcr0}.eif"))
    }

    /// Keeps an image that was measured.
    pub(crate) fn put_image(&self, facts: &ImageFacts, file: Pending) -> Result<(), StoreError> {
        let key = facts.pcr0.to_string();
        let record = serde_json::to_vec(facts)?;
        let transaction = self.database.begin_write()?;
        {
            let mut images = transaction.open_table(IMAGES)?;
            if images.get(key.as_str())?.is_none() && images.len()? >= self.limits.images {
                return Err(StoreError::Limit { what: "images", limit: self.limits.images });
            }
            transaction.open_table(SIZES)?.remove(("image", key.as_str()))?;
            self.set_aside(&transaction, "image", &key, facts.bytes)?;
            images.insert(key.as_str(), record.as_slice())?;
        }
        // One PCR0 may have several files: header, metadata and signature are not measured. The last one counts; a
        // crash before the commit leaves a file of the same measurements.
        file.keep(&self.image_path(&facts.pcr0))?;
        files::sync_directory(&self.root.join("images"))?;
        Ok(transaction.commit()?)
    }

    pub(crate) fn image(&self, pcr0: &Digest384) -> Result<Option<ImageFacts>, StoreError> {
        let key = pcr0.to_string();
        let images = self.database.begin_read()?.open_table(IMAGES)?;
        let record = images.get(key.as_str())?;
        Ok(record.map(|record| serde_json::from_slice(record.value())).transpose()?)
    }

    pub(crate) fn images(&self) -> Result<Vec<ImageFacts>, StoreError> {
        let images = self.database.begin_read()?.open_table(IMAGES)?;
        images.iter()?.map(|entry| Ok(serde_json::from_slice(entry?.1.value())?)).collect()
    }

    pub(crate) fn remove_image(&self, pcr0: &Digest384) -> Result<(), StoreError> {
        let key = pcr0.to_string();
        let transaction = self.database.begin_write()?;
        {
            if transaction.open_table(IMAGES)?.remove(key.as_str())?.is_none() {
                return Err(StoreError::Missing);
            }
            refuse_if_needed(&transaction, |run| Ok(run.facts.pcr0 == *pcr0))?;
            transaction.open_table(SIZES)?.remove(("image", key.as_str()))?;
        }
        transaction.commit()?;
        match fs::remove_file(self.image_path(pcr0)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    // ---- runs ----

    /// Adds a run; its state is queued.
    pub(crate) fn add_run(&self, run: &RunRecord) -> Result<(), StoreError> {
        let record = serde_json::to_vec(run)?;
        let transaction = self.database.begin_write()?;
        {
            let mut runs = transaction.open_table(RUNS)?;
            if runs.len()? >= self.limits.runs {
                return Err(StoreError::Limit { what: "runs", limit: self.limits.runs });
            }
            let mut order = transaction.open_table(RUN_ORDER)?;
            let next = order.last()?.map_or(0, |(number, _)| number.value() + 1);
            order.insert(next, run.facts.id.as_str())?;
            runs.insert(run.facts.id.as_str(), record.as_slice())?;
            self.note_active(&transaction, run)?;
            log_state(&transaction, run)?;
        }
        Ok(transaction.commit()?)
    }

    /// Keeps the table of active runs, and refuses one more that waits when enough do.
    fn note_active(&self, transaction: &WriteTransaction, run: &RunRecord) -> Result<(), StoreError> {
        let mut active = transaction.open_table(ACTIVE)?;
        if run.facts.state.is_ended() {
            active.remove(run.facts.id.as_str())?;
        } else if active.insert(run.facts.id.as_str(), ())?.is_none()
            && active.len()? > self.limits.queued_runs + self.limits.concurrent_runs
        {
            return Err(StoreError::Limit { what: "runs that wait", limit: self.limits.queued_runs });
        }
        Ok(())
    }

    /// Runs that have not ended, in the order in which they were asked for.
    pub(crate) fn active_runs(&self) -> Result<Vec<RunRecord>, StoreError> {
        let transaction = self.database.begin_read()?;
        let runs = transaction.open_table(RUNS)?;
        let mut found = Vec::new();
        for entry in transaction.open_table(ACTIVE)?.iter()? {
            let Some(record) = runs.get(entry?.0.value())? else { continue };
            found.push(serde_json::from_slice::<RunRecord>(record.value())?);
        }
        let since = |run: &RunRecord| run.facts.history.last().map(|step| step.at.clone());
        found.sort_by_cached_key(since);
        Ok(found)
    }

    /// Changes a run's record durably. `change` returns whether the state is another one, which is logged as an
    /// event; when it fails nothing is changed.
    pub(crate) fn change_run<T, E: From<StoreError>>(
        &self,
        id: &RunId,
        change: impl FnOnce(&mut RunRecord) -> Result<T, E>,
    ) -> Result<T, E> {
        let transaction = self.database.begin_write().map_err(StoreError::from)?;
        let value = {
            let mut runs = transaction.open_table(RUNS).map_err(StoreError::from)?;
            let mut run: RunRecord = match runs.get(id.as_str()).map_err(StoreError::from)? {
                Some(record) => serde_json::from_slice(record.value()).map_err(StoreError::from)?,
                None => return Err(StoreError::Missing.into()),
            };
            let before = run.facts.history.last().cloned();
            let value = change(&mut run)?;
            let record = serde_json::to_vec(&run).map_err(StoreError::from)?;
            runs.insert(id.as_str(), record.as_slice()).map_err(StoreError::from)?;
            if run.facts.history.last() != before.as_ref() {
                self.note_active(&transaction, &run)?;
                log_state(&transaction, &run)?;
            }
            value
        };
        transaction.commit().map_err(StoreError::from)?;
        Ok(value)
    }

    pub(crate) fn run(&self, id: &RunId) -> Result<Option<RunRecord>, StoreError> {
        let runs = self.database.begin_read()?.open_table(RUNS)?;
        let record = runs.get(id.as_str())?;
        Ok(record.map(|record| serde_json::from_slice(record.value())).transpose()?)
    }

    /// Runs, newest first, that `wanted` accepts, at most `limit`.
    pub(crate) fn runs(
        &self,
        limit: usize,
        wanted: impl Fn(&RunRecord) -> bool,
    ) -> Result<Vec<RunRecord>, StoreError> {
        let transaction = self.database.begin_read()?;
        let runs = transaction.open_table(RUNS)?;
        let order = transaction.open_table(RUN_ORDER)?;
        let mut found = Vec::new();
        for entry in order.iter()?.rev() {
            let Some(record) = runs.get(entry?.1.value())? else { continue };
            let run: RunRecord = serde_json::from_slice(record.value())?;
            if wanted(&run) {
                found.push(run);
                if found.len() >= limit {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Removes an ended run with its results and events. `Err(InUse)` if it has not ended.
    pub(crate) fn remove_run(&self, id: &RunId) -> Result<(), StoreError> {
        let transaction = self.database.begin_write()?;
        {
            let mut runs = transaction.open_table(RUNS)?;
            let run: RunRecord = match runs.get(id.as_str())? {
                Some(record) => serde_json::from_slice(record.value())?,
                None => return Err(StoreError::Missing),
            };
            if !run.facts.state.is_ended() {
                return Err(StoreError::InUse);
            }
            runs.remove(id.as_str())?;
            transaction.open_table(RUN_ORDER)?.retain(|_, other| other != id.as_str())?;
            transaction.open_table(SIZES)?.remove(("results", id.as_str()))?;
            transaction
                .open_table(EVENT_LOG)?
                .retain_in((id.as_str(), 0)..=(id.as_str(), u64::MAX), |_, _| false)?;
        }
        transaction.commit()?;
        Ok(files::remove_directory(&self.scratch, &self.results_directory(id))?)
    }

    /// Adds an event. It is durable with the next change of the run.
    pub(crate) fn add_event(&self, id: &RunId, what: RunHappening) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(redb::Durability::None)?;
        log_event(&transaction, id, what)?;
        Ok(transaction.commit()?)
    }

    /// Events of a run with a number above `after`, ascending.
    pub(crate) fn events(&self, id: &RunId, after: u64) -> Result<Vec<RunEvent>, StoreError> {
        let events = self.database.begin_read()?.open_table(EVENT_LOG)?;
        let range = (id.as_str(), after.saturating_add(1))..=(id.as_str(), u64::MAX);
        events
            .range(range)?
            .take(usize::try_from(EVENTS).unwrap_or(usize::MAX))
            .map(|entry| Ok(serde_json::from_slice(entry?.1.value())?))
            .collect()
    }

    // ---- results ----

    fn results_directory(&self, id: &RunId) -> PathBuf {
        self.root.join("results").join(id.as_str())
    }

    pub(crate) fn start_results(&self) -> Result<PendingResults, StoreError> {
        let directory = tempfile::Builder::new().prefix("results-").tempdir_in(&self.scratch)?;
        Ok(PendingResults { directory, files: Vec::new(), receipt: false })
    }

    /// Keeps all results of a run, or none: files are synced, then their directory gets its name in one step.
    pub(crate) fn keep_results(&self, id: &RunId, results: PendingResults) -> Result<(), StoreError> {
        let PendingResults { directory, files: results, .. } = results;
        let bytes = results.iter().fold(0u64, |sum, file| sum.saturating_add(file.bytes));
        let index = serde_json::to_vec(&ResultIndex { results })?;
        files::write_whole(&self.scratch, &directory.path().join("index.json"), &index)?;
        files::sync_directory(directory.path())?;
        let transaction = self.database.begin_write()?;
        self.set_aside(&transaction, "results", id.as_str(), bytes)?;
        transaction.commit()?;
        // Remains of an attempt that ended between this rename and the commit of its state cannot be here: the next
        // start of the host would have taken them for what they are, a finished run.
        fs::rename(directory.path(), self.results_directory(id))?;
        Ok(files::sync_directory(&self.root.join("results"))?)
    }

    /// Whether the results of a run are there, all of them.
    pub(crate) fn has_results(&self, id: &RunId) -> bool {
        self.results_directory(id).exists()
    }

    pub(crate) fn results(&self, id: &RunId) -> Result<Option<Vec<ResultFacts>>, StoreError> {
        match fs::read(self.results_directory(id).join("index.json")) {
            Ok(bytes) => Ok(Some(serde_json::from_slice::<ResultIndex>(&bytes)?.results)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Where a result file lies. `name` must be one of [`Store::results`].
    pub(crate) fn result_path(&self, id: &RunId, name: &str) -> PathBuf {
        self.results_directory(id).join(name)
    }

    pub(crate) fn receipt_path(&self, id: &RunId) -> PathBuf {
        self.results_directory(id).join("receipt.json")
    }

    // ---- space ----

    /// Sets space aside, or fails when all space is.
    fn set_aside(
        &self,
        transaction: &WriteTransaction,
        what: &str,
        identity: &str,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let mut sizes = transaction.open_table(SIZES)?;
        sizes.insert((what, identity), bytes)?;
        let mut sum = 0u64;
        for entry in sizes.iter()? {
            sum = sum.saturating_add(entry?.1.value());
        }
        if sum > self.limits.stored_bytes {
            return Err(StoreError::Limit { what: "bytes in files", limit: self.limits.stored_bytes });
        }
        Ok(())
    }
}

impl PendingResults {
    /// Starts a result file; its name has been compared with the agreement's outputs.
    pub(crate) fn file(&self) -> Result<Pending, StoreError> {
        Ok(Pending::new(self.directory.path())?)
    }

    pub(crate) fn keep_file(&mut self, facts: ResultFacts, file: Pending) -> Result<(), StoreError> {
        file.keep(&self.directory.path().join(&facts.name))?;
        self.files.push(facts);
        Ok(())
    }

    pub(crate) fn files(&self) -> &[ResultFacts] {
        &self.files
    }

    /// Brings the files into the order of these names.
    pub(crate) fn sort(&mut self, order: &[&str]) {
        self.files.sort_by_key(|file| order.iter().position(|name| *name == file.name));
    }

    pub(crate) fn has_receipt(&self) -> bool {
        self.receipt
    }

    pub(crate) fn keep_receipt(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        files::write_whole(self.directory.path(), &self.directory.path().join("receipt.json"), bytes)?;
        self.receipt = true;
        Ok(())
    }
}

/// The form of the database; `None` if it is new.
fn form_of(database: &Database) -> Result<Option<u64>, StoreError> {
    match database.begin_read()?.open_table(META) {
        Ok(meta) => Ok(meta.get("form")?.map(|form| form.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes all tables, so that reading one never fails for its absence.
fn prepare(database: &Database) -> Result<(), StoreError> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert("form", FORM)?;
    transaction.open_table(OBJECTS)?;
    transaction.open_table(BELONGS)?;
    transaction.open_table(SIGNATURES)?;
    transaction.open_table(CHUNKS)?;
    transaction.open_table(COMPLETE)?;
    transaction.open_table(IMAGES)?;
    transaction.open_table(SIZES)?;
    transaction.open_table(RUNS)?;
    transaction.open_table(ACTIVE)?;
    transaction.open_table(RUN_ORDER)?;
    transaction.open_table(EVENT_LOG)?;
    Ok(transaction.commit()?)
}

fn refuse_if_needed(
    transaction: &WriteTransaction,
    needed: impl Fn(&RunRecord) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let runs = transaction.open_table(RUNS)?;
    for entry in transaction.open_table(ACTIVE)?.iter()? {
        let Some(record) = runs.get(entry?.0.value())? else { continue };
        if needed(&serde_json::from_slice(record.value())?)? {
            return Err(StoreError::InUse);
        }
    }
    Ok(())
}

fn log_state(transaction: &WriteTransaction, run: &RunRecord) -> Result<(), StoreError> {
    log_event(transaction, &run.facts.id, RunHappening::State { state: run.facts.state.clone() })
}

fn log_event(transaction: &WriteTransaction, id: &RunId, what: RunHappening) -> Result<(), StoreError> {
    let mut events = transaction.open_table(EVENT_LOG)?;
    let all = (id.as_str(), 0)..=(id.as_str(), u64::MAX);
    let number = events.range(all)?.next_back().transpose()?.map_or(1, |(key, _)| key.value().1 + 1);
    let event = serde_json::to_vec(&RunEvent { number, at: crate::clock::now().to_string(), what })?;
    events.insert((id.as_str(), number), event.as_slice())?;
    if let Some(oldest) = number.checked_sub(EVENTS) {
        events.remove((id.as_str(), oldest))?;
    }
    Ok(())
}

fn parse_key(text: &str) -> Result<Digest384, StoreError> {
    text.parse().map_err(|error: entente_attestation::DigestError| {
        StoreError::Io(io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    })
}

//! Sealing a dataset (PROTOCOL §2; §11, steps 8 and 9).

use crate::convert::{self, ConvertError, Counted, SourceFormat};
use crate::files::{self, Draft, Existing, FileError, Readers};
use crate::home::{Home, HomeError, ensure_directory};
use crate::journal::{Act, JournalError};
use crate::key_service::{KeyServiceError, KeyWrapper};
use crate::objects::{signature_file, write_signature};
use crate::signer::SignerError;
use arrow_array::RecordBatch;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use entente_agreement::{
    ApprovedAgreement, Dataset, Format, InputsError, Manifest, ManifestTerms, Name, Namespace, SealingId,
    TextError, check_slot,
};
use entente_attestation::{Digest384, UnixTime};
use entente_sealing::blob::{OpenBlobError, SealBlobError, blob_reader, seal_blob};
use entente_sealing::table::{
    NotATable, OpenTableError, SealTableError, TableReader, TableTerms, TableWriter,
};
use entente_sealing::{Binding, ChunkList, ChunkWriter, DatasetKey, RandomnessFailed, SealingKeys};
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What is to be sealed.
pub struct SealOrder<'a> {
    /// The agreement, approved by all parties.
    pub approved: &'a ApprovedAgreement,
    /// The dataset slot; this party must own it.
    pub dataset: &'a Name,
    /// The plain file.
    pub source: &'a Path,
    /// The plain file's form; `None` takes it from the name. Means nothing for a blob.
    pub source_format: Option<SourceFormat>,
    /// Directory for the sealed file, the manifest and its signature.
    pub directory: &'a Path,
    /// The present.
    pub at: UnixTime,
}

/// How far sealing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Converting and encrypting.
    Sealing {
        /// Rows done; 0 for a blob.
        rows: u64,
        /// Bytes of the source read; 0 where that is not known.
        bytes: u64,
        /// Bytes of the source.
        of: u64,
    },
    /// Opening the sealed file again and comparing it with the source.
    Comparing {
        /// Rows done; 0 for a blob.
        rows: u64,
        /// Bytes of the source read; 0 where that is not known.
        bytes: u64,
        /// Bytes of the source.
        of: u64,
    },
    /// Waiting for the key service.
    Wrapping,
}

/// What [`seal`] made.
#[derive(Debug)]
pub struct Sealed {
    /// The sealed file: `DATASET.parquet` or `DATASET.age`.
    pub file: PathBuf,
    /// The manifest: `DATASET.manifest.toml`.
    pub manifest_file: PathBuf,
    /// The manifest's signature, beside it.
    pub signature: PathBuf,
    /// The manifest.
    pub manifest: Manifest,
    /// Rows sealed, filling rows not counted; `None` for a blob. The owner's own knowledge: it stands in no file.
    pub rows: Option<u64>,
    /// Columns of the source that the agreement does not name: they were not sealed.
    pub left_out: Vec<String>,
}

/// Seals one dataset under a fresh key: converts the source exactly, encrypts, opens the file again and compares, has `K`
/// wrapped, writes and signs the manifest. `K` is wiped at the end; only the key service can give it out again.
///
/// Files appear whole or not at all, the manifest last; a sealing that is broken off leaves at most a sealed file without
/// manifest, which nothing can open. Files that are there are not replaced.
///
/// # Errors
///
/// [`SealError`]. A value that does not fit is named with file, line or row, column and value, and nothing is sealed.
pub fn seal(
    home: &Home,
    order: &SealOrder<'_>,
    wrapper: &dyn KeyWrapper,
    progress: &mut dyn FnMut(Progress),
) -> Result<Sealed, SealError> {
    let agreement = order.approved.agreement();
    let dataset = agreement
        .dataset(order.dataset)
        .ok_or_else(|| SealError::UnknownDataset { dataset: order.dataset.clone() })?;
    if dataset.owner() != home.name() {
        return Err(SealError::NotOwner { dataset: dataset.name().clone(), owner: dataset.owner().clone() });
    }
    // Step 8: the approvals verified (that is what ApprovedAgreement says) for a digest that this party signed.
    if !home.journal()?.approved(&agreement.digest()) {
        return Err(SealError::NotApproved { agreement: agreement.digest() });
    }
    if order.at >= agreement.window().not_after() {
        return Err(SealError::Over { not_after: agreement.window().not_after() });
    }
    ensure_directory(order.directory)?;
    let file = order.directory.join(match dataset.format() {
        Format::Parquet => format!("{}.parquet", dataset.name()),
        Format::Age => format!("{}.age", dataset.name()),
    });
    let manifest_file = order.directory.join(format!("{}.manifest.toml", dataset.name()));
    for target in [&file, &manifest_file, &signature_file(&manifest_file, home.name())] {
        if target.symlink_metadata().is_ok() {
            return Err(SealError::AlreadyThere { path: target.clone() });
        }
    }
    // Before the long work: the means to finish it.
    let signer = home.signer()?;

    // Step 9: a fresh K and sealing id.
    let key = DatasetKey::generate()?;
    let mut sealing = [0; 16];
    SystemRandom::new().fill(&mut sealing).map_err(|_| RandomnessFailed)?;
    let binding = Binding {
        agreement: agreement.digest(),
        dataset: dataset.name().clone(),
        sealing: SealingId::from_bytes(sealing),
    };
    let keys = SealingKeys::derive(&key, &binding);
    let draft = Draft::new(&file, Readers::All)?;
    let made = match dataset.format() {
        Format::Parquet => seal_table(&draft, dataset, order, &keys, progress)?,
        Format::Age => seal_file(&draft, home, order, &keys, progress)?,
    };
    if made.chunks.bytes() > dataset.max_bytes() {
        return Err(SealError::TooLarge { found: made.chunks.bytes(), limit: dataset.max_bytes() });
    }
    progress(Progress::Wrapping);
    let wrapped_key = wrapper.wrap(dataset.key(), &key, &binding)?;
    let manifest = Manifest::new(&ManifestTerms {
        agreement: agreement.digest(),
        dataset: dataset.name().clone(),
        owner: home.name().clone(),
        sealing: binding.sealing,
        format: dataset.format(),
        bytes: made.chunks.bytes(),
        chunks: made.chunks.digest(),
        wrapped_key,
        commitment: *keys.commitment(),
    })?;
    check_slot(agreement, dataset.name(), &manifest)?;
    home.journal()?.record(
        order.at,
        Act::Sealed {
            agreement: agreement.digest(),
            dataset: dataset.name().clone(),
            manifest: manifest.digest(),
        },
    )?;
    let armored = signer.sign(Namespace::Manifest, manifest.bytes())?;
    draft.publish(Existing::Refuse)?;
    let signature = write_signature(&manifest_file, home.name(), &armored)?;
    files::write(&manifest_file, manifest.bytes(), Readers::All, Existing::Refuse)?;
    Ok(Sealed { file, manifest_file, signature, manifest, rows: made.rows, left_out: made.left_out })
}

struct Made {
    chunks: ChunkList,
    rows: Option<u64>,
    left_out: Vec<String>,
}

fn seal_table(
    draft: &Draft,
    dataset: &Dataset,
    order: &SealOrder<'_>,
    keys: &SealingKeys,
    progress: &mut dyn FnMut(Progress),
) -> Result<Made, SealError> {
    let terms = TableTerms::of(dataset)?;
    let format = order
        .source_format
        .or_else(|| SourceFormat::of_name(order.source))
        .ok_or_else(|| SealError::UnknownForm { path: order.source.to_owned() })?;
    let of = source_bytes(order.source)?;
    let read = Rc::new(Cell::new(0));
    let rows = convert::open(order.source, format, dataset.schema(), &read)?;
    let left_out = rows.left_out.clone();
    let out = ChunkWriter::new(BufWriter::with_capacity(1 << 20, draft.file()));
    let mut writer = TableWriter::new(out, keys, &terms)?;
    let mut count = 0;
    for batch in rows {
        let batch = batch?;
        writer.write(&batch)?;
        count += batch.num_rows() as u64;
        progress(Progress::Sealing { rows: count, bytes: read.get(), of });
    }
    let sealed = writer.finish()?;
    let (_, chunks) = sealed.out.finish().map_err(FileError::at(draft.target()))?;
    if chunks.bytes() > dataset.max_bytes() {
        return Err(SealError::TooLarge { found: chunks.bytes(), limit: dataset.max_bytes() });
    }

    // Open again, as the enclave will, and compare with the source, read a second time.
    let read = Rc::new(Cell::new(0));
    let mut source = convert::open(order.source, format, dataset.schema(), &read)?;
    let opened = TableReader::open(draft.reopen()?, keys, &terms, u64::MAX)?;
    let mut rest: Option<RecordBatch> = None;
    let mut compared = 0;
    for batch in opened {
        let mut batch = batch?;
        while batch.num_rows() > 0 {
            let other = match rest.take().filter(|rest| rest.num_rows() > 0) {
                Some(rest) => rest,
                None => source.next().ok_or(SealError::Differs { row: compared + 1 })??,
            };
            let both = batch.num_rows().min(other.num_rows());
            if batch.slice(0, both) != other.slice(0, both) {
                return Err(SealError::Differs { row: compared + 1 });
            }
            compared += both as u64;
            batch = batch.slice(both, batch.num_rows() - both);
            rest = Some(other.slice(both, other.num_rows() - both));
        }
        progress(Progress::Comparing { rows: compared, bytes: read.get(), of });
    }
    let nothing_left = rest.is_none_or(|rest| rest.num_rows() == 0)
        && source.all(|batch| batch.is_ok_and(|batch| batch.num_rows() == 0));
    if compared != sealed.rows || !nothing_left {
        return Err(SealError::Differs { row: compared + 1 });
    }
    Ok(Made { chunks, rows: Some(sealed.rows), left_out })
}

fn seal_file(
    draft: &Draft,
    home: &Home,
    order: &SealOrder<'_>,
    keys: &SealingKeys,
    progress: &mut dyn FnMut(Progress),
) -> Result<Made, SealError> {
    let of = source_bytes(order.source)?;
    let open = || File::open(order.source).map_err(FileError::at(order.source));
    let mut out = ChunkWriter::new(BufWriter::with_capacity(1 << 20, draft.file()));
    let read = Rc::new(Cell::new(0));
    let mut source = Reported {
        inner: Counted { inner: open()?, read: Rc::clone(&read) },
        report: |bytes| {
            progress(Progress::Sealing { rows: 0, bytes, of });
        },
    };
    seal_blob(&mut source, &mut out, keys, &[home.result_key()])?;
    let (_, chunks) = out.finish().map_err(FileError::at(draft.target()))?;
    let mut opened = blob_reader(BufReader::with_capacity(1 << 20, draft.reopen()?), keys)?;
    let mut source = open()?;
    let (mut ours, mut theirs) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut bytes = 0;
    loop {
        let count = fill(&mut opened, &mut ours).map_err(FileError::at(draft.target()))?;
        let other = fill(&mut source, &mut theirs).map_err(FileError::at(order.source))?;
        if ours[..count] != theirs[..other] {
            return Err(SealError::Differs { row: 0 });
        }
        if count == 0 {
            break;
        }
        bytes += count as u64;
        progress(Progress::Comparing { rows: 0, bytes, of });
    }
    Ok(Made { chunks, rows: None, left_out: Vec::new() })
}

/// Reports, now and then, how much was read.
struct Reported<F> {
    inner: Counted<File>,
    report: F,
}

impl<F: FnMut(u64)> Read for Reported<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        (self.report)(self.inner.read.get());
        Ok(count)
    }
}

/// Fills the buffer as far as there is something.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn source_bytes(path: &Path) -> Result<u64, FileError> {
    path.metadata().map(|metadata| metadata.len()).map_err(FileError::at(path))
}

/// A dataset could not be sealed. Nothing that can be used was written.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The agreement has no such dataset.
    #[error("the agreement has no dataset `{dataset}`")]
    UnknownDataset {
        /// The dataset asked for.
        dataset: Name,
    },
    /// Somebody else's dataset.
    #[error("the dataset `{dataset}` is `{owner}`'s")]
    NotOwner {
        /// The dataset.
        dataset: Name,
        /// Its owner.
        owner: Name,
    },
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
    /// A file of an earlier sealing is there.
    #[error("{}: already there; move it away, or seal into another directory", path.display())]
    AlreadyThere {
        /// The file.
        path: PathBuf,
    },
    /// The name does not tell what the file is.
    #[error("{}: say whether it is CSV, Parquet or Arrow", path.display())]
    UnknownForm {
        /// The file.
        path: PathBuf,
    },
    /// The source does not fit the schema.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The dataset is no table.
    #[error(transparent)]
    NotATable(#[from] NotATable),
    /// The table could not be sealed.
    #[error(transparent)]
    Table(#[from] SealTableError),
    /// The blob could not be sealed.
    #[error(transparent)]
    Blob(#[from] SealBlobError),
    /// Larger than agreed.
    #[error("the sealed file has {found} bytes; the agreement allows {limit}")]
    TooLarge {
        /// Bytes of the sealed file.
        found: u64,
        /// `max_bytes` of the agreement.
        limit: u64,
    },
    /// The sealed table does not open again: a defect here, or of the disk.
    #[error("the sealed table does not open again: {0}")]
    OpenTable(#[from] OpenTableError),
    /// The sealed blob does not open again.
    #[error("the sealed file does not open again: {0}")]
    OpenBlob(#[from] OpenBlobError),
    /// What was opened again is not what the source holds: the source changed meanwhile, or a defect.
    #[error("opened again, the sealed file differs from the source (from row {row}); did the source change?")]
    Differs {
        /// First row of the batch that differs, from 1; 0 for a blob.
        row: u64,
    },
    /// The key could not be wrapped.
    #[error(transparent)]
    KeyService(#[from] KeyServiceError),
    /// The manifest cannot be written.
    #[error(transparent)]
    Manifest(#[from] TextError),
    /// The manifest does not fit its slot.
    #[error(transparent)]
    Slot(#[from] InputsError),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessFailed),
    /// The party's directory.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The signature.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// Writing.
    #[error(transparent)]
    File(#[from] FileError),
}

//! Opening a result (PROTOCOL §12): nothing is shown or written before everything is verified.

use crate::files::{self, Existing, FileError, Readers};
use crate::home::{Home, HomeError, ensure_directory};
use crate::journal::JournalError;
use entente_agreement::{Agreement, Name};
use entente_attestation::{Digest384, TrustAnchor};
use entente_receipt::{ResultError, VerificationError, VerifiedReceipt, verify};
use entente_sealing::blob::OpenBlobError;
use entente_sealing::result::{ArchiveError, BINDING_FILE, ResultArchive, ResultContents, Verdict};
use std::path::{Path, PathBuf};

/// Largest receipt that is read.
const RECEIPT_LIMIT: u64 = 4 << 20;

/// The input set that a recipient expects a result of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedInputs {
    /// The one that this party authorized for the run's round, as its journal says.
    Authorized,
    /// This one: an owner whom this party trusts told its digest.
    ToldByOwner(Digest384),
}

/// What is to be opened, and against what it is checked.
pub struct OpenOrder<'a> {
    /// The agreement; this party signed it.
    pub agreement: &'a Agreement,
    /// The trust root, chosen without looking at the receipt.
    pub anchor: &'a TrustAnchor,
    /// The receipt file. A result without receipt is refused.
    pub receipt: &'a Path,
    /// The sealed result file, `OUTPUT.RECIPIENT.age`.
    pub sealed: &'a Path,
    /// The output that it is said to be.
    pub output: &'a Name,
    /// Which inputs the run must have had.
    pub inputs: ExpectedInputs,
}

/// A result that was verified and opened. Only [`open_result`] makes one.
pub struct OpenedResult {
    receipt: VerifiedReceipt,
    contents: ResultContents,
    archive: Digest384,
}

impl OpenedResult {
    /// The receipt that vouches for it. Whatever is shown of a simulated one must say `SIMULATED`.
    #[must_use]
    pub fn receipt(&self) -> &VerifiedReceipt {
        &self.receipt
    }

    /// Whether the analysis gave the output or refused it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.contents.binding.verdict
    }

    /// Digest of the archive, as the receipt's `opened` says.
    #[must_use]
    pub fn archive(&self) -> Digest384 {
        self.archive
    }

    /// Binding and files.
    #[must_use]
    pub fn contents(&self) -> &ResultContents {
        &self.contents
    }

    /// Writes the files, `BINDING.toml` first, each whole or not at all, readable by their owner only. Files that are there
    /// are kept and make it fail. Gives the paths.
    ///
    /// # Errors
    ///
    /// [`FileError`].
    pub fn write_to(&self, directory: &Path) -> Result<Vec<PathBuf>, FileError> {
        ensure_directory(directory)?;
        let binding = self.contents.binding.render();
        let all = std::iter::once((BINDING_FILE, binding.as_bytes()))
            .chain(self.contents.files.iter().map(|file| (file.name(), file.bytes())));
        let mut paths = Vec::new();
        for (name, bytes) in all {
            // Names are plain: ArchiveFile takes no other.
            let path = directory.join(name);
            files::write(&path, bytes, Readers::Owner, Existing::Refuse)?;
            paths.push(path);
        }
        Ok(paths)
    }
}

/// Makes the checks of PROTOCOL §12 in their order and opens the result.
///
/// # Errors
///
/// [`OpenError`], the first check that fails; nothing of the result is in it.
pub fn open_result(home: &Home, order: &OpenOrder<'_>) -> Result<OpenedResult, OpenError> {
    let agreement = order.agreement;
    // Step 1.
    let journal = home.journal()?;
    if !journal.approved(&agreement.digest()) {
        return Err(OpenError::NotApproved { agreement: agreement.digest() });
    }
    if !order.receipt.exists() {
        return Err(OpenError::NoReceipt { path: order.receipt.to_owned() });
    }
    let receipt = verify(&files::read(order.receipt, RECEIPT_LIMIT)?, agreement, order.anchor)?;
    let statement = receipt.statement();
    let inputs = statement.input_set().digest();
    let expected = match order.inputs {
        ExpectedInputs::ToldByOwner(digest) => Some(digest),
        ExpectedInputs::Authorized => {
            journal.authorized(&agreement.digest(), statement.analysis(), statement.round())
        }
    };
    match expected {
        None => return Err(OpenError::NotAuthorized { inputs }),
        Some(expected) if expected != inputs => {
            return Err(OpenError::OtherInputs { expected, found: inputs });
        }
        Some(_) => {}
    }
    // Step 2.
    let bytes = agreement
        .analysis(statement.analysis())
        .and_then(|analysis| {
            let mut outputs = analysis.outputs().iter();
            outputs.find(|output| output.name() == order.output && output.recipient() == home.name())
        })
        .map(entente_agreement::Output::bytes)
        .ok_or_else(|| ResultError::NoSuchResult {
            output: order.output.clone(),
            recipient: home.name().clone(),
        })?;
    // age adds a header, and 16 bytes to each 64 KiB.
    let sealed = files::read(order.sealed, bytes + bytes / 4096 + (64 << 10))?;
    let matched = receipt.match_file(order.output, home.name(), Digest384::of(&sealed))?;
    // Step 3.
    let archive = home.result_identity()?.open(&sealed, bytes)?;
    let digest = Digest384::of(&archive);
    matched.match_archive(digest)?;
    let contents = ResultArchive::parse(&archive)?;
    let binding = &contents.binding;
    let bound = binding.agreement == agreement.digest()
        && binding.inputs == inputs
        && binding.request == statement.request()
        && binding.analysis == *statement.analysis()
        && binding.recipient == *home.name()
        && binding.output == *order.output
        && archive.len() as u64 == bytes;
    if !bound {
        return Err(OpenError::OtherBinding);
    }
    // Step 4.
    Ok(OpenedResult { contents, archive: digest, receipt })
}

impl From<VerificationError> for OpenError {
    fn from(error: VerificationError) -> Self {
        Self::Receipt(Box::new(error))
    }
}

/// A result was refused.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no receipt: age does not say who wrote a file.
    #[error("{}: no receipt; a file without receipt is not a result", path.display())]
    NoReceipt {
        /// Where it should be.
        path: PathBuf,
    },
    /// This party never signed the agreement.
    #[error("this party has not signed the agreement {agreement}")]
    NotApproved {
        /// Its digest.
        agreement: Digest384,
    },
    /// The receipt does not verify.
    #[error(transparent)]
    Receipt(Box<VerificationError>),
    /// This party authorized no input set for that round, and nobody told it one.
    #[error(
        "this party authorized no inputs for that round; the receipt's are {inputs}: ask an owner whom you trust"
    )]
    NotAuthorized {
        /// The receipt's input set.
        inputs: Digest384,
    },
    /// The run had other inputs than expected.
    #[error("the run had the inputs {found}, not {expected}")]
    OtherInputs {
        /// The input set expected.
        expected: Digest384,
        /// The receipt's.
        found: Digest384,
    },
    /// The file, or the archive in it, is not the one of the receipt.
    #[error(transparent)]
    Result(#[from] ResultError),
    /// The file does not open with this party's identity.
    #[error(transparent)]
    Blob(#[from] OpenBlobError),
    /// The archive is not in the agreed form, though the enclave made it.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// `BINDING.toml` contradicts the statement.
    #[error("BINDING.toml does not belong to this run, output and recipient")]
    OtherBinding,
    /// The party's directory.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Reading.
    #[error(transparent)]
    File(#[from] FileError),
}

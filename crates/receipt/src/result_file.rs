//! What a recipient checks on a result file (PROTOCOL §12).

use entente_agreement::Name;
use entente_attestation::Digest384;

use crate::{ResultFile, VerifiedReceipt};

impl VerifiedReceipt {
    /// Step 2: that a sealed file is this run's, for this output and recipient. To be done before it is opened.
    ///
    /// # Errors
    /// [`ResultError::NoSuchResult`] and [`ResultError::OtherFile`].
    pub fn match_file(
        &self,
        output: &Name,
        recipient: &Name,
        sealed: Digest384,
    ) -> Result<MatchedFile<'_>, ResultError> {
        let result = self.result(output, recipient).ok_or_else(|| ResultError::NoSuchResult {
            output: output.clone(),
            recipient: recipient.clone(),
        })?;
        if result.sealed != sealed {
            return Err(ResultError::OtherFile { expected: result.sealed, found: sealed });
        }
        Ok(MatchedFile { receipt: self, result })
    }
}

/// A sealed file that a verified receipt names. `age` does not say who wrote a file; the receipt does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatchedFile<'a> {
    receipt: &'a VerifiedReceipt,
    result: &'a ResultFile,
}

impl<'a> MatchedFile<'a> {
    /// Step 3: that the archive inside is the one that the enclave made. What `BINDING.toml` in it says is then to be
    /// compared with the statement.
    ///
    /// # Errors
    /// [`ResultError::OtherArchive`].
    pub fn match_archive(self, opened: Digest384) -> Result<ProvenResult<'a>, ResultError> {
        if self.result.opened != opened {
            return Err(ResultError::OtherArchive { expected: self.result.opened, found: opened });
        }
        Ok(ProvenResult { receipt: self.receipt, result: self.result })
    }

    /// The receipt.
    #[must_use]
    pub fn receipt(&self) -> &'a VerifiedReceipt {
        self.receipt
    }

    /// The file's entry in the receipt.
    #[must_use]
    pub fn result(&self) -> &'a ResultFile {
        self.result
    }
}

/// An archive that the enclave of a verified receipt made for this output and recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvenResult<'a> {
    receipt: &'a VerifiedReceipt,
    result: &'a ResultFile,
}

impl<'a> ProvenResult<'a> {
    /// The receipt.
    #[must_use]
    pub fn receipt(&self) -> &'a VerifiedReceipt {
        self.receipt
    }

    /// The file's entry in the receipt.
    #[must_use]
    pub fn result(&self) -> &'a ResultFile {
        self.result
    }
}

/// Why a file is not a result of the run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// The run made no such file.
    #[error("the run has no output `{output}` for `{recipient}`")]
    NoSuchResult {
        /// The output asked for.
        output: Name,
        /// The recipient asked for.
        recipient: Name,
    },
    /// The sealed file is not the run's: forged, exchanged, or of another run.
    #[error("the file is {found}, the receipt names {expected}")]
    OtherFile {
        /// The receipt's digest.
        expected: Digest384,
        /// The file's.
        found: Digest384,
    },
    /// The archive in it is not the run's.
    #[error("the archive is {found}, the receipt names {expected}")]
    OtherArchive {
        /// The receipt's digest.
        expected: Digest384,
        /// The archive's.
        found: Digest384,
    },
}

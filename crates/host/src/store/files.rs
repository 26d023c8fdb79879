//! Files that are there whole or not at all: written beside, synced, then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Makes a directory for this user only, and its parents.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A file that does not exist under its name yet. Dropped before [`Pending::keep`] it leaves nothing; after a crash its
/// remains lie in the scratch directory, which is emptied at the next start.
pub(crate) struct Pending {
    file: NamedTempFile,
    bytes: u64,
}

impl Pending {
    /// Starts a file in `scratch`, which is on the file system of the later name.
    pub(crate) fn new(scratch: &Path) -> io::Result<Self> {
        let file =
            tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o600)).tempfile_in(scratch)?;
        Ok(Self { file, bytes: 0 })
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where the bytes lie for now.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Syncs and gives the file its name, in place of what had it. The name itself is durable after
    /// [`sync_directory`] of its directory.
    pub(crate) fn keep(self, path: &Path) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

impl Write for Pending {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a small file whole, or not at all, and makes its name durable.
pub(crate) fn write_whole(scratch: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut pending = Pending::new(scratch)?;
    pending.write_all(bytes)?;
    pending.keep(path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Removes a directory and what is in it, first out of sight under a name in `scratch`, so that no half-removed
/// directory is ever found under the name. Nothing there is no error.
pub(crate) fn remove_directory(scratch: &Path, path: &Path) -> io::Result<()> {
    let away: PathBuf = tempfile::Builder::new().prefix("gone-").tempdir_in(scratch)?.keep();
    match fs::rename(path, away.join("x")) {
        Ok(()) => {
            if let Some(parent) = path.parent() {
                sync_directory(parent)?;
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            fs::remove_dir_all(&away)?;
            return Err(error);
        }
    }
    fs::remove_dir_all(&away)
}

/// Empties a directory, which is made if it is missing.
pub(crate) fn empty_directory(path: &Path) -> io::Result<()> {
    make_directory(path)?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Opens a file that must not be read by others, and reads at most `limit` bytes.
pub(crate) fn read_private(path: &Path, limit: u64) -> Result<Vec<u8>, PrivateFileError> {
    use std::io::Read;
    let fail = |error| PrivateFileError::Read { path: path.to_owned(), error };
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o077 != 0 {
        return Err(PrivateFileError::Exposed { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(PrivateFileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Why a file with a secret in it is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateFileError {
    /// It cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others may read or write it, or it is no ordinary file.
    #[error("{path} must be a file that only its owner can read (chmod 600)")]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// It is longer than such a file is.
    #[error("{path} is longer than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes that are read at most.
        limit: u64,
    },
    /// It is not of its form.
    #[error("{path} does not hold {expected}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What it is to hold.
        expected: &'static str,
    },
}

/// Opens, or makes, a file for this user only, to lock it.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

//! Files that are whole or not there: a temporary file beside the target, fsync, rename, fsync of the directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempPath};

/// A file operation failed.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}", path = .path.display())]
pub struct FileError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub error: io::Error,
}

impl FileError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self { path, error }
    }

    fn already_there(path: &Path) -> Self {
        Self { path: path.to_owned(), error: io::ErrorKind::AlreadyExists.into() }
    }
}

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Everybody: 0644.
    All,
    /// The owner: 0600.
    Owner,
}

/// What happens where a file of the name is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It is kept and the write fails.
    Refuse,
    /// It is replaced, at once and as a whole.
    Replace,
}

/// A file in the making, under a temporary name. Dropped without [`Draft::publish`], it is removed.
pub(crate) struct Draft {
    file: File,
    temporary: TempPath,
    target: PathBuf,
}

impl Draft {
    /// Begins a file that will be `target`, in the same directory.
    pub(crate) fn new(target: &Path, readers: Readers) -> Result<Self, FileError> {
        let fail = |error| FileError { path: target.to_owned(), error };
        let (file, temporary) =
            NamedTempFile::with_prefix_in(".entente-", directory_of(target)).map_err(fail)?.into_parts();
        if readers == Readers::All {
            file.set_permissions(fs::Permissions::from_mode(0o644)).map_err(fail)?;
        }
        Ok(Self { file, temporary, target: target.to_owned() })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Opens the unfinished file a second time, from its beginning.
    pub(crate) fn reopen(&self) -> Result<File, FileError> {
        File::open(&self.temporary).map_err(FileError::at(&self.temporary))
    }

    /// Makes the content durable and gives the file its name.
    pub(crate) fn publish(self, existing: Existing) -> Result<(), FileError> {
        let target = self.target;
        self.file.sync_all().map_err(FileError::at(&target))?;
        match existing {
            Existing::Replace => self.temporary.persist(&target),
            Existing::Refuse => self.temporary.persist_noclobber(&target),
        }
        .map_err(|failed| FileError { path: target.clone(), error: failed.error })?;
        sync_directory(directory_of(&target))
    }
}

/// Writes a whole file.
pub(crate) fn write(
    path: &Path,
    bytes: &[u8],
    readers: Readers,
    existing: Existing,
) -> Result<(), FileError> {
    if existing == Existing::Refuse && path.symlink_metadata().is_ok() {
        return Err(FileError::already_there(path));
    }
    let draft = Draft::new(path, readers)?;
    draft.file().write_all(bytes).map_err(FileError::at(path))?;
    draft.publish(existing)
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(FileError::at(path))?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(FileError::at(path))?;
    if bytes.len() as u64 > limit {
        let error = io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes"));
        return Err(FileError { path: path.to_owned(), error });
    }
    Ok(bytes)
}

/// Opens a file for appending, with its owner as only reader; makes it if it is not there.
pub(crate) fn append(path: &Path) -> Result<File, FileError> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(FileError::at(path))
}

pub(crate) fn sync_directory(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(FileError::at(path))
}

/// The directory that a file is in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_that_is_given_up_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("file");
        let draft = Draft::new(&target, Readers::All).unwrap();
        draft.file().write_all(b"half").unwrap();
        drop(draft);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_there_is_kept_unless_told_otherwise() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("file");
        write(&target, b"one", Readers::Owner, Existing::Refuse).unwrap();
        let error = write(&target, b"two", Readers::Owner, Existing::Refuse).unwrap_err();
        assert_eq!(error.error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&target, 3).unwrap(), b"one");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
        write(&target, b"three", Readers::All, Existing::Replace).unwrap();
        assert_eq!(read(&target, 4).unwrap_err().error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

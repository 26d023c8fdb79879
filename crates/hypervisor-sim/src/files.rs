//! Unpacking ramdisks into a directory.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use entente_image::{EntryKind, Ramdisk, RamdiskError, RamdiskLimits};

/// Entries in one ramdisk: an image of ours has five.
const ENTRY_LIMIT: usize = 10_000;

/// Why a ramdisk was not unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// The ramdisk cannot be read.
    #[error("ramdisk {index}: {source}")]
    Ramdisk {
        /// Which ramdisk of the image, from 0.
        index: usize,
        /// What is wrong with it.
        source: RamdiskError,
    },
    /// An entry would replace one of another kind that an earlier ramdisk made.
    #[error("{path:?} is of two kinds in two ramdisks")]
    Conflict {
        /// The entry's path.
        path: String,
    },
    /// A file cannot be made.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Unpacks ramdisks, each over the one before, into an empty directory that only this user can write. As on hardware,
/// where they live in the enclave's memory, all files together may have no more bytes than that.
///
/// Directories get the owner's permissions in any case, so that they can be filled and removed.
pub(crate) fn unpack<'a>(
    ramdisks: impl Iterator<Item = (usize, &'a [u8])>,
    root: &Path,
    memory: u64,
) -> Result<(), UnpackError> {
    for (index, bytes) in ramdisks {
        let ramdisk = Ramdisk::parse(bytes, RamdiskLimits::new(ENTRY_LIMIT, memory))
            .map_err(|source| UnpackError::Ramdisk { index, source })?;
        for entry in ramdisk.entries() {
            // Every directory above it is an entry of this ramdisk and was found to be a directory, not a link.
            let path = root.join(entry.path());
            let failed = |source| UnpackError::File { path: path.clone(), source };
            let existing = path.symlink_metadata().map(|m| m.file_type()).ok();
            let conflict = || UnpackError::Conflict { path: entry.path().to_owned() };
            match entry.kind() {
                EntryKind::Directory => match existing {
                    Some(kind) if !kind.is_dir() => return Err(conflict()),
                    Some(_) => {}
                    None => {
                        let mode = entry.mode().bits() | 0o700;
                        DirBuilder::new().mode(mode).create(&path).map_err(failed)?;
                        fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(failed)?;
                    }
                },
                EntryKind::File(contents) => {
                    match existing {
                        Some(kind) if !kind.is_file() => return Err(conflict()),
                        Some(_) => fs::remove_file(&path).map_err(failed)?,
                        None => {}
                    }
                    let mut file = OpenOptions::new()
                        .write(true)
                        .create_new(true)
                        .mode(0o600)
                        .open(&path)
                        .map_err(failed)?;
                    file.write_all(contents).map_err(failed)?;
                    file.set_permissions(Permissions::from_mode(entry.mode().bits())).map_err(failed)?;
                }
                EntryKind::Link(target) => {
                    match existing {
                        Some(kind) if !kind.is_symlink() => return Err(conflict()),
                        Some(_) => fs::remove_file(&path).map_err(failed)?,
                        None => {}
                    }
                    symlink(target, &path).map_err(failed)?;
                }
            }
        }
    }
    Ok(())
}

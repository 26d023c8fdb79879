//! Text objects and their signatures as files: `OBJECT` and one `OBJECT.PARTY.sig` beside it for each signature (PROTOCOL §0).

use crate::files::{self, Existing, FileError, Readers};
use entente_agreement::{Agreement, InputSet, MAX_TEXT_BYTES, Manifest, Name, SignedManifest, TextError};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Largest signature file that is read.
const SIGNATURE_LIMIT: u64 = 64 << 10;

/// Most signatures beside one object that are read.
const SIGNATURES: usize = 1024;

/// A file is not the object that it should be.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Reading or writing failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The text breaks a rule.
    #[error("{}:{error}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Line, column and rule.
        error: TextError,
    },
    /// The signature that belongs to the file is not beside it.
    #[error("{}: the signature of `{party}` is not there", path.display())]
    SignatureMissing {
        /// The signature file.
        path: PathBuf,
        /// Who should have signed.
        party: Name,
    },
    /// More signature files than parties can be.
    #[error("{}: more than 1024 signatures", path.display())]
    TooManySignatures {
        /// The object.
        path: PathBuf,
    },
}

fn object<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, TextError>) -> Result<T, ObjectError> {
    let bytes = files::read(path, MAX_TEXT_BYTES as u64)?;
    parse(&bytes).map_err(|error| ObjectError::Text { path: path.to_owned(), error })
}

/// Reads an agreement file.
///
/// # Errors
///
/// [`ObjectError`].
pub fn read_agreement(path: &Path) -> Result<Agreement, ObjectError> {
    object(path, Agreement::parse)
}

/// Reads an input set file.
///
/// # Errors
///
/// [`ObjectError`].
pub fn read_inputs(path: &Path) -> Result<InputSet, ObjectError> {
    object(path, InputSet::parse)
}

/// Reads a manifest file and its owner's signature beside it; neither is verified here.
///
/// # Errors
///
/// [`ObjectError`].
pub fn read_manifest(path: &Path) -> Result<SignedManifest, ObjectError> {
    let manifest = object(path, Manifest::parse)?;
    let signature = signature_file(path, manifest.owner());
    if !signature.exists() {
        return Err(ObjectError::SignatureMissing { path: signature, party: manifest.owner().clone() });
    }
    let armored = files::read(&signature, SIGNATURE_LIMIT)?;
    Ok(SignedManifest::new(manifest, armored))
}

/// Reads all signatures beside an object, `OBJECT.PARTY.sig`, by party; none is verified here.
///
/// # Errors
///
/// [`ObjectError`].
pub fn read_signatures(object: &Path) -> Result<BTreeMap<Name, Vec<u8>>, ObjectError> {
    let directory = files::directory_of(object);
    let Some(prefix) = object.file_name().and_then(|name| name.to_str()).map(|name| format!("{name}."))
    else {
        return Ok(BTreeMap::new());
    };
    let mut signatures = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(FileError::at(directory))? {
        let entry = entry.map_err(FileError::at(directory))?;
        let name = entry.file_name();
        let party = name
            .to_str()
            .and_then(|name| name.strip_prefix(&prefix)?.strip_suffix(".sig"))
            .and_then(|party| Name::new(party).ok());
        if let Some(party) = party {
            if signatures.len() == SIGNATURES {
                return Err(ObjectError::TooManySignatures { path: object.to_owned() });
            }
            signatures.insert(party, files::read(&entry.path(), SIGNATURE_LIMIT)?);
        }
    }
    Ok(signatures)
}

/// Reads the approvals beside an agreement file; none is verified here.
///
/// # Errors
///
/// [`ObjectError`].
pub fn read_approvals(agreement: &Path) -> Result<BTreeMap<Name, Vec<u8>>, ObjectError> {
    read_signatures(agreement)
}

/// `OBJECT.PARTY.sig`.
pub(crate) fn signature_file(object: &Path, party: &Name) -> PathBuf {
    let mut name = object.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{party}.sig"));
    object.with_file_name(name)
}

/// Writes a signature beside its object. A signature is not unique: one that is there is replaced by an equally good one.
pub(crate) fn write_signature(object: &Path, party: &Name, armored: &[u8]) -> Result<PathBuf, FileError> {
    let path = signature_file(object, party);
    files::write(&path, armored, Readers::All, Existing::Replace)?;
    Ok(path)
}

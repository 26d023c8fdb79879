//! The bearer token: made at the first start, in a file that only the platform owner can read.

use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;

use crate::store::files::{self, PrivateFileError};

/// Hex digits of a token: 32 random bytes.
const DIGITS: usize = 64;

/// The token, never shown.
pub(crate) struct Token {
    digits: Vec<u8>,
    path: PathBuf,
}

impl Token {
    /// Reads `token` in the data directory, or makes it.
    pub(crate) fn open(data: &Path, scratch: &Path) -> Result<Self, PrivateFileError> {
        let path = data.join("token");
        if !path.exists() {
            let fail = |error: std::io::Error| PrivateFileError::Read { path: path.clone(), error };
            let mut random = [0; DIGITS / 2];
            getrandom::fill(&mut random).map_err(|error| fail(std::io::Error::other(error.to_string())))?;
            // Mode 0600 from the first moment: it is that of scratch files.
            files::write_whole(scratch, &path, format!("{}\n", hex::encode(random)).as_bytes())
                .map_err(fail)?;
        }
        let digits = read(&path)?;
        Ok(Self { digits, path })
    }

    /// Whether a request's token is this one; the time taken tells nothing but the length.
    pub(crate) fn admits(&self, token: &[u8]) -> bool {
        self.digits.ct_eq(token).into()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads a token file: 64 lower-case hex digits, white space around them ignored.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, PrivateFileError> {
    let bytes = files::read_private(path, 1024)?;
    let digits = bytes.trim_ascii();
    if digits.len() == DIGITS && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(digits.to_vec())
    } else {
        Err(PrivateFileError::Form { path: path.to_owned(), expected: "64 lower-case hex digits" })
    }
}

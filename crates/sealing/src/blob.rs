//! Sealed blobs: age files to the X25519 identity that is derived from `K` (PROTOCOL §2, *Blob*).

use crate::identity::{RecipientError, identity, identity_text, recipient};
use crate::key::SealingKeys;
use std::io::{self, BufRead, Read, Write};
use zeroize::{Zeroize, Zeroizing};

/// Seals everything that `plaintext` gives into an age file, to the derived identity and to the `owners` recipients
/// (`age1…`), so that an owner can open its own file with stock `age -d`. Streams: holds 64 KiB at a time.
///
/// Returns the number of plaintext bytes.
///
/// # Errors
///
/// [`SealBlobError`]; what was written so far is then worthless.
pub fn seal_blob<R: Read, W: Write>(
    plaintext: &mut R,
    out: W,
    keys: &SealingKeys,
    owners: &[&str],
) -> Result<u64, SealBlobError> {
    let mut recipients = vec![identity(keys.age_key()).to_public()];
    for owner in owners {
        recipients.push(recipient(owner)?);
    }
    let encryptor = age::Encryptor::with_recipients(recipients.iter().map(|r| r as &dyn age::Recipient))
        .map_err(|error| SealBlobError::Age(error.to_string()))?;
    let mut writer = encryptor.wrap_output(out)?;
    let mut buffer = Zeroizing::new(vec![0; 1 << 16]);
    let mut total = 0;
    loop {
        let count = match plaintext.read(&mut buffer[..]) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        writer.write_all(&buffer[..count])?;
        total += count as u64;
    }
    writer.finish()?.flush()?;
    Ok(total)
}

/// Opens a sealed blob of at most `limit` plaintext bytes into memory that is wiped when dropped.
///
/// # Errors
///
/// [`OpenBlobError`]. The file is what its owner signed (the chunk list was checked before), so it is the owner's doing.
pub fn open_blob(sealed: &[u8], keys: &SealingKeys, limit: u64) -> Result<Zeroizing<Vec<u8>>, OpenBlobError> {
    open_with(sealed, &identity(keys.age_key()), limit)
}

/// Opens a sealed blob piece by piece, for blobs that do not fit into memory. What is read before the end is reached is not
/// to be trusted to be complete; a damaged piece is an I/O error.
///
/// # Errors
///
/// [`OpenBlobError`], for what the header shows.
pub fn blob_reader<R: BufRead>(sealed: R, keys: &SealingKeys) -> Result<impl Read, OpenBlobError> {
    let identity = identity(keys.age_key());
    let decryptor = age::Decryptor::new_buffered(sealed).map_err(|_| OpenBlobError::NotAge)?;
    decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).map_err(|error| match error {
        age::DecryptError::NoMatchingKeys => OpenBlobError::NotForThisKey,
        _ => OpenBlobError::NotAge,
    })
}

/// Text of the derived identity (`AGE-SECRET-KEY-1…`), for an owner that wants to open its own sealed blob with
/// `age -d -i`. Secret; wiped when dropped.
#[must_use]
pub fn blob_identity(keys: &SealingKeys) -> Zeroizing<String> {
    identity_text(keys.age_key())
}

/// Opens an age file with one identity, reading at most `limit` bytes of plaintext.
pub(crate) fn open_with(
    sealed: &[u8],
    identity: &age::x25519::Identity,
    limit: u64,
) -> Result<Zeroizing<Vec<u8>>, OpenBlobError> {
    let decryptor = age::Decryptor::new_buffered(sealed).map_err(|_| OpenBlobError::NotAge)?;
    let mut reader =
        decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys => OpenBlobError::NotForThisKey,
            _ => OpenBlobError::NotAge,
        })?;
    // age adds to the plaintext, never takes away: its length bounds the allocation, which is made once so that growing
    // leaves no unwiped copies.
    let capacity = sealed.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut plaintext = Zeroizing::new(Vec::with_capacity(capacity));
    let mut buffer = Zeroizing::new(vec![0; 1 << 16]);
    loop {
        let count = reader.read(&mut buffer[..]).map_err(|_| OpenBlobError::Damaged)?;
        if count == 0 {
            break;
        }
        if (plaintext.len() + count) as u64 > limit {
            plaintext.zeroize();
            return Err(OpenBlobError::TooLarge { limit });
        }
        plaintext.extend_from_slice(&buffer[..count]);
    }
    Ok(plaintext)
}

/// A blob could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealBlobError {
    /// One of the owner's own recipients is of another kind.
    #[error(transparent)]
    Recipient(#[from] RecipientError),
    /// Reading or writing failed.
    #[error("reading or writing failed: {0}")]
    Io(#[from] io::Error),
    /// The age library refused the recipients.
    #[error("age: {0}")]
    Age(String),
}

/// A sealed blob does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenBlobError {
    /// Not an age file (version 1), or its header is malformed.
    #[error("not an age file")]
    NotAge,
    /// No stanza of the file opens with the derived key.
    #[error("the age file is not sealed to this key")]
    NotForThisKey,
    /// A piece of the payload does not authenticate, or the file is cut short.
    #[error("the age file is damaged")]
    Damaged,
    /// The plaintext is longer than the declared limit.
    #[error("the plaintext is longer than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
}

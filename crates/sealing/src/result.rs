//! Result files (PROTOCOL §7): a padded ustar archive inside an age file, one for each output and recipient.
//!
//! `age -d -i IDENTITY FILE | tar x` opens one. **age does not say who wrote a file**: without the receipt that names its digest
//! an archive is not a result.
//!
//! ```
//! use entente_attestation::Digest384;
//! use entente_sealing::result::{ArchiveFile, ResultArchive, ResultBinding, Verdict};
//!
//! let binding = ResultBinding {
//!     agreement: Digest384::of(b"agreement"),
//!     inputs: Digest384::of(b"inputs"),
//!     request: None,
//!     analysis: "auction".parse()?,
//!     recipient: "seller".parse()?,
//!     output: "outcome".parse()?,
//!     verdict: Verdict::Released,
//!     salt: [7; 32],
//! };
//! let files = [ArchiveFile::new("outcome.csv", b"lot,winner\n".to_vec())?];
//! let archive = ResultArchive::build(&binding, &files, 65_536)?;
//! assert_eq!(archive.as_bytes().len(), 65_536);
//! assert_eq!(ResultArchive::parse(archive.as_bytes())?.binding, binding);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::blob::{OpenBlobError, open_with};
use crate::identity::{RecipientError, recipient};
use crate::key::{RandomnessFailed, fill_random};
use entente_agreement::Name;
use entente_attestation::Digest384;
use std::collections::BTreeSet;
use std::fmt;
use std::io::{Read, Write};
use zeroize::Zeroizing;

/// Name of the first file of every archive.
pub const BINDING_FILE: &str = "BINDING.toml";

/// Length of a tar block; an archive ends in two of zeros.
const BLOCK: u64 = 512;

/// Most files in one archive besides the binding. Analyses write a handful; the bound keeps parsing small.
pub const MAX_FILES: usize = 1024;

/// Whether the analysis gave an output. The host cannot tell: both kinds have the same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The archive holds the output.
    Released,
    /// The output was withheld, or did not fit; a file may say why.
    Refused,
}

impl Verdict {
    /// The word in `BINDING.toml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// `BINDING.toml`: what an archive belongs to. Generated; a reader renders it again and compares bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultBinding {
    /// Digest of the agreement.
    pub agreement: Digest384,
    /// Digest of the input set.
    pub inputs: Digest384,
    /// Digest of the request, where the analysis takes one; `""` in the file where it takes none.
    pub request: Option<Digest384>,
    /// The analysis.
    pub analysis: Name,
    /// The party that the result is sealed to.
    pub recipient: Name,
    /// The output's name.
    pub output: Name,
    /// Released or refused.
    pub verdict: Verdict,
    /// 32 bytes that keep the archive's digest from being guessed ([`crate::RunSeed::archive_salt`]).
    pub salt: [u8; 32],
}

impl ResultBinding {
    /// The file's exact text.
    #[must_use]
    pub fn render(&self) -> String {
        let request = self.request.map(|digest| digest.to_string()).unwrap_or_default();
        let salt: String = self.salt.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(
            "type = \"entente/result/v1\"\nagreement = \"{}\"\ninputs = \"{}\"\nrequest = \"{request}\"\n\
             analysis = \"{}\"\nrecipient = \"{}\"\noutput = \"{}\"\nverdict = \"{}\"\nsalt = \"{salt}\"\n",
            self.agreement, self.inputs, self.analysis, self.recipient, self.output, self.verdict
        )
    }

    /// Reads the file's text; only exactly what [`ResultBinding::render`] writes is accepted.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Binding`].
    pub fn parse(text: &[u8]) -> Result<Self, ArchiveError> {
        Self::read(text).filter(|binding| binding.render().as_bytes() == text).ok_or(ArchiveError::Binding)
    }

    fn read(text: &[u8]) -> Option<Self> {
        let mut values = std::str::from_utf8(text).ok()?.lines().map(|line| {
            let (_, value) = line.split_once(" = ")?;
            value.strip_prefix('"')?.strip_suffix('"')
        });
        let mut next = || values.next().flatten();
        next()?;
        Some(Self {
            agreement: next()?.parse().ok()?,
            inputs: next()?.parse().ok()?,
            request: match next()? {
                "" => None,
                digest => Some(digest.parse().ok()?),
            },
            analysis: next()?.parse().ok()?,
            recipient: next()?.parse().ok()?,
            output: next()?.parse().ok()?,
            verdict: match next()? {
                "released" => Verdict::Released,
                "refused" => Verdict::Refused,
                _ => return None,
            },
            salt: salt(next()?)?,
        })
    }
}

fn salt(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes().as_chunks::<2>().0;
    let bytes: Option<Vec<u8>> =
        digits.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    bytes?.try_into().ok()
}

/// A file of an archive: a plain name (`[a-z0-9][a-z0-9._-]*`, at most 99 bytes) and its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct ArchiveFile {
    name: String,
    bytes: Vec<u8>,
}

impl ArchiveFile {
    /// A file of that name.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::FileName`]: names must not lead anywhere when the archive is unpacked.
    pub fn new(name: &str, bytes: Vec<u8>) -> Result<Self, ArchiveError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let mut letters = name.bytes();
        let valid = name.len() <= 99
            && letters.next().is_some_and(plain)
            && letters.all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'));
        if valid { Ok(Self { name: name.to_owned(), bytes }) } else { Err(ArchiveError::FileName) }
    }

    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's bytes: confidential until they are the recipient's.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The plaintext of a result file: a ustar archive, `BINDING.toml` first, owner 0, mode 0644, time 0, filled with zeros to
/// the output's agreed size. Equal contents give equal bytes. Wiped when dropped.
pub struct ResultArchive(Zeroizing<Vec<u8>>);

impl ResultArchive {
    /// Builds the archive of exactly `bytes` bytes.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Overflow`] if it does not fit: the caller then builds one with [`Verdict::Refused`], so that the
    /// number and size of result files never depends on data. [`ArchiveError::FileName`] for a repeated name.
    pub fn build(binding: &ResultBinding, files: &[ArchiveFile], bytes: u64) -> Result<Self, ArchiveError> {
        let text = binding.render();
        let entries = std::iter::once((BINDING_FILE, text.as_bytes()))
            .chain(files.iter().map(|file| (file.name.as_str(), file.bytes.as_slice())));
        let mut names = BTreeSet::new();
        let mut needed = 2 * BLOCK;
        for (name, content) in entries.clone() {
            if !names.insert(name) {
                return Err(ArchiveError::FileName);
            }
            needed += BLOCK + (content.len() as u64).next_multiple_of(BLOCK);
        }
        if files.len() > MAX_FILES || needed > bytes {
            return Err(ArchiveError::Overflow { needed, bytes });
        }
        let length = usize::try_from(bytes).map_err(|_| ArchiveError::Overflow { needed, bytes })?;
        let mut archive = tar::Builder::new(Vec::with_capacity(length));
        for (name, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_path(name).map_err(|_| ArchiveError::FileName)?;
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_cksum();
            archive.append(&header, content).map_err(|_| ArchiveError::Malformed)?;
        }
        let mut archive = Zeroizing::new(archive.into_inner().map_err(|_| ArchiveError::Malformed)?);
        archive.resize(length, 0);
        Ok(Self(archive))
    }

    /// The archive's exact bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The digest that stands under `opened` in the receipt.
    #[must_use]
    pub fn digest(&self) -> Digest384 {
        Digest384::of(&self.0)
    }

    /// Reads an archive. Only what [`ResultArchive::build`] makes is accepted: the contents are built again, to the same
    /// length, and compared byte by byte, so nothing can hide in headers, padding or order.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn parse(archive: &[u8]) -> Result<ResultContents, ArchiveError> {
        let mut reader = tar::Archive::new(archive);
        let mut binding = None;
        let mut files = Vec::new();
        for entry in reader.entries().map_err(|_| ArchiveError::Malformed)?.raw(true) {
            let mut entry = entry.map_err(|_| ArchiveError::Malformed)?;
            let name =
                String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| ArchiveError::FileName)?;
            if entry.size() > archive.len() as u64 || files.len() >= MAX_FILES {
                return Err(ArchiveError::Malformed);
            }
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(|_| ArchiveError::Malformed)?;
            if binding.is_none() {
                if name != BINDING_FILE {
                    return Err(ArchiveError::Binding);
                }
                binding = Some(ResultBinding::parse(&content)?);
            } else {
                files.push(ArchiveFile::new(&name, content)?);
            }
        }
        let binding = binding.ok_or(ArchiveError::Binding)?;
        let again =
            Self::build(&binding, &files, archive.len() as u64).map_err(|_| ArchiveError::Malformed)?;
        if again.as_bytes() != archive {
            return Err(ArchiveError::Malformed);
        }
        Ok(ResultContents { binding, files })
    }

    /// Seals the archive to one recipient (`age1…`, X25519) and to nobody else.
    ///
    /// The result is longer than the archive by a length that depends on the archive's length and on chance only.
    ///
    /// # Errors
    ///
    /// [`SealResultError`].
    pub fn seal(&self, result_key: &str) -> Result<Vec<u8>, SealResultError> {
        let recipient = recipient(result_key)?;
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
            .map_err(|_| SealResultError::Age)?;
        let mut writer = encryptor.wrap_output(Vec::new()).map_err(|_| SealResultError::Age)?;
        writer.write_all(&self.0).map_err(|_| SealResultError::Age)?;
        writer.finish().map_err(|_| SealResultError::Age)
    }
}

/// What an archive held.
#[derive(Clone, PartialEq, Eq)]
pub struct ResultContents {
    /// What it belongs to.
    pub binding: ResultBinding,
    /// The files after `BINDING.toml`, in order.
    pub files: Vec<ArchiveFile>,
}

/// A party's secret X25519 identity, to open its results.
pub struct ResultIdentity(age::x25519::Identity);

impl ResultIdentity {
    /// Draws a new identity.
    ///
    /// # Errors
    ///
    /// [`RandomnessFailed`].
    pub fn generate() -> Result<Self, RandomnessFailed> {
        let mut secret = Zeroizing::new([0; 32]);
        fill_random(&mut secret[..])?;
        Ok(Self(crate::identity::identity(&secret)))
    }

    /// Reads an identity file of age: comments, blank lines and exactly one `AGE-SECRET-KEY-1…`.
    ///
    /// # Errors
    ///
    /// [`RecipientError`] for anything else.
    pub fn parse(file: &str) -> Result<Self, RecipientError> {
        let mut lines = file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        match (lines.next(), lines.next()) {
            (Some(line), None) => Ok(Self(line.parse().map_err(|_| RecipientError)?)),
            _ => Err(RecipientError),
        }
    }

    /// The text `AGE-SECRET-KEY-1…`, as it stands in an identity file. Secret; wiped when dropped.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        use age::secrecy::ExposeSecret;
        Zeroizing::new(self.0.to_string().expose_secret().to_owned())
    }

    /// The public side (`age1…`), for the agreement.
    #[must_use]
    pub fn recipient(&self) -> String {
        self.0.to_public().to_string()
    }

    /// Opens a result file of at most `limit` plaintext bytes. What comes out is not to be shown before the receipt was
    /// checked.
    ///
    /// # Errors
    ///
    /// [`OpenBlobError`].
    pub fn open(&self, sealed: &[u8], limit: u64) -> Result<Zeroizing<Vec<u8>>, OpenBlobError> {
        open_with(sealed, &self.0, limit)
    }
}

/// A result could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealResultError {
    /// The recipient's key is of another kind.
    #[error(transparent)]
    Recipient(#[from] RecipientError),
    /// The age library failed.
    #[error("age could not seal the result")]
    Age,
}

/// An archive cannot be built or is not one that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The contents do not fit into the agreed size.
    #[error("the archive needs {needed} bytes, {bytes} are agreed")]
    Overflow {
        /// Bytes needed.
        needed: u64,
        /// Bytes agreed.
        bytes: u64,
    },
    /// A file name that is not plain, is repeated, or is reserved.
    #[error("a file name in the archive is not a plain, unique one")]
    FileName,
    /// The first file is not a `BINDING.toml` exactly as it is generated.
    #[error("the archive does not begin with a valid BINDING.toml")]
    Binding,
    /// Not exactly what the contents would be built into.
    #[error("the archive is not in the agreed form")]
    Malformed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn binding() -> ResultBinding {
        ResultBinding {
            agreement: Digest384::of(b"agreement"),
            inputs: Digest384::of(b"inputs"),
            request: Some(Digest384::of(b"request")),
            analysis: "auction".parse().unwrap(),
            recipient: "seller".parse().unwrap(),
            output: "outcome".parse().unwrap(),
            verdict: Verdict::Refused,
            salt: [0xab; 32],
        }
    }

    fn files() -> Vec<ArchiveFile> {
        vec![
            ArchiveFile::new("outcome.csv", b"lot,winner\nvilla,north\n".to_vec()).unwrap(),
            ArchiveFile::new("empty", Vec::new()).unwrap(),
            ArchiveFile::new("block", vec![1; 512]).unwrap(),
        ]
    }

    fn build(bytes: u64) -> Result<Vec<u8>, ArchiveError> {
        ResultArchive::build(&binding(), &files(), bytes).map(|archive| archive.as_bytes().to_vec())
    }

    #[test]
    fn an_archive_is_deterministic_and_of_the_agreed_size() {
        // Four headers; a block each of BINDING.toml, outcome.csv and `block`; two of zeros.
        let least = 512 * 9;
        assert_eq!(build(least - 1), Err(ArchiveError::Overflow { needed: least, bytes: least - 1 }));
        for bytes in [least, least + 1, 65_536, 70_001] {
            let archive = build(bytes).unwrap();
            assert_eq!(archive.len() as u64, bytes);
            assert!(archive == build(bytes).unwrap());
            let contents = ResultArchive::parse(&archive).unwrap();
            assert_eq!(contents.binding, binding());
            assert!(contents.files == files());
        }
    }

    #[test]
    fn headers_are_ustar_of_nobody() {
        let archive = build(8192).unwrap();
        assert_eq!(&archive[..13], b"BINDING.toml\0");
        assert_eq!(&archive[100..108], b"0000644\0");
        assert_eq!(&archive[108..124], b"0000000\x000000000\0");
        assert_eq!(&archive[136..148], b"00000000000\0");
        assert_eq!(archive[156], b'0');
        assert_eq!(&archive[257..265], b"ustar\x0000");
        assert!(archive[265..329].iter().all(|byte| *byte == 0), "no user or group name");
    }

    #[test]
    fn names_are_plain() {
        for name in ["", ".", "..", "/x", "a/b", "A", "-x", ".x", "BINDING.toml", "a b", &"a".repeat(100)] {
            assert!(ArchiveFile::new(name, Vec::new()).is_err(), "{name}");
        }
        let twice = [files()[0].clone(), files()[0].clone()];
        assert!(matches!(ResultArchive::build(&binding(), &twice, 65_536), Err(ArchiveError::FileName)));
    }

    #[test]
    fn any_changed_byte_is_found_or_is_content() {
        let archive = build(8192).unwrap();
        let genuine = ResultArchive::parse(&archive).unwrap();
        for at in 0..archive.len() {
            let mut changed = archive.clone();
            changed[at] ^= 1;
            // What still parses differs in the contents: nothing outside them is free to vary.
            if let Ok(contents) = ResultArchive::parse(&changed) {
                assert!(contents != genuine, "byte {at}");
            }
        }
        assert!(ResultArchive::parse(&archive[..8191]).is_ok_and(|contents| contents == genuine));
        assert!(ResultArchive::parse(&archive[..4000]).is_err());
        assert!(ResultArchive::parse(b"").is_err());
    }

    #[test]
    fn the_binding_is_exact() {
        let text = binding().render();
        assert_eq!(ResultBinding::parse(text.as_bytes()).unwrap(), binding());
        let mut plain = binding();
        plain.request = None;
        assert_eq!(ResultBinding::parse(plain.render().as_bytes()).unwrap(), plain);
        for wrong in [
            text.replace("v1", "v2"),
            text.replace("refused", "Refused"),
            text.replace("abab", "ABAB"),
            text.replace("salt", "sält"),
            format!("{text}\n"),
            format!("{text}x = \"1\"\n"),
            text.replace('\n', "\r\n"),
        ] {
            assert_eq!(ResultBinding::parse(wrong.as_bytes()), Err(ArchiveError::Binding), "{wrong}");
        }
    }

    #[test]
    fn only_the_recipient_opens() {
        let archive = ResultArchive::build(&binding(), &files(), 8192).unwrap();
        let seller = ResultIdentity::generate().unwrap();
        let other = ResultIdentity::generate().unwrap();
        let sealed = archive.seal(&seller.recipient()).unwrap();
        assert_eq!(&seller.open(&sealed, 8192).unwrap()[..], archive.as_bytes());
        assert!(matches!(other.open(&sealed, 8192), Err(OpenBlobError::NotForThisKey)));
        assert!(matches!(seller.open(&sealed, 8191), Err(OpenBlobError::TooLarge { limit: 8191 })));
        let again = ResultIdentity::parse(&format!("# seller\n{}\n", *seller.to_text())).unwrap();
        assert_eq!(again.recipient(), seller.recipient());
        assert!(archive.seal("age1notakey").is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(mut archive in Just(build(6144).unwrap()), cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
            for (at, byte) in cuts {
                let at = at.index(archive.len());
                archive[at] = byte;
            }
            let _ = ResultArchive::parse(&archive);
        }
    }
}

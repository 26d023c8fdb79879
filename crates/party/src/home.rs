//! A party's own directory: its keys, the keys that it knows of others, its journal.

use crate::files::{self, Existing, FileError, Readers};
use crate::journal::{Journal, JournalError};
use crate::signer::{self, Signer, SignerError};
use entente_agreement::{KnownParties, KnownPartiesError, Name, NameError, SignKey};
use entente_sealing::result::ResultIdentity;
use entente_sealing::{RandomnessFailed, RecipientError};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest small file that is read from the directory.
const SMALL: u64 = 1 << 20;

/// Where a new party's signing key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignKeySource {
    /// A new Ed25519 key is made, in OpenSSH's format, readable by its owner only and without passphrase.
    Generate,
    /// A key that is there stays where it is: an OpenSSH private key, or a `.pub` file whose private side is in an
    /// agent or on a token. `ssh-keygen` signs with it where this program cannot.
    Existing(PathBuf),
}

/// A party's directory, mode 0700:
///
/// | file | what |
/// |---|---|
/// | `name` | the party's name |
/// | `sign_key`, `sign_key.pub` | OpenSSH key (`ssh-keygen -Y sign -f sign_key …`); or `sign_key.path`, where it is |
/// | `age_identity.txt` | identity that results are sealed to (`age -d -i age_identity.txt …`) |
/// | `known_parties` | keys of others, in the form of OpenSSH's `allowed_signers` |
/// | `journal` | what was signed ([`Journal`]) |
pub struct Home {
    directory: PathBuf,
    name: Name,
    public: SignKey,
    result_key: String,
}

impl Home {
    /// Makes a new party. The directory appears as a whole or not at all; one that is there and not empty is refused.
    ///
    /// # Errors
    ///
    /// [`HomeError`].
    pub fn init(directory: &Path, name: &Name, sign_key: &SignKeySource) -> Result<Self, HomeError> {
        if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(HomeError::AlreadyThere { path: directory.to_owned() });
        }
        let parent = files::directory_of(directory);
        fs::create_dir_all(parent).map_err(FileError::at(parent))?;
        let draft = tempfile::Builder::new()
            .prefix(".entente-party-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(FileError::at(parent))?;
        let put = |file: &str, bytes: &[u8], readers| {
            files::write(&draft.path().join(file), bytes, readers, Existing::Refuse)
        };
        put("name", format!("{name}\n").as_bytes(), Readers::All)?;
        match sign_key {
            SignKeySource::Generate => {
                let (private, public) = signer::generate(name.as_str())?;
                put("sign_key", private.as_bytes(), Readers::Owner)?;
                put("sign_key.pub", public.as_bytes(), Readers::All)?;
            }
            SignKeySource::Existing(path) => {
                let path = fs::canonicalize(path).map_err(FileError::at(path))?;
                let signer = Signer::open(&path)?;
                let public = format!("{} {name}\n", signer.public().to_openssh());
                put("sign_key.pub", public.as_bytes(), Readers::All)?;
                put("sign_key.path", path.as_os_str().as_encoded_bytes(), Readers::Owner)?;
            }
        }
        let identity = ResultIdentity::generate()?;
        let text = Zeroizing::new(format!(
            "# results of {name}\n# public key: {}\n{}\n",
            identity.recipient(),
            *identity.to_text()
        ));
        put("age_identity.txt", text.as_bytes(), Readers::Owner)?;
        put(
            "known_parties",
            b"# Keys of other parties. Enter one only after comparing its fingerprint by another road.\n",
            Readers::All,
        )?;
        put("journal", b"", Readers::Owner)?;
        // Of an empty directory that is there, rename keeps nothing; of a full one it refuses.
        let made = draft.keep();
        if let Err(error) = fs::rename(&made, directory) {
            let _ = fs::remove_dir_all(&made);
            return Err(match error.kind() {
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
                    HomeError::AlreadyThere { path: directory.to_owned() }
                }
                _ => FileError { path: directory.to_owned(), error }.into(),
            });
        }
        files::sync_directory(parent)?;
        Self::open(directory)
    }

    /// Opens a party's directory.
    ///
    /// # Errors
    ///
    /// [`HomeError`] if it is none, or a secret file can be read by others.
    pub fn open(directory: &Path) -> Result<Self, HomeError> {
        let name_file = directory.join("name");
        if !name_file.exists() {
            return Err(HomeError::NotAHome { path: directory.to_owned() });
        }
        let name = text(&name_file)?.trim_end().parse()?;
        let public_file = directory.join("sign_key.pub");
        let public = SignKey::from_openssh(text(&public_file)?.trim_end()).map_err(SignerError::from)?;
        let home = Self { directory: directory.to_owned(), name, public, result_key: String::new() };
        let result_key = home.result_identity()?.recipient();
        Ok(Self { result_key, ..home })
    }

    /// The party's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The party's public signing key.
    #[must_use]
    pub fn sign_key(&self) -> &SignKey {
        &self.public
    }

    /// The recipient (`age1…`) that results are sealed to.
    #[must_use]
    pub fn result_key(&self) -> &str {
        &self.result_key
    }

    /// Where the age identity is, for `age -d -i`.
    #[must_use]
    pub fn identity_file(&self) -> PathBuf {
        self.directory.join("age_identity.txt")
    }

    /// Where the known keys of others are, for `ssh-keygen -Y verify -f`.
    #[must_use]
    pub fn known_parties_file(&self) -> PathBuf {
        self.directory.join("known_parties")
    }

    /// The `[[party]]` block of this party, for an agreement.
    #[must_use]
    pub fn party_block(&self) -> String {
        let key = self.public.to_openssh();
        // No line of an agreement is longer than 200 bytes: an RSA key is broken, the breaks mean nothing.
        let key = if key.len() > 150 {
            let lines: Vec<&str> = key
                .as_bytes()
                .chunks(100)
                .map(|line| std::str::from_utf8(line).unwrap_or_default())
                .collect();
            format!("\"\"\"\n{}\"\"\"", lines.join("\n"))
        } else {
            format!("\"{key}\"")
        };
        format!(
            "[[party]]\nname = \"{}\"\nsign_key = {key}\nresult_key = \"{}\"\n",
            self.name, self.result_key
        )
    }

    /// The signing key, ready for use; it must be the one of `sign_key.pub`.
    ///
    /// # Errors
    ///
    /// [`HomeError`].
    pub fn signer(&self) -> Result<Signer, HomeError> {
        let elsewhere = self.directory.join("sign_key.path");
        let path = if elsewhere.exists() {
            PathBuf::from(text(&elsewhere)?)
        } else {
            let path = self.directory.join("sign_key");
            only_owners(&path)?;
            path
        };
        let signer = Signer::open(&path)?;
        if *signer.public() != self.public {
            return Err(HomeError::OtherKey { path });
        }
        Ok(signer)
    }

    /// The identity that opens results.
    ///
    /// # Errors
    ///
    /// [`HomeError`].
    pub fn result_identity(&self) -> Result<ResultIdentity, HomeError> {
        let path = self.identity_file();
        only_owners(&path)?;
        Ok(ResultIdentity::parse(&Zeroizing::new(text(&path)?))?)
    }

    /// The journal, locked until it is dropped.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub fn journal(&self) -> Result<Journal, JournalError> {
        Journal::open(&self.directory.join("journal"))
    }

    /// The keys of others that this party trusts.
    ///
    /// # Errors
    ///
    /// [`HomeError`].
    pub fn known_parties(&self) -> Result<KnownParties, HomeError> {
        let path = self.known_parties_file();
        Ok(KnownParties::parse(&files::read(&path, SMALL)?)?)
    }

    /// Enters another party's key, after its fingerprint was compared by another road. A key that is known already is not
    /// entered twice; another key under a known name is refused, as is a known key under another name: edit the file to change a pin.
    ///
    /// # Errors
    ///
    /// [`HomeError`].
    pub fn trust(&self, name: &Name, key: &SignKey) -> Result<(), HomeError> {
        let known = self.known_parties()?;
        for entry in known.iter() {
            match (entry.name() == name, entry.key() == key) {
                (true, true) => return Ok(()),
                (true, false) => {
                    return Err(HomeError::KnownWithOtherKey {
                        name: name.clone(),
                        known: entry.key().fingerprint(),
                    });
                }
                (false, true) => {
                    return Err(HomeError::KnownUnderOtherName { name: entry.name().clone() });
                }
                (false, false) => {}
            }
        }
        let path = self.known_parties_file();
        let mut bytes = files::read(&path, SMALL)?;
        if bytes.last().is_some_and(|byte| *byte != b'\n') {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(KnownParties::line(name, key).as_bytes());
        KnownParties::parse(&bytes)?;
        Ok(files::write(&path, &bytes, Readers::All, Existing::Replace)?)
    }
}

fn text(path: &Path) -> Result<String, HomeError> {
    String::from_utf8(files::read(path, SMALL)?).map_err(|_| HomeError::NotText { path: path.to_owned() })
}

/// Secret files that others can read are refused, as ssh does.
fn only_owners(path: &Path) -> Result<(), HomeError> {
    let mode = fs::metadata(path).map_err(FileError::at(path))?.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { Err(HomeError::ReadableByOthers { path: path.to_owned() }) }
}

/// Makes a directory that only its owner may enter; one that is there is left as it is.
pub(crate) fn ensure_directory(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(FileError::at(path))
}

/// A party's directory cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Reading or writing failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The directory is not empty.
    #[error("{}: already there and not empty; nothing was changed", path.display())]
    AlreadyThere {
        /// The directory.
        path: PathBuf,
    },
    /// No party was made there.
    #[error("{}: no party's directory; make one with `entente party init`", path.display())]
    NotAHome {
        /// The directory.
        path: PathBuf,
    },
    /// A file that should be text is not.
    #[error("{}: not text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The name is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A secret that others can read.
    #[error("{}: others can read this secret; `chmod 600` it", path.display())]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
    },
    /// The private key is not the public key's.
    #[error("{}: not the key of sign_key.pub", path.display())]
    OtherKey {
        /// The private key file.
        path: PathBuf,
    },
    /// The signing key.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The age identity.
    #[error("age_identity.txt: {0}")]
    Identity(#[from] RecipientError),
    /// `known_parties`.
    #[error("known_parties: {0}")]
    KnownParties(#[from] KnownPartiesError),
    /// The name is pinned to another key.
    #[error("`{name}` is known with the key {known}; edit known_parties if that key is no longer right")]
    KnownWithOtherKey {
        /// The name.
        name: Name,
        /// Fingerprint of the key that is known.
        known: String,
    },
    /// The key is pinned under another name.
    #[error("the key is known as `{name}`")]
    KnownUnderOtherName {
        /// The name.
        name: Name,
    },
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessFailed),
}

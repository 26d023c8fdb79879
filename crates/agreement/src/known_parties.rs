//! Pinned keys of other parties, in OpenSSH's `allowed_signers` form.

use std::fmt;

use entente_attestation::Digest384;

use crate::agreement::Agreement;
use crate::name::{Name, NameError};
use crate::namespace::Namespace;
use crate::sign_key::{SignKey, SignKeyError};
use crate::text::MAX_TEXT_BYTES;

/// The keys that a party knows to be other parties', each entered after comparing fingerprints by another road (PROTOCOL
/// §11.3). The file is OpenSSH's `allowed_signers` (ssh-keygen(1)), so stock `ssh-keygen -Y verify -f` takes it too:
///
/// ```text
/// # compared on the phone
/// harbour namespaces="entente-*" ssh-ed25519 AAAAC3Nza…
/// ```
///
/// Refused, since they would pin something else than "this key is this party": patterns, `cert-authority`, and `valid-after` and
/// `valid-before` (the agreement has the window). An entry with `namespaces` counts if it covers all five of
/// [`Namespace`]; a party may have several entries while it changes keys.
///
/// ```
/// use entente_agreement::{KnownParties, Name};
/// let line = "ada ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti\n";
/// let known = KnownParties::parse(line.as_bytes())?;
/// assert_eq!(known.lookup(&"ada".parse()?).count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownParties {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: Name,
    key: SignKey,
}

impl KnownParties {
    /// Reads a file of at most 256 KiB. An empty one knows nobody.
    ///
    /// # Errors
    /// The first line that is not understood entirely.
    pub fn parse(bytes: &[u8]) -> Result<Self, KnownPartiesError> {
        let whole = |kind| KnownPartiesError { line: 1, kind };
        if bytes.len() > MAX_TEXT_BYTES {
            return Err(whole(KnownPartiesErrorKind::TooLarge { found: bytes.len() }));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| whole(KnownPartiesErrorKind::NotText))?;
        let mut entries = Vec::new();
        for (number, line) in (1..).zip(text.split('\n')) {
            let line = line.trim_matches([' ', '\t', '\r']);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            read_line(line, &mut entries).map_err(|kind| KnownPartiesError { line: number, kind })?;
        }
        Ok(Self { entries })
    }

    /// The line that pins a party's key.
    #[must_use]
    pub fn line(name: &Name, key: &SignKey) -> String {
        format!("{name} namespaces=\"entente-*\" {key}\n")
    }

    /// The keys known for a name.
    pub fn lookup<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a SignKey> {
        self.entries.iter().filter(move |entry| entry.name == *name).map(|entry| &entry.key)
    }

    /// All names and keys, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = KnownKey<'_>> {
        self.entries.iter().map(|entry| KnownKey { name: &entry.name, key: &entry.key })
    }

    /// Checks that every party's `sign_key` is known under the party's name.
    ///
    /// # Errors
    /// The first party, in the order of the file, whose key is not.
    pub fn check(&self, agreement: &Agreement) -> Result<PinnedParties, PinError> {
        self.check_parties(agreement, None)
    }

    /// The same for every party but one: the owner of the file, which compares its own block with its own keys
    /// ([`Party::check_own`](crate::Party::check_own)).
    ///
    /// # Errors
    /// The first other party, in the order of the file, whose key is not known.
    pub fn check_others(&self, agreement: &Agreement, own: &Name) -> Result<PinnedParties, PinError> {
        self.check_parties(agreement, Some(own))
    }

    fn check_parties(&self, agreement: &Agreement, own: Option<&Name>) -> Result<PinnedParties, PinError> {
        for party in agreement.parties().iter().filter(|party| Some(party.name()) != own) {
            if self.lookup(party.name()).any(|key| key == party.sign_key()) {
                continue;
            }
            let name = party.name().clone();
            let found = party.sign_key().fingerprint();
            let known: Vec<String> = self.lookup(&name).map(SignKey::fingerprint).collect();
            let other = self.entries.iter().find(|entry| entry.key == *party.sign_key());
            return Err(match other {
                Some(other) => PinError::OtherName { party: name, found, known_as: other.name.clone() },
                None if known.is_empty() => PinError::Unknown { party: name, found },
                None => PinError::OtherKey { party: name, found, known },
            });
        }
        Ok(PinnedParties { agreement: agreement.digest() })
    }
}

/// A name and a key of a [`KnownParties`] file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKey<'a> {
    name: &'a Name,
    key: &'a SignKey,
}

impl<'a> KnownKey<'a> {
    /// The name.
    #[must_use]
    pub const fn name(&self) -> &'a Name {
        self.name
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &'a SignKey {
        self.key
    }
}

/// The parties of an agreement are who they are known to be. Only [`KnownParties`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinnedParties {
    agreement: Digest384,
}

impl PinnedParties {
    /// The agreement whose parties were compared.
    #[must_use]
    pub const fn agreement(&self) -> Digest384 {
        self.agreement
    }
}

/// `principals [options] keytype base64 [comment]`
fn read_line(line: &str, entries: &mut Vec<Entry>) -> Result<(), KnownPartiesErrorKind> {
    let (principals, rest) = word(line)?;
    let (second, after) = word(rest)?;
    let rest = if is_key_type(second) {
        rest
    } else {
        read_options(second)?;
        after
    };
    let (kind, rest) = word(rest)?;
    let (base64, _comment) = word(rest)?;
    let key = SignKey::from_openssh(&format!("{kind} {base64}")).map_err(KnownPartiesErrorKind::Key)?;
    let principals = principals.trim_matches('"');
    for principal in principals.split(',') {
        if principal.contains(['*', '?', '!']) {
            return Err(KnownPartiesErrorKind::Pattern);
        }
        let name = Name::new(principal).map_err(KnownPartiesErrorKind::Name)?;
        entries.push(Entry { name, key: key.clone() });
    }
    Ok(())
}

/// A word up to a blank outside of quotes, and what follows the blanks.
fn word(text: &str) -> Result<(&str, &str), KnownPartiesErrorKind> {
    let mut quoted = false;
    let mut end = text.len();
    for (index, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => {
                end = index;
                break;
            }
            _ => {}
        }
    }
    if quoted {
        return Err(KnownPartiesErrorKind::Quote);
    }
    let (word, rest) = text.split_at(end);
    if word.is_empty() {
        return Err(KnownPartiesErrorKind::Form);
    }
    Ok((word, rest.trim_start_matches([' ', '\t'])))
}

/// Whether the word begins a key rather than options. An option name has no hyphen-delimited key family in front.
fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-", "rsa-"].iter().any(|family| word.starts_with(family))
}

fn read_options(options: &str) -> Result<(), KnownPartiesErrorKind> {
    let mut rest = options;
    while !rest.is_empty() {
        let (option, tail) = split_option(rest);
        rest = tail;
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name.to_ascii_lowercase().as_str() {
            "namespaces" => {
                let patterns = value
                    .strip_prefix('"')
                    .and_then(|value| value.strip_suffix('"'))
                    .ok_or(KnownPartiesErrorKind::Quote)?;
                let covers = |namespace: &Namespace| {
                    patterns.split(',').any(|pattern| matches(pattern, namespace.as_str()))
                };
                if patterns.contains('!') || !Namespace::ALL.iter().all(covers) {
                    return Err(KnownPartiesErrorKind::Namespaces);
                }
            }
            "cert-authority" => return Err(KnownPartiesErrorKind::CertificateAuthority),
            "valid-after" | "valid-before" => return Err(KnownPartiesErrorKind::Validity),
            _ => return Err(KnownPartiesErrorKind::Option { found: name.chars().take(64).collect() }),
        }
    }
    Ok(())
}

/// The first of some options, split at a comma outside of quotes.
fn split_option(options: &str) -> (&str, &str) {
    let mut quoted = false;
    for (index, byte) in options.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => return (&options[..index], &options[index + 1..]),
            _ => {}
        }
    }
    (options, "")
}

/// OpenSSH's match_pattern: `*` any characters, `?` one. A greedy match that goes back to the last star, so in
/// length × length steps at most.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut index) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while index < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, index));
                at += 1;
            }
            Some(byte) if *byte == b'?' || Some(byte) == text.get(index) => {
                at += 1;
                index += 1;
            }
            _ => match star {
                Some((star_at, star_index)) => {
                    star = Some((star_at, star_index + 1));
                    at = star_at + 1;
                    index = star_index + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

/// A line of a known-parties file that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPartiesError {
    line: u32,
    kind: KnownPartiesErrorKind,
}

impl KnownPartiesError {
    /// The line, from 1.
    #[must_use]
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// What is wrong there.
    #[must_use]
    pub const fn kind(&self) -> &KnownPartiesErrorKind {
        &self.kind
    }
}

impl fmt::Display for KnownPartiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.kind)
    }
}

impl std::error::Error for KnownPartiesError {}

/// What is wrong with a line of a known-parties file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KnownPartiesErrorKind {
    /// More than 256 KiB.
    #[error("the file has {found} bytes, more than 256 KiB; remove what is not needed")]
    TooLarge {
        /// Bytes found.
        found: usize,
    },
    /// Not UTF-8.
    #[error("the file is not text; write it in UTF-8")]
    NotText,
    /// Not names, a key type and a key.
    #[error("not an entry; write NAME KEYTYPE BASE64, as after `ssh-keygen -Y verify -f`")]
    Form,
    /// A quote that is not closed, or a value that needs quotes.
    #[error("quotes are missing or not closed; write namespaces=\"entente-*\"")]
    Quote,
    /// A principal that is not a party's name.
    #[error("the principal is not a party's name: {0}")]
    Name(NameError),
    /// A pattern in the principals.
    #[error("a pattern stands for parties that nobody compared; name each party")]
    Pattern,
    /// Not a key that may sign.
    #[error("{0}")]
    Key(SignKeyError),
    /// `cert-authority`.
    #[error("certificates may not sign; enter the party's own key without cert-authority")]
    CertificateAuthority,
    /// `valid-after` or `valid-before`.
    #[error("a validity of its own; remove it, the agreement has the window")]
    Validity,
    /// `namespaces` that do not cover all of ours.
    #[error(
        "the namespaces do not cover all that a party signs; write namespaces=\"entente-*\" or leave it out"
    )]
    Namespaces,
    /// An option that is not known.
    #[error("unknown option {found:?}; remove it")]
    Option {
        /// The option, cut at 64 characters.
        found: String,
    },
}

/// A party of an agreement is not who it is known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// Nothing is known of the party.
    #[error("no key is known for `{party}`; compare its fingerprint {found} by another road, then enter it")]
    Unknown {
        /// The party.
        party: Name,
        /// The fingerprint in the agreement.
        found: String,
    },
    /// The agreement has another key than is known.
    #[error("the agreement gives `{party}` the key {found}, but {} is known; do not sign, ask the party", known.join(", "))]
    OtherKey {
        /// The party.
        party: Name,
        /// The fingerprint in the agreement.
        found: String,
        /// The fingerprints known.
        known: Vec<String>,
    },
    /// The agreement gives a party the key of somebody who is known under another name.
    #[error(
        "the agreement gives `{party}` the key {found}, which is known as that of `{known_as}`; do not sign, ask both"
    )]
    OtherName {
        /// The party.
        party: Name,
        /// The fingerprint in the agreement.
        found: String,
        /// The name that the key is known under.
        known_as: Name,
    },
}

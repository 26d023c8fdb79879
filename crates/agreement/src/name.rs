//! Names of parties, images, datasets, analyses and outputs.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// The name of a party, image, dataset, analysis or output: `[a-z0-9][a-z0-9-]{0,39}` (PROTOCOL §0).
///
/// It is safe as part of a file name, a URL path, a log line and a key-policy value. Order is byte order.
///
/// ```
/// use entente_agreement::Name;
/// let name: Name = "harbour-2".parse()?;
/// assert_eq!(name.as_str(), "harbour-2");
/// assert!("Harbour".parse::<Name>().is_err());
/// # Ok::<(), entente_agreement::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// The most bytes that a name may have.
    pub const MAX_BYTES: usize = 40;

    /// Reads a name.
    ///
    /// # Errors
    /// When the text is not of the form above.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(NameError::TooLong { found: text.len() });
        }
        let wrong = text.char_indices().find(|(index, character)| match character {
            'a'..='z' | '0'..='9' => false,
            '-' => *index == 0,
            _ => true,
        });
        match wrong {
            Some((index, character)) => Err(NameError::Character { index, character }),
            None => Ok(Self(text.into())),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.0)
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

/// Why a text is not a [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No character.
    #[error("the name is empty; use 1 to 40 of a to z, 0 to 9 and -")]
    Empty,
    /// More than [`Name::MAX_BYTES`].
    #[error("the name has {found} bytes; use at most 40")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// A character that is not allowed, or a hyphen at the start.
    #[error(
        "character {character:?} cannot stand there in a name; use a to z, 0 to 9 and -, the hyphen not first"
    )]
    Character {
        /// Its index in bytes, from 0.
        index: usize,
        /// The character.
        character: char,
    },
}

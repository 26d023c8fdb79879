//! What has been let go.

use core::ops::Deref;

use entente_agreement::Name;

/// A value that the disclosure rules have let go. Only [`disclose`](crate::disclose) makes one, and only it can be encoded outward.
#[must_use = "every recipient gets a file in every run"]
pub struct Released<T>(T);

impl<T> Released<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Released<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The results of a run: one for each output and recipient of the agreement, in its order.
///
/// Not `Debug`: each is for its recipient alone.
pub struct Results(Vec<ReleasedOutput>);

impl Results {
    pub(crate) const fn new(outputs: Vec<ReleasedOutput>) -> Self {
        Self(outputs)
    }

    /// The results, in the agreement's order.
    pub fn iter(&self) -> core::slice::Iter<'_, ReleasedOutput> {
        self.0.iter()
    }

    /// How many there are: as many as the analysis has outputs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none, because the agreement lists none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Results {
    type Item = ReleasedOutput;
    type IntoIter = std::vec::IntoIter<ReleasedOutput>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Results {
    type Item = &'a ReleasedOutput;
    type IntoIter = core::slice::Iter<'a, ReleasedOutput>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// What the recipient's file says about the run (`verdict` in `BINDING.toml`, PROTOCOL §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The files are there.
    Released,
    /// The rules did not let the output go; no reason is given.
    Refused,
}

impl Verdict {
    /// The word in `BINDING.toml`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Refused => "refused",
        }
    }
}

/// One recipient's result, to be sealed to that recipient alone.
pub struct ReleasedOutput {
    output: Name,
    recipient: Name,
    files: Option<Vec<ReleasedFile>>,
}

impl ReleasedOutput {
    pub(crate) const fn new(output: Name, recipient: Name, files: Option<Vec<ReleasedFile>>) -> Self {
        Self { output, recipient, files }
    }

    /// The output's name in the agreement.
    #[must_use]
    pub fn output(&self) -> &Name {
        &self.output
    }

    /// The party that it is for.
    #[must_use]
    pub fn recipient(&self) -> &Name {
        &self.recipient
    }

    /// Released or refused.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.files.is_some() { Verdict::Released } else { Verdict::Refused }
    }

    /// The files, in the order in which they go into the archive; none if refused.
    #[must_use]
    pub fn files(&self) -> &[ReleasedFile] {
        self.files.as_deref().unwrap_or_default()
    }
}

/// One file of a result.
pub struct ReleasedFile {
    name: &'static str,
    bytes: Vec<u8>,
}

impl ReleasedFile {
    pub(crate) const fn new(name: &'static str, bytes: Vec<u8>) -> Self {
        Self { name, bytes }
    }

    /// Its name in the archive, from the analysis' rules.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its content.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

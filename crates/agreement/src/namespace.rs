//! SSHSIG namespaces.

use std::fmt;

/// The SSHSIG namespace of a signature (PROTOCOL §0): it says what kind of object was signed, so that a signature over one
/// kind never counts for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    /// `entente-agreement`: an agreement, by every party.
    Agreement,
    /// `entente-manifest`: a manifest, by the dataset's owner.
    Manifest,
    /// `entente-inputs`: an input set, by every owner of a dataset that the analysis names.
    Inputs,
    /// `entente-request`: a request, by its runner and, where the agreement says so, every owner.
    Request,
    /// `entente-session`: a channel log-in, by the party that logs in.
    Session,
}

impl Namespace {
    /// All namespaces.
    pub const ALL: [Self; 5] = [Self::Agreement, Self::Manifest, Self::Inputs, Self::Request, Self::Session];

    /// The namespace as it stands in a signature and after `ssh-keygen -Y sign -n`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agreement => "entente-agreement",
            Self::Manifest => "entente-manifest",
            Self::Inputs => "entente-inputs",
            Self::Request => "entente-request",
            Self::Session => "entente-session",
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

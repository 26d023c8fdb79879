//! Input sets.

use std::fmt;

use entente_attestation::Digest384;

use crate::analysis::{Analysis, read_u32};
use crate::name::Name;
use crate::reader;
use crate::render::{Text, require_canonical};
use crate::table::Table;
use crate::text::{TextError, TextErrorKind};

/// One dataset of an [`InputSet`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputEntry {
    name: Name,
    owner: Name,
    manifest: Option<Digest384>,
}

impl InputEntry {
    /// A dataset that is there, with the digest of its manifest.
    #[must_use]
    pub const fn present(name: Name, owner: Name, manifest: Digest384) -> Self {
        Self { name, owner, manifest: Some(manifest) }
    }

    /// An optional dataset that its owner leaves out.
    #[must_use]
    pub const fn absent(name: Name, owner: Name) -> Self {
        Self { name, owner, manifest: None }
    }

    /// The dataset.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// Its owner.
    #[must_use]
    pub const fn owner(&self) -> &Name {
        &self.owner
    }

    /// The digest of its manifest; `None`: absent.
    #[must_use]
    pub const fn manifest(&self) -> Option<Digest384> {
        self.manifest
    }
}

/// An input set: which sealed files one round of one analysis works on (PROTOCOL §3). Its digest goes into PCR17.
///
/// A generated object: equal sets are equal bytes. An owner signs one set per agreement, analysis and round, ever.
#[derive(Clone, PartialEq, Eq)]
pub struct InputSet {
    bytes: Box<[u8]>,
    digest: Digest384,
    agreement: Digest384,
    analysis: Name,
    round: u32,
    datasets: Vec<InputEntry>,
}

impl InputSet {
    /// The first line's type.
    pub const TYPE: &'static str = "entente/inputs/v1";

    /// Makes the input set; entries may come in any order.
    ///
    /// # Errors
    /// No entry, two of one name, or a round outside of 1 to [`Analysis::MAX_ROUNDS`].
    pub fn new(
        agreement: Digest384,
        analysis: &Name,
        round: u32,
        mut datasets: Vec<InputEntry>,
    ) -> Result<Self, TextError> {
        datasets.sort();
        Self::parse(&render(agreement, analysis, round, &datasets))
    }

    /// Reads an input set. The bytes must be exactly those that [`InputSet::new`] makes.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and column.
    pub fn parse(bytes: &[u8]) -> Result<Self, TextError> {
        let table = reader::read(bytes, Self::TYPE)?;
        table.only(&["agreement", "analysis", "round", "dataset"])?;
        let agreement = table.digest("agreement")?;
        let analysis = table.name("analysis")?;
        let round = read_u32(&table, "round", Analysis::MAX_ROUNDS)?;
        let mut datasets: Vec<InputEntry> = Vec::new();
        for block in table.tables("dataset")? {
            let entry = read_entry(block)?;
            if let Some(before) = datasets.last() {
                let name = entry.name.clone();
                if before.name == name {
                    return Err(block.error("name", TextErrorKind::DuplicateName { what: "dataset", name }));
                }
                if before.name > name {
                    return Err(block.error("name", TextErrorKind::Order { name }));
                }
            }
            datasets.push(entry);
        }
        require_canonical(bytes, &render(agreement, &analysis, round, &datasets))?;
        Ok(Self { bytes: bytes.into(), digest: Digest384::of(bytes), agreement, analysis, round, datasets })
    }

    /// The exact bytes, which owners sign.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-384 of the bytes: what PCR17 is extended with.
    #[must_use]
    pub const fn digest(&self) -> Digest384 {
        self.digest
    }

    /// The digest of the agreement.
    #[must_use]
    pub const fn agreement(&self) -> Digest384 {
        self.agreement
    }

    /// The analysis.
    #[must_use]
    pub const fn analysis(&self) -> &Name {
        &self.analysis
    }

    /// The round, from 1.
    #[must_use]
    pub const fn round(&self) -> u32 {
        self.round
    }

    /// All datasets of the analysis, ascending by name.
    #[must_use]
    pub fn datasets(&self) -> &[InputEntry] {
        &self.datasets
    }

    /// The entry of a dataset.
    #[must_use]
    pub fn dataset(&self, name: &Name) -> Option<&InputEntry> {
        self.datasets.iter().find(|entry| entry.name == *name)
    }
}

impl fmt::Debug for InputSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { analysis, round, digest, .. } = self;
        f.debug_struct("InputSet")
            .field("analysis", analysis)
            .field("round", round)
            .field("digest", digest)
            .finish_non_exhaustive()
    }
}

fn read_entry(block: &Table) -> Result<InputEntry, TextError> {
    block.only(&["name", "owner", "manifest"])?;
    Ok(InputEntry {
        name: block.name("name")?,
        owner: block.name("owner")?,
        manifest: match block.text("manifest")? {
            "absent" => None,
            _ => Some(block.digest("manifest")?),
        },
    })
}

fn render(agreement: Digest384, analysis: &Name, round: u32, datasets: &[InputEntry]) -> Vec<u8> {
    let mut text = Text::new(InputSet::TYPE);
    text.word("agreement", agreement);
    text.word("analysis", analysis);
    text.number("round", u64::from(round));
    for entry in datasets {
        text.block("dataset");
        text.word("name", &entry.name);
        text.word("owner", &entry.owner);
        match entry.manifest {
            Some(digest) => text.word("manifest", digest),
            None => text.word("manifest", "absent"),
        }
    }
    text.finish()
}

//! Analyses of an agreement and their outputs.

use std::collections::BTreeSet;
use std::fmt;

use crate::name::Name;
use crate::table::Table;
use crate::text::{TextError, TextErrorKind};

/// An analysis that an agreement allows: which program, over which datasets, for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    name: Name,
    image: Name,
    datasets: Vec<Name>,
    parameters: Table,
    disclosure: Table,
    outputs: Vec<Output>,
    authorize: Authorize,
    runners: Vec<Name>,
    rounds: u32,
    memory_mib: u32,
}

impl Analysis {
    /// The most rounds: 1,000,000.
    pub const MAX_ROUNDS: u32 = 1_000_000;

    /// The most memory that an analysis may ask for, in MiB: 4 TiB.
    pub const MAX_MEMORY_MIB: u32 = 1 << 22;

    pub(crate) fn read(table: &Table) -> Result<Self, TextError> {
        table.only(&[
            "name",
            "image",
            "datasets",
            "authorize",
            "runners",
            "rounds",
            "memory_mib",
            "parameters",
            "disclosure",
            "output",
        ])?;
        let authorize = match table.text("authorize")? {
            "inputs" => Authorize::Inputs,
            "request" => Authorize::Request,
            other => {
                return Err(table.error(
                    "authorize",
                    TextErrorKind::NotOneOf {
                        key: "authorize".to_owned(),
                        found: other.to_owned(),
                        allowed: &["inputs", "request"],
                    },
                ));
            }
        };
        let rounds = match table.value("rounds") {
            None => 1,
            Some(_) => read_u32(table, "rounds", Self::MAX_ROUNDS)?,
        };
        Ok(Self {
            name: table.name("name")?,
            image: table.name("image")?,
            datasets: table.names("datasets")?,
            authorize,
            runners: table.names("runners")?,
            rounds,
            memory_mib: read_u32(table, "memory_mib", Self::MAX_MEMORY_MIB)?,
            parameters: table.table("parameters")?.clone(),
            disclosure: table.table("disclosure")?.clone(),
            outputs: read_outputs(table.tables("output")?)?,
        })
    }

    /// The analysis's name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The image that runs it.
    #[must_use]
    pub const fn image(&self) -> &Name {
        &self.image
    }

    /// The datasets that it reads, in the order of the file.
    #[must_use]
    pub fn datasets(&self) -> &[Name] {
        &self.datasets
    }

    /// What the analysis is told; their meaning is the analysis's.
    #[must_use]
    pub const fn parameters(&self) -> &Table {
        &self.parameters
    }

    /// What may be disclosed; its meaning is the analysis's.
    #[must_use]
    pub const fn disclosure(&self) -> &Table {
        &self.disclosure
    }

    /// The results, in the order of the file: one file each in every run, empty or not.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// What owners sign before a key is released.
    #[must_use]
    pub const fn authorize(&self) -> Authorize {
        self.authorize
    }

    /// The parties that may have it run, in the order of the file.
    #[must_use]
    pub fn runners(&self) -> &[Name] {
        &self.runners
    }

    /// How many input sets there may be, 1 to [`Analysis::MAX_ROUNDS`].
    #[must_use]
    pub const fn rounds(&self) -> u32 {
        self.rounds
    }

    /// The memory that an enclave must have, in MiB, 1 to [`Analysis::MAX_MEMORY_MIB`].
    #[must_use]
    pub const fn memory_mib(&self) -> u32 {
        self.memory_mib
    }
}

/// What owners sign before a key is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Authorize {
    /// `inputs`: the input set. Who may run it may do so as often as it likes, within the rounds.
    Inputs,
    /// `request`: the input set and every single request, so that runs can be counted.
    Request,
}

impl Authorize {
    /// `inputs` or `request`, as it stands in an agreement.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inputs => "inputs",
            Self::Request => "request",
        }
    }
}

impl fmt::Display for Authorize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A result for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    recipient: Name,
    name: Name,
    bytes: u64,
}

impl Output {
    /// The least size: the binding's two blocks and tar's two blocks at the end do not fit into less.
    pub const MIN_BYTES: u64 = 4096;

    /// The largest size: what ustar can say of one file, 8 GiB.
    pub const MAX_BYTES: u64 = 1 << 33;

    /// Sizes are whole blocks of tar.
    pub const BLOCK_BYTES: u64 = 512;

    /// The party that gets it.
    #[must_use]
    pub const fn recipient(&self) -> &Name {
        &self.recipient
    }

    /// The output's name, one of a kind for its recipient.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The size that its archive is always padded to: a multiple of 512 from [`Output::MIN_BYTES`] to
    /// [`Output::MAX_BYTES`].
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `OUTPUT.RECIPIENT.age`, the name of the sealed file and of the receipt's subject (PROTOCOL §8). It is one of a kind in
    /// an analysis, since names have no dots.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.{}.age", self.name, self.recipient)
    }
}

fn read_outputs(blocks: &[Table]) -> Result<Vec<Output>, TextError> {
    let mut seen = BTreeSet::new();
    let mut outputs = Vec::with_capacity(blocks.len());
    for block in blocks {
        block.only(&["recipient", "name", "bytes"])?;
        let recipient = block.name("recipient")?;
        let name = block.name("name")?;
        let bytes = block.unsigned("bytes", Output::MIN_BYTES..=Output::MAX_BYTES)?;
        if bytes % Output::BLOCK_BYTES != 0 {
            let of = Output::BLOCK_BYTES;
            return Err(block.error("bytes", TextErrorKind::NotMultiple { key: "bytes".to_owned(), of }));
        }
        if !seen.insert((recipient.clone(), name.clone())) {
            return Err(block.error("name", TextErrorKind::DuplicateOutput { recipient, output: name }));
        }
        outputs.push(Output { recipient, name, bytes });
    }
    Ok(outputs)
}

pub(crate) fn read_u32(table: &Table, key: &str, max: u32) -> Result<u32, TextError> {
    let value = table.unsigned(key, 1..=u64::from(max))?;
    u32::try_from(value).map_err(|_| {
        table.error(
            key,
            TextErrorKind::OutOfRange { key: key.to_owned(), found: i64::MAX, min: 1, max: u64::from(max) },
        )
    })
}

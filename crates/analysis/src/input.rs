//! What an analysis gets: every dataset that the agreement lists, in one of four states.

use arrow_array::RecordBatch;
use entente_agreement::{Agreement, Analysis as AgreedAnalysis, Dataset, Name, Schema};
use zeroize::Zeroizing;

/// The inputs of one run: one entry for each dataset of the analysis, in the agreement's order, present or not.
///
/// Not `Debug`, `Clone` or comparable: it holds everybody's data.
pub struct InputTables(Vec<DatasetInput>);

impl InputTables {
    /// Asks `load` for each dataset that `analysis` names, in the agreement's order. No slot can be left out or given twice.
    ///
    /// A name that the agreement does not define is skipped; `Agreement::parse` admits none.
    pub fn gather(
        agreement: &Agreement,
        analysis: &AgreedAnalysis,
        mut load: impl FnMut(&Dataset) -> Input,
    ) -> Self {
        let datasets = analysis.datasets().iter().filter_map(|name| agreement.dataset(name));
        Self(
            datasets
                .map(|dataset| DatasetInput {
                    name: dataset.name().clone(),
                    owner: dataset.owner().clone(),
                    schema: dataset.schema().clone(),
                    input: load(dataset),
                })
                .collect(),
        )
    }

    /// How many datasets there are, present or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the analysis has no datasets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries, in the agreement's order.
    pub fn iter(&self) -> core::slice::Iter<'_, DatasetInput> {
        self.0.iter()
    }

    /// The entry of the dataset called `name`.
    #[must_use]
    pub fn dataset(&self, name: &Name) -> Option<&DatasetInput> {
        self.0.iter().find(|entry| entry.name == *name)
    }
}

impl IntoIterator for InputTables {
    type Item = DatasetInput;
    type IntoIter = std::vec::IntoIter<DatasetInput>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a InputTables {
    type Item = &'a DatasetInput;
    type IntoIter = core::slice::Iter<'a, DatasetInput>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One dataset of a run: the slot as agreed, and what is in it.
pub struct DatasetInput {
    name: Name,
    owner: Name,
    schema: Schema,
    input: Input,
}

impl DatasetInput {
    /// The dataset's name in the agreement.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The party whose data it is, and the only one that a notice about it may reach.
    #[must_use]
    pub fn owner(&self) -> &Name {
        &self.owner
    }

    /// The agreed columns; a table has exactly these, in this order.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What is in the slot.
    #[must_use]
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// What is in the slot, by value.
    #[must_use]
    pub fn into_input(self) -> Input {
        self.input
    }
}

/// The content of one dataset's slot.
pub enum Input {
    /// The owner signed `absent` for it in the input set. That is public.
    Absent,
    /// The owner signed bytes that do not open or do not fit the schema (PROTOCOL §10, step 8). Only the owner is told.
    Void(VoidReason),
    /// A table that fits the schema. Rows of padding may still be in it, marked by the column `entente_pad`.
    Table(Vec<RecordBatch>),
    /// A blob (format `age`), wiped when dropped.
    Blob(Zeroizing<Vec<u8>>),
}

/// Why a present dataset counts as void. Coarse on purpose; it is told to the owner alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VoidReason {
    /// The sealed bytes do not open with the keys of this sealing, or not in the strict form of PROTOCOL §2.
    DoesNotOpen,
    /// It opens, but columns, types or values are not those of the agreed schema.
    DoesNotFitSchema,
    /// It opens, but has more rows or expands to more bytes than agreed.
    ExceedsLimits,
}

impl VoidReason {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::DoesNotOpen, Self::DoesNotFitSchema, Self::ExceedsLimits];

    /// The word for it in a notice.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DoesNotOpen => "dataset-does-not-open",
            Self::DoesNotFitSchema => "dataset-does-not-fit-schema",
            Self::ExceedsLimits => "dataset-exceeds-limits",
        }
    }
}

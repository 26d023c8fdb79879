//! What an analysis returns: outputs as it proposes them, and notices to owners.

use core::fmt::{self, Write as _};

use arrow_array::{Int64Array, StringArray, builder::StringBuilder};
use entente_agreement::Name;

/// Everything that a run would tell anybody. It leaves `Analysis::run` inside [`Confidential`](crate::Confidential).
pub struct Outcome {
    outputs: Vec<ProposedOutput>,
    notices: Vec<Notice>,
}

impl Outcome {
    /// An outcome. The order of `outputs` and `notices` means nothing: disclosure sorts.
    #[must_use]
    pub fn new(outputs: Vec<ProposedOutput>, notices: Vec<Notice>) -> Self {
        Self { outputs, notices }
    }

    /// The proposed outputs and the notices.
    #[must_use]
    pub fn into_parts(self) -> (Vec<ProposedOutput>, Vec<Notice>) {
        (self.outputs, self.notices)
    }
}

/// What one recipient would get as one output.
pub struct ProposedOutput {
    output: Name,
    recipient: Name,
    proposal: Proposal,
}

/// Files, or the analysis' own refusal.
pub enum Proposal {
    /// The files, in any order.
    Files(Vec<ProposedTable>),
    /// Nothing that may be said; the recipient's file says `refused`.
    Refuse,
}

impl ProposedOutput {
    /// The output called `output`, as `recipient` would get it.
    #[must_use]
    pub fn of(output: Name, recipient: Name, files: Vec<ProposedTable>) -> Self {
        Self { output, recipient, proposal: Proposal::Files(files) }
    }

    /// The analysis has nothing to say to `recipient`.
    #[must_use]
    pub fn refused(output: Name, recipient: Name) -> Self {
        Self { output, recipient, proposal: Proposal::Refuse }
    }

    /// The output's name.
    #[must_use]
    pub fn output(&self) -> &Name {
        &self.output
    }

    /// Who would get it.
    #[must_use]
    pub fn recipient(&self) -> &Name {
        &self.recipient
    }

    /// What is in it.
    #[must_use]
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }
}

/// One table of an output, in columns. Disclosure writes it as CSV.
pub struct ProposedTable {
    file: &'static str,
    columns: Vec<ProposedColumn>,
}

impl ProposedTable {
    /// A table without columns yet, for the file called `file`.
    #[must_use]
    pub fn new(file: &'static str) -> Self {
        Self { file, columns: Vec::new() }
    }

    /// Adds a column.
    #[must_use]
    pub fn with(mut self, name: &'static str, values: Values) -> Self {
        self.columns.push(ProposedColumn { name, values });
        self
    }

    /// Adds a column of text.
    #[must_use]
    pub fn text<T: AsRef<str>>(self, name: &'static str, values: impl IntoIterator<Item = T>) -> Self {
        let mut builder = StringBuilder::new();
        for value in values {
            builder.append_value(value.as_ref());
        }
        self.with(name, Values::Text(builder.finish()))
    }

    /// Adds a column of text in which cells may be empty.
    #[must_use]
    pub fn optional_text<T: AsRef<str>>(
        self,
        name: &'static str,
        values: impl IntoIterator<Item = Option<T>>,
    ) -> Self {
        let mut builder = StringBuilder::new();
        for value in values {
            builder.append_option(value.as_ref().map(AsRef::as_ref));
        }
        self.with(name, Values::Text(builder.finish()))
    }

    /// Adds a column of integers in which cells may be empty.
    #[must_use]
    pub fn integers(self, name: &'static str, values: impl IntoIterator<Item = Option<i64>>) -> Self {
        self.with(name, Values::Integer(values.into_iter().collect()))
    }

    /// The file's name.
    #[must_use]
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// The columns, in order.
    #[must_use]
    pub fn columns(&self) -> &[ProposedColumn] {
        &self.columns
    }
}

/// A column of a proposed table.
pub struct ProposedColumn {
    name: &'static str,
    values: Values,
}

impl ProposedColumn {
    /// The column's name, as in the file's header.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }
}

/// The cells of a column; a null is an empty cell.
pub enum Values {
    /// Text, written as it is. Decimals are text, exact.
    Text(StringArray),
    /// Integers, written in decimal.
    Integer(Int64Array),
}

/// Something that only the owner of a dataset is told about it: rows that count as void, a dataset that does.
///
/// Disclosure puts it into the owner's own outputs, in the file [`NOTICES_FILE`](crate::NOTICES_FILE), and nowhere else.
pub struct Notice {
    dataset: Name,
    reason: &'static str,
    rows: RowNumbers,
}

impl Notice {
    /// About the rows `rows` of `dataset`. `reason` is one of the words that the analysis' rules declare.
    #[must_use]
    pub fn rows(dataset: Name, reason: &'static str, rows: RowNumbers) -> Self {
        Self { dataset, reason, rows }
    }

    /// About all of `dataset`.
    #[must_use]
    pub fn dataset(dataset: Name, reason: &'static str) -> Self {
        Self { dataset, reason, rows: RowNumbers::default() }
    }

    /// The dataset that it is about.
    #[must_use]
    pub fn about(&self) -> &Name {
        &self.dataset
    }

    /// The reason's word.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// The rows; none if it is about the dataset.
    #[must_use]
    pub fn row_numbers(&self) -> &RowNumbers {
        &self.rows
    }
}

/// Some rows of a dataset: how many, and which were the first ones, in constant space.
///
/// Rows count from 1 in the sealed table, which is the order of the owner's file without its header. They are added in ascending
/// order. Shown as `3 7 9-12`, with ` ...` behind it where [`RANGES`](Self::RANGES) ranges did not suffice.
#[derive(Default)]
pub struct RowNumbers {
    count: u64,
    ranges: Vec<(u64, u64)>,
    cut: u64,
}

impl RowNumbers {
    /// So many ranges of consecutive rows are kept. A notice has to fit into a padded result whatever was sent in.
    pub const RANGES: usize = 20;

    /// The longest text that one can be shown as: 20 ranges of two numbers up to 20 digits, separators, dots.
    pub const MAX_TEXT: u64 = 20 * 42 + 4;

    /// Adds a row, counted from 1, not before those already added.
    pub fn add(&mut self, row: u64) {
        self.count = self.count.saturating_add(1);
        let room = self.ranges.len() < Self::RANGES;
        match self.ranges.last_mut() {
            Some((_, last)) if self.cut == 0 && last.checked_add(1) == Some(row) => *last = row,
            _ if room => self.ranges.push((row, row)),
            _ => self.cut = self.cut.saturating_add(1),
        }
    }

    /// How many rows were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl fmt::Display for RowNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.ranges.iter().enumerate() {
            if index > 0 {
                f.write_char(' ')?;
            }
            write!(f, "{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
        }
        if self.cut > 0 {
            f.write_str(" ...")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::RowNumbers;

    #[test]
    fn rows_are_ranges() {
        let mut rows = RowNumbers::default();
        for row in [3, 7, 9, 10, 11, 12] {
            rows.add(row);
        }
        assert_eq!(rows.to_string(), "3 7 9-12");
        assert_eq!(rows.count(), 6);
    }

    #[test]
    fn rows_are_bounded() {
        let mut rows = RowNumbers::default();
        for row in 0..1000 {
            rows.add(u64::MAX - 3000 + 3 * row);
        }
        assert_eq!(rows.count(), 1000);
        assert!(rows.to_string().ends_with(" ..."));
        assert!(rows.to_string().len() as u64 <= RowNumbers::MAX_TEXT);
    }
}

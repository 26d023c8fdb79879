//! What an analysis may release at most, declared from the agreement alone.

use std::collections::BTreeSet;

use entente_agreement::{Agreement, Analysis as AgreedAnalysis, Name, Position};

use crate::{
    error::{ParameterError, ParameterProblem},
    input::VoidReason,
    outcome::RowNumbers,
};

/// The file with the notices to an owner, part of every released output: columns `dataset`, `reason`, `count`, `rows`.
pub const NOTICES_FILE: &str = "notices.csv";

/// The outputs that exist, their files, their columns, and the words of notices.
///
/// An outcome that steps outside is not cut to fit: the output is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    outputs: Vec<OutputRule>,
    reasons: BTreeSet<&'static str>,
}

/// One output: exactly these files, and the notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputRule {
    /// The output's name in the agreement.
    pub output: &'static str,
    /// Its files; every released output has all of them, with or without rows.
    pub files: Vec<TableRule>,
}

/// One file: exactly these columns, at most so many rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRule {
    /// The file's name in the archive.
    pub file: &'static str,
    /// Its columns, in order.
    pub columns: Vec<ColumnRule>,
    /// The most rows that it can have.
    pub max_rows: u64,
}

/// One column and the values that it may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnRule {
    /// The column's name.
    pub name: &'static str,
    /// The values.
    pub domain: Domain,
    /// Whether cells may be empty.
    pub cells: Cells,
}

/// Whether a cell may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// Every cell holds a value.
    Filled,
    /// A cell may be empty.
    MayBeEmpty,
}

/// The values that a column may hold. None of them contains a comma, a quote, a line break or a control character, or starts
/// with `=`, `+`, `-` or `@`, so that CSV needs no quoting and a spreadsheet runs nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// One of these texts, which the agreement names: the form for keys of groups (DISCLOSURE rule 4).
    Listed(BTreeSet<String>),
    /// An integer from 0 to this.
    Count(i64),
    /// A decimal that is not negative: up to 38 digits with at most one point inside. No sign, no exponent, no superfluous zero in front.
    Decimal,
    /// So many bytes in lower-case hex.
    Hex {
        /// Number of bytes.
        bytes: usize,
    },
    /// A text that came in with somebody's data and goes back: ASCII letters, digits, `.`, `_`, `-`, `/`, starting with a letter or
    /// digit. A channel as wide as it is long, so for values of the recipient's own only.
    Label {
        /// Longest text, in bytes.
        max_bytes: usize,
    },
}

impl Domain {
    /// A domain of listed texts.
    pub fn listed<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::Listed(texts.into_iter().map(Into::into).collect())
    }

    /// Whether `text` may be a cell.
    #[must_use]
    pub fn admits(&self, text: &str) -> bool {
        match self {
            Self::Listed(texts) => texts.contains(text) && is_plain(text),
            Self::Count(max) => is_integer(text) && text.parse::<i64>().is_ok_and(|value| value <= *max),
            Self::Decimal => is_decimal(text),
            Self::Hex { bytes } => {
                text.len() == 2 * bytes && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            }
            Self::Label { max_bytes } => text.len() <= *max_bytes && is_label(text),
        }
    }

    /// The longest text of the domain, in bytes.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        let bytes = match self {
            Self::Listed(texts) => texts.iter().map(String::len).max().unwrap_or(0),
            Self::Count(max) => max.to_string().len(),
            Self::Decimal => MAX_DECIMAL,
            Self::Hex { bytes } => 2 * bytes,
            Self::Label { max_bytes } => *max_bytes,
        };
        bytes as u64
    }
}

/// 38 digits are the most that an i128 of a Parquet decimal holds; one more for the zero before the point, one for the point.
const MAX_DECIMAL: usize = 40;

/// Whether `text` can stand in a CSV cell as it is and means nothing to a spreadsheet.
fn is_plain(text: &str) -> bool {
    let safe = |byte| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'"' | b'\\');
    text.bytes().all(safe) && !text.starts_with(['=', '+', '-', '@', ' '])
}

fn is_label(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/'))
}

fn is_integer(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'))
}

fn is_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    text.len() <= MAX_DECIMAL
        && is_integer(whole)
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

impl Rules {
    /// The rules of an analysis. `reasons` are the words of notices about rows; those of [`VoidReason`] are added.
    #[must_use]
    pub fn new(outputs: Vec<OutputRule>, reasons: impl IntoIterator<Item = &'static str>) -> Self {
        let voids = VoidReason::ALL.iter().map(|reason| reason.as_str());
        Self { outputs, reasons: reasons.into_iter().chain(voids).collect() }
    }

    /// The rule for the output called `name`.
    #[must_use]
    pub fn output(&self, name: &Name) -> Option<&OutputRule> {
        self.outputs.iter().find(|rule| rule.output == name.as_str())
    }

    /// Whether `reason` is a word that a notice may use.
    #[must_use]
    pub fn is_reason(&self, reason: &str) -> bool {
        self.reasons.contains(reason)
    }

    /// The size that `output` of `analysis` can reach for `recipient`, in bytes of the archive: with an output of this many bytes
    /// no outcome is ever refused for its size. `None` for an output without a rule.
    #[must_use]
    pub fn largest(
        &self,
        agreement: &Agreement,
        analysis: &AgreedAnalysis,
        output: &Name,
        recipient: &Name,
    ) -> Option<u64> {
        let rule = self.output(output)?;
        let owned = analysis
            .datasets()
            .iter()
            .filter_map(|name| agreement.dataset(name))
            .filter(|dataset| dataset.owner() == recipient)
            .count() as u64;
        // One line a dataset and reason: `dataset,reason,count,rows`.
        let longest = self.reasons.iter().map(|reason| reason.len()).max().unwrap_or(0) as u64;
        let line = 40 + longest + 20 + RowNumbers::MAX_TEXT + 4;
        let lines = owned.saturating_mul(self.reasons.len() as u64);
        let notices = NOTICES_HEADER.len() as u64 + lines.saturating_mul(line);
        let files = rule.files.iter().map(TableRule::largest).chain([notices]);
        Some(archive_bytes(files))
    }

    /// Checks that every output of `analysis` has a rule here and is at least as large as its emptiest form.
    ///
    /// # Errors
    /// [`ParameterProblem::UnknownOutput`] or [`ParameterProblem::OutputTooSmall`].
    pub fn check(&self, analysis: &AgreedAnalysis) -> Result<(), ParameterError> {
        for output in analysis.outputs() {
            let Some(rule) = self.output(output.name()) else {
                let known = self.outputs.iter().map(|rule| rule.output).collect::<Vec<_>>().join(", ");
                return Err(ParameterProblem::UnknownOutput { output: output.name().clone(), known }
                    .at(Position::NONE));
            };
            let empty = rule.files.iter().map(TableRule::header).chain([NOTICES_HEADER.len() as u64]);
            let needed = archive_bytes(empty);
            if output.bytes() < needed {
                let problem = ParameterProblem::OutputTooSmall {
                    output: output.name().clone(),
                    recipient: output.recipient().clone(),
                    bytes: output.bytes(),
                    needed,
                };
                return Err(problem.at(Position::NONE));
            }
        }
        Ok(())
    }
}

/// The first line of [`NOTICES_FILE`].
pub const NOTICES_HEADER: &str = "dataset,reason,count,rows\n";

impl TableRule {
    fn header(&self) -> u64 {
        csv_bytes(self.columns.iter().map(|column| column.name.len() as u64))
    }

    fn largest(&self) -> u64 {
        let row = csv_bytes(self.columns.iter().map(|column| column.domain.max_bytes()));
        self.header().saturating_add(self.max_rows.saturating_mul(row))
    }
}

/// Bytes of one CSV line whose cells have these lengths: a comma or line feed behind each.
pub fn csv_bytes(cells: impl IntoIterator<Item = u64>) -> u64 {
    cells.into_iter().fold(0, |sum, cell| sum.saturating_add(cell).saturating_add(1))
}

/// Bytes of the ustar archive that holds files of these lengths beside `BINDING.toml` (PROTOCOL §7).
///
/// Each file takes a header of 512 bytes and its content in blocks of 512; the end is two zero blocks. `BINDING.toml` is counted
/// with 1,024 bytes: its eleven lines have fewer than 800, with the longest names.
pub fn archive_bytes(files: impl IntoIterator<Item = u64>) -> u64 {
    const BLOCK: u64 = 512;
    const BINDING: u64 = BLOCK + 2 * BLOCK;
    const END: u64 = 2 * BLOCK;
    files.into_iter().fold(BINDING + END, |sum, file| {
        sum.saturating_add(BLOCK).saturating_add(file.div_ceil(BLOCK).saturating_mul(BLOCK))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_admit_what_they_say() {
        let cases: [(Domain, &[&str], &[&str]); 5] = [
            (Domain::listed(["won", "=cmd", "a,b"]), &["won"], &["lost", "", "=cmd", "a,b", "won "]),
            (
                Domain::Count(10),
                &["0", "7", "10"],
                &["", "11", "-1", "+1", "07", "1.0", "99999999999999999999"],
            ),
            (
                Domain::Decimal,
                &["0", "12", "0.50", "12.345"],
                &["", ".5", "5.", "-1", "+1", "00.5", "1e3", "1.2.3", "1,5"],
            ),
            (Domain::Hex { bytes: 2 }, &["00ff"], &["", "00f", "00FF", "00ff0"]),
            (
                Domain::Label { max_bytes: 10 },
                &["north", "north/a-1", "7._/-"],
                &["", "-north", "/a", "a b", "a,b", "a\nb", "=1+1", "näh", "abcdefghijk"],
            ),
        ];
        for (domain, good, bad) in cases {
            for text in good {
                assert!(domain.admits(text), "{domain:?} {text:?}");
                assert!(text.len() as u64 <= domain.max_bytes());
            }
            for text in bad {
                assert!(!domain.admits(text), "{domain:?} {text:?}");
            }
        }
    }

    #[test]
    fn archives_are_counted_in_blocks() {
        assert_eq!(archive_bytes([]), 5 * 512);
        assert_eq!(archive_bytes([0]), 6 * 512);
        assert_eq!(archive_bytes([1, 513]), (5 + 2 + 3) * 512);
        assert_eq!(archive_bytes([u64::MAX - 600]), u64::MAX);
    }
}

//! Notices, each to the owner of the dataset that it is about.

use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};

use entente_agreement::{Agreement, Analysis, Name};
use entente_analysis::{NOTICES_HEADER, Notice, Rules};

/// The lines of notices by owner; `None` for an owner about whose datasets something undeclared was said.
pub(crate) struct Notices(BTreeMap<Name, Option<BTreeSet<String>>>);

impl Notices {
    /// Finds the owner of each notice. `None` if one is about a dataset that `analysis` does not have.
    pub(crate) fn sort(
        agreement: &Agreement,
        analysis: &Analysis,
        rules: &Rules,
        notices: Vec<Notice>,
    ) -> Option<Self> {
        let mut seen = BTreeSet::new();
        let mut owners: BTreeMap<Name, Option<BTreeSet<String>>> = BTreeMap::new();
        for notice in notices {
            if !analysis.datasets().contains(notice.about()) {
                return None;
            }
            let owner = agreement.dataset(notice.about())?.owner();
            let lines = owners.entry(owner.clone()).or_insert_with(|| Some(BTreeSet::new()));
            // One line a dataset and reason: this bounds the file, whatever the data were.
            let declared = rules.is_reason(notice.reason());
            if !declared || !seen.insert((notice.about().clone(), notice.reason())) {
                *lines = None;
            }
            if let Some(lines) = lines {
                lines.insert(line(&notice)?);
            }
        }
        Some(Self(owners))
    }

    /// The file with the notices to `recipient`, with no lines if there are none.
    pub(crate) fn write(&self, recipient: &Name) -> Option<Vec<u8>> {
        let mut file = NOTICES_HEADER.as_bytes().to_vec();
        match self.0.get(recipient) {
            None => Some(file),
            Some(None) => None,
            Some(Some(lines)) => {
                for line in lines {
                    file.extend_from_slice(line.as_bytes());
                }
                Some(file)
            }
        }
    }
}

fn line(notice: &Notice) -> Option<String> {
    let mut line = format!("{},{},", notice.about(), notice.reason());
    let rows = notice.row_numbers();
    if rows.count() > 0 {
        writeln!(line, "{},{rows}", rows.count()).ok()?;
    } else {
        line.push_str(",\n");
    }
    Some(line)
}

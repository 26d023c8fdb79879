//! A proposed table against its rule, and its one form as CSV.

use std::io::Write as _;

use arrow_array::Array as _;
use entente_analysis::{Cells, ColumnRule, ProposedTable, TableRule, Values};

/// Writes `table` as CSV in canonical order, or returns `None` where it steps outside of `rule` or beyond `limit` bytes.
///
/// Canonical: a header, then the rows in byte order of their lines; cells need no quotes, because no declared domain has a character
/// that would.
pub(crate) fn write_table(rule: &TableRule, table: &ProposedTable, limit: u64) -> Option<Vec<u8>> {
    let columns = table.columns();
    let same = columns.iter().map(|column| column.name()).eq(rule.columns.iter().map(|column| column.name));
    if !same {
        return None;
    }
    let rows = columns.first().map_or(0, |column| length(column.values()));
    let even = columns.iter().all(|column| length(column.values()) == rows);
    if !even || rows as u64 > rule.max_rows {
        return None;
    }

    let mut unsorted = Vec::new();
    let mut lines = Vec::with_capacity(rows);
    for row in 0..rows {
        let start = unsorted.len();
        for (index, (column, rule)) in columns.iter().zip(&rule.columns).enumerate() {
            if index > 0 {
                unsorted.push(b',');
            }
            write_cell(&mut unsorted, rule, column.values(), row)?;
        }
        unsorted.push(b'\n');
        if unsorted.len() as u64 > limit {
            return None;
        }
        lines.push(start..unsorted.len());
    }
    lines.sort_unstable_by(|a, b| unsorted[a.clone()].cmp(&unsorted[b.clone()]));

    let mut file = Vec::with_capacity(unsorted.len() + 256);
    for (index, column) in rule.columns.iter().enumerate() {
        if index > 0 {
            file.push(b',');
        }
        file.extend_from_slice(column.name.as_bytes());
    }
    file.push(b'\n');
    for line in lines {
        file.extend_from_slice(&unsorted[line]);
    }
    Some(file)
}

fn length(values: &Values) -> usize {
    match values {
        Values::Text(array) => array.len(),
        Values::Integer(array) => array.len(),
    }
}

fn write_cell(line: &mut Vec<u8>, rule: &ColumnRule, values: &Values, row: usize) -> Option<()> {
    let start = line.len();
    match values {
        Values::Text(array) if array.is_valid(row) => line.extend_from_slice(array.value(row).as_bytes()),
        Values::Integer(array) if array.is_valid(row) => {
            write!(line, "{}", array.value(row)).ok()?;
        }
        Values::Text(_) | Values::Integer(_) => {
            return (rule.cells == Cells::MayBeEmpty).then_some(());
        }
    }
    let text = core::str::from_utf8(&line[start..]).ok()?;
    rule.domain.admits(text).then_some(())
}

//! Secret reserves, from the seller's dataset.

use arrow_array::RecordBatch;
use entente_agreement::Name;
use entente_analysis::{Input, Notice, RowNumbers, VoidReason};

use crate::{
    amount::{AmountFault, Conversion, Minor},
    book::{Columns, Dictionary},
    terms::Lot,
};

/// Words of notices about reserves.
pub(crate) const UNKNOWN_LOT: &str = "unknown-lot";
pub(crate) const NEGATIVE: &str = "reserve-negative";
pub(crate) const TOO_FINE: &str = "reserve-has-too-many-decimals";
pub(crate) const TOO_LARGE: &str = "reserve-too-large";
pub(crate) const REPEATED: &str = "not-the-highest-reserve-for-this-lot";

/// The reserve of each lot. `None`: the seller meant to give one and did not, so the lot is withdrawn.
pub(crate) struct ReserveBook {
    pub(crate) by_lot: Vec<Option<Minor>>,
    pub(crate) notices: Vec<Notice>,
}

impl ReserveBook {
    /// Reserves that are not secret.
    pub(crate) fn of_terms(lots: &[Lot]) -> Self {
        Self { by_lot: lots.iter().map(|lot| Some(lot.reserve.unwrap_or(0))).collect(), notices: Vec::new() }
    }

    /// Reads the dataset called `dataset`. It fails closed: nothing goes for less than its seller allowed.
    pub(crate) fn read(lots: &[Lot], dataset: &Name, input: Option<&Input>, key: [u64; 2]) -> Self {
        let nothing = |reason: Option<VoidReason>| Self {
            by_lot: vec![None; lots.len()],
            notices: reason
                .map(|reason| Notice::dataset(dataset.clone(), reason.as_str()))
                .into_iter()
                .collect(),
        };
        match input {
            None | Some(Input::Absent) => nothing(None),
            Some(Input::Void(reason)) => nothing(Some(*reason)),
            Some(Input::Blob(_)) => nothing(Some(VoidReason::DoesNotFitSchema)),
            Some(Input::Table(batches)) => Self::read_table(lots, dataset, batches, key)
                .unwrap_or_else(|| nothing(Some(VoidReason::DoesNotFitSchema))),
        }
    }

    fn read_table(lots: &[Lot], dataset: &Name, batches: &[RecordBatch], key: [u64; 2]) -> Option<Self> {
        let dictionary = Dictionary::new(lots, key);
        let mut faults: [(&'static str, RowNumbers); 4] =
            [UNKNOWN_LOT, NEGATIVE, TOO_FINE, TOO_LARGE].map(|reason| (reason, RowNumbers::default()));
        let mut repeated = Vec::new();
        let mut standing: Vec<Option<(Minor, u64)>> = vec![None; lots.len()];
        let mut number = 0_u64;
        for batch in batches {
            let columns = Columns::named(batch, "reserve")?;
            for row in 0..columns.rows() {
                number += 1;
                if columns.is_padding(row) {
                    continue;
                }
                let fault = match place(lots, &dictionary, &columns, row) {
                    Ok((lot, amount)) => {
                        match &mut standing[lot] {
                            Some((highest, at)) => {
                                // The highest stands, the first of equal ones.
                                let loser = if amount > *highest {
                                    *highest = amount;
                                    core::mem::replace(at, number)
                                } else {
                                    number
                                };
                                repeated.push(loser);
                            }
                            none => *none = Some((amount, number)),
                        }
                        continue;
                    }
                    Err(fault) => fault,
                };
                faults
                    .iter_mut()
                    .filter(|(reason, _)| *reason == fault)
                    .for_each(|(_, rows)| rows.add(number));
            }
        }
        repeated.sort_unstable();
        let mut repeats = RowNumbers::default();
        repeated.into_iter().for_each(|row| repeats.add(row));
        let notices = faults
            .into_iter()
            .chain([(REPEATED, repeats)])
            .filter(|(_, rows)| rows.count() > 0)
            .map(|(reason, rows)| Notice::rows(dataset.clone(), reason, rows))
            .collect();
        Some(Self {
            by_lot: standing.into_iter().map(|entry| entry.map(|(amount, _)| amount)).collect(),
            notices,
        })
    }
}

fn place(
    lots: &[Lot],
    dictionary: &Dictionary<'_>,
    columns: &Columns<'_>,
    row: usize,
) -> Result<(usize, Minor), &'static str> {
    let lot = dictionary.find(columns.lot(row)).ok_or(UNKNOWN_LOT)? as usize;
    let amount = columns.amount(row);
    if amount < 0 {
        return Err(NEGATIVE);
    }
    let amount =
        Conversion::new(columns.scale(), lots[lot].currency).apply(amount).map_err(|fault| match fault {
            AmountFault::TooFine => TOO_FINE,
            AmountFault::TooLarge => TOO_LARGE,
        })?;
    Ok((lot, amount))
}

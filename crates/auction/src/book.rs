//! The bids of all owners, each read once, checked, and placed in its lot.

use core::mem;

use arrow_array::types::{Decimal128Type, Int64Type};
use arrow_array::{
    Array as _, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray, cast::AsArray as _,
};
use entente_agreement::Name;
use entente_analysis::{Notice, RowNumbers, VoidReason};

use crate::{
    amount::{AmountFault, Conversion, Minor},
    award::Bid,
    index::{Entry, Index},
    terms::{Lot, MAX_REFERENCE_BYTES, References},
};

/// The column that marks rows of padding (PROTOCOL §2).
const PAD: &str = "entente_pad";

/// Why a row counts as void. It depends on the row, the owner's other rows and the agreement, never on anybody else's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    UnknownLot,
    NotPositive,
    TooFine,
    TooLarge,
    Units,
    Bidder,
    Repeated,
}

impl Fault {
    pub(crate) const ALL: [Self; 7] = [
        Self::UnknownLot,
        Self::NotPositive,
        Self::TooFine,
        Self::TooLarge,
        Self::Units,
        Self::Bidder,
        Self::Repeated,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownLot => "unknown-lot",
            Self::NotPositive => "amount-not-positive",
            Self::TooFine => "amount-has-too-many-decimals",
            Self::TooLarge => "amount-too-large",
            Self::Units => "units-out-of-range",
            Self::Bidder => "bidder-is-no-label",
            Self::Repeated => "not-the-highest-for-this-lot",
        }
    }
}

impl From<AmountFault> for Fault {
    fn from(fault: AmountFault) -> Self {
        match fault {
            AmountFault::TooFine => Self::TooFine,
            AmountFault::TooLarge => Self::TooLarge,
        }
    }
}

/// Rows by fault, in ascending order.
#[derive(Default)]
struct Faults([RowNumbers; Fault::ALL.len()]);

impl Faults {
    fn add(&mut self, fault: Fault, row: u64) {
        self.0[fault as usize].add(row);
    }

    fn notices(self, dataset: &Name) -> impl Iterator<Item = Notice> {
        Fault::ALL
            .into_iter()
            .zip(self.0)
            .filter(|(_, rows)| rows.count() > 0)
            .map(|(fault, rows)| Notice::rows(dataset.clone(), fault.as_str(), rows))
    }
}

/// One dataset of bids.
pub(crate) struct Source<'a> {
    pub(crate) dataset: &'a Name,
    /// Number of the owner among the bidding parties.
    pub(crate) owner: u32,
    pub(crate) references: References,
    pub(crate) batches: &'a [RecordBatch],
}

/// All valid bids, by lot.
pub(crate) struct Book {
    bids: Vec<Bid>,
    /// Where each lot's bids begin, and how many are valid.
    places: Vec<Place>,
    bidders: Vec<Bidder>,
    notices: Vec<Notice>,
}

#[derive(Clone, Copy)]
struct Place {
    start: usize,
    length: usize,
}

/// A bidder: a party, or one of its clients.
pub(crate) struct Bidder {
    pub(crate) owner: u32,
    pub(crate) reference: Option<String>,
}

/// Whether a bidder may have several bids on a lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// The highest one stands, the others are void.
    HighestStands,
    /// All stand: a demand of several steps.
    AllStand,
}

/// The row has no lot (padding, or an unknown lot).
const NO_LOT: u32 = u32::MAX;

impl Book {
    /// Reads all sources. `key` keys the tables of texts.
    pub(crate) fn read(lots: &[Lot], sources: &[Source<'_>], repeats: Repeats, key: [u64; 2]) -> Self {
        let mut notices = Vec::new();
        let mut readable = Vec::new();
        let mut total = 0_usize;
        for source in sources {
            // The loader has checked schema and limits, so a fault here is a defect there; still it voids this dataset only.
            let batches = source.batches.iter().map(Columns::of).collect::<Option<Vec<_>>>();
            let rows = source.batches.iter().fold(total, |sum, batch| sum.saturating_add(batch.num_rows()));
            let fault = match batches {
                Some(batches) if u32::try_from(rows).is_ok_and(|rows| rows < u32::MAX) => {
                    total = rows;
                    readable.push((source, batches));
                    continue;
                }
                Some(_) => VoidReason::ExceedsLimits,
                None => VoidReason::DoesNotFitSchema,
            };
            notices.push(Notice::dataset(source.dataset.clone(), fault.as_str()));
        }

        // First pass: the lot of each row, so that the second can place every bid where it belongs.
        let dictionary = Dictionary::new(lots, key);
        let mut lot_of: Vec<u32> = Vec::with_capacity(total);
        let mut counts = vec![0_usize; lots.len()];
        for (_, batches) in &readable {
            for batch in batches {
                dictionary.look_up(batch, &mut lot_of, &mut counts);
            }
        }
        let mut places = Vec::with_capacity(lots.len());
        let mut start = 0;
        for count in counts {
            places.push(Place { start, length: 0 });
            start += count;
        }

        // Second pass: check and place.
        let mut bids = vec![Bid::NONE; start];
        let mut bidders = Bidders::new(key);
        let mut faults: Vec<Faults> = Vec::new();
        let mut firsts = Vec::new();
        let mut first = 0_usize;
        for (source, batches) in &readable {
            let mut reader = Reader {
                source,
                lots,
                conversions: (u8::MAX, Vec::new()),
                faults: Faults::default(),
                row: 0,
            };
            firsts.push(first);
            for batch in batches {
                let lot_of = &lot_of[first..first + batch.rows()];
                reader.read(batch, lot_of, first, &mut bidders, &mut |lot, bid| {
                    let place = &mut places[lot];
                    bids[place.start + place.length] = bid;
                    place.length += 1;
                });
                first += batch.rows();
            }
            faults.push(reader.faults);
        }
        drop(lot_of);

        if repeats == Repeats::HighestStands {
            let mut repeated = drop_repeats(&mut bids, &mut places, bidders.list.len());
            repeated.sort_unstable();
            for row in repeated {
                let row = row as usize;
                let source = firsts.partition_point(|first| *first <= row) - 1;
                faults[source].add(Fault::Repeated, (row - firsts[source]) as u64 + 1);
            }
        }
        for ((source, _), faults) in readable.iter().zip(faults) {
            notices.extend(faults.notices(source.dataset));
        }
        Self { bids, places, bidders: bidders.list, notices }
    }

    /// The valid bids on a lot.
    pub(crate) fn bids(&self, lot: usize) -> &[Bid] {
        let place = self.places[lot];
        &self.bids[place.start..place.start + place.length]
    }

    /// The bidder with this number.
    pub(crate) fn bidder(&self, number: u32) -> &Bidder {
        &self.bidders[number as usize]
    }

    /// Takes the notices out.
    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        mem::take(&mut self.notices)
    }
}

/// Keeps each bidder's highest bid on each lot, the first of equal ones, and returns the numbers of the other rows.
fn drop_repeats(bids: &mut [Bid], places: &mut [Place], bidders: usize) -> Vec<u32> {
    let mut repeated = Vec::new();
    // Where the bidder's best bid of this lot is; the mark says of which lot.
    let mut best = vec![(usize::MAX, 0_usize); bidders];
    for (lot, place) in places.iter_mut().enumerate() {
        let mut kept = 0;
        let bids = &mut bids[place.start..place.start + place.length];
        for index in 0..bids.len() {
            let bid = bids[index];
            let (mark, position) = &mut best[bid.bidder as usize];
            if *mark != lot {
                *mark = lot;
                *position = kept;
                bids[kept] = bid;
                kept += 1;
            } else {
                // Rows are in ascending order within a lot, so the bid that stands among equal ones is the first.
                let standing = &mut bids[*position];
                let loser = if bid.amount > standing.amount { mem::replace(standing, bid) } else { bid };
                repeated.push(loser.row);
            }
        }
        place.length = kept;
    }
    repeated
}

/// The columns of a batch of bids.
pub(crate) struct Columns<'a> {
    lots: &'a StringArray,
    amounts: &'a Decimal128Array,
    units: Option<&'a Int64Array>,
    bidders: Option<&'a StringArray>,
    pads: Option<&'a BooleanArray>,
    scale: u8,
    rows: usize,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Option<Self> {
        Self::named(batch, "amount")
    }

    /// With the decimals in the column `amounts`.
    pub(crate) fn named(batch: &'a RecordBatch, amounts: &str) -> Option<Self> {
        let lots = batch.column_by_name("lot")?.as_string_opt::<i32>()?;
        let amounts = batch.column_by_name(amounts)?.as_primitive_opt::<Decimal128Type>()?;
        let units = match batch.column_by_name("units") {
            Some(column) => Some(column.as_primitive_opt::<Int64Type>()?),
            None => None,
        };
        let bidders = match batch.column_by_name("bidder") {
            Some(column) => Some(column.as_string_opt::<i32>()?),
            None => None,
        };
        let pads = match batch.column_by_name(PAD) {
            Some(column) => Some(column.as_boolean_opt()?),
            None => None,
        };
        let filled = lots.null_count() == 0
            && amounts.null_count() == 0
            && units.is_none_or(|units| units.null_count() == 0)
            && pads.is_none_or(|pads| pads.null_count() == 0);
        let scale = u8::try_from(amounts.scale()).ok()?;
        filled.then_some(Self { lots, amounts, units, bidders, pads, scale, rows: batch.num_rows() })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn is_padding(&self, row: usize) -> bool {
        self.pads.is_some_and(|pads| pads.value(row))
    }

    pub(crate) fn lot(&self, row: usize) -> &'a str {
        self.lots.value(row)
    }

    pub(crate) fn amount(&self, row: usize) -> i128 {
        self.amounts.value(row)
    }

    pub(crate) fn scale(&self) -> u8 {
        self.scale
    }
}

/// The lots by id.
pub(crate) struct Dictionary<'a> {
    lots: &'a [Lot],
    index: Index,
}

impl<'a> Dictionary<'a> {
    pub(crate) fn new(lots: &'a [Lot], key: [u64; 2]) -> Self {
        let mut index = Index::new(key);
        for lot in lots {
            index.insert(0, lot.id.as_bytes(), |known| lots[known as usize].id == lot.id);
        }
        Self { lots, index }
    }

    pub(crate) fn find(&self, id: &str) -> Option<u32> {
        self.index.find(0, id.as_bytes(), |known| self.lots[known as usize].id == id)
    }

    fn look_up(&self, batch: &Columns<'_>, lot_of: &mut Vec<u32>, counts: &mut [usize]) {
        let mut last = ("", NO_LOT);
        for row in 0..batch.rows {
            if batch.is_padding(row) {
                lot_of.push(NO_LOT);
                continue;
            }
            let id = batch.lots.value(row);
            if last.0 != id {
                last = (id, self.find(id).unwrap_or(NO_LOT));
            }
            if let Some(count) = counts.get_mut(last.1 as usize) {
                *count += 1;
            }
            lot_of.push(last.1);
        }
    }
}

/// Bidders by owner and reference.
struct Bidders {
    index: Index,
    list: Vec<Bidder>,
}

impl Bidders {
    fn new(key: [u64; 2]) -> Self {
        Self { index: Index::new(key), list: Vec::new() }
    }

    fn number(&mut self, owner: u32, reference: Option<&str>) -> u32 {
        let list = &self.list;
        // References are not empty, so the empty text stands for the owner itself.
        let text = reference.unwrap_or_default();
        let (number, entry) = self.index.insert(owner.into(), text.as_bytes(), |known| {
            let known = &list[known as usize];
            known.owner == owner && known.reference.as_deref().unwrap_or_default() == text
        });
        if entry == Entry::New {
            self.list.push(Bidder { owner, reference: reference.map(str::to_owned) });
        }
        number
    }
}

/// Reads one source, batch by batch.
struct Reader<'a> {
    source: &'a Source<'a>,
    lots: &'a [Lot],
    /// By lot, for columns of a scale.
    conversions: (u8, Vec<Conversion>),
    faults: Faults,
    row: u64,
}

impl Reader<'_> {
    fn read(
        &mut self,
        batch: &Columns<'_>,
        lot_of: &[u32],
        first: usize,
        bidders: &mut Bidders,
        place: &mut impl FnMut(usize, Bid),
    ) {
        if self.conversions.0 != batch.scale {
            let by_lot = self.lots.iter().map(|lot| Conversion::new(batch.scale, lot.currency));
            self.conversions = (batch.scale, by_lot.collect());
        }
        let mut last: Option<(&str, u32)> = None;
        let mut own = None;
        for (row, lot) in lot_of.iter().enumerate() {
            self.row += 1;
            let lot = *lot as usize;
            let (Some(terms), Some(conversion)) = (self.lots.get(lot), self.conversions.1.get(lot)) else {
                if !batch.is_padding(row) {
                    self.faults.add(Fault::UnknownLot, self.row);
                }
                continue;
            };
            let (amount, units) = match check(batch, row, terms, *conversion) {
                Ok(bid) => bid,
                Err(fault) => {
                    self.faults.add(fault, self.row);
                    continue;
                }
            };
            let bidder = match batch.bidders.filter(|_| self.source.references == References::Column) {
                Some(references) if references.is_valid(row) => {
                    let text = references.value(row);
                    match last {
                        Some((known, number)) if known == text => number,
                        _ if is_reference(text) => {
                            let number = bidders.number(self.source.owner, Some(text));
                            last = Some((text, number));
                            number
                        }
                        _ => {
                            self.faults.add(Fault::Bidder, self.row);
                            continue;
                        }
                    }
                }
                _ => *own.get_or_insert_with(|| bidders.number(self.source.owner, None)),
            };
            let row = u32::try_from(first + row).expect("read admits fewer rows than a u32 counts");
            place(lot, Bid { amount, units, bidder, row });
        }
    }
}

/// The amount in smallest units and the number of units of a row.
fn check(batch: &Columns<'_>, row: usize, lot: &Lot, conversion: Conversion) -> Result<(Minor, u64), Fault> {
    let amount = batch.amount(row);
    if amount <= 0 {
        return Err(Fault::NotPositive);
    }
    let amount = conversion.apply(amount)?;
    let units = match batch.units {
        None => 1,
        Some(units) => u64::try_from(units.value(row)).map_err(|_| Fault::Units)?,
    };
    if units == 0 || units > lot.units {
        return Err(Fault::Units);
    }
    Ok((amount, units))
}

/// A reference is a label: it goes to the seller if it wins, and into the ranking of ties.
fn is_reference(text: &str) -> bool {
    text.len() <= MAX_REFERENCE_BYTES
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

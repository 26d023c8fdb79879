//! What each party would be told.

use std::collections::BTreeMap;

use entente_agreement::Name;
use entente_analysis::{
    Cells, ColumnRule, Domain, Notice, Outcome, OutputRule, ProposedOutput, ProposedTable, Rules, TableRule,
};

use crate::{
    amount::{self, Minor},
    award::Award,
    book::{Bidder, Book, Fault},
    reserves,
    terms::{self, Lot, MAX_REFERENCE_BYTES, Participation, References, Terms, WinnerRule},
};

const SOLD: &str = "sold";
const UNSOLD: &str = "unsold";
const WITHDRAWN: &str = "withdrawn";
const WON: &str = "won";
const LOST: &str = "lost";

/// What happened to one lot.
pub(crate) enum Fate {
    /// The seller gave no reserve where it meant to: not offered.
    Withdrawn,
    /// Offered, and this came of it.
    Offered(Award),
}

/// The rules for the outputs of an auction with these terms.
pub(crate) fn rules(terms: &Terms) -> Rules {
    let lots = Domain::listed(terms.lots.iter().map(|lot| lot.id.as_str()));
    let currencies = Domain::listed(terms.lots.iter().map(|lot| lot.currency.code()));
    let units = terms.lots.iter().map(|lot| lot.units).max().unwrap_or(1);
    let units = Domain::Count(i64::try_from(units).unwrap_or(i64::MAX));
    let bidder = if terms.bids.iter().any(|slot| slot.references == References::Column) {
        Domain::Label { max_bytes: Name::MAX_BYTES + 1 + MAX_REFERENCE_BYTES }
    } else {
        Domain::listed(terms.bidders().into_iter().map(Name::as_str))
    };
    let column = |name, domain: &Domain, cells| ColumnRule { name, domain: domain.clone(), cells };
    let rows = terms.lots.len() as u64;
    // A lot has a winner a unit at most, and a line even if it has none.
    let winners = terms.lots.iter().fold(0_u64, |sum, lot| sum.saturating_add(lot.units));

    let mut outcome = vec![
        column("lot", &lots, Cells::Filled),
        column("currency", &currencies, Cells::Filled),
        column("status", &Domain::listed([SOLD, UNSOLD, WITHDRAWN]), Cells::Filled),
        column("units", &units, Cells::MayBeEmpty),
        column("price", &Domain::Decimal, Cells::MayBeEmpty),
    ];
    if terms.winner == WinnerRule::Named {
        outcome.push(column("winner", &bidder, Cells::MayBeEmpty));
    }
    if terms.participation == Participation::Counted {
        outcome.push(column("bidders", &Domain::Count(i64::MAX), Cells::Filled));
    }
    let own = vec![
        column("lot", &lots, Cells::Filled),
        column("currency", &currencies, Cells::Filled),
        column("status", &Domain::listed([WON, LOST]), Cells::Filled),
        column("units", &units, Cells::MayBeEmpty),
        column("price", &Domain::Decimal, Cells::MayBeEmpty),
        column("bidder", &bidder, Cells::MayBeEmpty),
    ];
    let tie = TableRule {
        file: "tie.csv",
        columns: vec![column("tie", &Domain::Hex { bytes: 48 }, Cells::Filled)],
        max_rows: 1,
    };
    let outcome_rows = if terms.winner == WinnerRule::Named { winners } else { rows };
    let output = |output, file, columns, max_rows| OutputRule {
        output,
        files: vec![TableRule { file, columns, max_rows }, tie.clone()],
    };
    let outputs = vec![
        output(terms::OUTCOME, "outcome.csv", outcome, outcome_rows),
        output(terms::OWN, "lots.csv", own, winners),
    ];
    let reasons = Fault::ALL.iter().map(|fault| fault.as_str()).chain([
        reserves::NEGATIVE,
        reserves::TOO_FINE,
        reserves::TOO_LARGE,
        reserves::REPEATED,
    ]);
    Rules::new(outputs, reasons)
}

/// The outcome of an auction in which lot by lot `fates` came to pass.
pub(crate) fn outcome(
    terms: &Terms,
    owners: &[&Name],
    fates: &[Fate],
    book: &Book,
    notices: Vec<Notice>,
    tie: &[u8; 48],
) -> Outcome {
    let tie = tie.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let tie = || ProposedTable::new("tie.csv").text("tie", [tie.as_str()]);
    let name = |text| Name::new(text).expect("the outputs' names are made of small letters");
    let mut outputs = Vec::with_capacity(owners.len() + 1);
    let files = vec![for_seller(terms, owners, fates, book), tie()];
    outputs.push(ProposedOutput::of(name(terms::OUTCOME), terms.seller.clone(), files));
    for (owner, lots) in owners.iter().zip(for_bidders(terms, owners, fates, book)) {
        outputs.push(ProposedOutput::of(name(terms::OWN), (*owner).clone(), vec![lots, tie()]));
    }
    Outcome::new(outputs, notices)
}

/// Lines of a table about lots, in columns.
#[derive(Default)]
struct Lines<'a> {
    lots: Vec<&'a str>,
    currencies: Vec<&'a str>,
    statuses: Vec<&'static str>,
    units: Vec<Option<i64>>,
    prices: Vec<Option<String>>,
    bidders: Vec<Option<String>>,
    counts: Vec<Option<i64>>,
}

impl<'a> Lines<'a> {
    fn push(
        &mut self,
        lot: &'a Lot,
        status: &'static str,
        sale: Option<(u64, Minor)>,
        bidder: Option<String>,
        count: usize,
    ) {
        self.lots.push(&lot.id);
        self.currencies.push(lot.currency.code());
        self.statuses.push(status);
        self.units.push(sale.map(|(units, _)| i64::try_from(units).unwrap_or(i64::MAX)));
        self.prices.push(sale.map(|(_, price)| amount::format(price, lot.currency)));
        self.bidders.push(bidder);
        self.counts.push(Some(i64::try_from(count).unwrap_or(i64::MAX)));
    }

    fn table(&self, file: &'static str) -> ProposedTable {
        ProposedTable::new(file)
            .text("lot", &self.lots)
            .text("currency", &self.currencies)
            .text("status", &self.statuses)
            .integers("units", self.units.iter().copied())
            .optional_text("price", self.prices.iter().map(Option::as_deref))
    }
}

fn for_seller(terms: &Terms, owners: &[&Name], fates: &[Fate], book: &Book) -> ProposedTable {
    let mut lines = Lines::default();
    for (number, (lot, fate)) in terms.lots.iter().zip(fates).enumerate() {
        let count = match terms.participation {
            Participation::Counted => bidders_of(book, number),
            Participation::Hidden => 0,
        };
        match fate {
            Fate::Withdrawn => lines.push(lot, WITHDRAWN, None, None, count),
            Fate::Offered(Award::Unsold) => lines.push(lot, UNSOLD, None, None, count),
            Fate::Offered(Award::Sold { winners, price }) => match terms.winner {
                WinnerRule::Named => {
                    for (bidder, units) in winners {
                        let name = name_of(owners, book.bidder(*bidder));
                        lines.push(lot, SOLD, Some((*units, *price)), Some(name), count);
                    }
                }
                WinnerRule::PriceOnly => {
                    lines.push(lot, SOLD, Some((winners.values().sum(), *price)), None, count);
                }
            },
        }
    }
    let mut table = lines.table("outcome.csv");
    if terms.winner == WinnerRule::Named {
        table = table.optional_text("winner", lines.bidders.iter().map(Option::as_deref));
    }
    if terms.participation == Participation::Counted {
        table = table.integers("bidders", lines.counts.iter().copied());
    }
    table
}

/// How many bidders have a valid bid on a lot.
fn bidders_of(book: &Book, lot: usize) -> usize {
    let mut bidders: Vec<u32> = book.bids(lot).iter().map(|bid| bid.bidder).collect();
    bidders.sort_unstable();
    bidders.dedup();
    bidders.len()
}

/// One table an owner: the lots that it won, and those on which it has a valid bid and won nothing.
fn for_bidders(terms: &Terms, owners: &[&Name], fates: &[Fate], book: &Book) -> Vec<ProposedTable> {
    let mut lines: Vec<Lines<'_>> = owners.iter().map(|_| Lines::default()).collect();
    // The lot on which the owner's last line is.
    let mut marks = vec![usize::MAX; owners.len()];
    for (number, (lot, fate)) in terms.lots.iter().zip(fates).enumerate() {
        let none = BTreeMap::new();
        let (winners, price) = match fate {
            Fate::Offered(Award::Sold { winners, price }) => (winners, *price),
            Fate::Offered(Award::Unsold) | Fate::Withdrawn => (&none, 0),
        };
        for (bidder, units) in winners {
            let bidder = book.bidder(*bidder);
            let owner = bidder.owner as usize;
            lines[owner].push(lot, WON, Some((*units, price)), Some(name_of(owners, bidder)), 0);
            marks[owner] = number;
        }
        for bid in book.bids(number) {
            let owner = book.bidder(bid.bidder).owner as usize;
            if marks[owner] != number {
                marks[owner] = number;
                lines[owner].push(lot, LOST, None, None, 0);
            }
        }
    }
    let table = |lines: &Lines<'_>| {
        lines.table("lots.csv").optional_text("bidder", lines.bidders.iter().map(Option::as_deref))
    };
    lines.iter().map(table).collect()
}

/// `OWNER` or `OWNER/REFERENCE`: what ranks ties and what the seller reads.
pub(crate) fn name_of(owners: &[&Name], bidder: &Bidder) -> String {
    let owner = owners[bidder.owner as usize];
    match &bidder.reference {
        None => owner.to_string(),
        Some(reference) => format!("{owner}/{reference}"),
    }
}

//! Sealed-bid auctions: the winner without the bids.
//!
//! One seller, any number of lots, any number of bidders. Everybody's bids stay sealed; the seller learns who bought what at which
//! price, a bidder learns its own lots, and nobody learns anything else of a losing bid.
//!
//! **Threat model.** Bidders may collude with each other, with the seller and with the host, send any table that they like, and reseal as
//! often as they like. They cannot steer a tie, learn from a failure (there is none), make another's bid void, or be told more than
//! the outputs below. What a price itself tells is in the table; what the seller does with an outcome is not ours to prevent.
//!
//! # Terms
//!
//! ```toml
//! [analysis.parameters]
//! seller = "harbour"            # the party that sells; it gets the output `outcome`
//! pricing = "second-price"      # or "first-price", "uniform-price"
//! reserve = "secret"            # or "none", "public"
//! reserves = "reserves"         # only if secret: the seller's dataset with columns lot, reserve
//! [[analysis.parameters.lot]]
//! id = "pier-3"                 # letters, digits, . _ -, at most 40
//! currency = "EUR"              # ISO 4217; one a lot
//! units = 1                     # more than 1 only with uniform-price
//!                               # reserve = "1500.00", only if public
//! [analysis.disclosure]
//! winner = "named"              # or "price-only": does the seller learn who won?
//! participation = "hidden"      # or "counted": does the seller learn how many bid on a lot?
//! ```
//!
//! Every other dataset of the analysis holds bids of its owner: columns `lot text(N)`, `amount decimal(P,S)` (for one unit), and
//! if wanted `units int64` and `bidder text(N)` (`null` allowed), no others. The seller cannot bid. A bidder is the owner, or
//! `owner/reference` where the column `bidder` gives one of the owner's clients a reference (letters, digits, `.`, `_`, `-`).
//!
//! # Who wins and what is paid
//!
//! Amounts are exact: whole numbers of the currency's smallest unit. The highest bid wins if it reaches the reserve; one equal to
//! the reserve does. With `reserve = "none"` the reserve is zero.
//!
//! | Pricing | Price of a unit | One bidder only |
//! |---|---|---|
//! | `first-price` | the winner's own bid | its bid |
//! | `second-price` | the highest bid of *another* bidder or the reserve, whichever is more (Vickrey 1961) | the reserve; **0 without one** |
//! | `uniform-price` | the highest bid that lost, or the reserve, whichever is more; the same for all winners of the lot | the reserve; **0 without one**, unless its own demand exceeds the units |
//!
//! With `uniform-price` a lot has units, a bid may ask for several, a bidder may send several bids (its demand in steps), and units go
//! to the highest amounts until none is left. A bid at the margin gets what is left; the rest of it has lost, and so sets the price
//! (the unit after the last one sold, Krishna, *Auction Theory*, chapter 12).
//!
//! **Ties.** With `T`, 48 bytes of the run's seed that no party can steer and that stand in every result (`tie.csv`), bidders with equal
//! bids on a lot rank by HMAC-SHA-384(T, lot ‖ 0x00 ‖ bidder), lowest first (PROTOCOL §6). The order of rows or datasets never matters.
//!
//! # Void bids and datasets
//!
//! A bid that cannot stand voids itself, never the auction, and only its owner is told (`notices.csv`):
//!
//! | Reason | The row |
//! |---|---|
//! | `unknown-lot` | names no lot of the agreement |
//! | `amount-not-positive` | bids nothing or less |
//! | `amount-has-too-many-decimals` | cannot be paid: 10.005 EUR, 10.5 JPY |
//! | `amount-too-large` | has more digits than an amount can have |
//! | `units-out-of-range` | asks for no unit, or for more than the lot has |
//! | `bidder-is-no-label` | has a `bidder` with other characters, or longer than 64 |
//! | `not-the-highest-for-this-lot` | is a second bid of one bidder on a lot of one unit; its highest stands, the first of equal ones |
//!
//! A dataset that does not open or fit is void as a whole and its owner is told; an absent one has no bids. The seller's reserves fail
//! closed: a lot for which `reserve = "secret"` has no valid reserve is `withdrawn`. A reserve of 0 says "no reserve".
//!
//! # Who learns what
//!
//! | Output | For | Files |
//! |---|---|---|
//! | `outcome` | the seller | `outcome.csv`: lot, currency, status (`sold`, `unsold`, `withdrawn`), units, price, winner (if named), bidders (if counted: with a valid bid) |
//! | `own` | each owner of bids | `lots.csv`: lot, currency, status, units, price, bidder: a line for each lot won, and one for each lot with a valid bid and no win (`lost`, the rest empty) |
//! | both | | `tie.csv` (T), `notices.csv` (about own datasets only) |
//!
//! By its nature a second price *is* the second bidder's bid: winner and seller learn that amount, not whose it is. A bidder that lost learns that
//! its bid was not enough, and nothing of who or how much. With `participation = "hidden"` an unsold lot looks the same with bids below the
//! reserve and with none.
//!
//! ```
//! use entente_agreement::Agreement;
//! use entente_analysis::Analysis;
//! use entente_auction::Auction;
//!
//! /// What a party reads before it signs.
//! fn explain(agreement: &Agreement) -> Result<(), entente_analysis::ParameterError> {
//!     for analysis in agreement.analyses() {
//!         for sentence in Auction::configure(agreement, analysis)?.sentences() {
//!             println!("{sentence}");
//!         }
//!     }
//!     Ok(())
//! }
//! # let _ = explain;
//! ```

mod amount;
mod award;
mod book;
mod currency;
mod index;
mod report;
mod reserves;
mod sentences;
mod terms;

use entente_agreement::{Agreement, Analysis as AgreedAnalysis, Name, Position};
use entente_analysis::{
    Analysis, Confidential, Input, InputTables, Notice, Outcome, ParameterError, ParameterProblem, Rules,
    SeedStream, VoidReason, is_kind_of,
};
use entente_sealing::TieKey;

use crate::{
    award::{Pricing, award},
    book::{Book, Repeats, Source},
    report::{Fate, name_of},
    reserves::ReserveBook,
    terms::{Reserves, Terms},
};

/// A sealed-bid auction, configured from an agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auction {
    terms: Terms,
    rules: Rules,
}

impl Analysis for Auction {
    const NAME: &'static str = "auction";

    /// # Errors
    /// Unknown, missing and contradictory keys; a dataset without the columns that an auction reads, or with others; a recipient that should
    /// not have an output, or lacks one; an output too small for what it may have to hold.
    fn configure(agreement: &Agreement, analysis: &AgreedAnalysis) -> Result<Self, ParameterError> {
        if !is_kind_of(analysis.name(), Self::NAME) {
            let problem = ParameterProblem::OtherKind { name: analysis.name().clone(), kind: Self::NAME };
            return Err(problem.at(Position::NONE));
        }
        let terms = Terms::read(agreement, analysis)?;
        let rules = report::rules(&terms);
        rules.check(analysis)?;
        if terms.lots.iter().all(|lot| lot.units == 1) {
            check_largest(agreement, analysis, &rules)?;
        }
        Ok(Self { terms, rules })
    }

    fn rules(&self) -> &Rules {
        &self.rules
    }

    fn sentences(&self) -> Vec<String> {
        sentences::of(&self.terms)
    }

    fn run(&self, inputs: InputTables, seed: &dyn SeedStream) -> Confidential<Outcome> {
        let terms = &self.terms;
        let owners: Vec<&Name> = terms.bidders().into_iter().collect();
        let key = table_key(seed);
        let mut notices = Vec::new();

        let mut reserves = match &terms.reserves {
            Reserves::None | Reserves::Public => ReserveBook::of_terms(&terms.lots),
            Reserves::Secret { dataset } => {
                ReserveBook::read(&terms.lots, dataset, inputs.dataset(dataset).map(|slot| slot.input()), key)
            }
        };
        notices.append(&mut reserves.notices);

        let mut sources = Vec::new();
        for slot in &terms.bids {
            let void = match inputs.dataset(&slot.dataset).map(|entry| entry.input()) {
                None | Some(Input::Absent) => continue,
                Some(Input::Table(batches)) => {
                    if let Some(owner) = owners
                        .iter()
                        .zip(0..)
                        .find_map(|(name, number)| (**name == slot.owner).then_some(number))
                    {
                        sources.push(Source {
                            dataset: &slot.dataset,
                            owner,
                            references: slot.references,
                            batches,
                        });
                    }
                    continue;
                }
                Some(Input::Void(reason)) => *reason,
                Some(Input::Blob(_)) => VoidReason::DoesNotFitSchema,
            };
            notices.push(Notice::dataset(slot.dataset.clone(), void.as_str()));
        }
        let repeats = match terms.pricing {
            Pricing::First | Pricing::Second => Repeats::HighestStands,
            Pricing::Uniform => Repeats::AllStand,
        };
        let mut book = Book::read(&terms.lots, &sources, repeats, key);
        notices.append(&mut book.take_notices());

        let drawn = seed.draw("tie");
        let tie = TieKey::from_bytes(drawn);
        let mut fates = Vec::with_capacity(terms.lots.len());
        for (number, (lot, reserve)) in terms.lots.iter().zip(&reserves.by_lot).enumerate() {
            fates.push(match reserve {
                None => Fate::Withdrawn,
                Some(reserve) => {
                    Fate::Offered(award(terms.pricing, lot.units, *reserve, book.bids(number), |bidder| {
                        tie.rank(&lot.id, &name_of(&owners, book.bidder(bidder)))
                    }))
                }
            });
        }
        Confidential::new(report::outcome(terms, &owners, &fates, &book, notices, &drawn))
    }
}

/// The key of tables over texts that bidders choose. It is of the seed, so that a rerun takes the same steps, and no output shows it.
fn table_key(seed: &dyn SeedStream) -> [u64; 2] {
    let bytes = seed.draw("auction table");
    let word = |at: usize| bytes[at..at + 8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    [word(0), word(8)]
}

/// Where each lot has one unit, the rows of an outcome are bounded by the agreement, so an output can be held to never being refused.
fn check_largest(
    agreement: &Agreement,
    analysis: &AgreedAnalysis,
    rules: &Rules,
) -> Result<(), ParameterError> {
    for output in analysis.outputs() {
        let needed = rules.largest(agreement, analysis, output.name(), output.recipient()).unwrap_or(0);
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

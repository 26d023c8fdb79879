//! The terms of an auction, read strictly from the agreement.

use std::collections::BTreeSet;

use entente_agreement::{
    Agreement, Analysis as AgreedAnalysis, ColumnType, Dataset, Format, Name, Nullability, Position, Schema,
    Table,
};
use entente_analysis::{ParameterError, ParameterProblem};

use crate::{
    amount::{self, Minor},
    award::Pricing,
    currency::Currency,
};

/// The output for the seller.
pub(crate) const OUTCOME: &str = "outcome";
/// The output for a bidder.
pub(crate) const OWN: &str = "own";
/// The longest id of a lot, in bytes.
pub(crate) const MAX_LOT_BYTES: usize = 40;
/// The longest reference that a bidder gives one of its clients, in bytes.
pub(crate) const MAX_REFERENCE_BYTES: usize = 64;

/// Everything about an auction that the agreement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) seller: Name,
    pub(crate) pricing: Pricing,
    pub(crate) reserves: Reserves,
    pub(crate) lots: Vec<Lot>,
    pub(crate) winner: WinnerRule,
    pub(crate) participation: Participation,
    /// Bid datasets, in the agreement's order.
    pub(crate) bids: Vec<BidSlot>,
}

/// A dataset of bids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BidSlot {
    pub(crate) dataset: Name,
    pub(crate) owner: Name,
    pub(crate) references: References,
}

/// Whether the bids of a dataset carry references of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum References {
    /// All bids are the owner's.
    None,
    /// The column `bidder` tells the owner's clients apart.
    Column,
}

/// The least amount a lot may go for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reserves {
    /// No reserve: zero.
    None,
    /// In the agreement, for everybody to read.
    Public,
    /// In a dataset of the seller.
    Secret { dataset: Name },
}

/// Something to be sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lot {
    pub(crate) id: String,
    pub(crate) currency: Currency,
    pub(crate) units: u64,
    /// The public reserve.
    pub(crate) reserve: Option<Minor>,
}

/// Whether the seller learns who won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WinnerRule {
    Named,
    PriceOnly,
}

/// Whether the seller learns how many bid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Participation {
    Hidden,
    Counted,
}

impl Terms {
    pub(crate) fn read(agreement: &Agreement, analysis: &AgreedAnalysis) -> Result<Self, ParameterError> {
        let parameters = analysis.parameters();
        parameters.only(&["seller", "pricing", "reserve", "reserves", "lot"])?;
        let seller = parameters.name("seller")?;
        if agreement.party(&seller).is_none() {
            let problem = ParameterProblem::UnknownParty { key: "seller".into(), name: seller.to_string() };
            return Err(problem.at(parameters.position_of("seller")));
        }
        let pricing = choice(
            parameters,
            "pricing",
            &[
                ("first-price", Pricing::First),
                ("second-price", Pricing::Second),
                ("uniform-price", Pricing::Uniform),
            ],
        )?;
        let reserves = read_reserves(agreement, analysis, &seller)?;
        let lots = read_lots(parameters, pricing, &reserves)?;
        let bids = read_bid_slots(agreement, analysis, &seller, &reserves)?;

        let disclosure = analysis.disclosure();
        disclosure.only(&["winner", "participation"])?;
        let winner = choice(
            disclosure,
            "winner",
            &[("named", WinnerRule::Named), ("price-only", WinnerRule::PriceOnly)],
        )?;
        let participation = choice(
            disclosure,
            "participation",
            &[("hidden", Participation::Hidden), ("counted", Participation::Counted)],
        )?;
        let terms = Self { seller, pricing, reserves, lots, winner, participation, bids };
        terms.check_recipients(analysis)?;
        Ok(terms)
    }

    /// Parties with bids, each once, ascending.
    pub(crate) fn bidders(&self) -> BTreeSet<&Name> {
        self.bids.iter().map(|slot| &slot.owner).collect()
    }

    /// `outcome` for the seller, `own` for every party with bids, and nothing else.
    fn check_recipients(&self, analysis: &AgreedAnalysis) -> Result<(), ParameterError> {
        let bidders = self.bidders();
        for output in analysis.outputs() {
            let problem = match output.name().as_str() {
                OUTCOME if *output.recipient() != self.seller => {
                    "is not for the seller: only the seller gets it"
                }
                OWN if !bidders.contains(output.recipient()) => {
                    "is not for a bidder: no dataset of bids is that party's"
                }
                _ => continue,
            };
            let problem = ParameterProblem::Recipient {
                output: output.name().clone(),
                recipient: output.recipient().clone(),
                problem: problem.into(),
            };
            return Err(problem.at(Position::NONE));
        }
        let wanted = bidders.into_iter().map(|bidder| (OWN, bidder));
        for (output, recipient) in core::iter::once((OUTCOME, &self.seller)).chain(wanted) {
            let there = analysis
                .outputs()
                .iter()
                .any(|agreed| agreed.name().as_str() == output && agreed.recipient() == recipient);
            if !there {
                let problem = ParameterProblem::MissingOutput { output, recipient: recipient.clone() };
                return Err(problem.at(Position::NONE));
            }
        }
        Ok(())
    }
}

/// The value of `key`, one of a few words.
fn choice<T: Copy>(table: &Table, key: &str, choices: &[(&str, T)]) -> Result<T, ParameterError> {
    let found = table.text(key)?;
    match choices.iter().find(|(word, _)| *word == found) {
        Some((_, value)) => Ok(*value),
        None => {
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            Err(value(table, key, found, words.join(" or ")))
        }
    }
}

fn value(table: &Table, key: &str, found: impl Into<String>, expected: impl Into<String>) -> ParameterError {
    ParameterProblem::Value { key: key.into(), found: found.into(), expected: expected.into() }
        .at(table.position_of(key))
}

fn conflict(table: &Table, key: &str, with: &str) -> ParameterError {
    ParameterProblem::Conflict { key: key.into(), with: with.into() }.at(table.position_of(key))
}

fn read_reserves(
    agreement: &Agreement,
    analysis: &AgreedAnalysis,
    seller: &Name,
) -> Result<Reserves, ParameterError> {
    let parameters = analysis.parameters();
    #[derive(Clone, Copy)]
    enum Word {
        None,
        Public,
        Secret,
    }
    let word = choice(
        parameters,
        "reserve",
        &[("none", Word::None), ("public", Word::Public), ("secret", Word::Secret)],
    )?;
    if let Word::None | Word::Public = word {
        if parameters.value("reserves").is_some() {
            return Err(conflict(
                parameters,
                "reserves",
                "reserve = \"none\" or \"public\": it names a dataset of secret reserves",
            ));
        }
        return Ok(if let Word::None = word { Reserves::None } else { Reserves::Public });
    }
    let name = parameters.name("reserves")?;
    let slot = analysis.datasets().contains(&name).then(|| agreement.dataset(&name)).flatten();
    let Some(dataset) = slot else {
        let problem = ParameterProblem::UnknownDataset { key: "reserves".into(), name: name.to_string() };
        return Err(problem.at(parameters.position_of("reserves")));
    };
    if dataset.owner() != seller {
        return Err(unfit(dataset, format!("holds the secret reserves and must be the seller's ({seller})")));
    }
    check_columns(dataset, &[Wanted::lot(), Wanted::decimal("reserve")])?;
    Ok(Reserves::Secret { dataset: name })
}

fn read_lots(parameters: &Table, pricing: Pricing, reserves: &Reserves) -> Result<Vec<Lot>, ParameterError> {
    let mut ids = BTreeSet::new();
    let mut lots = Vec::new();
    for table in parameters.tables("lot")? {
        table.only(&["id", "currency", "units", "reserve"])?;
        let id = table.text("id")?;
        if !is_lot_id(id) {
            let expected =
                format!("up to {MAX_LOT_BYTES} letters, digits, `.`, `_`, `-`, a letter or digit first");
            return Err(value(table, "id", id, expected));
        }
        if !ids.insert(id) {
            let problem = ParameterProblem::Duplicate { key: "id".into(), value: id.into() };
            return Err(problem.at(table.position_of("id")));
        }
        let code = table.text("currency")?;
        let Some(currency) = Currency::parse(code) else {
            return Err(value(table, "currency", code, "a currency of ISO 4217, such as \"EUR\""));
        };
        let units = table.unsigned("units", 1..=u64::from(u32::MAX))?;
        if units > 1 && pricing != Pricing::Uniform {
            return Err(conflict(
                table,
                "units",
                "this pricing: lots of several units are sold at a uniform price",
            ));
        }
        let reserve = match (reserves, table.optional_text("reserve")?) {
            (Reserves::Public, _) => {
                let text = table.text("reserve")?;
                let amount = amount::parse(text, currency);
                let expected = format!("an amount of {code} with at most {} decimals", currency.decimals());
                Some(amount.ok_or_else(|| value(table, "reserve", text, expected))?)
            }
            (Reserves::None | Reserves::Secret { .. }, None) => None,
            (Reserves::None | Reserves::Secret { .. }, Some(_)) => {
                return Err(conflict(
                    table,
                    "reserve",
                    "reserve = \"none\" or \"secret\": everybody reads the agreement",
                ));
            }
        };
        lots.push(Lot { id: id.into(), currency, units, reserve });
    }
    Ok(lots)
}

fn is_lot_id(text: &str) -> bool {
    text.len() <= MAX_LOT_BYTES
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

fn read_bid_slots(
    agreement: &Agreement,
    analysis: &AgreedAnalysis,
    seller: &Name,
    reserves: &Reserves,
) -> Result<Vec<BidSlot>, ParameterError> {
    let mut slots = Vec::new();
    let mut rows = 0_u64;
    for name in analysis.datasets() {
        if matches!(reserves, Reserves::Secret { dataset } if dataset == name) {
            continue;
        }
        let Some(dataset) = agreement.dataset(name) else {
            let problem = ParameterProblem::UnknownDataset { key: "datasets".into(), name: name.to_string() };
            return Err(problem.at(Position::NONE));
        };
        if dataset.owner() == seller {
            return Err(unfit(dataset, "would hold bids of the seller, who must not bid on its own lots"));
        }
        check_columns(
            dataset,
            &[
                Wanted::lot(),
                Wanted::decimal("amount"),
                Wanted { name: "units", kind: Kind::Int64, presence: Presence::Optional },
                Wanted { name: "bidder", kind: Kind::Reference, presence: Presence::Optional },
            ],
        )?;
        rows = rows.saturating_add(dataset.max_rows());
        let references =
            if dataset.schema().column("bidder").is_some() { References::Column } else { References::None };
        slots.push(BidSlot { dataset: name.clone(), owner: dataset.owner().clone(), references });
    }
    if slots.is_empty() {
        let problem = ParameterProblem::Value {
            key: "datasets".into(),
            found: "without a dataset of bids".into(),
            expected: "one at least".into(),
        };
        return Err(problem.at(Position::NONE));
    }
    // Rows are numbered with 32 bits in the engine.
    if rows >= u64::from(u32::MAX) {
        let problem = ParameterProblem::Value {
            key: "max_rows".into(),
            found: format!("{rows} over all datasets of bids"),
            expected: format!("less than {}", u32::MAX),
        };
        return Err(problem.at(Position::NONE));
    }
    Ok(slots)
}

fn unfit(dataset: &Dataset, problem: impl Into<String>) -> ParameterError {
    ParameterProblem::Dataset { dataset: dataset.name().clone(), problem: problem.into() }.at(Position::NONE)
}

/// A column that an auction reads.
struct Wanted {
    name: &'static str,
    kind: Kind,
    presence: Presence,
}

enum Kind {
    Text,
    Decimal,
    Int64,
    /// Text, and NULL allowed: the owner bids for itself.
    Reference,
}

#[derive(PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}

impl Wanted {
    const fn lot() -> Self {
        Self { name: "lot", kind: Kind::Text, presence: Presence::Required }
    }

    const fn decimal(name: &'static str) -> Self {
        Self { name, kind: Kind::Decimal, presence: Presence::Required }
    }

    const fn form(&self) -> &'static str {
        match self.kind {
            Kind::Text => "text(N)",
            Kind::Decimal => "decimal(P,S)",
            Kind::Int64 => "int64",
            Kind::Reference => "text(N), with or without null",
        }
    }
}

fn check_columns(dataset: &Dataset, wanted: &[Wanted]) -> Result<(), ParameterError> {
    if dataset.format() != Format::Parquet {
        return Err(unfit(dataset, "must be a table: format = \"parquet\""));
    }
    let schema: &Schema = dataset.schema();
    for column in schema.columns() {
        let Some(rule) = wanted.iter().find(|rule| rule.name == column.name()) else {
            let names: Vec<_> = wanted.iter().map(|rule| rule.name).collect();
            let problem = format!(
                "has a column `{}` that an auction has no use for: leave it out (columns are {})",
                column.name(),
                names.join(", ")
            );
            return Err(unfit(dataset, problem));
        };
        let never_null = column.nullability() == Nullability::Never;
        let fits = match (&rule.kind, column.kind()) {
            (Kind::Text, ColumnType::Text { .. })
            | (Kind::Decimal, ColumnType::Decimal { .. })
            | (Kind::Int64, ColumnType::Int64) => never_null,
            (Kind::Reference, ColumnType::Text { .. }) => true,
            _ => false,
        };
        if !fits {
            return Err(unfit(dataset, format!("has `{column}`, expected `{} {}`", rule.name, rule.form())));
        }
    }
    for rule in wanted {
        if rule.presence == Presence::Required && schema.column(rule.name).is_none() {
            return Err(unfit(dataset, format!("has no column `{} {}`", rule.name, rule.form())));
        }
    }
    Ok(())
}

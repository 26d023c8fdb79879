//! `entente agreement new`: drafts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand, ValueEnum};
use entente_agreement::{
    AgreementDraft, AnalysisDraft, Authorize, DatasetDraft, Format, ImageDraft, KeyArn, Name, OutputDraft,
    Padding, PartyDraft, Presence, Root, Serial, Table, Value,
};
use entente_analysis::Analysis as _;
use entente_attestation::RootKind;
use entente_auction::Auction;

use super::measurements_of;
use crate::command::attest::{anchor, now};
use crate::command::files;
use crate::command::party::read_card;
use crate::output::{Misuse, Output, Verdict};

/// Write an agreement, commented, for people to read and change.
#[derive(Subcommand)]
pub(crate) enum New {
    /// A sealed-bid auction: one seller, every other party bids
    ///
    /// Example: entente agreement new auction --party harbour.card --party north.card --seller harbour
    /// --lots lots.csv --image auction.eif --key harbour=arn:aws:kms:… --key north=arn:aws:kms:… --out agreement.toml
    Auction(NewAuction),
}

#[derive(Args)]
pub(crate) struct NewAuction {
    /// A party's card, as `entente party show` prints it; once for each party
    #[arg(long = "party", value_name = "CARD", required = true)]
    parties: Vec<PathBuf>,
    /// The KMS key of a party: NAME=ARN; once for each party that puts data in
    #[arg(long = "key", value_name = "NAME=ARN", required = true)]
    keys: Vec<PartyKey>,
    /// The party that sells
    #[arg(long)]
    seller: Name,
    /// The lots: a CSV file with the columns id, currency, units and, with --reserve public, reserve
    #[arg(long, value_name = "FILE")]
    lots: PathBuf,
    /// What winners pay
    #[arg(long, value_enum, default_value_t = Pricing::SecondPrice)]
    pricing: Pricing,
    /// Whether lots have a least price, and who knows it
    #[arg(long, value_enum, default_value_t = Reserve::Secret)]
    reserve: Reserve,
    /// Whether the seller learns who won
    #[arg(long, value_enum, default_value_t = Winner::Named)]
    winner: Winner,
    /// Whether the seller learns how many bid on a lot
    #[arg(long, value_enum, default_value_t = Participation::Hidden)]
    participation: Participation,
    /// The image (EIF) that runs it
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// A simulated root certificate (PEM or DER) to trust instead of AWS Nitro's
    #[arg(long, value_name = "FILE")]
    simulated: Option<PathBuf>,
    /// Who may have it run; the seller, unless named
    #[arg(long = "runner")]
    runners: Vec<Name>,
    /// How long runs may start, in days from now
    #[arg(long, default_value_t = 7)]
    days: u16,
    /// The most rows of a table; tables are padded to it
    #[arg(long, default_value_t = 1000)]
    max_rows: u64,
    /// The size of every result, in bytes: a multiple of 512
    #[arg(long, default_value_t = 32_768)]
    result_bytes: u64,
    /// The memory of the enclave, in MiB
    #[arg(long, default_value_t = 256)]
    memory_mib: u32,
    /// Where to write the agreement; must not exist
    #[arg(long)]
    out: PathBuf,
}

#[expect(clippy::enum_variant_names, reason = "these are the words of the agreement")]
#[derive(Clone, Copy, ValueEnum)]
enum Pricing {
    /// The winner pays its own bid
    FirstPrice,
    /// The winner pays the highest bid of another, or the reserve
    SecondPrice,
    /// All winners of a lot of several units pay the highest bid that lost, or the reserve
    UniformPrice,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reserve {
    /// None
    None,
    /// In the agreement
    Public,
    /// In a sealed table of the seller
    Secret,
}

#[derive(Clone, Copy, ValueEnum)]
enum Winner {
    /// The seller learns who won
    Named,
    /// The seller learns prices only
    PriceOnly,
}

#[derive(Clone, Copy, ValueEnum)]
enum Participation {
    /// The seller does not learn how many bid
    Hidden,
    /// The seller learns how many valid bidders a lot had
    Counted,
}

/// The word of a value, as the agreement has it.
fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// `NAME=ARN`.
#[derive(Clone)]
struct PartyKey {
    party: Name,
    key: KeyArn,
}

impl FromStr for PartyKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (party, key) = text.split_once('=').ok_or("write NAME=ARN")?;
        let party = party.parse().map_err(|error| format!("{error}"))?;
        let key = key.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { party, key })
    }
}

impl New {
    pub(crate) fn run(self, output: &mut Output) -> Result<Verdict> {
        match self {
            Self::Auction(auction) => auction.run(output),
        }
    }
}

impl NewAuction {
    fn run(&self, output: &mut Output) -> Result<Verdict> {
        let draft = self.draft()?;
        let agreement = draft.render().context("these terms make no agreement")?;
        for analysis in agreement.analyses() {
            Auction::configure(&agreement, analysis).context("these terms make no auction")?;
        }
        files::create(&self.out, agreement.bytes())?;
        output.line(format_args!(
            "wrote {}: a draft; read and change it before anybody signs",
            self.out.display()
        ));
        output.line(format_args!("digest {}", agreement.digest()));
        output.fact("file", &self.out);
        output.fact("digest", agreement.digest().to_string());
        Ok(Verdict::Good)
    }

    fn draft(&self) -> Result<AgreementDraft> {
        let cards = self.parties.iter().map(|path| read_card(path)).collect::<Result<Vec<_>>>()?;
        let keys: BTreeMap<&Name, &KeyArn> =
            self.keys.iter().map(|entry| (&entry.party, &entry.key)).collect();
        ensure!(
            cards.iter().any(|card| card.name == self.seller),
            Misuse(format!("the seller {} has no card here", self.seller))
        );
        let auction: Name = "auction".parse()?;
        let mut datasets = Vec::new();
        let mut outputs = Vec::new();
        for card in &cards {
            let seller = card.name == self.seller;
            outputs.push(OutputDraft {
                recipient: card.name.clone(),
                name: if seller { "outcome" } else { "own" }.parse()?,
                bytes: self.result_bytes,
            });
            if seller && self.reserve != Reserve::Secret {
                continue;
            }
            let key = keys
                .get(&card.name)
                .with_context(|| Misuse(format!("name the KMS key of {0}: --key {0}=ARN", card.name)))?;
            let (name, schema) = if seller {
                ("reserves".to_owned(), ["lot text(40)", "reserve decimal(18,2)"])
            } else {
                (format!("bids-{}", card.name), ["lot text(40)", "amount decimal(18,2)"])
            };
            datasets.push(DatasetDraft {
                name: name.parse()?,
                owner: card.name.clone(),
                format: Format::Parquet,
                schema: schema.iter().map(|column| column.parse()).collect::<Result<_, _>>()?,
                max_bytes: 65_536 + self.max_rows.saturating_mul(128),
                max_rows: self.max_rows,
                padding: Padding::ToMaximum,
                presence: if seller { Presence::Required } else { Presence::Optional },
                key: (*key).clone(),
            });
        }
        let runners = if self.runners.is_empty() { vec![self.seller.clone()] } else { self.runners.clone() };
        let at = now();
        Ok(AgreementDraft {
            serial: Serial::from_bytes(random()?),
            supersedes: None,
            not_before: entente_attestation::UnixTime::from_secs(at.as_secs()),
            not_after: entente_attestation::UnixTime::from_secs(at.as_secs() + u64::from(self.days) * 86_400),
            root: self.root()?,
            parties: cards
                .into_iter()
                .map(|card| PartyDraft {
                    name: card.name,
                    sign_key: card.sign_key,
                    result_key: card.result_key,
                })
                .collect(),
            images: vec![ImageDraft {
                name: auction.clone(),
                measurements: measurements_of(&self.image)?,
                pcr3: None,
                pcr4: None,
                pcr8: None,
            }],
            analyses: vec![AnalysisDraft {
                name: auction.clone(),
                image: auction,
                datasets: datasets.iter().map(|dataset| dataset.name.clone()).collect(),
                authorize: Authorize::Inputs,
                runners,
                rounds: 1,
                memory_mib: self.memory_mib,
                parameters: self.parameters()?,
                disclosure: self.disclosure()?,
                outputs,
            }],
            datasets,
        })
    }

    fn root(&self) -> Result<Root> {
        let anchor = anchor(self.simulated.as_deref())?;
        Ok(match anchor.kind() {
            RootKind::AwsNitro => Root::AwsNitro,
            RootKind::Simulated => Root::Simulated { ca_sha256: anchor.fingerprint() },
        })
    }

    fn parameters(&self) -> Result<Table> {
        let mut table = Table::new();
        table.insert("seller", Value::Text(self.seller.to_string()))?;
        table.insert("pricing", Value::Text(word(&self.pricing)))?;
        table.insert("reserve", Value::Text(word(&self.reserve)))?;
        if self.reserve == Reserve::Secret {
            table.insert("reserves", Value::Text("reserves".to_owned()))?;
        }
        table.insert("lot", Value::Tables(lots(&self.lots, self.reserve)?))?;
        Ok(table)
    }

    fn disclosure(&self) -> Result<Table> {
        let mut table = Table::new();
        table.insert("winner", Value::Text(word(&self.winner)))?;
        table.insert("participation", Value::Text(word(&self.participation)))?;
        Ok(table)
    }
}

/// The catalogue: what is sold is public.
fn lots(path: &Path, reserve: Reserve) -> Result<Vec<Table>> {
    let bytes = files::read(path, 1 << 20)?;
    let text = String::from_utf8(bytes).map_err(|_| Misuse(format!("{} is not text", path.display())))?;
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty());
    let wanted = if reserve == Reserve::Public { "id,currency,units,reserve" } else { "id,currency,units" };
    let head = lines.next().map(|(_, line)| line).unwrap_or_default();
    ensure!(
        head == wanted,
        Misuse(format!("{}: the first line must be `{wanted}`, it is `{head}`", path.display()))
    );
    let mut lots = Vec::new();
    for (number, line) in lines {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let at = |problem: &str| Misuse(format!("{}:{number}: {problem}: `{line}`", path.display()));
        ensure!(cells.len() == wanted.split(',').count(), at("another number of cells than columns"));
        let mut lot = Table::new();
        for (column, cell) in wanted.split(',').zip(cells) {
            let value = if column == "units" {
                Value::Integer(cell.parse().map_err(|_| at("units is no whole number"))?)
            } else {
                Value::Text(cell.to_owned())
            };
            lot.insert(column, value)?;
        }
        lots.push(lot);
    }
    ensure!(!lots.is_empty(), Misuse(format!("{}: no lots", path.display())));
    Ok(lots)
}

fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(bytes)
}

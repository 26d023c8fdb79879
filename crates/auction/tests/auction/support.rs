//! Agreements, inputs and runs for the tests of the auction.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use arrow_array::{ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray};
use entente_agreement::Agreement;
use entente_analysis::{Analysis as _, Input, InputTables, ParameterError, SeedStream};
use entente_auction::Auction;
use entente_disclosure::{Verdict, disclose};

const PARTIES: [(&str, &str, &str); 5] = [
    (
        "harbour",
        "AAAAC3NzaC1lZDI1NTE5AAAAIJswYNg+V/48Wyvna3bd8U5V19zyp+dntxpuPOzT9yRW",
        "age13d5fk5v47d95mrh86tvak0ay2f2qa9xpcpxaaz3d7ej5f2ph2u2q73257q",
    ),
    (
        "north",
        "AAAAC3NzaC1lZDI1NTE5AAAAIIGVS4v8HJrsj/Kne+S9x5JP8Bz4GSpnNYKDNdsncx5u",
        "age1edjzjp42drjnfmqa7q4guw95duvrtg500qez8rsm6kfcwg5wm4us9uyxsc",
    ),
    (
        "south",
        "AAAAC3NzaC1lZDI1NTE5AAAAINZAiKOONwYhaWUKq8s9OOmZIod6TFdmTHQMxjA0L3xM",
        "age170vjfaskunayrmk0jpwx2gnmq7ulk7huurxrdwv4aqhfwz6knsfq0se268",
    ),
    (
        "east",
        "AAAAC3NzaC1lZDI1NTE5AAAAIBZ9DpHuYY7+NFSOLxSaVVX8yWXnKH7i3e7TO784/Ez8",
        "age1qvs7vg63fs3yvg4kmlzvvzp7szfmf4mlsgev5ywnhtlmey9p0acsw5r7c2",
    ),
    (
        "west",
        "AAAAC3NzaC1lZDI1NTE5AAAAIMyAQb+uwuPEKUeLD3rdmw1XSDYinZ1nct08zCGB6eOv",
        "age1lzt7fyv8zyx8y9nkpwqvt0w8kj9sfsktcwks0c29vf28vtg6eywsnqqmp7",
    ),
];

/// A lot of an agreement.
#[derive(Debug, Clone)]
pub(crate) struct LotSpec {
    pub(crate) id: String,
    pub(crate) currency: &'static str,
    pub(crate) units: u64,
    pub(crate) reserve: Option<String>,
}

/// A dataset of bids.
#[derive(Debug, Clone)]
pub(crate) struct SlotSpec {
    pub(crate) name: String,
    pub(crate) owner: &'static str,
    pub(crate) scale: u8,
    pub(crate) units: bool,
    pub(crate) references: bool,
}

/// An auction's agreement.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) pricing: &'static str,
    pub(crate) reserve: &'static str,
    pub(crate) winner: &'static str,
    pub(crate) participation: &'static str,
    pub(crate) lots: Vec<LotSpec>,
    pub(crate) slots: Vec<SlotSpec>,
    /// Scale of the dataset of secret reserves.
    pub(crate) reserve_scale: u8,
    pub(crate) bytes: u64,
}

impl Spec {
    /// Two bidders, one lot in EUR.
    pub(crate) fn simple(pricing: &'static str) -> Self {
        let slot = |owner: &'static str| SlotSpec {
            name: format!("bids-{owner}"),
            owner,
            scale: 2,
            units: false,
            references: false,
        };
        Self {
            pricing,
            reserve: "none",
            winner: "named",
            participation: "hidden",
            lots: vec![LotSpec { id: "pier".into(), currency: "EUR", units: 1, reserve: None }],
            slots: vec![slot("north"), slot("south")],
            reserve_scale: 2,
            bytes: 1 << 20,
        }
    }

    /// The agreement's text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from("type = \"entente/agreement/v1\"\n");
        writeln!(text, "serial = \"{}\"\nsupersedes = \"\"", "5".repeat(32)).unwrap();
        text.push_str("not_before = \"2026-01-01T00:00:00Z\"\nnot_after = \"2027-01-01T00:00:00Z\"\n");
        writeln!(text, "root = \"simulated:{}\"", "ab".repeat(32)).unwrap();
        for (name, key, age) in PARTIES {
            writeln!(
                text,
                "\n[[party]]\nname = \"{name}\"\nsign_key = \"ssh-ed25519 {key}\"\nresult_key = \"{age}\""
            )
            .unwrap();
        }
        text.push_str("\n[[image]]\nname = \"auction\"\n");
        for (pcr, digit) in [("pcr0", "1"), ("pcr1", "2"), ("pcr2", "3")] {
            writeln!(text, "{pcr} = \"{}\"", digit.repeat(96)).unwrap();
        }
        let mut names = Vec::new();
        if self.reserve == "secret" {
            names.push("\"reserves\"".to_owned());
            let schema = format!("\"lot text(60)\", \"reserve decimal(38,{})\"", self.reserve_scale);
            dataset(&mut text, "reserves", "harbour", &schema);
        }
        for slot in &self.slots {
            names.push(format!("\"{}\"", slot.name));
            let mut schema = format!("\"lot text(60)\", \"amount decimal(38,{})\"", slot.scale);
            if slot.units {
                schema.push_str(", \"units int64\"");
            }
            if slot.references {
                schema.push_str(", \"bidder text(100) null\"");
            }
            dataset(&mut text, &slot.name, slot.owner, &schema);
        }
        writeln!(
            text,
            "\n[[analysis]]\nname = \"auction\"\nimage = \"auction\"\ndatasets = [{}]",
            names.join(", ")
        )
        .unwrap();
        text.push_str("authorize = \"inputs\"\nrunners = [\"harbour\"]\nmemory_mib = 256\n");
        writeln!(
            text,
            "\n[analysis.parameters]\nseller = \"harbour\"\npricing = \"{}\"\nreserve = \"{}\"",
            self.pricing, self.reserve
        )
        .unwrap();
        if self.reserve == "secret" {
            text.push_str("reserves = \"reserves\"\n");
        }
        for lot in &self.lots {
            writeln!(
                text,
                "\n[[analysis.parameters.lot]]\nid = \"{}\"\ncurrency = \"{}\"\nunits = {}",
                lot.id, lot.currency, lot.units
            )
            .unwrap();
            if let Some(reserve) = &lot.reserve {
                writeln!(text, "reserve = \"{reserve}\"").unwrap();
            }
        }
        writeln!(
            text,
            "\n[analysis.disclosure]\nwinner = \"{}\"\nparticipation = \"{}\"",
            self.winner, self.participation
        )
        .unwrap();
        output(&mut text, "harbour", "outcome", self.bytes);
        let mut owners: Vec<_> = self.slots.iter().map(|slot| slot.owner).collect();
        owners.sort_unstable();
        owners.dedup();
        for owner in owners {
            output(&mut text, owner, "own", self.bytes);
        }
        text
    }
}

fn dataset(text: &mut String, name: &str, owner: &str, schema: &str) {
    writeln!(
        text,
        "\n[[dataset]]\nname = \"{name}\"\nowner = \"{owner}\"\nformat = \"parquet\"\nschema = [{schema}]\nmax_bytes = 100000000\n\
         max_rows = 2000000\npad = false\noptional = true\n\
         key = \"arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab\""
    )
    .unwrap();
}

fn output(text: &mut String, recipient: &str, name: &str, bytes: u64) {
    writeln!(text, "\n[[analysis.output]]\nrecipient = \"{recipient}\"\nname = \"{name}\"\nbytes = {bytes}")
        .unwrap();
}

/// A bid, or a reserve, as its owner wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) lot: String,
    pub(crate) amount: i128,
    pub(crate) units: i64,
    pub(crate) bidder: Option<String>,
}

impl Row {
    pub(crate) fn new(lot: &str, amount: i128) -> Self {
        Self { lot: lot.into(), amount, units: 1, bidder: None }
    }
}

/// Rows as the loader would hand them over, in batches of `size`.
pub(crate) fn batches(
    rows: &[Row],
    amounts: &str,
    scale: u8,
    units: bool,
    references: bool,
    size: usize,
) -> Vec<RecordBatch> {
    rows.chunks(size)
        .map(|rows| {
            let amount = Decimal128Array::from_iter_values(rows.iter().map(|row| row.amount))
                .with_precision_and_scale(38, scale.try_into().unwrap())
                .unwrap();
            let lots = StringArray::from_iter_values(rows.iter().map(|row| row.lot.as_str()));
            let mut columns: Vec<(&str, ArrayRef)> =
                vec![("lot", Arc::new(lots)), (amounts, Arc::new(amount))];
            if units {
                columns.push((
                    "units",
                    Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.units))),
                ));
            }
            if references {
                let bidders: StringArray = rows.iter().map(|row| row.bidder.as_deref()).collect();
                columns.push(("bidder", Arc::new(bidders)));
            }
            RecordBatch::try_from_iter(columns).unwrap()
        })
        .collect()
}

/// A batch with a mark for each row: padding or not.
pub(crate) fn padded(batch: &RecordBatch, pads: Vec<bool>) -> RecordBatch {
    let mut columns: Vec<(String, ArrayRef)> = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| (field.name().clone(), Arc::clone(column)))
        .collect();
    columns.push(("entente_pad".into(), Arc::new(BooleanArray::from(pads))));
    RecordBatch::try_from_iter(columns).unwrap()
}

/// A seed whose streams are all the same bytes.
pub(crate) struct Fixed(pub(crate) [u8; 48]);

impl SeedStream for Fixed {
    fn draw(&self, _purpose: &str) -> [u8; 48] {
        self.0
    }
}

/// The files by `OUTPUT.RECIPIENT/FILE`.
pub(crate) type Files = BTreeMap<String, String>;

/// Configures, runs and discloses. Everything must be released.
pub(crate) fn run(
    text: &str,
    load: impl FnMut(&entente_agreement::Dataset) -> Input,
    tie: [u8; 48],
) -> Files {
    let agreement = Agreement::parse(text.as_bytes()).unwrap();
    let analysis = &agreement.analyses()[0];
    let auction = Auction::configure(&agreement, analysis).unwrap();
    let inputs = InputTables::gather(&agreement, analysis, load);
    let outcome = auction.run(inputs, &Fixed(tie));
    let released = disclose(&agreement, analysis, auction.rules(), outcome);
    assert_eq!(released.len(), analysis.outputs().len());
    let mut files = Files::new();
    for output in released.iter() {
        assert_eq!(output.verdict(), Verdict::Released);
        for file in output.files() {
            let text = String::from_utf8(file.bytes().to_vec()).unwrap();
            files.insert(format!("{}.{}/{}", output.output(), output.recipient(), file.name()), text);
        }
    }
    files
}

/// Runs with the rows of each dataset by its name; a dataset that is not in the map is absent.
pub(crate) fn run_rows(spec: &Spec, rows: &BTreeMap<String, Vec<Row>>, size: usize, tie: [u8; 48]) -> Files {
    let load = |dataset: &entente_agreement::Dataset| {
        let Some(rows) = rows.get(dataset.name().as_str()) else { return Input::Absent };
        Input::Table(match spec.slots.iter().find(|slot| slot.name == dataset.name().as_str()) {
            Some(slot) => batches(rows, "amount", slot.scale, slot.units, slot.references, size),
            None => batches(rows, "reserve", spec.reserve_scale, false, false, size),
        })
    };
    run(&spec.text(), load, tie)
}

/// Why the text does not configure.
pub(crate) fn refusal(text: &str) -> ParameterError {
    let agreement = Agreement::parse(text.as_bytes()).unwrap();
    Auction::configure(&agreement, &agreement.analyses()[0]).unwrap_err()
}

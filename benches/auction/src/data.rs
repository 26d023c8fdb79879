//! Made-up auctions: the same from run to run, sealed for us and plain for the peer.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use arrow_array::{Decimal128Array, RecordBatch, StringArray};
use entente_agreement::{Agreement, Name, SealingId};
use entente_sealing::{
    Binding, ChunkWriter, DatasetKey, SealingKeys,
    table::{TableTerms, TableWriter},
};
use parquet::arrow::ArrowWriter;

/// Owners of bids; each bids for many clients.
pub(crate) const OWNERS: [&str; 4] = ["east", "north", "south", "west"];
const LOTS: u32 = 1_000;

/// The tables that both sides write.
pub(crate) fn answers() -> impl Iterator<Item = String> {
    core::iter::once("outcome.csv".to_owned()).chain(OWNERS.iter().map(|owner| format!("lots-{owner}.csv")))
}

/// A bid.
#[derive(Clone)]
struct Row {
    lot: u32,
    client: u32,
    cents: i128,
}

/// Deterministic numbers (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed >> 32) % u64::from(limit)).unwrap_or(0)
    }
}

/// Makes an auction of `bids` bids in `directory`: the agreement, sealed tables with their keys, plain tables.
pub(crate) fn make(directory: &Path, bids: u32) -> Result<()> {
    for part in ["", "ours", "duckdb"] {
        fs::create_dir_all(directory.join(part)).context("scratch directory")?;
    }
    let mut numbers = Numbers(u64::from(bids));
    let reserves: Vec<u32> = (0..LOTS).map(|_| numbers.below(10_500_000)).collect();
    let text = agreement(&reserves);
    fs::write(directory.join("agreement.toml"), &text)?;
    let agreement = Agreement::parse(text.as_bytes()).context("the benchmark's agreement")?;

    let mut tables = [const { Vec::new() }; OWNERS.len()];
    for lot in 0..LOTS {
        let mut top = 0;
        for bidder in 0..bids / LOTS {
            let owner = (bidder % 4) as usize;
            // One row in a hundred is a second bid of the same client; one in a thousand each names no lot or no amount.
            let client = if numbers.below(100) == 0 { 0 } else { bidder / 4 };
            let lot = if numbers.below(1000) == 0 { LOTS } else { lot };
            let mut cents =
                if numbers.below(1000) == 0 { 0 } else { i128::from(100_000 + numbers.below(9_900_000)) };
            // SQL has no HMAC: no ties at the top.
            if cents == top {
                cents -= 1;
            }
            top = top.max(cents);
            if let Some(table) = tables.get_mut(owner) {
                table.push(Row { lot, client, cents });
            }
        }
    }
    for (owner, mut rows) in OWNERS.into_iter().zip(tables) {
        for last in (1..rows.len()).rev() {
            let other = numbers.below(u32::try_from(last + 1)?);
            rows.swap(last, other as usize);
        }
        write(directory, &agreement, owner, &rows)?;
    }
    write_lots(directory, &reserves)
}

fn batch(rows: &[Row]) -> Result<RecordBatch> {
    let lots = StringArray::from_iter_values(rows.iter().map(|row| lot_id(row.lot)));
    let amounts = Decimal128Array::from_iter_values(rows.iter().map(|row| row.cents))
        .with_precision_and_scale(18, 2)?;
    let bidders = StringArray::from_iter_values(rows.iter().map(|row| format!("client-{:04}", row.client)));
    Ok(RecordBatch::try_from_iter([
        ("lot", Arc::new(lots) as _),
        ("amount", Arc::new(amounts) as _),
        ("bidder", Arc::new(bidders) as _),
    ])?)
}

fn lot_id(lot: u32) -> String {
    format!("lot-{lot:04}")
}

fn write(directory: &Path, agreement: &Agreement, owner: &str, rows: &[Row]) -> Result<()> {
    let name: Name = format!("bids-{owner}").parse()?;
    let dataset = agreement.dataset(&name).context("dataset")?;
    let terms = TableTerms::of(dataset)?;
    let mut sealed = TableWriter::new(ChunkWriter::new(Vec::new()), &keys(agreement, &name)?, &terms)?;
    let plain = fs::File::create(directory.join(format!("{name}.parquet")))?;
    let mut plain = ArrowWriter::try_new(plain, Arc::clone(terms.schema()), None)?;
    for rows in rows.chunks(8192) {
        let batch = RecordBatch::try_new(Arc::clone(terms.schema()), batch(rows)?.columns().to_vec())?;
        sealed.write(&batch)?;
        plain.write(&batch)?;
    }
    plain.close()?;
    let (bytes, chunks) = sealed.finish()?.out.finish()?;
    fs::write(directory.join(format!("{name}.sealed")), bytes)?;
    fs::write(directory.join(format!("{name}.chunks")), chunks.to_bytes())?;
    Ok(())
}

fn write_lots(directory: &Path, reserves: &[u32]) -> Result<()> {
    let ids = StringArray::from_iter_values((0..LOTS).map(lot_id));
    let currencies = StringArray::from_iter_values(reserves.iter().map(|_| "EUR"));
    let cents = reserves.iter().map(|reserve| i128::from(*reserve));
    let reserves = Decimal128Array::from_iter_values(cents).with_precision_and_scale(18, 2)?;
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(ids) as _),
        ("currency", Arc::new(currencies) as _),
        ("reserve", Arc::new(reserves) as _),
    ])?;
    let mut writer =
        ArrowWriter::try_new(fs::File::create(directory.join("lots.parquet"))?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}

/// The keys of a dataset. Known to everybody: what is measured is the work, not the secret.
pub(crate) fn keys(agreement: &Agreement, dataset: &Name) -> Result<SealingKeys> {
    let key = DatasetKey::from_bytes([7; 32].into());
    let sealing = SealingId::from_bytes([9; 16]);
    Ok(SealingKeys::derive(
        &key,
        &Binding { agreement: agreement.digest(), dataset: dataset.clone(), sealing },
    ))
}

fn agreement(reserves: &[u32]) -> String {
    let mut text = String::from(
        "type = \"entente/agreement/v1\"\nserial = \"55555555555555555555555555555555\"\nsupersedes = \"\"\n\
         not_before = \"2026-01-01T00:00:00Z\"\nnot_after = \"2027-01-01T00:00:00Z\"\n",
    );
    let mut add = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    add(format!("root = \"simulated:{}\"", "ab".repeat(32)));
    for (name, sign, result) in PARTIES {
        add(format!(
            "\n[[party]]\nname = \"{name}\"\nsign_key = \"ssh-ed25519 {sign}\"\nresult_key = \"{result}\""
        ));
    }
    add(format!(
        "\n[[image]]\nname = \"auction\"\npcr0 = \"{}\"\npcr1 = \"{}\"\npcr2 = \"{}\"",
        "1".repeat(96),
        "2".repeat(96),
        "3".repeat(96)
    ));
    for owner in OWNERS {
        add(format!(
            "\n[[dataset]]\nname = \"bids-{owner}\"\nowner = \"{owner}\"\nformat = \"parquet\"\n\
             schema = [\"lot text(40)\", \"amount decimal(18,2)\", \"bidder text(40)\"]\n\
             max_bytes = 1000000000\nmax_rows = 1000000\npad = false\n\
             key = \"arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab\""
        ));
    }
    add("\n[[analysis]]\nname = \"auction\"\nimage = \"auction\"\n\
         datasets = [\"bids-east\", \"bids-north\", \"bids-south\", \"bids-west\"]\n\
         authorize = \"inputs\"\nrunners = [\"harbour\"]\nmemory_mib = 1024\n\
         \n[analysis.parameters]\nseller = \"harbour\"\npricing = \"second-price\"\nreserve = \"public\""
        .into());
    for (lot, reserve) in (0..LOTS).zip(reserves) {
        add(format!(
            "[[analysis.parameters.lot]]\nid = \"{}\"\ncurrency = \"EUR\"\nunits = 1\nreserve = \"{}.{:02}\"",
            lot_id(lot),
            reserve / 100,
            reserve % 100
        ));
    }
    add("\n[analysis.disclosure]\nwinner = \"named\"\nparticipation = \"hidden\"".into());
    for (recipient, output) in
        core::iter::once(("harbour", "outcome")).chain(OWNERS.map(|owner| (owner, "own")))
    {
        add(format!(
            "\n[[analysis.output]]\nrecipient = \"{recipient}\"\nname = \"{output}\"\nbytes = 262144"
        ));
    }
    text
}

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

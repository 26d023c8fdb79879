//! Benchmark of the auction: second price, 1,000 lots, sealed in and sealed out, against DuckDB doing the same on plaintext.
//!
//! `cargo xtask bench auction [PAIRS]`. Three sizes; for each, both sides answer once and the answers are compared; then they take turns, at
//! least five times. Ours reads the sealed files, checks their pieces, opens them, runs the auction, discloses, archives, seals to
//! each recipient and writes. DuckDB reads Parquet, runs one SQL script and writes CSV, with as many threads as it likes; ours has one.
//! Both sides are processes of their own, started before the clock runs, so that memory can be told apart.

mod data;
mod ours;
mod side;

use std::{env, path::Path};

use anyhow::{Context as _, Result, bail, ensure};

use crate::side::Side;

/// Bids.
const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];
/// Our time is at most so many times the peer's, at the largest size.
const GOAL: f64 = 1.0;
/// Fewest turns.
const PAIRS: usize = 5;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["ours", directory] => ours::serve(Path::new(directory)),
        [] => compare(PAIRS + 2),
        [pairs] => compare(pairs.parse::<usize>().context("how many pairs?")?.max(PAIRS)),
        _ => bail!("usage: entente-bench-auction [PAIRS]"),
    }
}

fn compare(pairs: usize) -> Result<()> {
    let python = env::var_os("ENTENTE_PEERS_PYTHON")
        .context("run it as `cargo xtask bench auction`, which has DuckDB")?;
    let scratch = env::temp_dir().join(format!("entente-bench-auction-{}", std::process::id()));
    let outcome = sizes(pairs, &python, &scratch);
    std::fs::remove_dir_all(&scratch).context("scratch directory")?;
    let ratio = outcome?;
    println!("auction: ratio {ratio:.2} goal {GOAL:.1} {}", if ratio <= GOAL { "met" } else { "missed" });
    Ok(())
}

fn sizes(pairs: usize, python: &std::ffi::OsStr, scratch: &Path) -> Result<f64> {
    println!("{:>9}  {:>28}  {:>28}  {:>6}", "bids", "ours (sealed)", "DuckDB (plaintext)", "ratio");
    let mut ratio = f64::NAN;
    for bids in SIZES {
        let directory = scratch.join(bids.to_string());
        data::make(&directory, bids)?;
        let mut ours = Side::ours(&directory)?;
        let mut duckdb = Side::duckdb(python, &directory)?;
        ours.turn()?;
        duckdb.turn()?;
        same_answers(&directory)?;
        let mut times = (Vec::new(), Vec::new());
        for _ in 0..pairs {
            times.0.push(ours.turn()?);
            times.1.push(duckdb.turn()?);
        }
        let (ours_time, duckdb_time) = (side::median(&mut times.0), side::median(&mut times.1));
        ratio = ours_time / duckdb_time;
        println!(
            "{bids:>9}  {:>28}  {:>28}  {ratio:>6.2}",
            side::figures(ours_time, bids, ours.end()?),
            side::figures(duckdb_time, bids, duckdb.end()?)
        );
    }
    Ok(ratio)
}

/// Compares every line of every table.
fn same_answers(directory: &Path) -> Result<()> {
    for name in data::answers() {
        let read = |side: &str| -> Result<Vec<String>> {
            let path = directory.join(side).join(&name);
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            Ok(lines)
        };
        let (ours, duckdb) = (read("ours")?, read("duckdb")?);
        ensure!(ours.len() > 1, "{name} is empty");
        if let Some((ours, duckdb)) = ours.iter().zip(&duckdb).find(|(ours, duckdb)| ours != duckdb) {
            bail!("{name} differs:\n  ours   {ours}\n  DuckDB {duckdb}");
        }
        ensure!(ours.len() == duckdb.len(), "{name}: {} lines, DuckDB has {}", ours.len(), duckdb.len());
    }
    Ok(())
}

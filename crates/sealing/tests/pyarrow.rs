//! PyArrow reads our sealed tables and we read PyArrow's.
//!
//! Runs where `ENTENTE_PEERS_PYTHON` names a Python with pyarrow and cryptography; `ENTENTE_REQUIRE_PEERS=1` makes it
//! compulsory.
#![expect(clippy::unwrap_used, reason = "tests")]

mod fixture;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use entente_sealing::table::{TableReader, TableTerms, TableWriter};
use fixture::{ALL_TYPES, K, binding, keys, rows, terms};
use std::fs::File;
use std::path::Path;
use std::process::Command;

fn python() -> Option<String> {
    let python = std::env::var("ENTENTE_PEERS_PYTHON").ok();
    if python.is_none() {
        assert!(
            std::env::var("ENTENTE_REQUIRE_PEERS").as_deref() != Ok("1"),
            "ENTENTE_REQUIRE_PEERS is set, but ENTENTE_PEERS_PYTHON is not"
        );
        println!("skipped: ENTENTE_PEERS_PYTHON names no Python with pyarrow");
    }
    python
}

fn pyarrow(python: &str, action: &str, file: &Path, more: &[&str]) -> String {
    let binding = binding("bids-north");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/parquet_pyarrow.py");
    let output = Command::new(python)
        .arg(script)
        .arg(action)
        .arg(file)
        .args(["--key", &hex::encode(K), "--agreement", &binding.agreement.to_string()])
        .args(["--dataset", binding.dataset.as_str(), "--sealing", &binding.sealing.to_string()])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The row of [`rows`] with this number, as the script prints it.
fn expected(number: i64) -> serde_json::Value {
    let cents = number * 100_001 - 7;
    let sign = if cents < 0 { "-" } else { "" };
    let day =
        ["2024-10-04", "2024-10-05", "2024-10-06", "2024-10-07", "2024-10-08", "2024-10-09", "2024-10-10"]
            [usize::try_from(number).unwrap()];
    serde_json::json!({
        "lot": format!("SECRETLOT-{number}"),
        "amount": format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100),
        "units": number,
        "firm": number % 2 == 0,
        "day": day,
        "at": number,
        "proof": hex::encode(number.to_be_bytes()),
        "note": (number % 3 != 0).then(|| format!("note é {number}")),
    })
}

fn seal(file: &Path, terms: &TableTerms, rows: &RecordBatch) {
    let mut writer = TableWriter::new(File::create(file).unwrap(), &keys(), terms).unwrap();
    writer.write(rows).unwrap();
    writer.finish().unwrap();
}

#[test]
fn pyarrow_reads_ours() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    for pad in [false, true] {
        let file = directory.path().join("sealed.parquet");
        let terms = terms(ALL_TYPES, 40, pad);
        seal(&file, &terms, &rows(&terms, 7));
        let read: serde_json::Value = serde_json::from_str(&pyarrow(&python, "read", &file, &[])).unwrap();
        let expected: Vec<_> = (0..7).map(expected).collect();
        assert_eq!(read, serde_json::Value::Array(expected));
    }
}

#[test]
fn we_read_pyarrows() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    for (pad, more) in [(false, &[][..]), (true, &["--pad", "40"][..])] {
        let file = directory.path().join("sealed.parquet");
        pyarrow(&python, "write", &file, more);
        let terms = terms(ALL_TYPES, 40, pad);
        let reader = TableReader::open(File::open(&file).unwrap(), &keys(), &terms, 1 << 20).unwrap();
        let batches = reader.read_all().unwrap();
        assert_eq!(batches.len(), 1);
        let batch = &batches[0];
        assert_eq!(batch.num_rows(), 5);
        let lots: Vec<_> = batch["lot"].as_string::<i32>().iter().flatten().collect();
        assert_eq!(lots, ["villa-0", "villa-1", "villa-2", "villa-3", "villa-4"]);
        assert_eq!(batch["amount"].as_primitive::<Decimal128Type>().values(), &[25, 125, 225, 325, 425]);
        assert_eq!(batch["units"].as_primitive::<Int64Type>().values(), &[0, 1000, 2000, 3000, 4000]);
        assert!(batch["firm"].as_boolean().value(2) && !batch["firm"].as_boolean().value(3));
        assert_eq!(batch["day"].as_primitive::<Date32Type>().value(1), 20_455);
        assert_eq!(batch["at"].as_primitive::<TimestampMicrosecondType>().value(3), 1_767_268_803_000_005);
        assert_eq!(batch["proof"].as_binary::<i32>().value(4), [4; 4]);
        assert!(batch["note"].is_null(2) && batch["note"].null_count() == 1);
    }
}

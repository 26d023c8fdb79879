//! `examples/auction` comes out as its README says.

use std::{collections::BTreeMap, fs, path::Path};

use crate::support::{LotSpec, Row, Spec, run_rows};

fn read(name: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/auction").join(name);
    let text = fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn rows(name: &str) -> Vec<Row> {
    let row = |cells: &Vec<String>| Row::new(&cells[0], cells[1].replace('.', "").parse().unwrap());
    read(name).iter().map(row).collect()
}

#[test]
fn the_example_comes_out_as_described() {
    let mut spec = Spec::simple("second-price");
    spec.reserve = "secret";
    // The size that the README gives suffices for whatever the parties send.
    spec.bytes = 32_768;
    spec.lots = read("lots.csv")
        .into_iter()
        .map(|cells| LotSpec {
            id: cells[0].clone(),
            currency: if cells[1] == "EUR" { "EUR" } else { "GBP" },
            units: cells[2].parse().unwrap(),
            reserve: None,
        })
        .collect();
    let tables = BTreeMap::from([
        ("reserves".to_owned(), rows("reserves.csv")),
        ("bids-north".to_owned(), rows("bids-north.csv")),
        ("bids-south".to_owned(), rows("bids-south.csv")),
    ]);
    let files = run_rows(&spec, &tables, 100, [1; 48]);
    let tie_winner =
        if files["own.north/lots.csv"].contains("pier-house,EUR,won") { "north" } else { "south" };
    assert_eq!(
        files["outcome.harbour/outcome.csv"],
        format!(
            "lot,currency,status,units,price,winner\n\
             customs-hall,GBP,sold,1,875000.50,south\n\
             dry-dock,EUR,unsold,,,\n\
             lighthouse,GBP,sold,1,295000.00,north\n\
             old-crane,EUR,unsold,,,\n\
             pier-house,EUR,sold,1,640000.00,{tie_winner}\n\
             warehouse-7,EUR,sold,1,1180500.00,north\n"
        )
    );
    assert_eq!(files["own.north/notices.csv"], "dataset,reason,count,rows\nbids-north,unknown-lot,1,6\n");
    assert_eq!(
        files["own.south/notices.csv"],
        "dataset,reason,count,rows\nbids-south,not-the-highest-for-this-lot,1,1\n"
    );
    assert_eq!(files["outcome.harbour/notices.csv"], "dataset,reason,count,rows\n");
    // A losing bid, a reserve that was not the price: in nobody's file.
    for (name, text) in &files {
        for secret in ["1250000", "901000", "880000", "310000", "18000", "25000", "600000"] {
            assert!(!text.contains(secret), "{secret} in {name}");
        }
    }
}

//! The auction against a model that is as plain as can be: every unit of every bid on one list, sorted.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{LotSpec, Row, SlotSpec, Spec, run_rows};
use aws_lc_rs::hmac;
use proptest::prelude::*;

/// PROTOCOL §6, written down a second time.
fn rank(tie: &[u8; 48], lot: &str, bidder: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA384, tie);
    hmac::sign(&key, format!("{lot}\0{bidder}").as_bytes()).as_ref().to_vec()
}

fn decimals(currency: &str) -> u32 {
    match currency {
        "JPY" => 0,
        "KWD" => 3,
        _ => 2,
    }
}

/// The amount in smallest units, or the reason why it is none.
fn minor(amount: i128, scale: u8, currency: &str) -> Result<i128, &'static str> {
    let (scale, decimals) = (u32::from(scale), decimals(currency));
    if decimals >= scale {
        return amount.checked_mul(10_i128.pow(decimals - scale)).ok_or("large");
    }
    let divisor = 10_i128.pow(scale - decimals);
    if amount % divisor == 0 { Ok(amount / divisor) } else { Err("fine") }
}

fn shown(amount: i128, currency: &str) -> String {
    let decimals = decimals(currency);
    if decimals == 0 {
        return amount.to_string();
    }
    let divisor = 10_i128.pow(decimals);
    format!("{}.{:0width$}", amount / divisor, amount % divisor, width = decimals as usize)
}

#[derive(Debug, Clone)]
struct Valid {
    amount: i128,
    units: u64,
    owner: String,
    bidder: String,
}

fn label(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.chars().all(|letter| letter.is_ascii_alphanumeric())
}

/// The tables that the auction must release, by `OUTPUT.RECIPIENT/FILE`, without notices.
fn model(spec: &Spec, rows: &BTreeMap<String, Vec<Row>>, tie: &[u8; 48]) -> BTreeMap<String, String> {
    let mut outcome = BTreeSet::new();
    let mut own: BTreeMap<String, BTreeSet<String>> =
        spec.slots.iter().map(|slot| (slot.owner.to_owned(), BTreeSet::new())).collect();
    for lot in &spec.lots {
        let mut valid = Vec::new();
        for slot in &spec.slots {
            for row in rows.get(&slot.name).into_iter().flatten().filter(|row| row.lot == lot.id) {
                let units = if slot.units { row.units } else { 1 };
                let in_range = units >= 1 && units.unsigned_abs() <= lot.units;
                let bidder = match row.bidder.as_deref().filter(|_| slot.references) {
                    None => slot.owner.to_owned(),
                    Some(reference) if label(reference) => format!("{}/{reference}", slot.owner),
                    Some(_) => continue,
                };
                let Ok(amount) = minor(row.amount, slot.scale, lot.currency) else { continue };
                if amount > 0 && in_range {
                    valid.push(Valid {
                        amount,
                        units: units.unsigned_abs(),
                        owner: slot.owner.into(),
                        bidder,
                    });
                }
            }
        }
        if spec.pricing != "uniform-price" {
            let mut best: BTreeMap<String, Valid> = BTreeMap::new();
            for bid in valid {
                match best.get(&bid.bidder) {
                    Some(standing) if standing.amount >= bid.amount => {}
                    _ => {
                        best.insert(bid.bidder.clone(), bid);
                    }
                }
            }
            valid = best.into_values().collect();
        }
        let reserve = match spec.reserve {
            "none" => Some(0),
            "public" => {
                let text = lot.reserve.clone().unwrap();
                let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
                let scale = 10_i128.pow(decimals(lot.currency) - u32::try_from(fraction.len()).unwrap());
                Some(format!("{whole}{fraction}").parse::<i128>().unwrap() * scale)
            }
            _ => rows
                .get("reserves")
                .into_iter()
                .flatten()
                .filter(|row| row.lot == lot.id && row.amount >= 0)
                .filter_map(|row| minor(row.amount, spec.reserve_scale, lot.currency).ok())
                .max(),
        };
        // Every unit wanted at the reserve or above, best first.
        let mut units: Vec<(i128, Vec<u8>, String)> = Vec::new();
        if let Some(reserve) = reserve {
            for bid in valid.iter().filter(|bid| bid.amount >= reserve) {
                for _ in 0..bid.units {
                    units.push((-bid.amount, rank(tie, &lot.id, &bid.bidder), bid.bidder.clone()));
                }
            }
        }
        units.sort();
        let offered = usize::try_from(lot.units).unwrap();
        let next = units.get(offered).map(|unit| -unit.0);
        let mut winners: BTreeMap<String, u64> = BTreeMap::new();
        for (_, _, bidder) in units.iter().take(offered) {
            *winners.entry(bidder.clone()).or_default() += 1;
        }
        let price = match spec.pricing {
            "first-price" => units.first().map_or(0, |unit| -unit.0),
            _ => next.unwrap_or(0).max(reserve.unwrap_or(0)),
        };
        let price = shown(price, lot.currency);

        let start = format!("{},{}", lot.id, lot.currency);
        let counted = if spec.participation == "counted" {
            let bidders: BTreeSet<_> = valid.iter().map(|bid| &bid.bidder).collect();
            format!(",{}", bidders.len())
        } else {
            String::new()
        };
        let named = spec.winner == "named";
        if winners.is_empty() {
            let status = if reserve.is_none() { "withdrawn" } else { "unsold" };
            let winner = if named { "," } else { "" };
            outcome.insert(format!("{start},{status},,{winner}{counted}"));
        } else if named {
            for (bidder, units) in &winners {
                outcome.insert(format!("{start},sold,{units},{price},{bidder}{counted}"));
            }
        } else {
            outcome.insert(format!("{start},sold,{},{price}{counted}", winners.values().sum::<u64>()));
        }
        for (owner, lines) in &mut own {
            let mut won = false;
            for (bidder, units) in &winners {
                if bidder == owner || bidder.starts_with(&format!("{owner}/")) {
                    lines.insert(format!("{start},won,{units},{price},{bidder}"));
                    won = true;
                }
            }
            if !won && valid.iter().any(|bid| bid.owner == *owner) {
                lines.insert(format!("{start},lost,,,"));
            }
        }
    }
    let table = |header: &str, lines: BTreeSet<String>| {
        let mut text = format!("{header}\n");
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        text
    };
    let mut header = "lot,currency,status,units,price".to_owned();
    if spec.winner == "named" {
        header.push_str(",winner");
    }
    if spec.participation == "counted" {
        header.push_str(",bidders");
    }
    let hex: String = tie.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut files = BTreeMap::from([
        ("outcome.harbour/outcome.csv".to_owned(), table(&header, outcome)),
        ("outcome.harbour/tie.csv".to_owned(), format!("tie\n{hex}\n")),
    ]);
    for (owner, lines) in own {
        files.insert(format!("own.{owner}/lots.csv"), table("lot,currency,status,units,price,bidder", lines));
        files.insert(format!("own.{owner}/tie.csv"), format!("tie\n{hex}\n"));
    }
    files
}

const LOTS: [&str; 4] = ["a", "b-1", "c.2", "quay_9"];

fn any_row(max_units: i64) -> impl Strategy<Value = Row> {
    let lot = prop_oneof![12 => prop::sample::select(LOTS.to_vec()), 1 => Just("elsewhere"), 1 => Just("")];
    // Few different amounts, so that ties are common; and some that are void or extreme.
    let amount = prop_oneof![
        12 => (1_i128..6).prop_map(|amount| amount * 1000),
        4 => 1_i128..6000,
        1 => Just(0),
        1 => -10_i128..0,
        1 => prop::sample::select(vec![i128::MAX, i128::MIN, 10_i128.pow(38) - 1, 10_i128.pow(35), i128::from(i64::MAX) + 1]),
    ];
    let units = prop_oneof![12 => 1..=max_units, 1 => Just(0), 1 => prop::sample::select(vec![-1, i64::MIN, i64::MAX, 100])];
    let bidder = prop_oneof![
        3 => Just(None),
        12 => prop::sample::select(vec!["x", "y", "z"]).prop_map(|name| Some(name.to_owned())),
        1 => prop::sample::select(vec!["", "a b", "=1", "na\u{ef}ve", "a,b"]).prop_map(|name| Some(name.to_owned())),
    ];
    (lot, amount, units, bidder).prop_map(|(lot, amount, units, bidder)| Row {
        lot: lot.into(),
        amount,
        units,
        bidder,
    })
}

fn any_case() -> impl Strategy<Value = (Spec, BTreeMap<String, Vec<Row>>, [u8; 48], usize)> {
    let words = (
        prop::sample::select(vec!["first-price", "second-price", "uniform-price"]),
        prop::sample::select(vec!["none", "public", "secret"]),
        prop::sample::select(vec!["named", "price-only"]),
        prop::sample::select(vec!["hidden", "counted"]),
    );
    let slot =
        (prop::sample::select(vec!["north", "south", "east", "west"]), 0_u8..5, any::<bool>(), any::<bool>());
    let lot = (prop::sample::select(vec!["EUR", "GBP", "JPY", "KWD"]), 1_u64..6, 0_u32..4);
    let slots = prop::collection::vec(slot, 1..5);
    let lots = prop::collection::vec(lot, 1..=LOTS.len());
    let rows = prop::collection::vec(prop::collection::vec(any_row(4), 0..16), 5);
    (words, slots, lots, rows, any::<[[u8; 16]; 3]>(), (0_u8..4, 1_usize..8, any::<u8>())).prop_map(
        |(
            (pricing, reserve, winner, participation),
            slots,
            lots,
            mut rows,
            tie,
            (reserve_scale, size, absent),
        )| {
            let slots: Vec<SlotSpec> = slots
                .into_iter()
                .enumerate()
                .map(|(number, (owner, scale, units, references))| SlotSpec {
                    name: format!("bids-{number}"),
                    owner,
                    scale,
                    units,
                    references,
                })
                .collect();
            let lots = lots
                .into_iter()
                .zip(LOTS)
                .map(|((currency, units, reserve), id)| LotSpec {
                    id: id.into(),
                    currency,
                    units: if pricing == "uniform-price" { units } else { 1 },
                    reserve: Some((reserve * 20).to_string()),
                })
                .map(|lot| LotSpec { reserve: lot.reserve.filter(|_| reserve == "public"), ..lot })
                .collect();
            let mut tables = BTreeMap::new();
            if let Some(rows) = rows.pop().filter(|_| reserve == "secret" && absent % 8 != 0) {
                tables.insert("reserves".to_owned(), rows);
            }
            for (slot, rows) in slots.iter().zip(rows) {
                tables.insert(slot.name.clone(), rows);
            }
            let spec =
                Spec { pricing, reserve, winner, participation, lots, slots, reserve_scale, bytes: 1 << 20 };
            (spec, tables, tie.concat().try_into().unwrap(), size)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equals_the_model((spec, rows, tie, size) in any_case()) {
        let files = run_rows(&spec, &rows, size, tie);
        let tables: BTreeMap<_, _> =
            files.into_iter().filter(|(name, _)| !name.ends_with("/notices.csv")).collect();
        prop_assert_eq!(tables, model(&spec, &rows, &tie));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_does_not_matter((spec, rows, tie, size) in any_case(), turn in 0_usize..16) {
        let tables = |files: crate::support::Files| -> BTreeMap<_, _> {
            files.into_iter().filter(|(name, _)| !name.ends_with("/notices.csv")).collect()
        };
        let before = tables(run_rows(&spec, &rows, size, tie));
        let mut turned = rows;
        for rows in turned.values_mut() {
            rows.reverse();
            let turn = turn % rows.len().max(1);
            rows.rotate_left(turn);
        }
        let mut other = spec;
        other.slots.reverse();
        other.lots.reverse();
        prop_assert_eq!(before, tables(run_rows(&other, &turned, size + 1, tie)));
    }

    #[test]
    fn any_values_give_an_outcome(
        spec in prop::sample::select(vec!["first-price", "second-price", "uniform-price"]).prop_map(Spec::simple),
        amounts in prop::collection::vec((any::<i128>(), any::<i64>()), 0..40),
        scale in 0_u8..=38,
        units in 1_u64..=u64::from(u32::MAX),
    ) {
        let mut spec = spec;
        for slot in &mut spec.slots {
            slot.scale = scale;
            slot.units = true;
        }
        if spec.pricing == "uniform-price" {
            spec.lots[0].units = units;
        }
        let rows: Vec<Row> = amounts
            .into_iter()
            .map(|(amount, units)| Row { units: units % 3, ..Row::new("pier", amount >> (units.unsigned_abs() % 120)) })
            .collect();
        let tables = BTreeMap::from([("bids-north".to_owned(), rows.clone()), ("bids-south".to_owned(), rows)]);
        run_rows(&spec, &tables, 7, [9; 48]);
    }
}

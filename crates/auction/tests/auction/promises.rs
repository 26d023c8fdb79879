//! What the auction promises, one test a promise.

use std::collections::BTreeMap;

use crate::support::{Files, LotSpec, Row, Spec, batches, padded, refusal, run, run_rows};
use entente_agreement::{Agreement, Position};
use entente_analysis::{Analysis as _, Input, ParameterProblem, VoidReason};
use entente_auction::Auction;

fn tables<const N: usize>(rows: [(&str, Vec<Row>); N]) -> BTreeMap<String, Vec<Row>> {
    rows.into_iter().map(|(name, rows)| (name.to_owned(), rows)).collect()
}

fn file<'a>(files: &'a Files, name: &str) -> &'a str {
    &files[name]
}

const TIE: [u8; 48] = [7; 48];

#[test]
fn a_second_price_is_the_rival_s_bid() {
    let rows = tables([
        ("bids-north", vec![Row::new("pier", 90_000)]),
        ("bids-south", vec![Row::new("pier", 75_050)]),
    ]);
    let files = run_rows(&Spec::simple("second-price"), &rows, 10, TIE);
    assert_eq!(
        file(&files, "outcome.harbour/outcome.csv"),
        "lot,currency,status,units,price,winner\npier,EUR,sold,1,750.50,north\n"
    );
    assert_eq!(
        file(&files, "own.north/lots.csv"),
        "lot,currency,status,units,price,bidder\npier,EUR,won,1,750.50,north\n"
    );
    assert_eq!(
        file(&files, "own.south/lots.csv"),
        "lot,currency,status,units,price,bidder\npier,EUR,lost,,,\n"
    );
    assert_eq!(file(&files, "own.south/tie.csv"), format!("tie\n{}\n", "07".repeat(48)));
    assert_eq!(file(&files, "own.south/notices.csv"), "dataset,reason,count,rows\n");
    assert_eq!(files.len(), 9);
}

#[test]
fn a_lone_bidder_pays_the_reserve_and_without_one_nothing() {
    let rows = tables([("bids-north", vec![Row::new("pier", 90_000)])]);
    for (reserve, text, price) in
        [("none", None, "0.00"), ("public", Some("600"), "600.00"), ("public", Some("900.00"), "900.00")]
    {
        let mut spec = Spec::simple("second-price");
        spec.reserve = reserve;
        spec.lots[0].reserve = text.map(str::to_owned);
        let files = run_rows(&spec, &rows, 10, TIE);
        assert_eq!(
            file(&files, "outcome.harbour/outcome.csv"),
            format!("lot,currency,status,units,price,winner\npier,EUR,sold,1,{price},north\n")
        );
    }
}

#[test]
fn below_the_reserve_nothing_is_sold_and_nothing_shows_that_somebody_bid() {
    let mut spec = Spec::simple("second-price");
    spec.reserve = "public";
    spec.lots[0].reserve = Some("900.01".into());
    let with = run_rows(&spec, &tables([("bids-north", vec![Row::new("pier", 90_000)])]), 10, TIE);
    let without = run_rows(&spec, &tables([("bids-north", vec![])]), 10, TIE);
    for name in ["outcome.harbour/outcome.csv", "own.south/lots.csv"] {
        assert_eq!(file(&with, name), file(&without, name));
    }
    assert_eq!(
        file(&with, "outcome.harbour/outcome.csv"),
        "lot,currency,status,units,price,winner\npier,EUR,unsold,,,\n"
    );
    assert_eq!(
        file(&with, "own.north/lots.csv"),
        "lot,currency,status,units,price,bidder\npier,EUR,lost,,,\n"
    );
}

#[test]
fn a_losing_bid_changes_nobody_else_s_result() {
    // Third-highest bids under second price, everything below the best under first price.
    for (pricing, seconds) in [("second-price", 80_000), ("first-price", 10)] {
        let mut spec = Spec::simple(pricing);
        spec.slots.push(crate::support::SlotSpec {
            name: "bids-east".into(),
            owner: "east",
            ..spec.slots[0].clone()
        });
        let mut rows = tables([
            ("bids-north", vec![Row::new("pier", 90_000)]),
            ("bids-south", vec![Row::new("pier", seconds)]),
            ("bids-east", vec![]),
        ]);
        let before = run_rows(&spec, &rows, 10, TIE);
        for amount in [1, 5, 9] {
            rows.insert(
                "bids-east".into(),
                vec![Row::new("pier", amount), Row::new("nowhere", 5), Row::new("pier", -1)],
            );
            let after = run_rows(&spec, &rows, 10, TIE);
            for (name, text) in after.iter().filter(|(name, _)| !name.starts_with("own.east/")) {
                assert_eq!(text, file(&before, name), "{name}");
            }
        }
    }
}

#[test]
fn void_bids_are_told_to_their_owner_alone() {
    let mut spec = Spec::simple("first-price");
    spec.slots[0].units = true;
    spec.slots[0].references = true;
    spec.slots[0].scale = 3;
    let bad = |row: Row, bidder: &str| Row { bidder: Some(bidder.into()), ..row };
    let north = vec![
        Row::new("pier", 100_000),
        Row::new("peer", 100_000),
        Row::new("pier", 0),
        Row::new("pier", 100_001),
        Row::new("pier", -5),
        Row { units: 2, ..Row::new("pier", 100_000) },
        Row { units: 0, ..Row::new("pier", 100_000) },
        bad(Row::new("pier", 1_000), ""),
        bad(Row::new("pier", 1_000), "a,b"),
        bad(Row::new("pier", 1_000), &"x".repeat(65)),
        bad(Row::new("pier", 1_000), "client-1"),
        Row::new("pier", 120_000),
        Row::new("pier", 120_000),
    ];
    let rows = tables([("bids-north", north), ("bids-south", vec![Row::new("pier", 10_000)])]);
    for size in [1, 4, 100] {
        let files = run_rows(&spec, &rows, size, TIE);
        assert_eq!(
            file(&files, "own.north/notices.csv"),
            "dataset,reason,count,rows\n\
             bids-north,amount-has-too-many-decimals,1,4\n\
             bids-north,amount-not-positive,2,3 5\n\
             bids-north,bidder-is-no-label,3,8-10\n\
             bids-north,not-the-highest-for-this-lot,2,1 13\n\
             bids-north,units-out-of-range,2,6-7\n\
             bids-north,unknown-lot,1,2\n"
        );
        for name in ["own.south/notices.csv", "outcome.harbour/notices.csv"] {
            assert_eq!(file(&files, name), "dataset,reason,count,rows\n");
        }
        assert_eq!(
            file(&files, "outcome.harbour/outcome.csv"),
            "lot,currency,status,units,price,winner\npier,EUR,sold,1,120.00,north\n"
        );
    }
}

#[test]
fn a_void_dataset_is_told_to_its_owner_and_the_auction_goes_on() {
    let spec = Spec::simple("second-price");
    let load = |dataset: &entente_agreement::Dataset| match dataset.name().as_str() {
        "bids-north" => Input::Void(VoidReason::DoesNotOpen),
        _ => Input::Table(batches(&[Row::new("pier", 500)], "amount", 2, false, false, 9)),
    };
    let files = run(&spec.text(), load, TIE);
    assert_eq!(
        file(&files, "own.north/notices.csv"),
        "dataset,reason,count,rows\nbids-north,dataset-does-not-open,,\n"
    );
    assert_eq!(
        file(&files, "outcome.harbour/outcome.csv"),
        "lot,currency,status,units,price,winner\npier,EUR,sold,1,0.00,south\n"
    );
}

#[test]
fn a_table_of_other_columns_is_void() {
    let spec = Spec::simple("second-price");
    let wrong = |number: usize| {
        let right = batches(&[Row::new("pier", 500)], "amount", 2, true, true, 9).remove(0);
        let rename = |from: usize, to: usize| {
            let columns = right.columns();
            let schema = right.schema();
            let names = ["lot", "amount", "units", "bidder"];
            arrow_array::RecordBatch::try_from_iter(
                schema.fields().iter().zip(columns).enumerate().filter(|(index, _)| *index != from).map(
                    |(index, (field, column))| {
                        let name = if index == to { names[from].to_owned() } else { field.name().clone() };
                        (name, std::sync::Arc::clone(column))
                    },
                ),
            )
            .unwrap()
        };
        [rename(0, 1), rename(1, 0), rename(2, 3), rename(3, 2), rename(0, 9)]
            .into_iter()
            .nth(number)
            .unwrap()
    };
    for number in 0..5 {
        let load = |dataset: &entente_agreement::Dataset| match dataset.name().as_str() {
            "bids-north" => Input::Table(vec![wrong(number)]),
            _ => Input::Blob(b"blob".to_vec().into()),
        };
        let files = run(&spec.text(), load, TIE);
        for bidder in ["north", "south"] {
            assert_eq!(
                file(&files, &format!("own.{bidder}/notices.csv")),
                format!("dataset,reason,count,rows\nbids-{bidder},dataset-does-not-fit-schema,,\n")
            );
        }
    }
}

#[test]
fn secret_reserves_fail_closed() {
    let mut spec = Spec::simple("first-price");
    spec.reserve = "secret";
    for id in ["quay", "dock"] {
        spec.lots.push(LotSpec { id: id.into(), ..spec.lots[0].clone() });
    }
    let bids = |amount| ["pier", "quay", "dock"].map(|lot| Row::new(lot, amount)).to_vec();
    let reserves = vec![
        Row::new("pier", 100),
        Row::new("quay", -1),
        Row::new("pier", 900),
        Row::new("pier", 500),
        Row::new("attic", 5),
        Row::new("dock", 0),
    ];
    let rows = tables([("reserves", reserves), ("bids-north", bids(800))]);
    let files = run_rows(&spec, &rows, 2, TIE);
    assert_eq!(
        file(&files, "outcome.harbour/outcome.csv"),
        "lot,currency,status,units,price,winner\ndock,EUR,sold,1,8.00,north\npier,EUR,unsold,,,\nquay,EUR,withdrawn,,,\n"
    );
    assert_eq!(
        file(&files, "outcome.harbour/notices.csv"),
        "dataset,reason,count,rows\n\
         reserves,not-the-highest-reserve-for-this-lot,2,1 4\n\
         reserves,reserve-negative,1,2\n\
         reserves,unknown-lot,1,5\n"
    );
    // No reserves at all: nothing is sold.
    for input in [|| Input::Absent, || Input::Void(VoidReason::DoesNotFitSchema)] {
        let load = |dataset: &entente_agreement::Dataset| match dataset.name().as_str() {
            "reserves" => input(),
            _ => Input::Table(batches(&bids(800), "amount", 2, false, false, 9)),
        };
        let files = run(&spec.text(), load, TIE);
        assert_eq!(file(&files, "outcome.harbour/outcome.csv").matches("withdrawn").count(), 3);
        assert_eq!(file(&files, "own.north/lots.csv").matches("lost").count(), 3);
    }
}

#[test]
fn padding_is_not_there() {
    let spec = Spec::simple("first-price");
    let rows = [Row::new("pier", 500), Row::new("", 0), Row::new("pier", 900), Row::new("nowhere", -7)];
    let batch = batches(&rows, "amount", 2, false, false, 9).remove(0);
    let load = |dataset: &entente_agreement::Dataset| match dataset.name().as_str() {
        "bids-north" => Input::Table(vec![padded(&batch, vec![false, true, true, true])]),
        _ => Input::Absent,
    };
    let files = run(&spec.text(), load, TIE);
    assert_eq!(
        file(&files, "outcome.harbour/outcome.csv"),
        "lot,currency,status,units,price,winner\npier,EUR,sold,1,5.00,north\n"
    );
    assert_eq!(file(&files, "own.north/notices.csv"), "dataset,reason,count,rows\n");
}

#[test]
fn units_go_to_the_highest_and_the_first_that_lost_sets_the_price() {
    let mut spec = Spec::simple("uniform-price");
    spec.lots[0].units = 5;
    for slot in &mut spec.slots {
        slot.units = true;
    }
    let row = |units, amount| Row { units, ..Row::new("pier", amount) };
    let rows = tables([
        ("bids-north", vec![row(2, 900), row(2, 700)]),
        ("bids-south", vec![row(3, 800), row(1, 600)]),
    ]);
    let files = run_rows(&spec, &rows, 10, TIE);
    // 2 at 9.00, 3 at 8.00; the next unit would have paid 7.00.
    assert_eq!(
        file(&files, "outcome.harbour/outcome.csv"),
        "lot,currency,status,units,price,winner\npier,EUR,sold,2,7.00,north\npier,EUR,sold,3,7.00,south\n"
    );
    spec.lots[0].units = 6;
    let files = run_rows(&spec, &rows, 10, TIE);
    // One unit of the bid at 7.00 is served, the other lost: still 7.00.
    assert_eq!(
        file(&files, "outcome.harbour/outcome.csv"),
        "lot,currency,status,units,price,winner\npier,EUR,sold,3,7.00,north\npier,EUR,sold,3,7.00,south\n"
    );
    spec.lots[0].units = 9;
    let files = run_rows(&spec, &rows, 10, TIE);
    assert_eq!(
        file(&files, "outcome.harbour/outcome.csv"),
        "lot,currency,status,units,price,winner\npier,EUR,sold,4,0.00,north\npier,EUR,sold,4,0.00,south\n"
    );
}

/// Chi-square over seeds: four bidders with equal bids win equally often. The seeds are fixed, so the test is.
#[test]
fn ties_are_fair() {
    let mut spec = Spec::simple("first-price");
    spec.slots = ["north", "south", "east", "west"]
        .map(|owner| crate::support::SlotSpec {
            name: format!("bids-{owner}"),
            owner,
            ..spec.slots[0].clone()
        })
        .to_vec();
    spec.lots =
        (0..50).map(|number| LotSpec { id: format!("lot-{number}"), ..spec.lots[0].clone() }).collect();
    let bids: Vec<Row> = spec.lots.iter().map(|lot| Row::new(&lot.id, 100)).collect();
    let rows: BTreeMap<_, _> = spec.slots.iter().map(|slot| (slot.name.clone(), bids.clone())).collect();
    let mut wins = BTreeMap::from(["north", "south", "east", "west"].map(|owner| (owner, 0_u32)));
    let runs = 40_u8;
    for run in 0..runs {
        let files = run_rows(&spec, &rows, 64, [run; 48]);
        for line in file(&files, "outcome.harbour/outcome.csv").lines().skip(1) {
            let winner = line.rsplit(',').next().unwrap();
            *wins.get_mut(winner).unwrap() += 1;
        }
    }
    let expected = f64::from(u32::from(runs) * 50) / 4.0;
    let chi_square: f64 = wins.values().map(|wins| (f64::from(*wins) - expected).powi(2) / expected).sum();
    // Three degrees of freedom: 16.27 is exceeded once in a thousand.
    assert!(chi_square < 16.27, "{chi_square}: {wins:?}");
}

#[test]
fn equal_tables_give_equal_bytes() {
    let spec = Spec::simple("second-price");
    let bids: Vec<Row> =
        (0..500).map(|number| Row::new(if number % 3 == 0 { "pier" } else { "x" }, 1 + number % 7)).collect();
    let rows = tables([("bids-north", bids.clone()), ("bids-south", bids)]);
    assert_eq!(run_rows(&spec, &rows, 13, TIE), run_rows(&spec, &rows, 512, TIE));
}

#[test]
fn sentences_say_who_learns_what() {
    let mut spec = Spec::simple("second-price");
    spec.reserve = "secret";
    spec.slots[1].references = true;
    let agreement = Agreement::parse(spec.text().as_bytes()).unwrap();
    let auction = Auction::configure(&agreement, &agreement.analyses()[0]).unwrap();
    assert_eq!(
        auction.sentences(),
        [
            "harbour sells the lot pier by sealed bids; north, south may bid.",
            "Each lot goes to the highest bid, at the highest price that another bidder offered, or the reserve if that is more.",
            "Every lot has a secret reserve in the dataset reserves; a lot without one there is withdrawn, and only harbour learns it.",
            "harbour learns of each lot whether it was sold, at what price, who won it, not how many bid.",
            "Each bidder learns which lots it won and at what price, which it lost, and which of its own bids were void.",
            "The price of a lot is the amount of the second-highest bid: harbour and the winner learn that amount, not whose it is. Nobody learns anything of other bids that lost.",
            "south bids for clients of its own, told apart by a reference of its choice in the dataset bids-south. If one wins, harbour learns its reference.",
            "Ties are broken by a number that all owners' secret keys make together; it stands in every result, so that everybody can recompute them.",
        ]
    );
}

#[test]
fn what_cannot_be_run_is_refused_with_its_place() {
    let text = Spec::simple("second-price").text();
    let place = |needle: &str| {
        let at = text.find(needle).unwrap() + needle.find(" = ").unwrap() + 3;
        let line = text[..at].matches('\n').count() + 1;
        let column = at - text[..at].rfind('\n').unwrap();
        (u32::try_from(line).unwrap(), u32::try_from(column).unwrap())
    };
    // What is written instead of what, and the sentence. The place is that of the value.
    for (from, to, problem) in [
        (
            "seller = \"harbour\"",
            "seller = \"nobody\"",
            "`seller` names `nobody`, which is no party of the agreement",
        ),
        (
            "pricing = \"second-price\"",
            "pricing = \"dutch\"",
            "`pricing` is `dutch`, expected \"first-price\" or \"second-price\" or \"uniform-price\"",
        ),
        (
            "reserve = \"none\"",
            "reserve = \"some\"",
            "`reserve` is `some`, expected \"none\" or \"public\" or \"secret\"",
        ),
        ("winner = \"named\"", "winner = \"all\"", "`winner` is `all`, expected \"named\" or \"price-only\""),
        (
            "participation = \"hidden\"",
            "participation = \"\"",
            "`participation` is ``, expected \"hidden\" or \"counted\"",
        ),
        (
            "currency = \"EUR\"",
            "currency = \"EUX\"",
            "`currency` is `EUX`, expected a currency of ISO 4217, such as \"EUR\"",
        ),
        (
            "id = \"pier\"",
            "id = \"pier 3\"",
            "`id` is `pier 3`, expected up to 40 letters, digits, `.`, `_`, `-`, a letter or digit first",
        ),
        (
            "units = 1",
            "units = 2",
            "`units` does not go with this pricing: lots of several units are sold at a uniform price",
        ),
    ] {
        let error = refusal(&text.replacen(from, to, 1));
        assert_eq!(error.problem.to_string(), problem);
        assert_eq!((error.position.line(), error.position.column()), place(from), "{from}");
    }
    // Unknown and missing keys, wrong types: the table readers' own errors, with places.
    for (from, to) in [
        ("seller = \"harbour\"\n", ""),
        ("units = 1\n", ""),
        ("units = 1\n", "units = 0\n"),
        ("units = 1\n", "units = \"1\"\n"),
        ("units = 1\n", "units = 1\nstep = 5\n"),
        ("winner = \"named\"\n", "winner = \"named\"\nbids = \"all\"\n"),
        ("winner = \"named\"\n", ""),
    ] {
        let error = refusal(&text.replacen(from, to, 1));
        assert!(matches!(error.problem, ParameterProblem::Text(_)), "{error}");
        assert_ne!(error.position, Position::NONE);
    }
}

#[test]
fn reserves_must_fit_their_rule() {
    let lot = "currency = \"EUR\"\nunits = 1\n";
    let none = Spec::simple("first-price").text();
    let error = refusal(&none.replacen(lot, &format!("{lot}reserve = \"5\"\n"), 1));
    assert!(matches!(error.problem, ParameterProblem::Conflict { .. }), "{error}");
    let error =
        refusal(&none.replacen("reserve = \"none\"\n", "reserve = \"none\"\nreserves = \"bids-north\"\n", 1));
    assert!(matches!(error.problem, ParameterProblem::Conflict { .. }), "{error}");
    for reserve in ["5.001", "-5", "5,00", "", "05"] {
        let mut spec = Spec::simple("first-price");
        spec.reserve = "public";
        spec.lots[0].reserve = Some(reserve.into());
        let error = refusal(&spec.text());
        assert!(matches!(error.problem, ParameterProblem::Value { .. }), "{error}");
    }
    let mut spec = Spec::simple("first-price");
    spec.reserve = "secret";
    let secret = spec.text();
    let error = refusal(&secret.replacen("reserves = \"reserves\"", "reserves = \"elsewhere\"", 1));
    assert!(matches!(error.problem, ParameterProblem::UnknownDataset { .. }), "{error}");
    let error = refusal(&secret.replacen("reserves = \"reserves\"", "reserves = \"bids-north\"", 1));
    assert!(error.to_string().contains("must be the seller's"), "{error}");
}

#[test]
fn datasets_and_outputs_must_fit_their_parts() {
    let text = Spec::simple("first-price").text();
    let amount = "\"amount decimal(38,2)\"";
    for (from, to, problem) in [
        (
            amount,
            "\"amount int64\"",
            "dataset `bids-north` has `amount int64`, expected `amount decimal(P,S)`",
        ),
        (
            amount,
            "\"amount decimal(38,2) null\"",
            "dataset `bids-north` has `amount decimal(38,2) null`, expected `amount decimal(P,S)`",
        ),
        (", \"amount decimal(38,2)\"", "", "dataset `bids-north` has no column `amount decimal(P,S)`"),
        (
            amount,
            "\"amount decimal(38,2)\", \"note text(9)\"",
            "dataset `bids-north` has a column `note` that an auction has no use for: leave it out (columns are lot, amount, units, bidder)",
        ),
        (
            "owner = \"north\"",
            "owner = \"harbour\"",
            "dataset `bids-north` would hold bids of the seller, who must not bid on its own lots",
        ),
        (
            "name = \"auction\"\nimage",
            "name = \"tender\"\nimage",
            "analysis `tender` is not of the kind `auction`: its name must be `auction` or start with `auction-`",
        ),
        (
            "recipient = \"harbour\"\nname = \"outcome\"",
            "recipient = \"east\"\nname = \"outcome\"",
            "output `outcome` for `east` is not for the seller: only the seller gets it",
        ),
        (
            "recipient = \"north\"\nname = \"own\"",
            "recipient = \"east\"\nname = \"own\"",
            "output `own` for `east` is not for a bidder: no dataset of bids is that party's",
        ),
        (
            "recipient = \"north\"\nname = \"own\"",
            "recipient = \"north\"\nname = \"mine\"",
            "there is no output `own` for `north`: add an [[analysis.output]]",
        ),
    ] {
        assert_eq!(refusal(&text.replacen(from, to, 1)).to_string(), problem);
    }
    let extra =
        format!("{text}\n[[analysis.output]]\nrecipient = \"north\"\nname = \"bids\"\nbytes = 4096\n");
    assert_eq!(refusal(&extra).to_string(), "there is no output `bids`: this analysis has outcome, own");
    let mut small = Spec::simple("first-price");
    small.bytes = 4096;
    assert!(matches!(refusal(&small.text()).problem, ParameterProblem::OutputTooSmall { bytes: 4096, .. }));
    let two = Spec { lots: vec![small.lots[0].clone(); 2], ..Spec::simple("first-price") };
    assert!(matches!(refusal(&two.text()).problem, ParameterProblem::Duplicate { .. }));
}

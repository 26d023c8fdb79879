//! The same inputs again, other inputs instead, results exchanged and forged.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;

use entente_e2e::{PARTIES, Play, has, stock};

fn result_of(party: &str) -> String {
    if party == "harbour" { "outcome.harbour.age".to_owned() } else { format!("own.{party}.age") }
}

#[test]
fn the_same_set_again_gives_the_same_archives() {
    let play = Play::start();
    for out in ["second", "third"] {
        let done = play.run(out);
        assert_eq!(done.code, 0, "{done}");
    }
    let first = play.opened("results/receipt.json");
    assert_eq!(first.len(), 3);
    assert_eq!(play.opened("second/receipt.json"), first);
    assert_eq!(play.opened("third/receipt.json"), first);
    // The sealed files are others each time: nobody can tell from them that they hold the same.
    for (party, _) in PARTIES {
        let name = result_of(party);
        assert_ne!(play.read(&format!("second/{name}")), play.read(&format!("results/{name}")));

        // Each opens with its own receipt only.
        let good =
            play.open(party, &format!("second/{name}"), "second/receipt.json", &format!("{party}/again"));
        assert_eq!(good.code, 0, "{good}");
        for file in fs::read_dir(play.path(&format!("{party}/again"))).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            assert_eq!(
                play.read(&format!("{party}/again/{file}")),
                play.read(&format!("{party}/result/{file}")),
                "{party} {file}"
            );
        }
        let exchanged = play.open(party, &format!("second/{name}"), "results/receipt.json", "none");
        assert_eq!(exchanged.code, 1, "{exchanged}");
        assert!(!play.path("none").exists());
    }
    let runs = play.runs();
    assert_eq!(runs.len(), 3);
    assert!(
        runs.iter().all(|run| run["state"] == "finished" || run["state"]["state"] == "finished"),
        "{runs:?}"
    );
}

#[test]
fn what_is_no_result_is_refused() {
    let play = Play::copy();
    let sealed = "results/own.north.age";
    let refused = |file: &str, receipt: &str, what: &str| {
        let done = play.open("north", file, receipt, "none");
        assert_ne!(done.code, 0, "{what}: {done}");
        assert!(!play.path("none").exists(), "{what}");
    };
    // Without receipt: there is no way to say it, and none to get around it.
    let bare = play.entente(&[
        "result",
        "open",
        sealed,
        "--agreement",
        "agreement.toml",
        "--root",
        "ca/root.pem",
        "--home",
        "north/home",
        "--out",
        "none",
    ]);
    assert_eq!(bare.code, 2, "{bare}");
    fs::write(play.path("empty.json"), "").unwrap();
    refused(sealed, "empty.json", "an empty receipt");
    refused(sealed, "results/missing.json", "a missing receipt");
    refused("results/own.south.age", "results/receipt.json", "the rival's file");
    fs::create_dir(play.path("forged")).unwrap();
    fs::copy(play.path("results/own.south.age"), play.path("forged/own.north.age")).unwrap();
    refused("forged/own.north.age", "results/receipt.json", "the rival's file under one's own name");
    fs::copy(play.path(sealed), play.path("forged/outcome.north.age")).unwrap();
    refused("forged/outcome.north.age", "results/receipt.json", "another output");
    // Anybody can encrypt to a party: the very archive, and another one.
    if has("age") {
        let shown = play.entente(&["party", "show", "--home", "north/home", "--json"]).json();
        let key = shown["result_key"].as_str().unwrap();
        for (tar, what) in [("north/result.tar", "the same archive"), ("north/result/lots.csv", "no archive")]
        {
            fs::remove_file(play.path("forged/own.north.age")).unwrap();
            let done = stock(play.directory(), "age", &["-r", key, "-o", "forged/own.north.age", tar]);
            assert_eq!(done.code, 0, "{done}");
            refused("forged/own.north.age", "results/receipt.json", what);
        }
    }
    // One byte of the genuine file.
    let genuine = play.read(sealed);
    for at in [0, 100, genuine.len() / 2, genuine.len() - 1] {
        let mut bytes = genuine.clone();
        bytes[at] ^= 1;
        fs::write(play.path("forged/own.north.age"), bytes).unwrap();
        refused("forged/own.north.age", "results/receipt.json", "a flipped byte");
    }
    // Neither AWS's root nor none opens a simulated one.
    let done = play.entente(&[
        "result",
        "open",
        sealed,
        "--receipt",
        "results/receipt.json",
        "--agreement",
        "agreement.toml",
        "--home",
        "north/home",
        "--out",
        "none",
    ]);
    assert_eq!(done.code, 1, "{done}");
    // Nobody else's home opens it.
    let done = play.open("south", sealed, "results/receipt.json", "none");
    assert_eq!(done.code, 1, "{done}");
    assert!(!play.path("none").exists());
    // And then the genuine one.
    let done = play.open("north", sealed, "results/receipt.json", "once-more");
    assert_eq!(done.code, 0, "{done}");
}

/// The members of a party's block in an agreement, exchanged for those of a card.
fn replace_block(text: &str, name: &str, sign_key: Option<&str>, result_key: Option<&str>) -> String {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("[[") {
            inside = false;
        }
        if line == format!("name = \"{name}\"") {
            inside = true;
        }
        let key = line.split(" = ").next().unwrap_or_default();
        let new = match key {
            "sign_key" if inside => sign_key,
            "result_key" if inside => result_key,
            _ => None,
        };
        lines.push(new.map_or_else(|| line.to_owned(), |new| format!("{key} = \"{new}\"")));
    }
    lines.join("\n") + "\n"
}

#[test]
fn a_replaced_key_block_is_refused_at_signing() {
    let play = Play::copy();
    let made = play.entente(&["party", "init", "south", "--home", "mallory", "--json"]);
    assert_eq!(made.code, 0, "{made}");
    let mallory = made.json();
    let (sign, open) = (mallory["sign_key"].as_str().unwrap(), mallory["result_key"].as_str().unwrap());
    let text = String::from_utf8(play.read("agreement.toml")).unwrap();
    let sign_as = |party: &str, file: &str| {
        let home = format!("{party}/home");
        play.entente(&[
            "agreement",
            "sign",
            file,
            "--home",
            &home,
            "--rebuilt",
            "auction.eif",
            "--simulated",
            "ca/root.pem",
        ])
    };
    for (index, (signs, opens)) in
        [(Some(sign), Some(open)), (Some(sign), None), (None, Some(open))].into_iter().enumerate()
    {
        let file = format!("replaced-{index}.toml");
        let replaced = replace_block(&text, "south", signs, opens);
        assert_ne!(replaced, text);
        fs::write(play.path(&file), replaced).unwrap();
        // The party whose block it is sees it; the others see a signing key that they did not pin.
        let own = sign_as("south", &file);
        assert_eq!(own.code, 1, "{own}");
        if signs.is_some() {
            for party in ["harbour", "north"] {
                let done = sign_as(party, &file);
                assert_eq!(done.code, 1, "{done}");
            }
        }
        assert!(!play.path(&format!("{file}.south.sig")).exists());
        assert!(!play.path(&format!("{file}.north.sig")).exists() || signs.is_none());
    }
}

/// Seals other bids of the north and writes the set with them as `other-inputs.toml`.
fn other_set(play: &Play) {
    fs::create_dir(play.path("other")).unwrap();
    for dataset in ["reserves", "bids-south"] {
        for entry in fs::read_dir(play.path("sealed")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with(dataset) {
                fs::copy(play.path("sealed").join(&name), play.path("other").join(&name)).unwrap();
            }
        }
    }
    fs::write(play.path("other-bids.csv"), "lot,amount\nold-crane,26000.00\n").unwrap();
    let sealed = play.owner(
        "north",
        &[
            "data",
            "seal",
            "other-bids.csv",
            "--agreement",
            "agreement.toml",
            "--dataset",
            "bids-north",
            "--home",
            "north/home",
            "--out",
            "other",
        ],
    );
    assert_eq!(sealed.code, 0, "{sealed}");
    let written = play.entente(&[
        "inputs",
        "new",
        "--agreement",
        "agreement.toml",
        "--analysis",
        "auction",
        "--sealed",
        "other",
        "--out",
        "other-inputs.toml",
    ]);
    assert_eq!(written.code, 0, "{written}");
    assert_ne!(play.read("other-inputs.toml"), play.read("inputs.toml"));
}

#[test]
fn a_second_set_for_a_round_is_refused() {
    let mut play = Play::copy();
    for (party, _) in PARTIES {
        play.serve_keys(party);
    }
    // The journal as it was before the first set: a backup, restored.
    let journal = fs::read_dir(play.path("south/home"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| name.starts_with("journal"))
        .unwrap();
    let journal = format!("south/home/{journal}");
    other_set(&play);

    let refused = play.sign_inputs("south", "other-inputs.toml", "other");
    assert_eq!(refused.code, 1, "{refused}");
    assert!(!play.path("other-inputs.toml.south.sig").exists());
    let same = play.sign_inputs("south", "inputs.toml", "sealed");
    assert_eq!(same.code, 0, "{same}");

    let text = String::from_utf8(play.read(&journal)).unwrap();
    let old: String =
        text.lines().filter(|line| !line.contains("authoriz")).map(|line| format!("{line}\n")).collect();
    assert_ne!(old, text, "the journal has no authorization:\n{text}");
    fs::write(play.path(&journal), &old).unwrap();
    let refused = play.sign_inputs("south", "other-inputs.toml", "other");
    assert_eq!(refused.code, 1, "{refused}");
    assert!(!play.path("other-inputs.toml.south.sig").exists());
    assert!(refused.stderr.contains("policy"), "{refused}");
    assert_eq!(String::from_utf8(play.read(&journal)).unwrap(), old, "a refusal is no authorization");
    // The old set can be taken up again.
    let same = play.sign_inputs("south", "inputs.toml", "sealed");
    assert_eq!(same.code, 0, "{same}");
}

//! What a demo leaves, judged by stock tools.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use entente_e2e::{PARTIES, demo_directory, entente, finish, has, program, stock, workspace};

/// The objects that parties sign: file, namespace, who.
fn signed_objects(directory: &Path) -> Vec<(String, &'static str, String)> {
    let mut found = Vec::new();
    for (party, _) in PARTIES {
        found.push(("agreement.toml".to_owned(), "entente-agreement", party.to_owned()));
        found.push(("inputs.toml".to_owned(), "entente-inputs", party.to_owned()));
    }
    for (dataset, owner) in [("reserves", "harbour"), ("bids-north", "north"), ("bids-south", "south")] {
        found.push((format!("sealed/{dataset}.manifest.toml"), "entente-manifest", owner.to_owned()));
    }
    for (object, _, party) in &found {
        assert!(directory.join(format!("{object}.{party}.sig")).is_file(), "{object} of {party}");
    }
    found
}

#[test]
fn everything_is_there() {
    let directory = demo_directory();
    for file in [
        "agreement.toml",
        "inputs.toml",
        "auction.eif",
        "ca/root.pem",
        "host.toml",
        "host/token",
        "lots.csv",
        "steps.sh",
        "results/receipt.json",
        "results/outcome.harbour.age",
        "results/own.north.age",
        "results/own.south.age",
        "harbour/result/outcome.csv",
        "north/result/lots.csv",
        "south/result/lots.csv",
        "north/result/BINDING.toml",
    ] {
        assert!(directory.join(file).is_file(), "{file}");
    }
    // Nothing half-written is left anywhere.
    for file in entente_e2e::files_below(directory) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(!name.starts_with(".tmp") && !name.ends_with(".tmp"), "{}", file.display());
    }
    let said = fs::read_to_string(directory.join("played")).unwrap();
    assert!(said.contains("SIMULATED"));
}

#[test]
fn stock_ssh_keygen_verifies_every_signature() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = demo_directory();
    let scratch = tempfile::tempdir().unwrap();
    let allowed = scratch.path().join("allowed_signers");
    let mut lines = String::new();
    for (party, _) in PARTIES {
        let shown =
            entente(directory, &["party", "show", "--home", &format!("{party}/home"), "--json"]).json();
        lines.push_str(&format!("{party} {}\n", shown["sign_key"].as_str().unwrap()));
    }
    fs::write(&allowed, lines).unwrap();
    let verify = |object: &str, namespace: &str, party: &str| {
        let line = format!(
            "ssh-keygen -Y verify -f {} -I {party} -n {namespace} -s {object}.{party}.sig < {object}",
            allowed.display()
        );
        stock(directory, "sh", &["-c", &line]).code == 0
    };
    for (object, namespace, party) in signed_objects(directory) {
        assert!(verify(&object, namespace, &party), "{object} {party}");
        // Another namespace is another statement.
        let other = if namespace == "entente-session" { "entente-agreement" } else { "entente-session" };
        assert!(!verify(&object, other, &party), "{object} {party} in {other}");
    }
}

#[test]
fn an_identity_is_the_sha384_of_the_file() {
    if !has("sha384sum") {
        return;
    }
    let directory = demo_directory();
    let sum = |file: &str| {
        let done = stock(directory, "sha384sum", &[file]);
        done.stdout.split(' ').next().unwrap().to_owned()
    };
    let receipt = entente(directory, &["receipt", "show", "results/receipt.json", "--json"]).json();
    assert_eq!(receipt["agreement"], sum("agreement.toml"));
    assert_eq!(receipt["inputs"], sum("inputs.toml"));
    for result in receipt["results"].as_array().unwrap() {
        let name = result["name"].as_str().unwrap();
        assert_eq!(result["sha384"], sum(&format!("results/{name}")), "{name}");
    }
    let manifest =
        entente(directory, &["data", "inspect", "sealed/bids-north.manifest.toml", "--json"]).json();
    assert_eq!(manifest["digest"], sum("sealed/bids-north.manifest.toml"));
}

#[test]
fn stock_age_and_tar_open_each_result_and_no_other() {
    if !has("age") || !has("tar") {
        return;
    }
    let directory = demo_directory();
    let scratch = tempfile::tempdir().unwrap();
    let receipt = entente(directory, &["receipt", "show", "results/receipt.json", "--json"]).json();
    for (index, (party, _)) in PARTIES.iter().enumerate() {
        let name = if *party == "harbour" { "outcome.harbour.age" } else { &format!("own.{party}.age") };
        for (other, _) in PARTIES {
            let tar = scratch.path().join(format!("{party}-{other}.tar"));
            let identity = format!("{other}/home/age_identity.txt");
            let sealed = format!("results/{name}");
            let done =
                stock(directory, "age", &["-d", "-i", &identity, "-o", tar.to_str().unwrap(), &sealed]);
            assert_eq!(done.code == 0, other == *party, "{name} by {other}: {done}");
        }
        let tar = format!("{party}-{party}.tar");
        let listed = stock(scratch.path(), "tar", &["tf", &tar]);
        assert_eq!(listed.code, 0, "{listed}");
        let names: Vec<&str> = listed.stdout.lines().collect();
        assert_eq!(names[0], "BINDING.toml");
        assert!(names.contains(&"notices.csv"), "{names:?}");
        assert_eq!(fs::metadata(scratch.path().join(&tar)).unwrap().len(), 32_768);
        let sum = stock(scratch.path(), "sha384sum", &[&tar]);
        assert_eq!(receipt["results"][index]["opened"], sum.stdout.split(' ').next().unwrap());
        // The archive holds what `result open` wrote.
        for name in names {
            let held = stock(scratch.path(), "tar", &["xOf", &tar, name]).stdout;
            assert_eq!(held, fs::read_to_string(directory.join(party).join("result").join(name)).unwrap());
        }
    }
}

/// A CSV file without quotes: rows as maps.
fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let head = lines.next().unwrap();
    lines.map(|row| head.iter().cloned().zip(row).collect()).collect()
}

/// Who is first at a lot, by `openssl` and the number in `tie.csv` as examples/auction/README.md says.
fn drawn(directory: &Path, tie: &str) -> &'static str {
    let rank = |bidder: &str| {
        let line =
            format!("printf 'pier-house\\0{bidder}' | openssl dgst -sha384 -mac HMAC -macopt hexkey:{tie}");
        let done = stock(directory, "bash", &["-c", &line]);
        assert_eq!(done.code, 0, "{done}");
        done.stdout.split_whitespace().last().unwrap().to_owned()
    };
    if rank("north") < rank("south") { "north" } else { "south" }
}

#[test]
fn the_outcome_is_that_of_the_example() {
    let directory = demo_directory();
    let ties: BTreeSet<String> = PARTIES
        .iter()
        .map(|(party, _)| fs::read_to_string(directory.join(party).join("result/tie.csv")).unwrap())
        .collect();
    assert_eq!(ties.len(), 1);
    let tie = ties.first().unwrap().lines().last().unwrap().to_owned();
    assert_eq!(tie.len(), 96);
    let pier = if has("openssl") { drawn(directory, &tie) } else { "" };
    let outcome = rows(&directory.join("harbour/result/outcome.csv"));
    let expected = [
        ("warehouse-7", "north", "1180500.00"),
        ("pier-house", pier, "640000.00"),
        ("old-crane", "", ""),
        ("dry-dock", "", ""),
        ("customs-hall", "south", "875000.50"),
        ("lighthouse", "north", "295000.00"),
    ];
    assert_eq!(outcome.len(), expected.len());
    for (lot, winner, price) in expected {
        let row = outcome.iter().find(|row| row["lot"] == lot).unwrap();
        if lot != "pier-house" || !pier.is_empty() {
            assert_eq!(row["winner"], winner, "{row:?}");
        }
        assert_eq!(row["price"], price, "{row:?}");
    }
    let like = |lot: &str| {
        let mut row = outcome.iter().find(|row| row["lot"] == lot).unwrap().clone();
        row.remove("lot");
        row
    };
    assert_eq!(like("old-crane"), like("dry-dock"));
}

#[test]
fn the_script_has_every_step_and_no_secret() {
    let directory = demo_directory();
    let script = fs::read_to_string(directory.join("steps.sh")).unwrap();
    for step in [
        "image build",
        "entente-hypervisor-sim",
        "party init harbour",
        "key init",
        "key serve",
        "key create",
        "party show",
        "party trust",
        "agreement new auction",
        "agreement show",
        "agreement sign",
        "agreement verify",
        "data seal",
        "data inspect",
        "inputs new",
        "inputs sign",
        "host serve",
        "host push",
        "run start",
        "result open",
        "receipt verify",
    ] {
        assert!(script.contains(step), "{step}");
    }
    let checked = stock(directory, "bash", &["-n", "steps.sh"]);
    assert_eq!(checked.code, 0, "{checked}");
    for (party, _) in PARTIES {
        let secret = fs::read_to_string(directory.join(party).join("keys/host.secret")).unwrap();
        assert!(!script.contains(secret.trim()));
    }
}

/// Words of a shell line, as far as the guides use shell.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        if matches!(word, "|" | ">" | "&" | "&&" | "#") {
            break;
        }
        words.push(word.to_owned());
    }
    words
}

/// The command lines of a guide: of the blocks marked `console`, those that start with `$`.
fn documented(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(mark) = line.strip_prefix("```") {
            inside = mark == "console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            found.push(command.to_owned());
        }
    }
    found
}

/// Every command line that a guide or the README shows has subcommands that exist and flags that these know.
#[test]
fn documented_commands_are_commands() {
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in [
        "docs/guides/data-owner.md",
        "docs/guides/platform-owner.md",
        "docs/guides/code-developer.md",
        "README.md",
    ] {
        let path = workspace().join(file);
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for line in documented(&text) {
            let all = words(&line);
            // `AWS_CONFIG_FILE=… entente …` and `cargo run --release -- …` are ours, too.
            let mut rest: &[String] = &all;
            while rest.first().is_some_and(|word| word.contains('=') && !word.starts_with('-')) {
                rest = &rest[1..];
            }
            let ours = match rest {
                [first, ..] if first == "entente" || first == "entente-hypervisor-sim" => rest,
                _ => continue,
            };
            count += 1;
            let path: Vec<&str> = ours[1..]
                .iter()
                .take_while(|word| {
                    !word.starts_with('-') && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
                })
                .map(String::as_str)
                .collect();
            let flags: Vec<&str> =
                ours.iter().filter(|word| word.starts_with("--")).map(String::as_str).collect();
            // The longest run of words that is a subcommand; what follows are its arguments.
            let mut help = String::new();
            let mut depth = 0;
            for length in 1..=path.len().min(3) {
                let key = format!("{} {}", ours[0], path[..length].join(" "));
                let text = helps.entry(key).or_insert_with(|| {
                    let mut command = Command::new(program(&ours[0]));
                    command.args(&path[..length]).arg("--help");
                    let done = finish(command, Duration::from_secs(20));
                    if done.code == 0 { done.stdout } else { String::new() }
                });
                // An argument before --help prints the help of the command before it, again.
                if text.is_empty() || *text == help {
                    break;
                }
                help.clone_from(text);
                depth = length;
            }
            let least = if ours[0] == "entente" && !help.contains("Example:") { 2 } else { 1 };
            if depth < least {
                wrong.push(format!("{file}: {line}: no such command"));
            }
            for flag in flags {
                let name = flag.split('=').next().unwrap_or_default();
                let known = help
                    .split(|c: char| c.is_whitespace() || c == ',' || c == '[' || c == ']')
                    .any(|word| word == name);
                if !known && name != "--json" {
                    wrong.push(format!("{file}: {line}: {name} is unknown"));
                }
            }
        }
    }
    assert!(count > 15, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every command has an example in its help, and misuse has exit code 2.
#[test]
fn every_command_has_help_with_an_example() {
    let directory = demo_directory();
    let mut left = vec![Vec::<String>::new()];
    let mut leaves = 0;
    while let Some(path) = left.pop() {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let done = entente(directory, &[&words[..], &["--help"]].concat());
        assert_eq!(done.code, 0, "{words:?}: {done}");
        let mut lines = done.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
        let mut below = Vec::new();
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            if let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
                below.push(name.split(' ').next().unwrap().to_owned());
            }
        }
        if below.is_empty() {
            leaves += 1;
            assert!(done.stdout.contains("Example:"), "{words:?} has no example");
            let misused = entente(directory, &[&words[..], &["--no-such-flag"]].concat());
            assert_eq!(misused.code, 2, "{words:?}: {misused}");
        }
        for name in below.into_iter().filter(|name| name != "help") {
            left.push([path.clone(), vec![name]].concat());
        }
    }
    assert!(leaves >= 25, "{leaves}");
}

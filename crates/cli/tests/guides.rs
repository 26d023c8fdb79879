//! Every `entente` command line in README and guides is one that the program takes.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::process::Command;

/// The lines `$ entente …` of the console blocks of a page.
fn commands(page: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join(page)).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("$ "));
    lines
        .filter_map(|line| {
            line.split_once("entente ").filter(|(before, _)| before.is_empty() || before.ends_with(".aws "))
        })
        .map(|(_, rest)| rest.to_owned())
        .collect()
}

/// Help of the subcommand that a command line begins with, and how many words that are.
fn help(words: &[&str]) -> (String, usize) {
    for depth in (1..=3.min(words.len())).rev() {
        if words[..depth].iter().any(|word| word.starts_with('-')) {
            continue;
        }
        let done =
            Command::new(env!("CARGO_BIN_EXE_entente")).args(&words[..depth]).arg("--help").output().unwrap();
        if done.status.success() {
            return (String::from_utf8(done.stdout).unwrap(), depth);
        }
    }
    panic!("no such command: {words:?}");
}

#[test]
fn documented_commands_exist() {
    let mut count = 0;
    for page in [
        "README.md",
        "docs/guides/data-owner.md",
        "docs/guides/platform-owner.md",
        "docs/guides/code-developer.md",
    ] {
        for line in commands(page) {
            let words: Vec<&str> =
                line.split_whitespace().take_while(|word| !["&", ">", "|", "#"].contains(word)).collect();
            let (help, _) = help(&words);
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                assert!(
                    help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")),
                    "{page}: {line}: no {flag}"
                );
            }
            count += 1;
        }
    }
    assert!(count > 15, "{count}");
}

/// Each command of the program says in its help what it does, with an example.
#[test]
fn every_command_has_an_example() {
    let top = Command::new(env!("CARGO_BIN_EXE_entente")).arg("--help").output().unwrap();
    let names = |text: &str| -> Vec<String> {
        let block =
            text.split("Commands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
        block
            .lines()
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .filter(|name| name != "help")
            .collect()
    };
    let mut open: Vec<Vec<String>> =
        names(&String::from_utf8(top.stdout).unwrap()).into_iter().map(|name| vec![name]).collect();
    let mut leaves = 0;
    while let Some(path) = open.pop() {
        let done = Command::new(env!("CARGO_BIN_EXE_entente")).args(&path).arg("--help").output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        let below = names(&text);
        if below.is_empty() {
            assert!(text.contains("Example: "), "{path:?}");
            leaves += 1;
        }
        open.extend(below.into_iter().map(|name| [path.clone(), vec![name]].concat()));
    }
    assert!(leaves > 20, "{leaves}");
}

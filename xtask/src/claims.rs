//! Every claim of SECURITY.md names tests; they must exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;

/// Check that every `name_of_a_test` in SECURITY.md is a test function of the workspace.
///
/// # Errors
/// The names that are none.
pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::load()?;
    let text = fs::read_to_string(workspace.root.join("SECURITY.md")).context("SECURITY.md")?;
    // A test is named in backquotes and has three words at least; no option or file has that form.
    let is_test = |word: &&str| {
        word.matches('_').count() >= 2
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let named: BTreeSet<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| is_test(word) || *word == "pins_are_compared")
        .collect();
    let mut tests = BTreeSet::new();
    for directory in ["crates", "tests"] {
        collect(&workspace.root.join(directory), &mut tests)?;
    }
    let missing: Vec<&&str> = named.iter().filter(|name| !tests.contains(**name)).collect();
    ensure!(missing.is_empty(), "SECURITY.md names tests that do not exist: {missing:?}");
    println!("claims: {} tests named in SECURITY.md exist", named.len());
    Ok(())
}

/// Names of functions that follow a `#[test]`-like attribute, or are listed as trials of a test program.
fn collect(directory: &Path, tests: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry.context("directory entry")?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, tests)?;
            }
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut attribute = false;
        for line in text.lines().map(str::trim_start) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                attribute = true;
            } else if let Some(rest) = line.split("fn ").nth(1).filter(|_| !line.starts_with("//")) {
                if attribute || path.components().any(|part| part.as_os_str() == "tests") {
                    tests.insert(
                        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect(),
                    );
                }
                attribute = false;
            }
        }
    }
    Ok(())
}

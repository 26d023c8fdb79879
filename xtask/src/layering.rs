//! The borders of DESIGN §5 as a check: who may be linked with whom, which crates are pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace::Workspace;

#[derive(Deserialize)]
struct Table {
    crates: BTreeMap<String, Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    may: BTreeSet<String>,
    #[serde(default)]
    pure: bool,
    never: BTreeSet<String>,
}

/// Check all borders.
///
/// # Errors
/// A sentence for each border that the graph crosses.
pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::load()?;
    let text = fs::read_to_string(workspace.root.join("lints/layers.json")).context("lints/layers.json")?;
    let table: Table = serde_json::from_str(&text).context("lints/layers.json")?;
    let mut broken = Vec::new();
    let members = workspace.members();
    for member in &members {
        let short = short(member);
        let Some(rule) = table.crates.get(short) else {
            broken.push(format!("{member} has no rule in lints/layers.json: say what it may be linked with"));
            continue;
        };
        check(&workspace, member, rule, &members, &mut broken);
        if rule.pure {
            pure(&workspace, short, &mut broken)?;
        }
    }
    for name in table.crates.keys() {
        if !members.iter().any(|member| short(member) == name) {
            broken.push(format!(
                "lints/layers.json has a rule for {name}, which is not a crate of the workspace"
            ));
        }
    }
    if broken.is_empty() {
        println!("layering: {} crates keep their borders", members.len());
        return Ok(());
    }
    bail!("layering is broken:\n  {}", broken.join("\n  "))
}

fn check(
    workspace: &Workspace,
    member: &str,
    rule: &Rule,
    members: &BTreeSet<&str>,
    broken: &mut Vec<String>,
) {
    for dependency in workspace.closure(member) {
        if rule.never.contains(dependency) || rule.never.contains(short(dependency)) {
            broken.push(format!("{member} is linked with {dependency}, which its rule names under `never`"));
        }
        if members.contains(dependency) && !rule.may.contains("*") && !rule.may.contains(short(dependency)) {
            broken.push(format!(
                "{member} is linked with {dependency}, which its rule does not name under `may`"
            ));
        }
    }
}

/// A pure crate's clippy.toml is the link to lints/pure.toml and nothing else.
fn pure(workspace: &Workspace, short: &str, broken: &mut Vec<String>) -> Result<()> {
    let ours = workspace.root.join("crates").join(short).join("clippy.toml");
    let pure = fs::read(workspace.root.join("lints/pure.toml")).context("lints/pure.toml")?;
    match fs::read(&ours) {
        Ok(text) if text == pure => {}
        _ => broken.push(format!(
            "crates/{short}/clippy.toml must be a link to lints/pure.toml: the crate is declared pure"
        )),
    }
    Ok(())
}

fn short(name: &str) -> &str {
    name.strip_prefix("entente-").unwrap_or(name)
}

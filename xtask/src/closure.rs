//! The golden dependency closure of each enclave program: what an auditor must read, as a visible diff.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// What to do with the checked-in lists.
#[derive(Clone, Copy)]
pub(crate) enum Golden {
    /// Fail on a difference.
    Compare,
    /// Write them anew.
    Write,
}

/// Compare or write `images/NAME/closure.txt` of every enclave program.
///
/// # Errors
/// The crates that came or went.
pub(crate) fn run(golden: Golden) -> Result<()> {
    let workspace = Workspace::load()?;
    for member in workspace.members().into_iter().filter(|name| name.starts_with("entente-image-")) {
        let name = member.trim_start_matches("entente-image-");
        let path = workspace.root.join("images").join(name).join("closure.txt");
        let found: Vec<String> = workspace.closure_with_build(member).into_iter().collect();
        if matches!(golden, Golden::Write) {
            fs::write(&path, found.join("\n") + "\n").with_context(|| path.display().to_string())?;
            println!("closure: wrote {} lines to images/{name}/closure.txt", found.len());
            continue;
        }
        let expected = fs::read_to_string(&path)
            .with_context(|| format!("{}: run `cargo xtask closure --bless`", path.display()))?;
        let expected: Vec<&str> = expected.lines().collect();
        let came: Vec<&String> = found.iter().filter(|line| !expected.contains(&line.as_str())).collect();
        let went: Vec<&&str> =
            expected.iter().filter(|line| !found.iter().any(|other| other == **line)).collect();
        if !came.is_empty() || !went.is_empty() {
            bail!(
                "the closure of {member} changed\n  came: {came:?}\n  went: {went:?}\nreview it, then `cargo xtask closure --bless`"
            );
        }
        println!("closure: {member} is linked with or built by {} crates, as listed", found.len());
    }
    Ok(())
}

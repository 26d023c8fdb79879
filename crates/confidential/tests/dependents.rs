//! Who may open a confidential value: the manifests of the whole workspace say it, and this test reads them.

use std::{fs, path::Path};

/// `analysis` re-exports the type; `disclosure` opens it. Nobody else.
const MAY: [&str; 2] = ["analysis", "disclosure"];

#[test]
fn only_analysis_and_disclosure_depend_on_this_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    let mut manifests = 0;
    for group in ["crates", "images", "tests", "benches", "."] {
        let Ok(entries) = fs::read_dir(root.join(group)) else { continue };
        for entry in entries {
            let directory = entry.unwrap().path();
            let Ok(manifest) = fs::read_to_string(directory.join("Cargo.toml")) else { continue };
            manifests += 1;
            let name = directory.file_name().unwrap().to_str().unwrap().to_owned();
            if name != "confidential" && manifest.contains("entente-confidential") {
                found.push(name);
            }
        }
    }
    found.sort();
    assert!(manifests > 15, "looked at {manifests} manifests only: the workspace has moved");
    assert_eq!(found, MAY);
}

#[test]
fn analysis_passes_on_the_type_and_not_the_exit() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../analysis/src");
    let mut exports = Vec::new();
    for entry in fs::read_dir(source).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        exports.extend(text.lines().filter(|line| line.contains("entente_confidential")).map(str::to_owned));
    }
    assert_eq!(exports, ["pub use entente_confidential::Confidential;"]);
}

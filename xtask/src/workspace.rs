//! The workspace as `cargo metadata` tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// The resolved dependency graph, without development dependencies.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    packages: BTreeMap<String, Package>,
    members: BTreeSet<String>,
    normal: BTreeMap<String, BTreeSet<String>>,
    build: BTreeMap<String, BTreeSet<String>>,
}

impl Workspace {
    /// Ask cargo, for the platform that enclave programs are built for.
    pub(crate) fn load() -> Result<Self> {
        let output = Command::new(cargo())
            .args([
                "metadata",
                "--format-version",
                "1",
                "--locked",
                "--filter-platform",
                "x86_64-unknown-linux-musl",
            ])
            .output()
            .context("cannot run cargo metadata")?;
        ensure!(
            output.status.success(),
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).context("cargo metadata is not as expected")?;
        let mut normal = BTreeMap::new();
        let mut build = BTreeMap::new();
        for node in metadata.resolve.nodes {
            let of_kind = |wanted: Option<&str>| {
                node.deps
                    .iter()
                    .filter(|dependency| {
                        dependency.dep_kinds.iter().any(|kind| kind.kind.as_deref() == wanted)
                    })
                    .map(|dependency| dependency.pkg.clone())
                    .collect::<BTreeSet<_>>()
            };
            build.insert(node.id.clone(), of_kind(Some("build")));
            normal.insert(node.id.clone(), of_kind(None));
        }
        Ok(Self {
            root: metadata.workspace_root,
            target: metadata.target_directory,
            packages: metadata.packages.into_iter().map(|package| (package.id.clone(), package)).collect(),
            members: metadata.workspace_members.into_iter().collect(),
            normal,
            build,
        })
    }

    /// Names of our own crates.
    pub(crate) fn members(&self) -> BTreeSet<&str> {
        self.members
            .iter()
            .filter_map(|id| self.packages.get(id))
            .map(|package| package.name.as_str())
            .collect()
    }

    /// Names of all crates that `member` is linked with, itself left out.
    pub(crate) fn closure(&self, member: &str) -> BTreeSet<&str> {
        self.reach(member, false)
            .into_iter()
            .map(|package| package.name.as_str())
            .filter(|name| *name != member)
            .collect()
    }

    /// `name version` of all crates whose code is in `member` or runs while it is built.
    pub(crate) fn closure_with_build(&self, member: &str) -> BTreeSet<String> {
        self.reach(member, true)
            .into_iter()
            .map(|package| format!("{} {}", package.name, package.version))
            .collect()
    }

    fn reach(&self, member: &str, with_build: bool) -> Vec<&Package> {
        let start = self
            .members
            .iter()
            .find(|id| self.packages.get(*id).is_some_and(|package| package.name == member));
        let mut seen = BTreeSet::new();
        let mut open: Vec<&String> = start.into_iter().collect();
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            open.extend(self.normal.get(id).into_iter().flatten());
            if with_build {
                open.extend(self.build.get(id).into_iter().flatten());
            }
        }
        seen.into_iter().filter_map(|id| self.packages.get(id)).collect()
    }
}

/// The cargo that runs us.
pub(crate) fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| Path::new("cargo").to_path_buf(), PathBuf::from)
}

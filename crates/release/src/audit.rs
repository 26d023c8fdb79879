//! Does a key policy release more than it should? A first, conservative answer: everything that is not recognised is reported.

use std::fmt;

use crate::policy::{Action, Effect, KeyPolicy, PrincipalArn, Statement};
use crate::render::Release;

/// What leads to a dataset key, directly or by a detour (PROTOCOL.md §5).
const DANGEROUS: &[Action] = &[
    Action::Decrypt,
    Action::ReEncryptFrom,
    Action::ReEncryptTo,
    Action::CreateGrant,
    Action::PutKeyPolicy,
    Action::ReplicateKey,
    Action::UpdatePrimaryRegion,
    Action::ImportKeyMaterial,
];

/// What is wrong with a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excess {
    /// It lets somebody decrypt, and the agreed release that is nearest asks for more.
    Decrypts {
        /// What it does not ask for, a sentence part each.
        lacks: Vec<String>,
    },
    /// It lets somebody do what leads to the key by a detour.
    Detour {
        /// The actions.
        actions: Vec<Action>,
    },
}

/// One statement that allows more than was agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    index: usize,
    sid: Option<String>,
    whom: String,
    excess: Excess,
}

impl Finding {
    /// The statement's place in the policy, from 0.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// What it allows too much.
    #[must_use]
    pub const fn excess(&self) -> &Excess {
        &self.excess
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "statement {}", self.index.saturating_add(1))?;
        if let Some(sid) = &self.sid {
            write!(formatter, " ({sid:?})")?;
        }
        match &self.excess {
            Excess::Decrypts { lacks } => {
                write!(formatter, " lets {} decrypt: it {}", self.whom, lacks.join("; it "))
            }
            Excess::Detour { actions } => {
                let names: Vec<_> = actions.iter().map(|action| action.as_str()).collect();
                write!(formatter, " allows {} to {}, which leads to the key", names.join(", "), self.whom)
            }
        }
    }
}

/// Lists the statements of `policy` that allow more than everything for `owner` and the agreed `releases`. Empty: none does.
///
/// # Security
/// Deny statements are not counted in the policy's favour, and conditions only where they are those of a release: the audit may report a statement that
/// does no harm; it does not pass one that does.
#[must_use]
pub fn audit(policy: &KeyPolicy, owner: &PrincipalArn, releases: &[Release]) -> Vec<Finding> {
    policy
        .statements()
        .iter()
        .enumerate()
        .filter(|(_, statement)| statement.effect() == Effect::Allow && !statement.is_only_for(owner))
        .flat_map(|(index, statement)| {
            excesses(statement, releases).into_iter().map(move |excess| Finding {
                index,
                sid: statement.sid().map(str::to_owned),
                whom: statement.whom(),
                excess,
            })
        })
        .collect()
}

fn excesses(statement: &Statement, releases: &[Release]) -> Vec<Excess> {
    let mut found = Vec::new();
    if statement.covers_action(Action::Decrypt) {
        let nearest = releases
            .iter()
            .map(|release| statement.lacks(release.statement()))
            .min_by_key(Vec::len)
            .unwrap_or_else(|| vec!["belongs to no release that was agreed".to_owned()]);
        if !nearest.is_empty() {
            found.push(Excess::Decrypts { lacks: nearest });
        }
    }
    let detours: Vec<_> = DANGEROUS
        .iter()
        .copied()
        .filter(|action| *action != Action::Decrypt && statement.covers_action(*action))
        .collect();
    if !detours.is_empty() {
        found.push(Excess::Detour { actions: detours });
    }
    found
}

//! A run as the database holds it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::messages::{NewRun, RunFacts, RunId, RunState, Transition};
use crate::platform::ProcessIdentity;
use entente_attestation::Digest384;

/// Steps of a run's life that are kept.
const HISTORY: usize = 64;

/// What is shown of a run, and what the host needs to clean up after itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    pub(crate) facts: RunFacts,
    /// Process of the enclave, while the run is live.
    pub(crate) process: Option<ProcessIdentity>,
    /// Directory of its socket, while the run is live.
    pub(crate) work: Option<PathBuf>,
}

impl RunRecord {
    pub(crate) fn new(id: RunId, run: NewRun, pcr0: Digest384) -> Self {
        let at = clock::now().to_string();
        let facts = RunFacts {
            id,
            run,
            pcr0,
            state: RunState::Queued,
            attempt: 1,
            created: at.clone(),
            history: vec![Transition { at, attempt: 1, state: RunState::Queued }],
            progress: None,
        };
        Self { facts, process: None, work: None }
    }

    pub(crate) fn enter(&mut self, state: RunState) {
        let attempt = self.facts.attempt;
        self.facts.history.push(Transition { at: clock::now().to_string(), attempt, state: state.clone() });
        let surplus = self.facts.history.len().saturating_sub(HISTORY);
        self.facts.history.drain(..surplus);
        self.facts.state = state;
    }
}

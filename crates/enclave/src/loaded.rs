//! *Loaded → Computed*: the analysis (PROTOCOL §10.9).

use entente_analysis::{Analysis, Confidential, InputTables, Outcome};
use entente_nsm::Nsm;
use entente_sealing::RunSeed;

use crate::{Computed, Job};

/// All inputs are in memory, and checked; no key is.
#[must_use = "a life goes on until it ends"]
pub struct Loaded<A> {
    nsm: Nsm,
    job: Job<A>,
    inputs: InputTables,
    seed: RunSeed,
}

impl<A: Analysis> Loaded<A> {
    pub(crate) fn new(nsm: Nsm, job: Job<A>, inputs: InputTables, seed: RunSeed) -> Self {
        Self { nsm, job, inputs, seed }
    }

    /// Step 9 of PROTOCOL §10. There is no way to the host here: nothing is read from it any more, and nothing said to it.
    pub fn compute(self) -> Computed<A> {
        let Self { nsm, job, inputs, seed } = self;
        let outcome: Confidential<Outcome> = job.analysis.run(inputs, &seed);
        Computed::new(nsm, job, outcome, seed)
    }
}

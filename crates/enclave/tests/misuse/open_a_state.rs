//! What a state holds is nobody's to take out: a state is only taken on to the next.
use entente_analysis::{Analysis, Confidential, Outcome};
use entente_enclave::Computed;

fn take<A: Analysis>(computed: Computed<A>) -> Confidential<Outcome> {
    let Computed { outcome, .. } = computed;
    outcome
}

fn main() {}

//! Nobody but disclosure takes an outcome out.
use entente_analysis::{Confidential, Outcome};

fn take(outcome: Confidential<Outcome>) -> Outcome {
    outcome.0
}

fn main() {}

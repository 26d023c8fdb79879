//! The function that opens is in a crate that an analysis does not depend on, and is not passed on.
use entente_analysis::{Confidential, Outcome};

fn direct(outcome: Confidential<Outcome>) -> Outcome {
    entente_confidential::open(outcome)
}

fn passed_on(outcome: Confidential<Outcome>) -> Outcome {
    entente_analysis::open(outcome)
}

fn main() {}

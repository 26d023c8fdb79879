//! What wants a released value does not take a confidential one.
use entente_analysis::{Confidential, Outcome};
use entente_disclosure::{Released, Results};

fn encode(_: Released<Results>) {}

fn leak(outcome: Confidential<Outcome>) {
    encode(outcome);
}

fn main() {}

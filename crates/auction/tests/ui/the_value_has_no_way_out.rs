//! No field, no method, no trait of a confidential value shows what is in it.
use entente_analysis::{Confidential, Outcome};

fn field(outcome: Confidential<Outcome>) -> Outcome {
    outcome.0
}

fn pattern(outcome: Confidential<Outcome>) -> Outcome {
    let Confidential(inside) = outcome;
    inside
}

fn method(outcome: Confidential<Outcome>) {
    outcome.into_parts();
}

fn printed(outcome: Confidential<Outcome>) {
    println!("{outcome:?}");
}

fn copied(outcome: &Confidential<Outcome>) -> Confidential<Outcome> {
    outcome.clone()
}

fn compared(a: Confidential<u8>, b: Confidential<u8>) -> bool {
    a == b
}

fn main() {}

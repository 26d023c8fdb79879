//! Nobody looks into an outcome, not even to log it.
use entente_analysis::{Analysis, Confidential, InputTables, Outcome, SeedStream};

fn look<A: Analysis>(analysis: &A, inputs: InputTables, seed: &dyn SeedStream) {
    let outcome: Confidential<Outcome> = analysis.run(inputs, seed);
    println!("{outcome:?}");
}

fn main() {}

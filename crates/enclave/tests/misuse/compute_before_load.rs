//! The analysis runs on what was loaded, not on keys.
use entente_analysis::Analysis;
use entente_enclave::Keyed;

fn step<A: Analysis>(keyed: Keyed<A>) {
    let _ = keyed.compute();
}

fn main() {}

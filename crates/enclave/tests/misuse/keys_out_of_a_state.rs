//! No key leaves the state that holds it.
use entente_analysis::Analysis;
use entente_enclave::Keyed;

fn keys<A: Analysis>(keyed: &Keyed<A>) -> usize {
    keyed.keys.len()
}

fn main() {}

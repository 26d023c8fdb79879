//! A state with keys in it cannot be copied, so that a second run could be made of it.
use entente_analysis::Analysis;
use entente_enclave::Keyed;

fn twice<A: Analysis>(keyed: Keyed<A>) -> (Keyed<A>, Keyed<A>) {
    (keyed.clone(), keyed)
}

fn main() {}

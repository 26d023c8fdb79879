//! Inputs are everybody's data: they cannot be printed, copied or compared.
use entente_analysis::InputTables;

fn printed(inputs: &InputTables) {
    println!("{inputs:?}");
}

fn copied(inputs: &InputTables) -> InputTables {
    inputs.clone()
}

fn main() {}

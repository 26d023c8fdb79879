//! Results cannot be printed or copied.
use entente_disclosure::{Released, Results};

fn show(results: &Released<Results>) {
    println!("{:?}", results.iter());
    let copy: Released<Results> = results.clone();
}

fn main() {}

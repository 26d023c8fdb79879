//! A value cannot be declared released.
use entente_disclosure::{Released, Results};

fn main() {
    let forged: Released<Results> = Released(unreachable!());
    let made: Released<Results> = Released::new(unreachable!());
}

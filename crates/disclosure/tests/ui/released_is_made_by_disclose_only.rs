//! A value cannot be declared released.
use entente_disclosure::{Released, Results};

fn todo() -> Results {
    loop {}
}

fn main() {
    let forged: Released<Results> = Released(todo());
    let made: Released<Results> = Released::new(todo());
}

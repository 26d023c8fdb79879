//! Bytes as a receipt, and as a statement: no panic; what is read as a statement is rendered and read again the same.
#![no_main]

use entente_receipt::{Receipt, Statement};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let statement = match Receipt::parse(bytes) {
        Ok(receipt) => receipt.statement_unverified().clone(),
        Err(_) => match Statement::parse(bytes) {
            Ok(statement) => statement,
            Err(_) => return,
        },
    };
    assert_eq!(Statement::parse(statement.bytes()).as_ref(), Ok(&statement));
    let rendered =
        Statement::new(statement.input_set(), statement.request(), statement.image(), statement.results())
            .expect("a statement that was read can be written");
    assert_eq!(rendered.results(), statement.results());
    assert_eq!(rendered.input_set(), statement.input_set());
});

//! What must not compile: steps left out, taken twice or in another order, and looking at what is confidential.

#[test]
fn forbidden_steps_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}

//! An analysis, or anything else that has no business with the exit, cannot open an outcome: it does not compile.

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

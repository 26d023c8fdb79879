//! An agreement is approved by its parties, and by nothing else.
use entente_agreement::{Agreement, ApprovedAgreement};

fn approve(agreement: Agreement) -> ApprovedAgreement {
    ApprovedAgreement(agreement)
}

fn main() {}

//! The receipt of a run: an in-toto statement in a DSSE envelope whose signature is an attestation document.
//!
//! A receipt proves to anybody, offline: *this image, under this agreement, on these sealed inputs, made these sealed
//! files at this time* (PROTOCOL §§8, 13). The enclave makes it in three moves: [`Statement::new`], a document whose
//! `user_data` is [`Statement::user_data`], [`Receipt::assemble`]. A verifier makes it one: [`verify()`].
//!
//! **Threat model.** The receipt comes from an adversary who can get genuine receipts of other runs, genuine documents
//! for code of its own, and change every byte. It must not get a [`VerifiedReceipt`] for a run that did not happen under
//! the agreement at hand, nor make a simulated run pass as one on AWS hardware. What it can do is withhold a receipt.
//!
//! ```
//! use entente_receipt::{Receipt, ReceiptError};
//!
//! let error = Receipt::parse(br#"{"payload":"","payloadType":"text/plain","signatures":[]}"#).unwrap_err();
//! assert_eq!(error, ReceiptError::PayloadType { found: "text/plain".to_owned() });
//! ```

mod envelope;
mod result_file;
mod statement;
mod verify;

pub use envelope::{Receipt, ReceiptError};
pub use result_file::{MatchedFile, ProvenResult, ResultError};
pub use statement::{Place, ResultFile, Statement, StatementError};
pub use verify::{AuthorizedReceipt, VerificationError, VerifiedReceipt, verify};

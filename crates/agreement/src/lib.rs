//! Agreements, approvals, manifests, input sets and requests: the text objects that parties sign.
//!
//! An [`Agreement`] is a TOML file that people can read and that says who puts in what, which program may compute what over it,
//! and who gets which result, until when. Its parties sign its exact bytes with their SSH keys; an [`ApprovedAgreement`] is one
//! that all of them signed. A [`Manifest`] says which sealed file is a dataset, an [`InputSet`] on which files one round works, a
//! [`Request`] what is asked of it; [`VerifiedInputs`] is the combination of all three, checked.
//!
//! **Threat model.** Every byte that comes in is an adversary's: bounded, read completely, and refused with a place and a reason. The
//! host may swap, mix and replay objects: each names the one above it by its SHA-384, and each signature its kind. A party may write
//! texts that mislead: [`Agreement::sentences`] says what an agreement does, and texts in it cannot pass for our sentences.
//!
//! # Text objects (PROTOCOL §0)
//!
//! TOML 1.0, of which only this is read: bytes 0x20–0x7E and LF; no BOM, CR, tab or backslash; one LF at the end, no empty line
//! before it; at most 256 KiB and 200 bytes a line; tables and tables of tables by headers of at most four parts; texts (also between
//! `"""` or `'''`, on several lines), integers, flags and flat lists of them; comments on lines of their own. The first line is
//! exactly `type = "entente/KIND/v1"`. What is longer than a line stands between `"""` on several lines: a `sign_key` of RSA or
//! ecdsa-p384 (its line breaks mean nothing), and `wrapped_key`, always, in lines of 64 characters.
//!
//! Manifests, input sets and requests are *generated*: there is one text for each, and any other is refused.
//!
//! # Reading an agreement
//!
//! ```
//! use entente_agreement::{Agreement, TextErrorKind};
//!
//! let text = include_str!("../tests/data/auction.toml");
//! let agreement = Agreement::parse(text.as_bytes())?;
//! assert_eq!(agreement.parties().len(), 3);
//! assert!(agreement.sentences().to_string().contains("harbour learns `outcome`"));
//!
//! let error = Agreement::parse(text.replace("rounds = 1", "round = 1").as_bytes()).expect_err("an unknown key");
//! assert_eq!((error.line(), error.column()), (75, 1));
//! assert!(matches!(error.kind(), TextErrorKind::UnknownKey { key, .. } if key == "round"));
//! # Ok::<(), entente_agreement::TextError>(())
//! ```
//!
//! # Crates
//!
//! `toml_parser` is the grammar under `toml_edit`, taken alone for its places; `aws-lc-rs` does the cryptography; keys and
//! signatures of SSH are read here, field by field, since every field is a check and neither `rsa` nor a second curve library
//! may be in an enclave.

mod agreement;
mod analysis;
mod approval;
mod dataset;
mod diff;
mod draft;
mod inputs;
mod key_arn;
mod known_parties;
mod manifest;
mod name;
mod namespace;
mod reader;
mod render;
mod request;
mod result_key;
mod sentences;
mod sign_key;
mod ssh;
pub mod sshsig;
mod table;
mod text;
mod verified_inputs;

pub use agreement::{Agreement, Image, OwnBlockError, Party, Root, Serial, Window};
pub use analysis::{Analysis, Authorize, Output};
pub use approval::{ApprovalError, ApprovedAgreement};
pub use dataset::{Column, ColumnError, ColumnType, Dataset, Format, Nullability, Padding, Presence, Schema};
pub use diff::{Changes, diff};
pub use draft::{AgreementDraft, AnalysisDraft, DatasetDraft, ImageDraft, OutputDraft, PartyDraft};
pub use inputs::{InputEntry, InputSet};
pub use key_arn::{KeyArn, KeyArnError};
pub use known_parties::{
    KnownKey, KnownParties, KnownPartiesError, KnownPartiesErrorKind, PinError, PinnedParties,
};
pub use manifest::{Manifest, ManifestTerms, SealingId};
pub use name::{Name, NameError};
pub use namespace::Namespace;
pub use request::{Request, RequestTerms};
pub use result_key::ResultKeyError;
pub use sentences::{Paragraph, Sentences};
pub use sign_key::{SignKey, SignKeyError, SignKeyKind};
pub use sshsig::SignatureError;
pub use table::{Table, Value};
pub use text::{MAX_LINE_BYTES, MAX_TEXT_BYTES, Position, TextError, TextErrorKind};
pub use verified_inputs::{
    InputsError, SignedInputs, SignedManifest, SignedRequest, VerifiedInputs, check_set, check_slot,
};

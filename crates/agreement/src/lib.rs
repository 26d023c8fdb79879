//! Agreements, approvals, manifests, input sets and requests: the text objects that parties sign.

mod agreement;
mod analysis;
mod approval;
mod dataset;
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
pub use sign_key::{SignKey, SignKeyError, SignKeyKind};
pub use sshsig::SignatureError;
pub use table::{Table, Value};
pub use text::{MAX_LINE_BYTES, MAX_TEXT_BYTES, Position, TextError, TextErrorKind};
pub use verified_inputs::{
    InputsError, SignedInputs, SignedManifest, SignedRequest, VerifiedInputs, check_set, check_slot,
};

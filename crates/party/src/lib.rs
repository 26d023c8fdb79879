//! What a data owner does: keep keys, read and sign agreements, seal data, authorize input sets, open results.
//!
//! Everything here touches the owner's own disk and key service and nobody else's. Each operation makes the checks of
//! PROTOCOL §§11 and 12 itself, in their order, and has an error for each; no argument switches a check off.
//!
//! # Threat model
//!
//! Agreements, manifests, input sets, results and receipts come from others and are hostile until checked. The machine and its
//! user are trusted. A crash at any point leaves every file whole or absent, and the journal tells of an act before it is done, so
//! that a repeated act repeats the same thing.
//!
//! # Example
//!
//! ```
//! use entente_party::{Home, SignKeySource};
//! use entente_agreement::Namespace;
//!
//! let directory = tempfile::tempdir()?;
//! let home = Home::init(&directory.path().join("north"), &"north".parse()?, &SignKeySource::Generate)?;
//! println!("{}", home.party_block()); // goes into an agreement
//!
//! let signature = home.signer()?.sign(Namespace::Session, b"entente/session/v1\n")?;
//! home.sign_key().verify(Namespace::Session, b"entente/session/v1\n", &signature)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod approval;
mod authorization;
mod convert;
mod files;
mod home;
mod journal;
mod key_service;
mod kms;
mod objects;
mod result;
mod seal;
mod signer;

pub use approval::{ImageAssurance, Review, ReviewError, ReviewTerms, SimulatedRoot, approve, review};
pub use authorization::{
    AuthorizationError, Authorized, KeyRelease, authorize, propose_inputs, revoke, revoke_agreement,
};
pub use convert::{CellFault, ConvertError, SourceFormat};
pub use files::FileError;
pub use home::{Home, HomeError, SignKeySource};
pub use journal::{Act, Entry, Journal, JournalError};
pub use key_service::{KeyPolicies, KeyServiceError, KeyWrapper, encryption_context};
pub use kms::{KmsCredentials, KmsKeyService};
pub use objects::{ObjectError, read_agreement, read_approvals, read_inputs, read_manifest, read_signatures};
pub use result::{ExpectedInputs, OpenError, OpenOrder, OpenedResult, open_result};
pub use seal::{Progress, SealError, SealOrder, Sealed, seal};
pub use signer::{Signer, SignerError};

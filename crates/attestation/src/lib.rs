//! Nitro attestation documents: parse, authenticate, appraise.
//!
//! An AWS Nitro enclave proves which code it runs by a document that its hypervisor signs. This crate judges such
//! documents, in three steps that are three types:
//!
//! 1. [`SignedDocument::parse`]: bytes have the form that hardware writes, and no other;
//! 2. [`SignedDocument::authenticate`]: the holder of a [`TrustAnchor`]'s key made it, at a time that the caller names;
//! 3. [`AuthenticDocument::appraise`]: it is the enclave, the purpose and the moment that a total [`Policy`] asks for.
//!
//! **Threat model.** The bytes come from an adversary who can get genuine documents for any code of its own, record and
//! replay them, and change every byte. It must not get an [`AttestedEnclave`] out of this crate for an enclave that
//! the policy does not describe, nor make it panic, allocate or compute out of proportion. AWS's root key, P-384 and
//! SHA-384 are trusted; certificates are not asked for revocation, as AWS advises.
//!
//! The crate has no clock, no randomness and no I/O, builds for `wasm32-unknown-unknown`, and says by an exact error
//! why it refuses; [`explain`] puts that into sentences.
//!
//! ```
//! use core::time::Duration;
//! use entente_attestation::*;
//! # let hypervisor = entente_testkit::ForgedHypervisor::new();
//! # let root_der = hypervisor.root_der().to_vec();
//! # let nonce = Nonce::from_bytes([7; 32]);
//! # let request = entente_testkit::Attestation::at(1_776_810_820_000).with_nonce(nonce.as_bytes());
//! # let document = hypervisor.attest(&request);
//! # let pcr = |index| Digest384::try_from(request.pcrs[&index].as_slice());
//! # let expected = Measurements::new(pcr(0)?, pcr(1)?, pcr(2)?)?;
//! // For hardware: TrustAnchor::aws_nitro().
//! let anchor = TrustAnchor::simulated(&root_der)?;
//! let now = UnixTime::from_millis(1_776_810_821_500);
//!
//! let enclave = SignedDocument::parse(&document)?.authenticate(&anchor, now)?.appraise(&Policy {
//!     measurements: expected,
//!     hardware_registers: HardwareRegisters::unnamed(),
//!     user_registers: UserRegisters::Unbound,
//!     freshness: Freshness::Recent {
//!         now,
//!         max_age: Duration::from_secs(60),
//!         max_ahead: Duration::from_secs(5),
//!     },
//!     kind: DocumentKind::SelfCheck { nonce },
//! })?;
//! assert_eq!(enclave.document().root(), RootKind::Simulated);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod anchor;
mod authentic;
mod cbor;
mod certificate;
mod chain;
mod crypto;
mod der;
mod digest;
pub mod explain;
mod nonce;
mod parse_error;
mod pcr;
mod policy;
mod signed;
mod time;

pub use anchor::{AnchorError, RootKind, TrustAnchor};
pub use authentic::AuthenticDocument;
pub use certificate::CertificateFault;
pub use chain::{AuthenticationError, CertificateFacts, CertificatePosition};
pub use digest::{Digest384, DigestError};
pub use nonce::Nonce;
pub use parse_error::{CborFault, CborKind, Field, ParseError};
pub use pcr::{DebugMode, Measurements, PcrIndex, extend, pcr16_for, pcr17_for};
pub use policy::{
    AppraisalError, AttestedEnclave, ChannelRole, DocumentKind, Freshness, HardwareRegisters, KindName,
    Policy, RequestBinding, UserRegisters,
};
pub use signed::{Limits, SignedDocument};
pub use time::{TimeError, UnixTime};

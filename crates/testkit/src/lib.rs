//! Forged evidence for tests: certificate chains and attestation documents with one thing wrong.
//!
//! Three levels, each a convenience over the one below:
//!
//! * [`ForgedHypervisor`] holds a test root and signs documents for any registers and fields, as the Nitro hypervisor
//!   would: for tests that need evidence that verifies.
//! * [`Forgery`] is one document before it is signed, every part of it a public field: change one thing, then
//!   [`Forgery::sign`] makes the rest fit around the change. For tests that need exactly one thing to be wrong.
//! * [`cbor`] and [`der`] write those encodings in any form, also in forms that no honest encoder produces.
//!
//! It knows nothing of the verifier (and must not): what is right is written here a second time.
//!
//! # Security
//! A tool for tests. Nothing here may be linked into a program that people run: a root of this crate has its private
//! key in the same process as whoever is to be convinced.
//!
//! ```
//! use entente_testkit::{Attestation, ForgedHypervisor};
//!
//! let hypervisor = ForgedHypervisor::new();
//! let at = 1_776_810_820_000;
//! let document = hypervisor.attest(&Attestation::at(at).with_nonce(&[7; 32]));
//! assert_eq!(document[0], 0x84, "COSE_Sign1 is an array of four");
//! assert_eq!(hypervisor.root_der()[0], 0x30);
//! ```

pub mod cbor;
pub mod certificate;
pub mod der;
mod forgery;
mod hypervisor;
mod key;

pub use certificate::{Chain, Link, Position};
pub use forgery::{Forgery, PayloadForm, SignatureForm};
pub use hypervisor::{Attestation, ForgedHypervisor};
pub use key::{Curve, Key};

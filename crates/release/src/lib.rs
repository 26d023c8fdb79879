//! Key release: when a key service may hand out the key of a dataset, and how the key gets into one enclave's memory and nowhere else.
//!
//! Three things, each a module: [`recipient`] is AWS KMS's Recipient exchange on both sides; [`policy`] reads AWS's key policies and
//! judges requests by them; [`render`](crate::render()) and [`audit`](crate::audit()) write the policy that an agreement asks for and
//! tell whether another one allows more.
//!
//! **Threat model.** The host carries every byte and chooses, drops, repeats or forges any of them; it learns nothing from an enclave's
//! reaction to an answer. Other tenants of the key service may ask for anything: what no statement allows is denied. A policy's author is honest but
//! makes mistakes: what AWS would read otherwise than it looks is refused or reported.
//!
//! No input or output, no clock. Randomness is an argument, with one exception: aws-lc makes RSA keys and OAEP seeds from its own generator and
//! offers no other way.
//!
//! ```
//! use entente_release::recipient::{EnvelopeSecrets, RecipientKey, RecipientPublicKey, envelope};
//!
//! // In the enclave: a key for this life; its public half goes into the attestation document.
//! let key = RecipientKey::generate()?;
//! // In the key service, after document and policy were checked:
//! let public = RecipientPublicKey::from_spki_der(key.spki_der())?;
//! let answer = envelope(&public, &[7; 32], EnvelopeSecrets::new([1; 32], [2; 16]))?;
//! // In the enclave again. A wrong answer is not an error: it gives the substitute.
//! let substitute = [3; 32];
//! assert_eq!(key.unwrap(&answer, substitute).expose_secret(), &[7; 32]);
//! assert_eq!(key.unwrap(b"forged", substitute).expose_secret(), &substitute);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audit;
pub mod policy;
pub mod recipient;
mod render;

pub use audit::{Excess, Finding, audit};
pub use render::{Release, RenderError, RoundState, render};

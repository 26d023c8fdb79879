//! A simulated Nitro hypervisor, for development and tests: it measures an enclave image, starts its program as a
//! process of this machine, gives it a Nitro Security Module whose documents are signed under a certificate
//! authority made here, and carries its vsock as a Unix socket.
//!
//! The bytes are those of hardware: requests and answers of the NSM, form and lifetimes of the certificates,
//! COSE, payload. Only the root differs, so a verifier that is given AWS's root refuses all of it.
//!
//! # Threat model
//!
//! * This protects nothing: whoever runs it can read the enclave's memory and sign any document. It exists so that
//!   everything else can be tried; an agreement must name its root as `simulated:…` before anything accepts it.
//! * The image comes from outside: it is parsed under limits and unpacked so that nothing leaves its directory.
//! * The program in it may be hostile: it gets two descriptors, no environment and no arguments, and, where the
//!   kernel allows it, namespaces and a root of its own.
//!
//! # Example
//!
//! ```
//! use entente_attestation::UnixTime;
//! use entente_hypervisor_sim::{CaIdentity, CertificateAuthority, Clock, Module as _, NsmDevice, Registers};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Clock::System.now();
//! let authority = CertificateAuthority::generate(now)?;
//! let identity = CaIdentity::new(&authority, "local-1");
//! let mut device = NsmDevice::new("i-0-enc1", Registers::debug_mode(), Box::new(identity), Clock::System);
//!
//! let answer = device.answer(b"\x69GetRandom");
//! assert!(answer.starts_with(b"\xa1\x69GetRandom\xa1\x66random\x59\x01\x00"));
//! # Ok(())
//! # }
//! ```
//!
//! # For hostile tests
//!
//! [`NsmDevice`] takes any [`Registers`] (debug mode, another image's), any [`Identity`] (another authority, a
//! forged chain) and any [`Clock`]; [`Module`] can be implemented or wrapped to answer whatever a test wants;
//! [`Machine`] starts a real enclave program against it.

mod authority;
mod clock;
mod document;
mod files;
pub mod inside;
mod machine;
mod nsm;
mod registers;
mod vsock;

pub use authority::{AuthorityError, CaIdentity, CertificateAuthority, Credentials, Identity};
pub use clock::Clock;
pub use document::{Payload, SIGNATURE};
pub use files::UnpackError;
pub use machine::{Console, Isolation, Machine, Running, StartError};
pub use nsm::{Module, NsmDevice, RANDOM, serve};
pub use registers::{ParentInstance, Registers};
pub use vsock::{ENCLAVE_PORT, VsockError, VsockListener};

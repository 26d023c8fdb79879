//! The runtime of an enclave program: one batch job per enclave life (PROTOCOL §10), with one analysis compiled in.
//!
//! The states of a life are types, and each step consumes the state before it:
//!
//! ```text
//! Booted ── bind ──► Bound ── take_keys ──► Keyed ── load ──► Loaded ── compute ──► Computed ── disclose ──► Disclosed ── hand_out
//!   public things are      key step: one       every piece       no host in sight        the one exit
//!   checked; registers     answer a dataset    once, checked
//!   tied and locked
//! ```
//!
//! An error anywhere ends the life: [`Refusal`] says exactly why to whoever tests this crate, and [`Refusal::code`] is the one word of
//! six that the host is told. An image's whole program is [`run`].
//!
//! # Threat model
//!
//! * The host is hostile. It chooses every byte of every answer, restarts at will and runs two copies; it learns from this
//!   program the questions (which follow from the agreement and the manifests alone), lengths, times, and one code.
//! * Parties may be hostile. An owner's sealed bytes are opened under limits that the agreement declares, and what does not open is
//!   void, told to that owner alone.
//! * The hypervisor is trusted, to the root that the agreement names. The program's own clock, arguments, environment and
//!   the peer's address are not asked anything.
//!
//! # Which analysis
//!
//! The host names one analysis of the agreement. It must be of the kind that is compiled in: its name is [`Analysis::NAME`], alone or
//! followed by `-` and more (`auction`, `auction-spring`), so that one agreement may hold several of a kind. And its `image` must be the
//! image that runs. An analysis of another kind is [`Refusal::OtherProgram`].
//!
//! # What ends a life without a word
//!
//! The process is process 1, core dumps cannot be switched off, or nobody can be listened to: there is no host to tell. Where
//! the program is built so that panics abort, a panic still sends [`ErrorCode::RunFailed`]. The exit code is 0 after
//! results were handed out, 1 otherwise.
//!
//! # Example
//!
//! A host that does not know what it is doing, and an NSM that nobody gets to ask:
//!
//! ```
//! use entente_channel::{Answer, Ask, ErrorCode, HostEnd};
//! use entente_enclave::{Host, Refusal, live, machine::AvailableMemory};
//! use entente_nsm::Nsm;
//! use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
//! use std::os::unix::net::UnixStream;
//! # use entente_analysis::*;
//! # struct Auction(Rules);
//! # impl Analysis for Auction {
//! #     const NAME: &'static str = "auction";
//! #     fn configure(_: &entente_agreement::Agreement, _: &entente_agreement::Analysis) -> Result<Self, ParameterError> {
//! #         Ok(Self(Rules::new(Vec::new(), [])))
//! #     }
//! #     fn rules(&self) -> &Rules { &self.0 }
//! #     fn sentences(&self) -> Vec<String> { Vec::new() }
//! #     fn run(&self, _: InputTables, _: &dyn SeedStream) -> Confidential<Outcome> {
//! #         Confidential::new(Outcome::new(Vec::new(), Vec::new()))
//! #     }
//! # }
//!
//! let (inside, outside) = UnixStream::pair()?;
//! let (ours, _module) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
//! let host = std::thread::spawn(move || {
//!     let mut host = HostEnd::new(outside);
//!     assert_eq!(host.question(), Ok(Ask::Documents));
//!     host.answer(&Answer::Taken).expect("the enclave waits");
//!     host.question()
//! });
//! let memory = AvailableMemory::from_mib(256);
//! let halted = live::<Auction, _>(Nsm::over_socket(ours)?, memory, &mut Host::new(inside)).unwrap_err();
//! assert!(matches!(halted.refusal(), Refusal::Documents(_)));
//! assert_eq!(host.join().expect("no assertion failed"), Ok(Ask::Halted { code: ErrorCode::AgreementRefused }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Analysis::NAME`]: entente_analysis::Analysis::NAME
//! [`ErrorCode::RunFailed`]: entente_channel::ErrorCode::RunFailed

mod booted;
mod bound;
mod computed;
mod disclosed;
pub mod evidence;
mod host;
mod keyed;
mod life;
mod loaded;
pub mod machine;
mod refusal;

pub use booted::Booted;
pub use bound::Bound;
pub(crate) use bound::Job;
pub use computed::Computed;
pub use disclosed::Disclosed;
pub use host::{Host, NoAnswer};
pub use keyed::{Keyed, decoded_limit};
pub use life::{Halted, live, run};
pub use loaded::Loaded;
pub use refusal::{ListFault, Refusal, Register};

//! The local channel between an enclave and its host: vsock (off AWS the hybrid-vsock convention of Unix sockets),
//! frames with a length limit, and the job protocol: the few questions an enclave asks and the answers it takes.
//!
//! The host dials; then only the enclave asks, one question at a time, and the host answers. So an enclave needs no
//! credentials, no network and no idea of where it runs.
//!
//! Threat model:
//! * the other end is hostile, on both sides: a length is compared with a limit before a byte is allocated, a message must
//!   be exactly one in its one encoding, lists are bounded, and everything else is a typed error;
//! * the channel authenticates nobody and hides nothing: what matters is signed or sealed inside, and peer CIDs are never
//!   looked at (QEMU and Nitro disagree on them);
//! * from the enclave to the host goes nothing but [`Ask`], whose only word about a failure is an [`ErrorCode`].
//!
//! ```
//! use entente_channel::{Answer, Ask, EnclaveEnd, HostEnd};
//! use std::os::unix::net::UnixStream;
//!
//! let (inside, outside) = UnixStream::pair()?;
//! let host = std::thread::spawn(move || {
//!     let mut host = HostEnd::new(outside);
//!     let question = host.question().expect("the enclave asks");
//!     assert_eq!(question, Ask::Chunk { dataset: "bids-north".to_owned(), index: 0 });
//!     host.answer(&Answer::Chunk { bytes: vec![1, 2, 3] }).expect("the enclave waits");
//! });
//! let mut enclave = EnclaveEnd::new(inside);
//! let answer = enclave.ask(&Ask::Chunk { dataset: "bids-north".to_owned(), index: 0 })?;
//! assert_eq!(answer, Answer::Chunk { bytes: vec![1, 2, 3] });
//! # host.join().expect("no assertion failed");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dial;
pub mod frame;
mod listen;
mod message;
mod talk;

pub use dial::{DialError, dial_hybrid, dial_vsock, hybrid_request, parse_hybrid_answer};
pub use listen::{Connection, ListenError, Listener};
pub use message::{
    Answer, Ask, ContextEntry, Documents, ErrorCode, MAX_ANSWER, MAX_ASK, MAX_LIST, MAX_PIECE, MessageError,
    PartySignature, SignedManifest, SignedRequest, UnknownErrorCode,
};
pub use talk::{EnclaveEnd, HostEnd, TalkError};

/// The vsock port on which an enclave waits for its host.
pub const PORT: u32 = 5005;

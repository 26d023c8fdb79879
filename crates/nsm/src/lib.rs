//! Nitro Security Module (NSM): the hypervisor's device that holds an enclave's registers and signs attestation
//! documents, asked over `/dev/nsm` or, on the `local` platform, over an inherited socket.
//!
//! Threat model:
//! * the hypervisor is trusted (it is the root of all attestation), but its answers are still bytes from outside: they are
//!   decoded strictly, with a typed error for everything unexpected;
//! * on `local` anybody may hold the other end of the socket. That is no weakness of this crate's: what the answer is worth
//!   is decided by who verifies the document and by the root that the agreement names;
//! * which device is asked follows from a fixed rule ([`Nsm::open`]), never from an argument or the environment.
//!
//! All `unsafe` of the workspace is in this crate's module `kernel`.
//!
//! ```
//! use entente_nsm::codec::{Request, Response};
//! use entente_nsm::Nsm;
//! use rustix::net::{AddressFamily, SendFlags, RecvFlags, SocketFlags, SocketType, send, recv, socketpair};
//!
//! // A module of our own at the other end of a socket.
//! let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
//! let module = std::thread::spawn(move || {
//!     let mut request = [0; 64];
//!     let (_, length) = recv(&theirs, &mut request, RecvFlags::empty()).expect("a request");
//!     assert_eq!(Request::decode(&request[..length]), Ok(Request::GetRandom));
//!     let answer = Response::GetRandom { random: vec![7; 256] }.encode().expect("it is short");
//!     send(&theirs, &answer, SendFlags::empty()).expect("the enclave waits");
//! });
//!
//! let mut nsm = Nsm::over_socket(ours)?;
//! let mut nonce = [0; 32];
//! nsm.random(&mut nonce)?;
//! assert_eq!(nonce, [7; 32]);
//! # module.join().expect("no assertion failed");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod codec;
mod kernel;

use std::os::fd::{AsFd, OwnedFd, RawFd};

use entente_attestation::Digest384;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType};
use thiserror::Error;

pub use codec::{AttestationRequest, Lock, ModuleDescription, NsmErrorCode, PcrState};
use codec::{CodecError, MAX_RESPONSE, Request, Response};

/// The descriptor over which a simulated hypervisor gives its NSM to the program that it starts (PROTOCOL §10.1).
pub const INHERITED_NSM: RawFd = 3;

/// Where the kernel offers the NSM.
pub const DEVICE_PATH: &str = "/dev/nsm";

/// An opened NSM.
///
/// One question at a time: methods take `&mut self`.
#[derive(Debug)]
pub struct Nsm {
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Device(OwnedFd),
    Socket(OwnedFd),
}

/// Why the NSM gave no usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NsmError {
    /// `/dev/nsm` cannot be opened.
    #[error("{DEVICE_PATH} cannot be opened: {0}")]
    Open(Errno),
    /// The descriptor is not a packet socket.
    #[error("not a socket of type SOCK_SEQPACKET")]
    NotAPacketSocket,
    /// The system call that carries the messages failed.
    #[error("the exchange failed: {0}")]
    Exchange(Errno),
    /// The other end of the socket is gone.
    #[error("the module closed the connection")]
    Closed,
    /// The request cannot be put on the wire.
    #[error("request: {0}")]
    Request(CodecError),
    /// The answer is not a message of an NSM.
    #[error("response: {0}")]
    Response(CodecError),
    /// The module refused.
    #[error("the module refused: {0}")]
    Refused(NsmErrorCode),
    /// A well-formed answer, but to another question.
    #[error("the module answered another question")]
    OtherQuestion,
    /// A random answer without a byte.
    #[error("the module gave no random bytes")]
    NoRandom,
}

impl Nsm {
    /// Opens the NSM by the fixed rule of PROTOCOL §10.1: an inherited descriptor 3 that is a socket, else `/dev/nsm`.
    /// Arguments and environment have no say.
    ///
    /// Call it first in a program, before anything else can have opened a socket that became descriptor 3.
    ///
    /// # Errors
    /// [`NsmError::NotAPacketSocket`] when descriptor 3 is a socket of another type (falling back to the device would let
    /// whoever started the program choose), [`NsmError::Open`] when there is no device.
    pub fn open() -> Result<Self, NsmError> {
        match inherited_socket(INHERITED_NSM) {
            Some(socket) => Self::over_socket(socket),
            None => {
                let device = rustix::fs::open(DEVICE_PATH, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
                device.map(|fd| Self { transport: Transport::Device(fd) }).map_err(NsmError::Open)
            }
        }
    }

    /// An NSM at the other end of a `SOCK_SEQPACKET` socket: one packet a message.
    ///
    /// # Errors
    /// [`NsmError::NotAPacketSocket`] when it is anything else.
    pub fn over_socket(socket: OwnedFd) -> Result<Self, NsmError> {
        match rustix::net::sockopt::socket_type(&socket) {
            Ok(SocketType::SEQPACKET) => Ok(Self { transport: Transport::Socket(socket) }),
            _ => Err(NsmError::NotAPacketSocket),
        }
    }

    /// The module's version, name and locked registers.
    ///
    /// # Errors
    /// An [`NsmError`].
    pub fn describe(&mut self) -> Result<ModuleDescription, NsmError> {
        match self.ask(&Request::DescribeNsm)? {
            Response::DescribeNsm(description) => Ok(description),
            other => Err(unexpected(&other)),
        }
    }

    /// Value and lock of a register (0 to 31, locked or not).
    ///
    /// # Errors
    /// An [`NsmError`]; [`NsmErrorCode::InvalidIndex`] when there is no such register.
    pub fn describe_pcr(&mut self, index: u16) -> Result<PcrState, NsmError> {
        match self.ask(&Request::DescribePcr { index })? {
            Response::DescribePcr(state) => Ok(state),
            other => Err(unexpected(&other)),
        }
    }

    /// Sets a register to SHA-384(old value ‖ `data`) and returns the new value.
    ///
    /// # Errors
    /// An [`NsmError`]; [`NsmErrorCode::ReadOnlyIndex`] when the register is locked.
    pub fn extend_pcr(&mut self, index: u16, data: &[u8]) -> Result<Digest384, NsmError> {
        match self.ask(&Request::ExtendPcr { index, data: data.to_vec() })? {
            Response::ExtendPcr { data } => Ok(data),
            other => Err(unexpected(&other)),
        }
    }

    /// Locks a register for the rest of this life; from then on documents hold it.
    ///
    /// # Errors
    /// An [`NsmError`].
    pub fn lock_pcr(&mut self, index: u16) -> Result<(), NsmError> {
        match self.ask(&Request::LockPcr { index })? {
            Response::LockPcr => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Locks all registers below `range` (at most 32).
    ///
    /// # Errors
    /// An [`NsmError`].
    pub fn lock_pcrs(&mut self, range: u16) -> Result<(), NsmError> {
        match self.ask(&Request::LockPcrs { range })? {
            Response::LockPcrs => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// A signed attestation document with these fields, unverified.
    ///
    /// # Errors
    /// An [`NsmError`]; [`NsmError::Request`] when a field is longer than [`codec::MAX_OPTIONAL`].
    pub fn attestation(&mut self, request: AttestationRequest) -> Result<Vec<u8>, NsmError> {
        match self.ask(&Request::Attestation(request))? {
            Response::Attestation { document } => Ok(document),
            other => Err(unexpected(&other)),
        }
    }

    /// Fills `out` with random bytes of the module, in as many requests as it takes.
    ///
    /// # Security
    /// The bytes cross the local socket or the device in the clear; they serve as nonces. Keys come from the library that
    /// uses them.
    ///
    /// # Errors
    /// An [`NsmError`]; then `out` must not be used.
    pub fn random(&mut self, out: &mut [u8]) -> Result<(), NsmError> {
        let mut rest = out;
        while !rest.is_empty() {
            let Response::GetRandom { random } = self.ask(&Request::GetRandom)? else {
                return Err(NsmError::OtherQuestion);
            };
            if random.is_empty() {
                return Err(NsmError::NoRandom);
            }
            let taken = random.len().min(rest.len());
            let (now, later) = rest.split_at_mut(taken);
            now.copy_from_slice(random.get(..taken).ok_or(NsmError::NoRandom)?);
            rest = later;
        }
        Ok(())
    }

    fn ask(&mut self, request: &Request) -> Result<Response, NsmError> {
        let request = request.encode().map_err(NsmError::Request)?;
        // One byte more than the longest answer, so that a longer packet is seen as such and not cut.
        let mut answer = vec![0; MAX_RESPONSE + 1];
        let length = match &self.transport {
            Transport::Device(device) => {
                let room = answer.get_mut(..MAX_RESPONSE).unwrap_or_default();
                kernel::exchange(device.as_fd(), &request, room).map_err(NsmError::Exchange)?
            }
            Transport::Socket(socket) => packet_exchange(socket, &request, &mut answer)?,
        };
        let answer = answer
            .get(..length)
            .ok_or(NsmError::Response(CodecError::MessageTooLong { found: length, limit: MAX_RESPONSE }))?;
        match Response::decode(answer).map_err(NsmError::Response)? {
            Response::Error(code) => Err(NsmError::Refused(code)),
            response => Ok(response),
        }
    }
}

/// A duplicate of an inherited descriptor, if it is open and a socket; else nothing.
///
/// The original stays open (and inheritable, if it was): a program that executes others closes it before.
#[must_use]
pub fn inherited_socket(number: RawFd) -> Option<OwnedFd> {
    let fd = kernel::duplicate(number)?;
    let is_socket =
        rustix::fs::fstat(&fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket);
    is_socket.then_some(fd)
}

fn unexpected(response: &Response) -> NsmError {
    match response {
        Response::Error(code) => NsmError::Refused(*code),
        _ => NsmError::OtherQuestion,
    }
}

fn packet_exchange(socket: &OwnedFd, request: &[u8], answer: &mut [u8]) -> Result<usize, NsmError> {
    // NOSIGNAL: a module that went away is an error value, not a SIGPIPE.
    rustix::io::retry_on_intr(|| rustix::net::send(socket, request, SendFlags::NOSIGNAL))
        .map_err(closed_or(NsmError::Exchange))?;
    let (_, length) = rustix::io::retry_on_intr(|| rustix::net::recv(socket, &mut *answer, RecvFlags::TRUNC))
        .map_err(closed_or(NsmError::Exchange))?;
    match length {
        0 => Err(NsmError::Closed),
        _ => Ok(length),
    }
}

fn closed_or(other: fn(Errno) -> NsmError) -> impl Fn(Errno) -> NsmError {
    move |errno| match errno {
        Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => NsmError::Closed,
        errno => other(errno),
    }
}

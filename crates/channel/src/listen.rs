//! The enclave's side: waiting for the host.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use rustix::net::{Shutdown, SocketFlags, SocketType};
use thiserror::Error;

use crate::PORT;

/// A socket on which the host is awaited.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
}

/// Why the host cannot be awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ListenError {
    /// The inherited socket is not a listening stream socket.
    #[error("the inherited socket does not listen")]
    NotListening,
    /// There is no vsock here, or the port is taken.
    #[error("port {PORT} of vsock cannot be listened on: {0}")]
    Vsock(io::ErrorKind),
    /// Waiting failed.
    #[error("waiting for the host failed: {0}")]
    Accept(rustix::io::Errno),
}

impl Listener {
    /// Takes an inherited socket that already listens (the `local` platform gives a Unix socket), whatever its family.
    ///
    /// # Errors
    /// [`ListenError::NotListening`].
    pub fn inherited(socket: OwnedFd) -> Result<Self, ListenError> {
        let stream = rustix::net::sockopt::socket_type(&socket) == Ok(SocketType::STREAM);
        let listens = rustix::net::sockopt::socket_acceptconn(&socket) == Ok(true);
        if stream && listens { Ok(Self { socket }) } else { Err(ListenError::NotListening) }
    }

    /// Listens on vsock, any CID, port [`PORT`]. The enclave never dials: a CID that it would dial differs between platforms.
    ///
    /// # Errors
    /// [`ListenError::Vsock`].
    pub fn vsock() -> Result<Self, ListenError> {
        let listener = vsock::VsockListener::bind_with_cid_port(vsock::VMADDR_CID_ANY, PORT);
        listener
            .map(|listener| Self { socket: listener.into() })
            .map_err(|error| ListenError::Vsock(error.kind()))
    }

    /// Waits for the one connection of this life; later ones are refused, so that nobody can hold two conversations with one
    /// enclave.
    ///
    /// # Errors
    /// [`ListenError::Accept`].
    pub fn accept_one(self) -> Result<Connection, ListenError> {
        let accept = || rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC);
        let stream = rustix::io::retry_on_intr(accept).map_err(ListenError::Accept)?;
        // An inherited listener has other descriptors, so that dropping this one would not close it. Vsock may not know the
        // call; there dropping suffices.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
        Ok(Connection { stream })
    }
}

/// The connection with the host.
#[derive(Debug)]
pub struct Connection {
    stream: OwnedFd,
}

impl Connection {
    /// A second handle to the same connection.
    ///
    /// # Errors
    /// [`ListenError::Accept`] when there is no descriptor left.
    pub fn try_clone(&self) -> Result<Self, ListenError> {
        let stream = rustix::io::fcntl_dupfd_cloexec(&self.stream, 5).map_err(ListenError::Accept)?;
        Ok(Self { stream })
    }
}

impl Read for Connection {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.stream, room)?)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&self.stream, bytes, rustix::net::SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

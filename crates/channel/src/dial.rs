//! The host's side: dialling an enclave.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use thiserror::Error;

/// Bytes of the longest answer to `CONNECT` that is read, without its line feed: `OK 4294967295`.
const MAX_LINE: usize = 13;

/// Why an enclave was not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DialError {
    /// The socket is not there, or nobody listens (yet).
    #[error("no connection: {0}")]
    Connect(io::ErrorKind),
    /// The vsock device closed the connection: nobody listens on this port (yet).
    #[error("the vsock device closed the connection: nobody listens on the port")]
    Refused,
    /// The vsock device answered something else than `OK PORT`.
    #[error("the vsock device does not follow the hybrid-vsock convention")]
    Convention,
    /// Reading or writing failed.
    #[error("the connection failed: {0}")]
    Io(io::ErrorKind),
}

/// What a host sends first on a hybrid-vsock socket: `CONNECT PORT` and a line feed.
#[must_use]
pub fn hybrid_request(port: u32) -> String {
    format!("CONNECT {port}\n")
}

/// Reads the device's answer `OK PORT` (without its line feed) and returns the port, which is one of the device's choice.
///
/// # Errors
/// [`DialError::Convention`].
pub fn parse_hybrid_answer(line: &[u8]) -> Result<u32, DialError> {
    let digits = line
        .strip_prefix(b"OK ")
        .filter(|digits| line.len() <= MAX_LINE && digits.iter().all(u8::is_ascii_digit));
    let text = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    text.and_then(|digits| digits.parse().ok()).ok_or(DialError::Convention)
}

/// Connects to a port of an enclave behind a hybrid-vsock Unix socket (Firecracker, vhost-device-vsock, the simulated
/// hypervisor), waiting at most `timeout` for each byte of the device's answer.
///
/// The stream that it returns has no timeouts set.
///
/// # Errors
/// A [`DialError`].
pub fn dial_hybrid(path: &Path, port: u32, timeout: Duration) -> Result<UnixStream, DialError> {
    let io = |error: io::Error| DialError::Io(error.kind());
    let mut stream = UnixStream::connect(path).map_err(|error| DialError::Connect(error.kind()))?;
    stream.set_read_timeout(Some(timeout)).map_err(io)?;
    stream.set_write_timeout(Some(timeout)).map_err(io)?;
    stream.write_all(hybrid_request(port).as_bytes()).map_err(io)?;
    let mut line = Vec::with_capacity(MAX_LINE);
    loop {
        // Byte by byte: what follows the line feed is the enclave's.
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) => return Err(DialError::Refused),
            Ok(_) if byte == *b"\n" => break,
            Ok(_) if line.len() == MAX_LINE => return Err(DialError::Convention),
            Ok(_) => line.extend_from_slice(&byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(DialError::Refused),
            Err(error) => return Err(io(error)),
        }
    }
    parse_hybrid_answer(&line)?;
    stream.set_read_timeout(None).map_err(io)?;
    stream.set_write_timeout(None).map_err(io)?;
    Ok(stream)
}

/// Connects to a port of the enclave with this CID over AF_VSOCK.
///
/// # Errors
/// [`DialError::Connect`].
pub fn dial_vsock(cid: u32, port: u32) -> Result<vsock::VsockStream, DialError> {
    vsock::VsockStream::connect_with_cid_port(cid, port).map_err(|error| DialError::Connect(error.kind()))
}

//! Frames: a length (four bytes, big-endian), then as many bytes.
//!
//! The functions that read and write block ([`read()`], [`write()`]); an asynchronous relay reads the [`HEADER`] bytes itself and
//! calls [`parse_header`], and sends what [`to_bytes`] gives.

use std::io::{self, Read, Write};

use thiserror::Error;

/// Bytes of a frame's header.
pub const HEADER: usize = 4;

/// What is reserved before a byte of a body has come. A longer body grows as it arrives, so that a header alone costs its
/// receiver nothing.
const FIRST_RESERVE: usize = 64 * 1024;

/// Why there is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The frame is longer than its receiver (or sender) allows here.
    #[error("frame of {found} bytes; at most {limit} are allowed")]
    TooLong {
        /// The length in the header.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A frame without a byte; no message is empty.
    #[error("empty frame")]
    Empty,
    /// The connection ended between two frames.
    #[error("the other end closed the connection")]
    Closed,
    /// The connection ended within a frame.
    #[error("the connection ended within a frame, {missing} bytes early")]
    CutShort {
        /// How many bytes did not come.
        missing: usize,
    },
    /// Reading or writing failed.
    #[error("the connection failed: {0}")]
    Io(io::ErrorKind),
}

/// The length of the body that follows this header, at least 1 and at most `limit`.
///
/// # Errors
/// [`FrameError::TooLong`], [`FrameError::Empty`].
pub fn parse_header(header: [u8; HEADER], limit: usize) -> Result<usize, FrameError> {
    let found = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    match found {
        0 => Err(FrameError::Empty),
        _ if found > limit => Err(FrameError::TooLong { found, limit }),
        _ => Ok(found),
    }
}

/// A frame around this body, of at most `limit` bytes.
///
/// # Errors
/// [`FrameError::TooLong`], [`FrameError::Empty`].
pub fn to_bytes(body: &[u8], limit: usize) -> Result<Vec<u8>, FrameError> {
    let mut frame = Vec::with_capacity(HEADER + body.len());
    frame.extend_from_slice(&header(body, limit)?);
    frame.extend_from_slice(body);
    Ok(frame)
}

/// Reads one frame and returns its body. The length is compared with `limit` before anything is allocated.
///
/// # Errors
/// A [`FrameError`]; after it the stream must not be used again.
pub fn read(stream: &mut impl Read, limit: usize) -> Result<Vec<u8>, FrameError> {
    let mut first = [0; HEADER];
    let mut have = 0;
    while let Some(room) = first.get_mut(have..).filter(|room| !room.is_empty()) {
        match stream.read(room) {
            Ok(0) if have == 0 => return Err(FrameError::Closed),
            Ok(0) => return Err(FrameError::CutShort { missing: HEADER - have }),
            Ok(read) => have += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FrameError::Io(error.kind())),
        }
    }
    let length = parse_header(first, limit)?;
    let mut body = Vec::with_capacity(length.min(FIRST_RESERVE));
    let wanted = u64::try_from(length).unwrap_or(u64::MAX);
    stream.take(wanted).read_to_end(&mut body).map_err(|error| FrameError::Io(error.kind()))?;
    match length.saturating_sub(body.len()) {
        0 => Ok(body),
        missing => Err(FrameError::CutShort { missing }),
    }
}

/// Writes one frame.
///
/// # Errors
/// A [`FrameError`]; [`FrameError::TooLong`] and [`FrameError::Empty`] before anything is written.
pub fn write(stream: &mut impl Write, body: &[u8], limit: usize) -> Result<(), FrameError> {
    let header = header(body, limit)?;
    let io = |error: io::Error| FrameError::Io(error.kind());
    stream.write_all(&header).map_err(io)?;
    stream.write_all(body).map_err(io)?;
    stream.flush().map_err(io)
}

fn header(body: &[u8], limit: usize) -> Result<[u8; HEADER], FrameError> {
    let found = body.len();
    let length = u32::try_from(found).map_err(|_| FrameError::TooLong { found, limit })?;
    let header = length.to_be_bytes();
    parse_header(header, limit).map(|_| header)
}

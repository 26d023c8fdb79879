//! The chunk list of a sealed file (PROTOCOL §2, `chunks`): every piece can be checked before a byte of it is used.

use entente_attestation::Digest384;
use std::io::{self, Write};

/// Size of a piece: 1 MiB. The last piece of a file is what is left, 1 byte to 1 MiB; an empty file has no piece.
pub const PIECE_BYTES: usize = 1 << 20;

/// The digests of all 1 MiB pieces of one sealed file, in order.
///
/// `chunks` of the manifest is the digest of their concatenation ([`ChunkList::digest`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkList {
    pieces: Vec<Digest384>,
    bytes: u64,
}

impl ChunkList {
    /// Takes the list that a host hands over and accepts it only if it is the one that the manifest commits to.
    ///
    /// `bytes` and `chunks` are the manifest's. Memory: 48 bytes for each MiB of the sealed file.
    ///
    /// # Errors
    ///
    /// [`ChunkError::WrongList`] if length or digest differ: the host's doing.
    pub fn parse(concatenated: &[u8], bytes: u64, chunks: &Digest384) -> Result<Self, ChunkError> {
        let expected = bytes.div_ceil(PIECE_BYTES as u64);
        if u64::try_from(concatenated.len()).ok() != expected.checked_mul(48)
            || Digest384::of(concatenated) != *chunks
        {
            return Err(ChunkError::WrongList);
        }
        let pieces =
            concatenated.as_chunks::<48>().0.iter().map(|digest| Digest384::from_bytes(*digest)).collect();
        Ok(Self { pieces, bytes })
    }

    /// The digest that the manifest names: H of the concatenated digests.
    #[must_use]
    pub fn digest(&self) -> Digest384 {
        Digest384::of(&self.to_bytes())
    }

    /// The concatenated 48-byte digests: the form in which the list is stored and sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|digest| *digest.as_bytes()).collect()
    }

    /// Number of pieces.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Length of the whole file in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Exact length of piece `index`; `None` if the file has no such piece.
    #[must_use]
    pub fn piece_bytes(&self, index: usize) -> Option<usize> {
        if index >= self.pieces.len() {
            return None;
        }
        let start = u64::try_from(index).ok()?.checked_mul(PIECE_BYTES as u64)?;
        usize::try_from((self.bytes - start).min(PIECE_BYTES as u64)).ok()
    }

    /// Checks one piece. It must be used only after this returned `Ok`.
    ///
    /// # Errors
    ///
    /// [`ChunkError::NoSuchPiece`] or [`ChunkError::WrongPiece`]: the host's doing.
    pub fn check(&self, index: usize, piece: &[u8]) -> Result<(), ChunkError> {
        let length = self.piece_bytes(index).ok_or(ChunkError::NoSuchPiece { index })?;
        if piece.len() != length || Digest384::of(piece) != self.pieces[index] {
            return Err(ChunkError::WrongPiece { index });
        }
        Ok(())
    }
}

/// A piece, or the list itself, is not what the owner signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The list's length or digest is not the manifest's.
    #[error("the chunk list is not the one that the manifest commits to")]
    WrongList,
    /// The file has no piece of this number.
    #[error("the sealed file has no piece {index}")]
    NoSuchPiece {
        /// Number of the piece, from 0.
        index: usize,
    },
    /// Length or digest of the piece differ.
    #[error("piece {index} is not the one that the chunk list names")]
    WrongPiece {
        /// Number of the piece, from 0.
        index: usize,
    },
}

/// Passes bytes on to a writer and makes the [`ChunkList`] of what went through. Holds one piece (1 MiB) at most.
pub struct ChunkWriter<W> {
    inner: W,
    piece: Vec<u8>,
    pieces: Vec<Digest384>,
    bytes: u64,
}

impl<W: Write> ChunkWriter<W> {
    /// Starts at offset 0 of the sealed file.
    pub fn new(inner: W) -> Self {
        Self { inner, piece: Vec::with_capacity(PIECE_BYTES), pieces: Vec::new(), bytes: 0 }
    }

    /// Ends the file: gives back the writer (flushed) and the list.
    ///
    /// # Errors
    ///
    /// What the inner writer's `flush` says.
    pub fn finish(mut self) -> io::Result<(W, ChunkList)> {
        if !self.piece.is_empty() {
            self.pieces.push(Digest384::of(&self.piece));
        }
        self.inner.flush()?;
        Ok((self.inner, ChunkList { pieces: self.pieces, bytes: self.bytes }))
    }
}

impl<W: Write> Write for ChunkWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES - self.piece.len();
        let taken = self.inner.write(&buf[..buf.len().min(room)])?;
        self.piece.extend_from_slice(&buf[..taken]);
        self.bytes += taken as u64;
        if self.piece.len() == PIECE_BYTES {
            self.pieces.push(Digest384::of(&self.piece));
            self.piece.clear();
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list_of(data: &[u8]) -> ChunkList {
        let mut writer = ChunkWriter::new(Vec::new());
        writer.write_all(data).unwrap();
        let (copy, list) = writer.finish().unwrap();
        assert_eq!(copy, data);
        list
    }

    #[test]
    fn pieces_are_one_mebibyte() {
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
            let data: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let list = list_of(&data);
            let digests: Vec<u8> =
                data.chunks(PIECE_BYTES).flat_map(|piece| *Digest384::of(piece).as_bytes()).collect();
            assert_eq!(list.to_bytes(), digests);
            assert_eq!(list.digest(), Digest384::of(&digests));
            assert_eq!(ChunkList::parse(&digests, data.len() as u64, &list.digest()).unwrap(), list);
            for (index, piece) in data.chunks(PIECE_BYTES).enumerate() {
                list.check(index, piece).unwrap();
            }
            assert_eq!(list.check(list.pieces(), b""), Err(ChunkError::NoSuchPiece { index: list.pieces() }));
        }
    }

    #[test]
    fn exchanged_shortened_and_changed_pieces_are_refused() {
        let mut data = vec![1; PIECE_BYTES];
        data.extend_from_slice(&vec![2; PIECE_BYTES]);
        data.push(3);
        let list = list_of(&data);
        assert_eq!(
            list.check(0, &data[PIECE_BYTES..2 * PIECE_BYTES]),
            Err(ChunkError::WrongPiece { index: 0 })
        );
        assert_eq!(list.check(0, &data[..PIECE_BYTES - 1]), Err(ChunkError::WrongPiece { index: 0 }));
        assert_eq!(list.check(2, &[3, 3]), Err(ChunkError::WrongPiece { index: 2 }));
        assert_eq!(list.check(2, &[4]), Err(ChunkError::WrongPiece { index: 2 }));
    }

    #[test]
    fn a_wrong_list_is_refused() {
        let list = list_of(&vec![1; PIECE_BYTES + 1]);
        let digest = list.digest();
        let bytes = list.to_bytes();
        let size = list.bytes();
        for (list, size) in [
            (&bytes[..48], size),
            (&bytes[..95], size),
            (&bytes[..], size + PIECE_BYTES as u64),
            (&bytes[..], 1),
            (&bytes[..], u64::MAX),
            (&[][..], 0),
        ] {
            assert_eq!(ChunkList::parse(list, size, &digest), Err(ChunkError::WrongList));
        }
        let mut exchanged = bytes[48..].to_vec();
        exchanged.extend_from_slice(&bytes[..48]);
        assert_eq!(ChunkList::parse(&exchanged, size, &digest), Err(ChunkError::WrongList));
    }
}

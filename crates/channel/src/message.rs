//! The job protocol: what an enclave asks and what a host answers, in CBOR.
//!
//! Every message has one encoding: the decoder encodes what it has read again and compares, so that trailing bytes, indefinite
//! lengths, long forms of integers and unknown fields are all refused by one rule.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use thiserror::Error;

/// Bytes of the largest piece of a file in one message: 1 MiB, the pieces of PROTOCOL §2.
pub const MAX_PIECE: usize = 1 << 20;

/// Bytes of the longest question: a receipt (a statement of 2 MiB in base64 and an attestation document).
pub const MAX_ASK: usize = 3 << 20;

/// Bytes of the longest answer: the digests of about 349,000 pieces (a dataset of 340 GiB), or all documents of a job.
pub const MAX_ANSWER: usize = 16 << 20;

/// Entries of the longest list in a message (parties, datasets, entries of an encryption context).
pub const MAX_LIST: u64 = 1024;

/// A question of the enclave. The host answers each with the [`Answer`] that its documentation names.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Ask {
    /// The public documents of the job. The first question of a life. Answer: [`Answer::Documents`].
    #[n(0)]
    Documents,
    /// KMS `Decrypt` with this recipient (PROTOCOL §5): the host adds credentials and carries the bytes. Answer:
    /// [`Answer::Key`].
    #[n(1)]
    ReleaseKey {
        /// The dataset's name.
        #[n(0)]
        dataset: String,
        /// `KeyId`: the ARN that the agreement names.
        #[n(1)]
        key_id: String,
        /// `CiphertextBlob`: the manifest's wrapped key.
        #[n(2)]
        #[cbor(with = "minicbor::bytes")]
        ciphertext_blob: Vec<u8>,
        /// `EncryptionContext`, in the order of PROTOCOL §5. It is public.
        #[n(3)]
        #[cbor(with = "bounded")]
        encryption_context: Vec<ContextEntry>,
        /// `Recipient.AttestationDocument`.
        #[n(4)]
        #[cbor(with = "minicbor::bytes")]
        attestation_document: Vec<u8>,
    },
    /// The digests of all pieces of a sealed file. Answer: [`Answer::ChunkDigests`].
    #[n(2)]
    ChunkDigests {
        /// The dataset's name.
        #[n(0)]
        dataset: String,
    },
    /// One piece of a sealed file. Answer: [`Answer::Chunk`].
    #[n(3)]
    Chunk {
        /// The dataset's name.
        #[n(0)]
        dataset: String,
        /// The piece, from 0.
        #[n(1)]
        index: u64,
    },
    /// A result file begins. Answer to this and to all that follow: [`Answer::Taken`].
    #[n(4)]
    Deliver {
        /// The file's name, `OUTPUT.RECIPIENT.age`.
        #[n(0)]
        name: String,
        /// Its size in bytes.
        #[n(1)]
        size: u64,
    },
    /// The next bytes of the file that was begun, at most [`MAX_PIECE`].
    #[n(5)]
    DeliverPiece {
        /// The bytes.
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
    /// The receipt.
    #[n(6)]
    DeliverReceipt {
        /// The receipt's bytes.
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
    /// Everything has been handed out; the enclave ends. A host shows no result before this.
    #[n(7)]
    Finished,
    /// The enclave gives up. It ends without waiting for an answer.
    #[n(8)]
    Halted {
        /// The only word about why.
        #[n(0)]
        code: ErrorCode,
    },
}

/// An answer of the host.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// To [`Ask::Documents`].
    #[n(0)]
    Documents(#[n(0)] Box<Documents>),
    /// To [`Ask::ReleaseKey`].
    #[n(1)]
    Key {
        /// `CiphertextForRecipient` as the key service gave it; empty when it refused or could not be reached.
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        ciphertext_for_recipient: Vec<u8>,
    },
    /// To [`Ask::ChunkDigests`].
    #[n(2)]
    ChunkDigests {
        /// The SHA-384 of each piece, one after the other, 48 bytes each.
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        digests: Vec<u8>,
    },
    /// To [`Ask::Chunk`].
    #[n(3)]
    Chunk {
        /// The piece, at most [`MAX_PIECE`] bytes.
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
    /// To everything that is handed out.
    #[n(4)]
    Taken,
}

/// The public documents of a job: files exactly as their owners signed them, and the signatures.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Documents {
    /// The agreement's bytes.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub agreement: Vec<u8>,
    /// Each party's signature on the agreement.
    #[n(1)]
    #[cbor(with = "bounded")]
    pub approvals: Vec<PartySignature>,
    /// The name of the analysis to run.
    #[n(2)]
    pub analysis: String,
    /// The input set's bytes.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub inputs: Vec<u8>,
    /// Each owner's signature on the input set.
    #[n(4)]
    #[cbor(with = "bounded")]
    pub input_signatures: Vec<PartySignature>,
    /// The manifest of each present dataset.
    #[n(5)]
    #[cbor(with = "bounded")]
    pub manifests: Vec<SignedManifest>,
    /// The request, if the analysis takes one.
    #[n(6)]
    pub request: Option<SignedRequest>,
}

/// One party's signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PartySignature {
    /// The party's name in the agreement.
    #[n(0)]
    pub party: String,
    /// SSHSIG, armored.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub armored: Vec<u8>,
}

/// The manifest of one dataset and its owner's signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedManifest {
    /// The dataset's name.
    #[n(0)]
    pub dataset: String,
    /// The manifest's bytes.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// SSHSIG of the owner, armored.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub armored: Vec<u8>,
}

/// A request and its signatures.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedRequest {
    /// The request's bytes.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// The runner's signature, and the owners' where the agreement asks for them.
    #[n(1)]
    #[cbor(with = "bounded")]
    pub signatures: Vec<PartySignature>,
}

/// An entry of a KMS encryption context.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ContextEntry {
    /// The key.
    #[n(0)]
    pub key: String,
    /// The value.
    #[n(1)]
    pub value: String,
}

/// The only words about a failure that leave an enclave (PROTOCOL §10). None depends on data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum ErrorCode {
    /// The agreement, its approvals, or the analysis asked for.
    #[n(0)]
    AgreementRefused,
    /// The input set, a manifest, the request or a signature on one of them.
    #[n(1)]
    InputsRefused,
    /// The enclave's own attestation: root, measurements, registers, time.
    #[n(2)]
    AttestationRefused,
    /// A key did not come, whatever the reason.
    #[n(3)]
    KeyRefused,
    /// The host's bytes are not the sealed file that the owner signed.
    #[n(4)]
    CiphertextRefused,
    /// A defect, the same for all.
    #[n(5)]
    RunFailed,
}

impl ErrorCode {
    /// All codes.
    pub const ALL: [Self; 6] = [
        Self::AgreementRefused,
        Self::InputsRefused,
        Self::AttestationRefused,
        Self::KeyRefused,
        Self::CiphertextRefused,
        Self::RunFailed,
    ];

    /// The code's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgreementRefused => "AgreementRefused",
            Self::InputsRefused => "InputsRefused",
            Self::AttestationRefused => "AttestationRefused",
            Self::KeyRefused => "KeyRefused",
            Self::CiphertextRefused => "CiphertextRefused",
            Self::RunFailed => "RunFailed",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ErrorCode {
    type Err = UnknownErrorCode;

    fn from_str(text: &str) -> Result<Self, UnknownErrorCode> {
        Self::ALL.into_iter().find(|code| code.as_str() == text).ok_or(UnknownErrorCode)
    }
}

/// A text names no [`ErrorCode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not one of the six codes of an enclave")]
pub struct UnknownErrorCode;

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MessageError {
    /// Longer than any message of its kind.
    #[error("message of {found} bytes; at most {limit} are allowed")]
    TooLong {
        /// Its length.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// Not CBOR of a message's shape, or a list of more than [`MAX_LIST`] entries.
    #[error("not a message (at byte {at})")]
    Malformed {
        /// Where reading stopped.
        at: usize,
    },
    /// A piece of more than [`MAX_PIECE`] bytes.
    #[error("piece of {found} bytes; at most {MAX_PIECE} are allowed")]
    PieceTooLong {
        /// Its length.
        found: usize,
    },
    /// Another encoding of a message than its one encoding, or bytes after it.
    #[error("a message in another encoding than its own")]
    OtherEncoding,
}

impl Ask {
    /// The question's bytes.
    ///
    /// # Errors
    /// [`MessageError::TooLong`], [`MessageError::PieceTooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        check_piece(self.piece())?;
        encode(self, MAX_ASK)
    }

    /// Reads a question.
    ///
    /// # Errors
    /// A [`MessageError`] for everything that is not exactly one question.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let ask: Self = decode(bytes, MAX_ASK)?;
        check_piece(ask.piece())?;
        Ok(ask)
    }

    /// Bytes of the longest message that can be an answer to this question.
    #[must_use]
    pub fn answer_limit(&self) -> usize {
        match self {
            Self::Documents | Self::ChunkDigests { .. } => MAX_ANSWER,
            // KMS: CiphertextForRecipient has at most 6144 bytes.
            Self::ReleaseKey { .. } => 6144 + 64,
            Self::Chunk { .. } => MAX_PIECE + 64,
            Self::Deliver { .. } | Self::DeliverPiece { .. } | Self::DeliverReceipt { .. } => 16,
            Self::Finished | Self::Halted { .. } => 16,
        }
    }

    fn piece(&self) -> &[u8] {
        match self {
            Self::DeliverPiece { bytes } => bytes,
            _ => &[],
        }
    }
}

impl Answer {
    /// The answer's bytes.
    ///
    /// # Errors
    /// [`MessageError::TooLong`], [`MessageError::PieceTooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        check_piece(self.piece())?;
        encode(self, MAX_ANSWER)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// A [`MessageError`] for everything that is not exactly one answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let answer: Self = decode(bytes, MAX_ANSWER)?;
        check_piece(answer.piece())?;
        Ok(answer)
    }

    fn piece(&self) -> &[u8] {
        match self {
            Self::Chunk { bytes } => bytes,
            _ => &[],
        }
    }
}

fn check_piece(piece: &[u8]) -> Result<(), MessageError> {
    match piece.len() {
        found if found > MAX_PIECE => Err(MessageError::PieceTooLong { found }),
        _ => Ok(()),
    }
}

fn encode<M: Encode<()>>(message: &M, limit: usize) -> Result<Vec<u8>, MessageError> {
    // Writing into a Vec cannot fail.
    let bytes = minicbor::to_vec(message).map_err(|_| MessageError::Malformed { at: 0 })?;
    match bytes.len() {
        found if found > limit => Err(MessageError::TooLong { found, limit }),
        _ => Ok(bytes),
    }
}

fn decode<'b, M: Decode<'b, ()> + Encode<()>>(bytes: &'b [u8], limit: usize) -> Result<M, MessageError> {
    if bytes.len() > limit {
        return Err(MessageError::TooLong { found: bytes.len(), limit });
    }
    let mut decoder = minicbor::Decoder::new(bytes);
    let message: M = decoder
        .decode()
        .map_err(|error| MessageError::Malformed { at: error.position().unwrap_or_default() })?;
    if encode(&message, limit)? != bytes {
        return Err(MessageError::OtherEncoding);
    }
    Ok(message)
}

/// Lists of at most [`MAX_LIST`] entries: an entry takes many times its encoded size in memory, so that the limit on a message's
/// bytes alone would let it grow to hundreds of megabytes.
mod bounded {
    use minicbor::decode::{Decode, Decoder};
    use minicbor::encode::{Encode, Encoder, Write};

    use super::MAX_LIST;

    pub(super) fn encode<C, T: Encode<C>, W: Write>(
        list: &[T],
        e: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        list.encode(e, context)
    }

    pub(super) fn decode<'b, C, T: Decode<'b, C>>(
        d: &mut Decoder<'b>,
        context: &mut C,
    ) -> Result<Vec<T>, minicbor::decode::Error> {
        let at = d.position();
        let count = match d.array()? {
            Some(count) if count <= MAX_LIST => count,
            _ => return Err(minicbor::decode::Error::message("not a list of allowed length").at(at)),
        };
        (0..count).map(|_| T::decode(d, context)).collect()
    }
}

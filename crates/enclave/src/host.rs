//! What the enclave asks its host, question by question. Whatever comes back that is not an answer to the question is
//! [`NoAnswer`]; what that means depends on who asks.

use std::io::{Read, Write};

use entente_channel::{Answer, Ask, ContextEntry, Documents, EnclaveEnd, ErrorCode, MAX_PIECE, TalkError};

/// The host did not answer the question that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The bytes did not come, or are no message.
    #[error(transparent)]
    Talk(#[from] TalkError),
    /// An answer to another question.
    #[error("the host answered another question")]
    OtherQuestion,
}

/// The connection with the host.
#[derive(Debug)]
pub struct Host<C> {
    end: EnclaveEnd<C>,
}

impl<C: Read + Write> Host<C> {
    /// The host at the other end of this connection.
    pub fn new(connection: C) -> Self {
        Self { end: EnclaveEnd::new(connection) }
    }

    pub(crate) fn documents(&mut self) -> Result<Documents, NoAnswer> {
        match self.end.ask(&Ask::Documents)? {
            Answer::Documents(documents) => Ok(*documents),
            _ => Err(NoAnswer::OtherQuestion),
        }
    }

    pub(crate) fn key(&mut self, question: &KeyQuestion) -> Result<Vec<u8>, NoAnswer> {
        let entry =
            |(key, value): &(&str, String)| ContextEntry { key: (*key).to_owned(), value: value.clone() };
        let ask = Ask::ReleaseKey {
            dataset: question.dataset.clone(),
            key_id: question.key_id.clone(),
            ciphertext_blob: question.ciphertext_blob.clone(),
            encryption_context: question.encryption_context.iter().map(entry).collect(),
            attestation_document: question.attestation_document.clone(),
        };
        match self.end.ask(&ask)? {
            Answer::Key { ciphertext_for_recipient } => Ok(ciphertext_for_recipient),
            _ => Err(NoAnswer::OtherQuestion),
        }
    }

    pub(crate) fn chunk_digests(&mut self, dataset: &str) -> Result<Vec<u8>, NoAnswer> {
        match self.end.ask(&Ask::ChunkDigests { dataset: dataset.to_owned() })? {
            Answer::ChunkDigests { digests } => Ok(digests),
            _ => Err(NoAnswer::OtherQuestion),
        }
    }

    pub(crate) fn chunk(&mut self, dataset: &str, index: u64) -> Result<Vec<u8>, NoAnswer> {
        match self.end.ask(&Ask::Chunk { dataset: dataset.to_owned(), index })? {
            Answer::Chunk { bytes } => Ok(bytes),
            _ => Err(NoAnswer::OtherQuestion),
        }
    }

    /// Hands out one result file, in pieces.
    pub(crate) fn deliver(&mut self, name: &str, bytes: &[u8]) -> Result<(), NoAnswer> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.taken(&Ask::Deliver { name: name.to_owned(), size })?;
        bytes.chunks(MAX_PIECE).try_for_each(|piece| self.taken(&Ask::DeliverPiece { bytes: piece.to_vec() }))
    }

    pub(crate) fn deliver_receipt(&mut self, bytes: Vec<u8>) -> Result<(), NoAnswer> {
        self.taken(&Ask::DeliverReceipt { bytes })
    }

    pub(crate) fn finished(&mut self) -> Result<(), NoAnswer> {
        self.taken(&Ask::Finished)
    }

    /// The last word of a life that failed. Nobody waits for an answer, and nothing can be done if it is not heard.
    pub(crate) fn halted(&mut self, code: ErrorCode) {
        let _ = self.end.tell(&Ask::Halted { code });
    }

    fn taken(&mut self, ask: &Ask) -> Result<(), NoAnswer> {
        match self.end.ask(ask)? {
            Answer::Taken => Ok(()),
            _ => Err(NoAnswer::OtherQuestion),
        }
    }
}

/// KMS `Decrypt` for one dataset.
pub(crate) struct KeyQuestion {
    pub(crate) dataset: String,
    pub(crate) key_id: String,
    pub(crate) ciphertext_blob: Vec<u8>,
    pub(crate) encryption_context: [(&'static str, String); 3],
    pub(crate) attestation_document: Vec<u8>,
}

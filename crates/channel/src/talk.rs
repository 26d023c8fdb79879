//! The two ends of the job protocol, blocking.

use std::io::{Read, Write};

use thiserror::Error;

use crate::frame::{self, FrameError};
use crate::message::{Answer, Ask, MAX_ANSWER, MAX_ASK, MessageError};

/// Why a conversation cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TalkError {
    /// The bytes did not come or go.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The bytes are no message.
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// The enclave's end: it asks.
#[derive(Debug)]
pub struct EnclaveEnd<S> {
    stream: S,
}

impl<S: Read + Write> EnclaveEnd<S> {
    /// The end that holds this stream.
    pub fn new(stream: S) -> Self {
        Self { stream }
    }

    /// Asks, waits, and returns the answer, whatever kind it is.
    ///
    /// # Errors
    /// A [`TalkError`]; then nothing more can be asked.
    pub fn ask(&mut self, question: &Ask) -> Result<Answer, TalkError> {
        self.tell(question)?;
        Ok(Answer::decode(&frame::read(&mut self.stream, question.answer_limit())?)?)
    }

    /// Says something without waiting for an answer ([`Ask::Halted`]).
    ///
    /// # Errors
    /// A [`TalkError`].
    pub fn tell(&mut self, question: &Ask) -> Result<(), TalkError> {
        Ok(frame::write(&mut self.stream, &question.encode()?, MAX_ASK)?)
    }
}

/// The host's end: it answers.
#[derive(Debug)]
pub struct HostEnd<S> {
    stream: S,
}

impl<S: Read + Write> HostEnd<S> {
    /// The end that holds this stream.
    pub fn new(stream: S) -> Self {
        Self { stream }
    }

    /// Waits for the next question.
    ///
    /// # Errors
    /// A [`TalkError`]; [`FrameError::Closed`] when the enclave has ended.
    pub fn question(&mut self) -> Result<Ask, TalkError> {
        Ok(Ask::decode(&frame::read(&mut self.stream, MAX_ASK)?)?)
    }

    /// Answers it.
    ///
    /// # Errors
    /// A [`TalkError`].
    pub fn answer(&mut self, answer: &Answer) -> Result<(), TalkError> {
        Ok(frame::write(&mut self.stream, &answer.encode()?, MAX_ANSWER)?)
    }
}

//! Exceptions by AWS's names: what a client sees, and no more.

use serde_json::json;

/// An answer that refuses, as AWS KMS words it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{exception}: {message}")]
pub(crate) struct KmsError {
    exception: &'static str,
    status: u16,
    message: String,
}

impl KmsError {
    /// A client's mistake, HTTP 400.
    pub(crate) fn new(exception: &'static str, message: impl Into<String>) -> Self {
        Self { exception, status: 400, message: message.into() }
    }

    /// A fault of ours, HTTP 500. The cause goes to the log.
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self { exception: "KMSInternalException", status: 500, message: String::new() }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    pub(crate) fn serialization(message: impl Into<String>) -> Self {
        Self::new("SerializationException", message)
    }

    pub(crate) fn invalid_ciphertext() -> Self {
        Self::new("InvalidCiphertextException", "")
    }

    pub(crate) fn unknown_operation() -> Self {
        Self::new("UnknownOperationException", "")
    }

    pub(crate) const fn exception(&self) -> &'static str {
        self.exception
    }

    pub(crate) const fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let body = if self.message.is_empty() {
            json!({ "__type": self.exception })
        } else {
            json!({ "__type": self.exception, "message": self.message })
        };
        body.to_string().into_bytes()
    }
}

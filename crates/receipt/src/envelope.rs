//! The DSSE envelope (secure-systems-lab/dsse, envelope.md and protocol.md, version 1).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use entente_attestation::{Digest384, Limits, ParseError, SignedDocument};
use serde::{Deserialize, Serialize};

use crate::statement::{STATEMENT_MOST, Statement, StatementError};

/// in-toto statements in JSON.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// PROTOCOL §8.
const KEY_ID: &str = "nitro-attestation";
/// A statement and a document at their largest, in base64, with room for the envelope.
const RECEIPT_MOST: usize = (STATEMENT_MOST + Limits::HARDWARE.document) / 3 * 4 + 1024;

/// A receipt that has the right form: a statement, and an attestation document in place of a signature. Whether the one
/// vouches for the other is for [`verify`](crate::verify()).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    bytes: Vec<u8>,
    statement: Statement,
    document: SignedDocument,
}

impl Receipt {
    /// Puts a statement and the document that was made for it (with [`Statement::user_data`]) into an envelope.
    ///
    /// # Errors
    /// [`ReceiptError::Document`] if the document is not one. Whether it was made for this statement is not checked here.
    pub fn assemble(statement: &Statement, document: &[u8]) -> Result<Self, ReceiptError> {
        let json = EnvelopeJson {
            payload: STANDARD.encode(statement.bytes()),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![SignatureJson { keyid: KEY_ID.to_owned(), sig: STANDARD.encode(document) }],
        };
        let bytes = serde_json::to_vec(&json).map_err(|error| ReceiptError::from_json(&error))?;
        Self::parse(&bytes)
    }

    /// Reads a receipt: a DSSE envelope of one statement and one attestation document, JSON without unknown, missing or
    /// duplicate members, base64 of RFC 4648, section 4, with padding.
    ///
    /// # Errors
    /// [`ReceiptError`], the first thing that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > RECEIPT_MOST {
            return Err(ReceiptError::TooLong { limit: RECEIPT_MOST, found: bytes.len() });
        }
        let json: EnvelopeJson =
            serde_json::from_slice(bytes).map_err(|error| ReceiptError::from_json(&error))?;
        if json.payload_type != PAYLOAD_TYPE {
            return Err(ReceiptError::PayloadType { found: json.payload_type });
        }
        let [SignatureJson { keyid, sig }] = json.signatures.as_slice() else {
            return Err(ReceiptError::SignatureCount { found: json.signatures.len() });
        };
        if keyid != KEY_ID {
            return Err(ReceiptError::KeyId { found: keyid.clone() });
        }
        let payload = STANDARD.decode(&json.payload).map_err(|_| ReceiptError::PayloadBase64)?;
        let document = STANDARD.decode(sig).map_err(|_| ReceiptError::SignatureBase64)?;
        Ok(Self {
            bytes: bytes.to_vec(),
            statement: Statement::parse(&payload)?,
            document: SignedDocument::parse(&document)?,
        })
    }

    /// The exact bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is stated; not verified.
    #[must_use]
    pub fn statement_unverified(&self) -> &Statement {
        &self.statement
    }

    /// The document; not verified.
    #[must_use]
    pub fn document_unverified(&self) -> &SignedDocument {
        &self.document
    }

    pub(crate) fn into_parts(self) -> (Statement, SignedDocument) {
        (self.statement, self.document)
    }
}

/// SHA-384 of the pre-authentication encoding of DSSE: `DSSEv1 SP len(type) SP type SP len(body) SP body`.
pub(crate) fn pae_digest(body: &[u8]) -> Digest384 {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), body.len());
    Digest384::of_parts(&[head.as_bytes(), body])
}

/// Why bytes are not a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Longer than any receipt.
    #[error("{found} bytes; a receipt has at most {limit}")]
    TooLong {
        /// The most bytes.
        limit: usize,
        /// The length found.
        found: usize,
    },
    /// Not the JSON of a DSSE envelope: malformed, or a member is unknown, missing, there twice or of another type.
    #[error("the envelope, line {line}, column {column}: {reason}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// The reader's words.
        reason: String,
    },
    /// The payload is of another type.
    #[error("payloadType is {found:?}, not {PAYLOAD_TYPE}")]
    PayloadType {
        /// What it is.
        found: String,
    },
    /// Not exactly one signature.
    #[error("{found} signatures; a receipt has one")]
    SignatureCount {
        /// How many.
        found: usize,
    },
    /// The signature is not an attestation document.
    #[error("the signature's keyid is {found:?}, not {KEY_ID}")]
    KeyId {
        /// What it is.
        found: String,
    },
    /// The payload is not base64.
    #[error("the payload is not base64")]
    PayloadBase64,
    /// The signature is not base64.
    #[error("the signature is not base64")]
    SignatureBase64,
    /// The payload is not a statement about a run.
    #[error("the statement: {0}")]
    Statement(#[from] StatementError),
    /// The signature is not an attestation document.
    #[error("the attestation document: {0}")]
    Document(#[from] ParseError),
}

impl ReceiptError {
    fn from_json(error: &serde_json::Error) -> Self {
        Self::Json { line: error.line(), column: error.column(), reason: words_of(error) }
    }
}

/// The reader's words without the position, which stands in fields of its own; foreign characters escaped.
pub(crate) fn words_of(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
    words.escape_debug().to_string()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeJson {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<SignatureJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureJson {
    keyid: String,
    sig: String,
}

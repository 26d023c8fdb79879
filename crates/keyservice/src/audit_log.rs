//! The audit log: one JSON line a request that was authenticated, with CloudTrail's names where it has one. No plaintext, no key, no blob.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Who asked.
#[derive(Debug, Default, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserIdentity {
    pub(crate) arn: String,
    pub(crate) access_key_id: String,
}

/// Which statement decided.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DecisionEntry {
    pub(crate) action: String,
    pub(crate) verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) statement_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) statement_sid: Option<String>,
}

/// What an attestation document says; all of it is public.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecipientEntry {
    pub(crate) attestation_document_module_id: String,
    pub(crate) attestation_document_timestamp: String,
    /// Registers that are not zero, by CloudTrail's names.
    pub(crate) registers: BTreeMap<String, String>,
}

/// One line.
#[derive(Debug, Default, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub(crate) event_time: String,
    pub(crate) event_name: String,
    #[serde(rename = "requestID")]
    pub(crate) request_id: String,
    pub(crate) user_identity: UserIdentity,
    #[serde(rename = "sourceIPAddress")]
    pub(crate) source_ip_address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encryption_context: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recipient: Option<RecipientEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) decisions: Vec<DecisionEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_code: Option<&'static str>,
}

/// Whether a line must be on disk before the answer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    Buffered,
    Synced,
}

pub(crate) struct AuditLog(Mutex<File>);

impl AuditLog {
    pub(crate) fn open(dir: &Path) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        options.open(dir.join("audit.jsonl")).map(|file| Self(Mutex::new(file)))
    }

    /// Appends a line. If this fails the request must fail.
    pub(crate) fn append(&self, entry: &Entry, durability: Durability) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line)?;
        if durability == Durability::Synced { file.sync_data() } else { Ok(()) }
    }
}

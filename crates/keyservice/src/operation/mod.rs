//! The operations. A new one is an entry in its module's table; a new module is an entry in [`TABLES`].

mod cryptography;
mod keys;
mod policies;

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::blob::Context;
use crate::error::KmsError;
use crate::service::Call;
use crate::store::{KeyRecord, KeyState};

/// What an operation does with an authenticated request: its body in, the answer's body out.
pub(crate) type Run = fn(&mut Call<'_>, &[u8]) -> Result<Vec<u8>, KmsError>;

/// An operation by its name in `X-Amz-Target`.
struct Operation {
    name: &'static str,
    run: Run,
}

const TABLES: &[&[Operation]] = &[keys::OPERATIONS, policies::OPERATIONS, cryptography::OPERATIONS];

pub(crate) fn find(name: &str) -> Option<Run> {
    TABLES.iter().copied().flatten().find(|operation| operation.name == name).map(|operation| operation.run)
}

/// Reads a request's body. Unknown members are ignored, as AWS does.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, KmsError> {
    serde_json::from_slice(body).map_err(|error| KmsError::serialization(error.to_string()))
}

/// Writes an answer's body. It may hold a plaintext, in base64.
fn write(answer: &Value) -> Result<Vec<u8>, KmsError> {
    serde_json::to_vec(answer).map_err(KmsError::internal)
}

fn constraint(member: &str, text: impl std::fmt::Display) -> KmsError {
    KmsError::validation(format!(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: {text}"
    ))
}

fn required<'a>(member: &str, value: Option<&'a str>) -> Result<&'a str, KmsError> {
    value.ok_or_else(|| constraint(member, "Member must not be null"))
}

/// Decodes a required member of base64 text whose length in bytes is bounded.
pub(crate) fn base64_member(
    member: &str,
    value: Option<&str>,
    length: RangeInclusive<usize>,
) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    let text = required(member, value)?;
    let bytes = Zeroizing::new(
        STANDARD.decode(text).map_err(|_| KmsError::serialization(format!("{member} is not base64")))?,
    );
    if bytes.len() < *length.start() {
        return Err(constraint(
            member,
            format_args!("Member must have length greater than or equal to {}", length.start()),
        ));
    }
    if bytes.len() > *length.end() {
        return Err(constraint(
            member,
            format_args!("Member must have length less than or equal to {}", length.end()),
        ));
    }
    Ok(bytes)
}

/// Base64 for an answer.
fn encoded(bytes: &[u8]) -> Value {
    json!(STANDARD.encode(bytes))
}

/// Names and values together, in bytes: what AWS documents for an encryption context.
const MAX_CONTEXT: usize = 8192;

/// Checks a context and puts it into the log: it is public (PROTOCOL.md §5).
fn take_context(call: &mut Call<'_>, context: Option<Context>) -> Result<Context, KmsError> {
    let context = context.unwrap_or_default();
    let length: usize = context.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum();
    if length > MAX_CONTEXT {
        return Err(constraint(
            "encryptionContext",
            format_args!("Member must not be longer than {MAX_CONTEXT}"),
        ));
    }
    if context.keys().any(String::is_empty) {
        return Err(constraint("encryptionContext", "Map keys must not be empty"));
    }
    call.entry.encryption_context = (!context.is_empty()).then(|| context.clone());
    Ok(context)
}

/// After a request was allowed: it asked only whether it would be.
fn stop_dry_run(dry_run: Option<bool>) -> Result<(), KmsError> {
    if dry_run == Some(true) {
        return Err(KmsError::new(
            "DryRunOperationException",
            "The request would have succeeded, but the DryRun option is set.",
        ));
    }
    Ok(())
}

/// Cryptographic operations want an enabled key.
fn require_enabled(key: &KeyRecord, arn: &str) -> Result<(), KmsError> {
    match key.state {
        KeyState::Enabled => Ok(()),
        KeyState::Disabled => Err(KmsError::new("DisabledException", format!("{arn} is disabled."))),
        KeyState::PendingDeletion => {
            Err(KmsError::new("KMSInvalidStateException", format!("{arn} is pending deletion.")))
        }
    }
}

//! Keys: making, describing, listing, switching on and off, deleting.

use entente_release::policy::{Action, KeyPolicy};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Operation, constraint, read, required, stop_dry_run, write};
use crate::error::KmsError;
use crate::service::{Call, Circumstances};
use crate::store::{KeyRecord, KeyState, random};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation { name: "CreateKey", run: create_key },
    Operation { name: "DescribeKey", run: describe_key },
    Operation { name: "ListKeys", run: list_keys },
    Operation {
        name: "EnableKey",
        run: |call, body| switch(call, body, Action::EnableKey, KeyState::Enabled),
    },
    Operation {
        name: "DisableKey",
        run: |call, body| switch(call, body, Action::DisableKey, KeyState::Disabled),
    },
    Operation { name: "ScheduleKeyDeletion", run: schedule_key_deletion },
    Operation { name: "CancelKeyDeletion", run: cancel_key_deletion },
];

const MILLIS_PER_DAY: u64 = 86_400_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateKey {
    policy: Option<String>,
    description: Option<String>,
    key_usage: Option<String>,
    key_spec: Option<String>,
    customer_master_key_spec: Option<String>,
    origin: Option<String>,
    multi_region: Option<bool>,
    tags: Option<Vec<Value>>,
    bypass_policy_lockout_safety_check: Option<bool>,
}

fn create_key(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, KmsError> {
    let request: CreateKey = read(body)?;
    call.authorize_root(Action::CreateKey)?;
    let unsupported = |what: &str| {
        KmsError::new(
            "UnsupportedOperationException",
            format!("{what} is not supported by this key service."),
        )
    };
    let spec = request.key_spec.or(request.customer_master_key_spec);
    if spec.is_some_and(|spec| spec != "SYMMETRIC_DEFAULT") {
        return Err(unsupported("A KeySpec other than SYMMETRIC_DEFAULT"));
    }
    if request.key_usage.is_some_and(|usage| usage != "ENCRYPT_DECRYPT") {
        return Err(unsupported("A KeyUsage other than ENCRYPT_DECRYPT"));
    }
    if request.origin.is_some_and(|origin| origin != "AWS_KMS") {
        return Err(unsupported("An Origin other than AWS_KMS"));
    }
    if request.multi_region == Some(true) {
        return Err(unsupported("A multi-Region key"));
    }
    if request.tags.is_some_and(|tags| !tags.is_empty()) {
        return Err(unsupported("A tag"));
    }
    let description = request.description.unwrap_or_default();
    if description.chars().count() > 8192 {
        return Err(constraint("description", "Member must have length less than or equal to 8192"));
    }

    let id = new_key_id()?;
    let arn = call.service.key_arn(&id)?;
    let policy = match request.policy {
        None => KeyPolicy::for_owner(call.service.root_user()).map_err(KmsError::internal)?.to_json(),
        Some(text) => {
            let policy = KeyPolicy::parse(&text)
                .map_err(|error| KmsError::new("MalformedPolicyDocumentException", error.to_string()))?;
            if request.bypass_policy_lockout_safety_check != Some(true) {
                call.check_lockout(&policy, &arn)?;
            }
            text
        }
    };
    let record = KeyRecord {
        materials: vec![call.service.store.new_material(&id, 0).map_err(KmsError::internal)?],
        id,
        created: call.now.as_millis(),
        description,
        state: KeyState::Enabled,
        deletion: None,
        policy,
    };
    call.service.store.insert_key(&record).map_err(KmsError::internal)?;
    call.entry.key_id = Some(arn.to_string());
    write(&json!({ "KeyMetadata": metadata(call, &record)? }))
}

/// RFC 9562 §5.4: a random UUID.
fn new_key_id() -> Result<String, KmsError> {
    let mut bytes: [u8; 16] = random().map_err(KmsError::internal)?;
    if let Some(byte) = bytes.get_mut(6) {
        *byte = (*byte & 0x0f) | 0x40;
    }
    if let Some(byte) = bytes.get_mut(8) {
        *byte = (*byte & 0x3f) | 0x80;
    }
    let digits = hex::encode(bytes);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    Ok(format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)))
}

/// Times in answers are seconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay below 2^53 for 285,000 years")]
fn seconds(millis: u64) -> Value {
    json!(millis as f64 / 1000.0)
}

fn metadata(call: &Call<'_>, record: &KeyRecord) -> Result<Value, KmsError> {
    let state = match record.state {
        KeyState::Enabled => "Enabled",
        KeyState::Disabled => "Disabled",
        KeyState::PendingDeletion => "PendingDeletion",
    };
    let mut metadata = json!({
        "AWSAccountId": call.service.account(),
        "KeyId": record.id,
        "Arn": call.service.key_arn(&record.id)?.as_str(),
        "CreationDate": seconds(record.created),
        "Enabled": record.state == KeyState::Enabled,
        "Description": record.description,
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": state,
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": false,
    });
    if let (Some(at), Some(object)) = (record.deletion, metadata.as_object_mut()) {
        object.insert("DeletionDate".to_owned(), seconds(at));
    }
    Ok(metadata)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneKey {
    key_id: Option<String>,
    dry_run: Option<bool>,
    pending_window_in_days: Option<u64>,
}

/// Finds the key and asks its policy.
fn one_key(
    call: &mut Call<'_>,
    request: &OneKey,
    action: Action,
    facts: &[(&str, &str)],
) -> Result<KeyRecord, KmsError> {
    let record = call.find_key(required("keyId", request.key_id.as_deref())?)?;
    call.authorize(action, &record, &Circumstances { facts, ..Circumstances::default() })?;
    stop_dry_run(request.dry_run)?;
    Ok(record)
}

fn describe_key(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, KmsError> {
    let request: OneKey = read(body)?;
    let record = one_key(call, &request, Action::DescribeKey, &[])?;
    write(&json!({ "KeyMetadata": metadata(call, &record)? }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListKeys {
    limit: Option<usize>,
    marker: Option<String>,
}

fn list_keys(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, KmsError> {
    let request: ListKeys = read(body)?;
    call.authorize_root(Action::ListKeys)?;
    let limit = request.limit.unwrap_or(100);
    if !(1..=1000).contains(&limit) {
        return Err(constraint("limit", "Member must be between 1 and 1000"));
    }
    let after = request.marker.unwrap_or_default();
    let mut ids = call.service.store.key_ids(&after, limit.saturating_add(1)).map_err(KmsError::internal)?;
    let truncated = ids.len() > limit;
    ids.truncate(limit);
    let keys = ids
        .iter()
        .map(|id| Ok(json!({ "KeyId": id, "KeyArn": call.service.key_arn(id)?.as_str() })))
        .collect::<Result<Vec<_>, KmsError>>()?;
    let mut answer = json!({ "Keys": keys, "Truncated": truncated });
    if let (true, Some(last), Some(object)) = (truncated, ids.last(), answer.as_object_mut()) {
        object.insert("NextMarker".to_owned(), json!(last));
    }
    write(&answer)
}

/// Changes a key's state if its present one allows it.
fn change_state(
    call: &Call<'_>,
    id: &str,
    change: impl FnOnce(&mut KeyRecord) -> bool,
) -> Result<(), KmsError> {
    let arn = call.service.key_arn(id)?;
    let changed =
        call.service.store.change_key(id, |record| if change(record) { Ok(()) } else { Err(record.state) });
    match changed.map_err(KmsError::internal)? {
        Some(Ok(())) => Ok(()),
        Some(Err(state)) => {
            let words = match state {
                KeyState::PendingDeletion => "is pending deletion",
                KeyState::Enabled | KeyState::Disabled => "is not pending deletion",
            };
            Err(KmsError::new("KMSInvalidStateException", format!("{arn} {words}.")))
        }
        None => Err(KmsError::new("NotFoundException", format!("Key '{arn}' does not exist"))),
    }
}

fn switch(call: &mut Call<'_>, body: &[u8], action: Action, to: KeyState) -> Result<Vec<u8>, KmsError> {
    let request: OneKey = read(body)?;
    let record = one_key(call, &request, action, &[])?;
    change_state(call, &record.id, |record| {
        let allowed = record.state != KeyState::PendingDeletion;
        if allowed {
            record.state = to;
        }
        allowed
    })?;
    Ok(Vec::new())
}

fn schedule_key_deletion(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, KmsError> {
    let request: OneKey = read(body)?;
    let days = request.pending_window_in_days.unwrap_or(30);
    if !(7..=30).contains(&days) {
        return Err(KmsError::validation("PendingWindowInDays must be between 7 and 30"));
    }
    let window = days.to_string();
    let facts = [("kms:ScheduleKeyDeletionPendingWindowInDays", window.as_str())];
    let record = one_key(call, &request, Action::ScheduleKeyDeletion, &facts)?;
    let at = call.now.as_millis().saturating_add(days.saturating_mul(MILLIS_PER_DAY));
    change_state(call, &record.id, |record| {
        let allowed = record.state != KeyState::PendingDeletion;
        if allowed {
            record.state = KeyState::PendingDeletion;
            record.deletion = Some(at);
        }
        allowed
    })?;
    write(&json!({
        "KeyId": call.service.key_arn(&record.id)?.as_str(),
        "DeletionDate": seconds(at),
        "KeyState": "PendingDeletion",
        "PendingWindowInDays": days,
    }))
}

fn cancel_key_deletion(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, KmsError> {
    let request: OneKey = read(body)?;
    let record = one_key(call, &request, Action::CancelKeyDeletion, &[])?;
    change_state(call, &record.id, |record| {
        let allowed = record.state == KeyState::PendingDeletion;
        if allowed {
            // As at AWS: the key must be enabled by a call of its own.
            record.state = KeyState::Disabled;
            record.deletion = None;
        }
        allowed
    })?;
    write(&json!({ "KeyId": call.service.key_arn(&record.id)?.as_str() }))
}

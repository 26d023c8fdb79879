//! Key policies: reading and replacing them.

use entente_release::policy::{Action, KeyPolicy};
use serde::Deserialize;
use serde_json::json;

use super::{Operation, constraint, read, required, write};
use crate::error::KmsError;
use crate::service::{Call, Circumstances};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation { name: "GetKeyPolicy", run: get_key_policy },
    Operation { name: "PutKeyPolicy", run: put_key_policy },
    Operation { name: "ListKeyPolicies", run: list_key_policies },
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    key_id: Option<String>,
    policy_name: Option<String>,
    policy: Option<String>,
    bypass_policy_lockout_safety_check: Option<bool>,
}

impl Request {
    /// There is one policy, and its name is `default`.
    fn check_name(&self) -> Result<(), KmsError> {
        match self.policy_name.as_deref() {
            None | Some("default") => Ok(()),
            Some(_) => Err(KmsError::new("NotFoundException", "No such policy exists")),
        }
    }
}

fn get_key_policy(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, KmsError> {
    let request: Request = read(body)?;
    let record = call.find_key(required("keyId", request.key_id.as_deref())?)?;
    call.authorize(Action::GetKeyPolicy, &record, &Circumstances::default())?;
    request.check_name()?;
    write(&json!({ "Policy": record.policy, "PolicyName": "default" }))
}

fn put_key_policy(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, KmsError> {
    let request: Request = read(body)?;
    let record = call.find_key(required("keyId", request.key_id.as_deref())?)?;
    let bypass = request.bypass_policy_lockout_safety_check == Some(true);
    let facts = [("kms:BypassPolicyLockoutSafetyCheck", if bypass { "true" } else { "false" })];
    let circumstances = Circumstances { facts: &facts, ..Circumstances::default() };
    let arn = call.authorize(Action::PutKeyPolicy, &record, &circumstances)?;
    request.check_name()?;
    let text = required("policy", request.policy.as_deref())?;
    if text.is_empty() {
        return Err(constraint("policy", "Member must have length greater than or equal to 1"));
    }
    let policy = KeyPolicy::parse(text)
        .map_err(|error| KmsError::new("MalformedPolicyDocumentException", error.to_string()))?;
    if !bypass {
        call.check_lockout(&policy, &arn)?;
    }
    // As given: what was put is what is got.
    let changed = call.service.store.change_key(&record.id, |record| {
        text.clone_into(&mut record.policy);
        Ok::<(), std::convert::Infallible>(())
    });
    match changed.map_err(KmsError::internal)? {
        Some(Ok(())) => Ok(Vec::new()),
        None => Err(KmsError::new("NotFoundException", format!("Key '{arn}' does not exist"))),
    }
}

fn list_key_policies(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, KmsError> {
    let request: Request = read(body)?;
    let record = call.find_key(required("keyId", request.key_id.as_deref())?)?;
    call.authorize(Action::ListKeyPolicies, &record, &Circumstances::default())?;
    write(&json!({ "PolicyNames": ["default"], "Truncated": false }))
}

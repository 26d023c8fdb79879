//! Encrypting, decrypting, data keys and random bytes; with `Recipient` where AWS has it.

use entente_release::policy::Action;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{
    Operation, base64_member, constraint, encoded, read, require_enabled, required, stop_dry_run,
    take_context, write,
};
use crate::blob::{self, Context, Header};
use crate::error::KmsError;
use crate::ledger::PendingRelease;
use crate::recipient::{Recipient, RecipientInfo};
use crate::service::{Call, Circumstances};
use crate::store::{KeyRecord, random};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation { name: "Encrypt", run: encrypt },
    Operation { name: "Decrypt", run: decrypt },
    Operation { name: "GenerateDataKey", run: generate_data_key },
    Operation { name: "GenerateDataKeyWithoutPlaintext", run: generate_data_key_without_plaintext },
    Operation { name: "GenerateRandom", run: generate_random },
];

const ALGORITHM: &str = "SYMMETRIC_DEFAULT";

/// API reference: `Plaintext` of Encrypt.
const MAX_PLAINTEXT: usize = 4096;

/// API reference: `CiphertextBlob`.
const MAX_BLOB: usize = 6144;

/// API reference: `NumberOfBytes`.
const MAX_RANDOM: usize = 1024;

fn check_algorithm(algorithm: Option<&str>) -> Result<(), KmsError> {
    match algorithm {
        None | Some(ALGORITHM) => Ok(()),
        Some("RSAES_OAEP_SHA_1" | "RSAES_OAEP_SHA_256" | "SM2PKE") => {
            Err(KmsError::new("InvalidKeyUsageException", "The EncryptionAlgorithm does not fit the key."))
        }
        Some(_) => {
            Err(constraint("encryptionAlgorithm", "Member must satisfy enum value set: [SYMMETRIC_DEFAULT]"))
        }
    }
}

fn recipient(call: &mut Call<'_>, info: Option<&RecipientInfo>) -> Result<Option<Recipient>, KmsError> {
    info.map(|info| Recipient::authenticate(call, info)).transpose()
}

/// Debits the ledger, has the log written, and puts the secret into the answer: in the open, or in an envelope for the recipient.
fn hand_out(
    call: &mut Call<'_>,
    answer: &mut Map<String, Value>,
    arn: &str,
    context: Context,
    recipient: Option<&Recipient>,
    plaintext: &[u8],
) -> Result<(), KmsError> {
    let release = PendingRelease {
        key_arn: arn.to_owned(),
        encryption_context: context,
        agreement_register: recipient.and_then(Recipient::agreement_register),
        input_register: recipient.and_then(Recipient::input_register),
        request: recipient.and_then(Recipient::user_data),
        at: call.now,
    };
    call.service
        .ledger
        .debit(&release)
        .map_err(|refusal| KmsError::new("LimitExceededException", refusal.to_string()))?;
    call.audit_release();
    match recipient {
        Some(recipient) => {
            answer.insert("CiphertextForRecipient".to_owned(), encoded(&recipient.envelope(plaintext)?));
        }
        None => {
            answer.insert("Plaintext".to_owned(), encoded(plaintext));
        }
    }
    Ok(())
}

fn seal(call: &Call<'_>, key: &KeyRecord, context: &Context, plaintext: &[u8]) -> Result<Vec<u8>, KmsError> {
    let version = u32::try_from(key.materials.len().saturating_sub(1)).map_err(KmsError::internal)?;
    let material = call
        .service
        .store
        .material(key, version)
        .map_err(KmsError::internal)?
        .ok_or_else(|| KmsError::internal("a key without material"))?;
    let id = uuid_bytes(&key.id).ok_or_else(|| KmsError::internal("a key id that is no UUID"))?;
    let salt = random().map_err(KmsError::internal)?;
    blob::seal(&id, version, &material, &salt, context, plaintext)
        .ok_or_else(|| KmsError::internal("sealing failed"))
}

fn uuid_bytes(id: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(id.replace('-', ""), &mut bytes).ok()?;
    Some(bytes)
}

fn uuid_text(bytes: [u8; 16]) -> String {
    let digits = hex::encode(bytes);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypt {
    key_id: Option<String>,
    #[serde(default, deserialize_with = "secret_text")]
    plaintext: Option<Zeroizing<String>>,
    encryption_context: Option<Context>,
    encryption_algorithm: Option<String>,
    dry_run: Option<bool>,
}

fn secret_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Zeroizing::new))
}

fn encrypt(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, KmsError> {
    let request: Encrypt = read(body)?;
    let name = required("keyId", request.key_id.as_deref())?;
    let plaintext =
        base64_member("plaintext", request.plaintext.as_ref().map(|text| text.as_str()), 1..=MAX_PLAINTEXT)?;
    let context = take_context(call, request.encryption_context)?;
    let key = call.find_key(name)?;
    let facts = [("kms:EncryptionAlgorithm", ALGORITHM)];
    let circumstances = Circumstances { context: Some(&context), facts: &facts, ..Circumstances::default() };
    let arn = call.authorize(Action::Encrypt, &key, &circumstances)?;
    require_enabled(&key, arn.as_str())?;
    check_algorithm(request.encryption_algorithm.as_deref())?;
    stop_dry_run(request.dry_run)?;
    let blob = seal(call, &key, &context, &plaintext)?;
    write(
        &json!({ "CiphertextBlob": encoded(&blob), "KeyId": arn.as_str(), "EncryptionAlgorithm": ALGORITHM }),
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypt {
    ciphertext_blob: Option<String>,
    encryption_context: Option<Context>,
    key_id: Option<String>,
    encryption_algorithm: Option<String>,
    recipient: Option<RecipientInfo>,
    dry_run: Option<bool>,
}

fn decrypt(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, KmsError> {
    let request: Decrypt = read(body)?;
    let blob = base64_member("ciphertextBlob", request.ciphertext_blob.as_deref(), 1..=MAX_BLOB)?;
    let context = take_context(call, request.encryption_context)?;
    let header = Header::parse(&blob).ok_or_else(KmsError::invalid_ciphertext)?;
    let named = uuid_text(header.key);
    let key = match request.key_id.as_deref() {
        Some(name) => call.find_key(name)?,
        // Which keys exist is told to nobody who cannot name one.
        None => call.find_key(&named).map_err(|_| {
            KmsError::new(
                "AccessDeniedException",
                "The ciphertext refers to a customer master key that does not exist, does not exist in this region, \
                 or you are not allowed to access.",
            )
        })?,
    };
    let recipient = recipient(call, request.recipient.as_ref())?;
    let facts = [("kms:EncryptionAlgorithm", ALGORITHM)];
    let circumstances =
        Circumstances { context: Some(&context), recipient: recipient.as_ref(), facts: &facts };
    let arn = call.authorize(Action::Decrypt, &key, &circumstances)?;
    require_enabled(&key, arn.as_str())?;
    check_algorithm(request.encryption_algorithm.as_deref())?;
    if key.id != named {
        return Err(KmsError::new(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        ));
    }
    let material = call
        .service
        .store
        .material(&key, header.version)
        .map_err(KmsError::internal)?
        .ok_or_else(KmsError::invalid_ciphertext)?;
    let plaintext = header.open(&material, &context).ok_or_else(KmsError::invalid_ciphertext)?;
    stop_dry_run(request.dry_run)?;
    let mut answer = Map::new();
    answer.insert("KeyId".to_owned(), json!(arn.as_str()));
    answer.insert("EncryptionAlgorithm".to_owned(), json!(ALGORITHM));
    hand_out(call, &mut answer, arn.as_str(), context, recipient.as_ref(), &plaintext)?;
    write(&Value::Object(answer))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GenerateDataKey {
    key_id: Option<String>,
    encryption_context: Option<Context>,
    key_spec: Option<String>,
    number_of_bytes: Option<usize>,
    recipient: Option<RecipientInfo>,
    dry_run: Option<bool>,
}

impl GenerateDataKey {
    fn length(&self) -> Result<usize, KmsError> {
        match (self.key_spec.as_deref(), self.number_of_bytes) {
            (Some("AES_256"), None) => Ok(32),
            (Some("AES_128"), None) => Ok(16),
            (Some(_), None) => {
                Err(constraint("keySpec", "Member must satisfy enum value set: [AES_256, AES_128]"))
            }
            (None, Some(bytes)) if (1..=MAX_RANDOM).contains(&bytes) => Ok(bytes),
            (None, Some(_)) => Err(constraint("numberOfBytes", "Member must be between 1 and 1024")),
            _ => Err(KmsError::validation("Please specify either number of bytes or key spec.")),
        }
    }
}

fn random_bytes(length: usize) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    let mut bytes = Zeroizing::new(vec![0; length]);
    getrandom::fill(&mut bytes).map_err(KmsError::internal)?;
    Ok(bytes)
}

/// The allowed request's key, its ARN and a fresh data key.
struct DataKey {
    arn: String,
    blob: Vec<u8>,
    context: Context,
    plaintext: Zeroizing<Vec<u8>>,
    recipient: Option<Recipient>,
}

fn data_key(call: &mut Call<'_>, request: GenerateDataKey, action: Action) -> Result<DataKey, KmsError> {
    let length = request.length()?;
    let name = required("keyId", request.key_id.as_deref())?;
    let key = call.find_key(name)?;
    // Only GenerateDataKey takes a recipient; elsewhere the member means nothing.
    let info = request.recipient.as_ref().filter(|_| action.accepts_recipient());
    let recipient = recipient(call, info)?;
    let context = take_context(call, request.encryption_context)?;
    let facts = [("kms:EncryptionAlgorithm", ALGORITHM)];
    let circumstances =
        Circumstances { context: Some(&context), recipient: recipient.as_ref(), facts: &facts };
    let arn = call.authorize(action, &key, &circumstances)?;
    require_enabled(&key, arn.as_str())?;
    stop_dry_run(request.dry_run)?;
    let plaintext = random_bytes(length)?;
    let blob = seal(call, &key, &context, &plaintext)?;
    Ok(DataKey { arn: arn.to_string(), blob, context, plaintext, recipient })
}

fn generate_data_key(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, KmsError> {
    let made = data_key(call, read(body)?, Action::GenerateDataKey)?;
    let mut answer = Map::new();
    answer.insert("KeyId".to_owned(), json!(made.arn));
    answer.insert("CiphertextBlob".to_owned(), encoded(&made.blob));
    hand_out(call, &mut answer, &made.arn, made.context, made.recipient.as_ref(), &made.plaintext)?;
    write(&Value::Object(answer))
}

fn generate_data_key_without_plaintext(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, KmsError> {
    let made = data_key(call, read(body)?, Action::GenerateDataKeyWithoutPlaintext)?;
    write(&json!({ "KeyId": made.arn, "CiphertextBlob": encoded(&made.blob) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GenerateRandom {
    number_of_bytes: Option<usize>,
    recipient: Option<RecipientInfo>,
}

fn generate_random(call: &mut Call<'_>, body: &[u8]) -> Result<Vec<u8>, KmsError> {
    let request: GenerateRandom = read(body)?;
    let length = request
        .number_of_bytes
        .filter(|length| (1..=MAX_RANDOM).contains(length))
        .ok_or_else(|| constraint("numberOfBytes", "Member must be between 1 and 1024"))?;
    let recipient = recipient(call, request.recipient.as_ref())?;
    call.authorize_root(Action::GenerateRandom)?;
    let bytes = random_bytes(length)?;
    let answer = match &recipient {
        Some(recipient) => json!({ "CiphertextForRecipient": encoded(&recipient.envelope(&bytes)?) }),
        None => json!({ "Plaintext": encoded(&bytes) }),
    };
    write(&answer)
}

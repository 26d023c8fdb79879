//! Key material inside a sealed table: the JSON that Parquet's key-management tools define ("PKMT1"), as PyArrow, Spark and
//! parquet-key-management write it: a data key, wrapped by a key-encryption key, wrapped by the parquet key of PROTOCOL §2.
//!
//! Read strictly: internal storage, double wrapping, the dataset's name as master key id, instance id and URL `DEFAULT`. The
//! crate parquet-key-management was not taken: it fixes all keys at 128 bits and keeps unwrapped keys in a cache that is
//! not wiped (docs/decisions/0010).

use crate::key::{RandomnessFailed, SealingKeys, fill_random};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Longest key material that is read: the five base64 and text fields take less than 600 bytes.
const MATERIAL_LIMIT: usize = 4096;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Material {
    key_material_type: String,
    internal_storage: bool,
    is_footer_key: bool,
    #[serde(rename = "kmsInstanceID")]
    kms_instance_id: String,
    #[serde(rename = "kmsInstanceURL")]
    kms_instance_url: String,
    #[serde(rename = "masterKeyID")]
    master_key_id: String,
    #[serde(rename = "wrappedDEK")]
    wrapped_dek: String,
    double_wrapping: bool,
    #[serde(rename = "keyEncryptionKeyID")]
    key_encryption_key_id: String,
    #[serde(rename = "wrappedKEK")]
    wrapped_kek: String,
}

/// A fresh data key of a table, and the material that goes into the file beside it.
pub(crate) struct WrappedDataKey {
    pub(crate) data_key: Zeroizing<[u8; 32]>,
    pub(crate) material: Vec<u8>,
}

/// Draws a data key and a key-encryption key (both AES-256) and wraps them.
pub(crate) fn wrap_fresh(keys: &SealingKeys) -> Result<WrappedDataKey, RandomnessFailed> {
    let mut data_key = Zeroizing::new([0; 32]);
    fill_random(&mut data_key[..])?;
    let mut kek = Zeroizing::new([0; 32]);
    fill_random(&mut kek[..])?;
    let mut kek_id = [0; 16];
    fill_random(&mut kek_id)?;
    let master_key_id = keys.dataset().to_string();
    let material = Material {
        key_material_type: "PKMT1".into(),
        internal_storage: true,
        is_footer_key: true,
        kms_instance_id: "DEFAULT".into(),
        kms_instance_url: "DEFAULT".into(),
        wrapped_dek: wrap(&kek[..], &kek_id, &data_key[..])?,
        double_wrapping: true,
        key_encryption_key_id: BASE64.encode(kek_id),
        wrapped_kek: wrap(keys.parquet_key(), master_key_id.as_bytes(), &kek[..])?,
        master_key_id,
    };
    let material = serde_json::to_vec(&material).expect("text and booleans always encode");
    Ok(WrappedDataKey { data_key, material })
}

/// Unwraps the data key (16 or 32 bytes) from a file's key material; why it failed does not matter to anybody.
pub(crate) fn unwrap(keys: &SealingKeys, material: &[u8]) -> Result<Zeroizing<Vec<u8>>, MaterialError> {
    if material.len() > MATERIAL_LIMIT {
        return Err(MaterialError::Malformed);
    }
    let material: Material = serde_json::from_slice(material).map_err(|_| MaterialError::Malformed)?;
    if material.key_material_type != "PKMT1"
        || !material.internal_storage
        || !material.is_footer_key
        || !material.double_wrapping
    {
        return Err(MaterialError::Malformed);
    }
    if material.kms_instance_id != "DEFAULT" || material.kms_instance_url != "DEFAULT" {
        return Err(MaterialError::ForeignKeyService);
    }
    if material.master_key_id != keys.dataset().as_str() {
        return Err(MaterialError::ForeignKey);
    }
    let kek = open(keys.parquet_key(), material.master_key_id.as_bytes(), &material.wrapped_kek)?;
    let kek_id = BASE64.decode(&material.key_encryption_key_id).map_err(|_| MaterialError::Malformed)?;
    let data_key = open(&kek, &kek_id, &material.wrapped_dek)?;
    if algorithm(&data_key).is_none() {
        return Err(MaterialError::Malformed);
    }
    Ok(data_key)
}

/// Why key material was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MaterialError {
    /// Not the JSON object of internal, doubly wrapped key material, or a key of an impossible length.
    #[error("the key material is not internal, doubly wrapped PKMT1")]
    Malformed,
    /// The material names a key service; such names are never followed.
    #[error("the key material names a key service other than DEFAULT")]
    ForeignKeyService,
    /// The master key id is not the dataset's name.
    #[error("the key material is for another dataset")]
    ForeignKey,
    /// A wrapped key does not authenticate.
    #[error("the wrapped keys do not open")]
    WrongKey,
}

fn algorithm(key: &[u8]) -> Option<&'static Algorithm> {
    match key.len() {
        16 => Some(&AES_128_GCM),
        32 => Some(&AES_256_GCM),
        _ => None,
    }
}

/// A key for AES-GCM with the nonces that stand in the file.
pub(crate) fn gcm(key: &[u8]) -> Option<LessSafeKey> {
    Some(LessSafeKey::new(UnboundKey::new(algorithm(key)?, key).ok()?))
}

/// `base64(12-byte nonce || ciphertext || tag)`.
fn wrap(key: &[u8], aad: &[u8], secret: &[u8]) -> Result<String, RandomnessFailed> {
    let mut sealed = vec![0; NONCE_BYTES];
    fill_random(&mut sealed)?;
    let nonce = Nonce::try_assume_unique_for_key(&sealed).map_err(|_| RandomnessFailed)?;
    let mut body = Zeroizing::new(Vec::with_capacity(secret.len() + TAG_BYTES));
    body.extend_from_slice(secret);
    gcm(key)
        .ok_or(RandomnessFailed)?
        .seal_in_place_append_tag(nonce, Aad::from(aad), &mut *body)
        .map_err(|_| RandomnessFailed)?;
    sealed.extend_from_slice(&body);
    Ok(BASE64.encode(sealed))
}

fn open(key: &[u8], aad: &[u8], wrapped: &str) -> Result<Zeroizing<Vec<u8>>, MaterialError> {
    let mut sealed = Zeroizing::new(BASE64.decode(wrapped).map_err(|_| MaterialError::Malformed)?);
    let key = gcm(key).ok_or(MaterialError::Malformed)?;
    let (nonce, body) = sealed.split_at_mut_checked(NONCE_BYTES).ok_or(MaterialError::Malformed)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| MaterialError::Malformed)?;
    let secret = key.open_in_place(nonce, Aad::from(aad), body).map_err(|_| MaterialError::WrongKey)?;
    Ok(Zeroizing::new(secret.to_vec()))
}

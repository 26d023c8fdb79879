//! Key requests: carried to the owner's key service with the host's credentials. The host authenticates nothing here; the
//! key service checks the attestation document, and the answer opens inside the enclave only.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region, timeout::TimeoutConfig};
use aws_sdk_kms::error::ProvideErrorMetadata;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeyEncryptionMechanism, RecipientInfo};
use entente_agreement::KeyArn;
use tokio::sync::Mutex;

use crate::config::Config;
use crate::store::files::{self, PrivateFileError};

/// Clients that are kept: agreements name accounts and regions freely.
const CLIENTS: usize = 64;
/// Bytes of the longest `CiphertextForRecipient` (KMS API).
const ANSWER_BYTES: usize = 6144;

/// A key service of the configuration.
struct Configured {
    endpoint: String,
    credentials: Credentials,
}

/// Clients by account and region.
pub(crate) struct KeyServices {
    configured: BTreeMap<String, Configured>,
    clients: Mutex<BTreeMap<(String, String), aws_sdk_kms::Client>>,
    time: Duration,
}

/// Why a key service cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyServicesError {
    /// Its secret access key.
    #[error("key service of account {account}: {error}")]
    Secret {
        /// The account.
        account: String,
        /// What is wrong with the file.
        error: PrivateFileError,
    },
}

/// Why there is no key: for the host's log only, never for the enclave.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyRefusal {
    #[error("the key service refused: {code}")]
    Refused { code: String },
    #[error("the key service was not reached: {problem}")]
    Unreachable { problem: String },
    #[error("the key service did not answer within {seconds} s")]
    Time { seconds: u64 },
    #[error("the key service answered without CiphertextForRecipient, or with one that is too long")]
    Form,
    #[error("the run ends")]
    RunEnds,
}

/// What an enclave asks a key service, as KMS's `Decrypt` takes it.
pub(crate) struct KeyRequest {
    pub(crate) key: KeyArn,
    pub(crate) ciphertext_blob: Vec<u8>,
    pub(crate) encryption_context: Vec<(String, String)>,
    pub(crate) attestation_document: Vec<u8>,
}

impl KeyServices {
    pub(crate) fn new(config: &Config) -> Result<Self, KeyServicesError> {
        let mut configured = BTreeMap::new();
        for service in config.key_services() {
            let account = service.account.clone();
            let secret = secret(&service.secret_access_key_file)
                .map_err(|error| KeyServicesError::Secret { account: account.clone(), error })?;
            let credentials =
                Credentials::new(service.access_key_id.clone(), secret, None, None, "entente-host");
            configured.insert(account, Configured { endpoint: service.endpoint.clone(), credentials });
        }
        Ok(Self { configured, clients: Mutex::default(), time: config.timeouts().key })
    }

    /// Asks the key's own service. Everything that is not a key is a refusal.
    pub(crate) async fn release(&self, request: KeyRequest) -> Result<Vec<u8>, KeyRefusal> {
        let seconds = self.time.as_secs();
        tokio::time::timeout(self.time, self.ask(request)).await.unwrap_or(Err(KeyRefusal::Time { seconds }))
    }

    async fn ask(&self, request: KeyRequest) -> Result<Vec<u8>, KeyRefusal> {
        let client = self.client(&request.key).await;
        let recipient = RecipientInfo::builder()
            .attestation_document(Blob::new(request.attestation_document))
            .key_encryption_algorithm(KeyEncryptionMechanism::RsaesOaepSha256)
            .build();
        let answer = client
            .decrypt()
            .key_id(request.key.as_str())
            .ciphertext_blob(Blob::new(request.ciphertext_blob))
            .set_encryption_context(Some(request.encryption_context.into_iter().collect()))
            .recipient(recipient)
            .send()
            .await
            .map_err(|error| match error.code() {
                Some(code) => KeyRefusal::Refused { code: code.to_owned() },
                None => KeyRefusal::Unreachable {
                    problem: aws_sdk_kms::error::DisplayErrorContext(&error).to_string(),
                },
            })?;
        let answer = answer.ciphertext_for_recipient.ok_or(KeyRefusal::Form)?.into_inner();
        if answer.is_empty() || answer.len() > ANSWER_BYTES { Err(KeyRefusal::Form) } else { Ok(answer) }
    }

    /// The client of a key's account and region.
    async fn client(&self, key: &KeyArn) -> aws_sdk_kms::Client {
        let place = (key.account().to_owned(), key.region().to_owned());
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(&place) {
            return client.clone();
        }
        if clients.len() >= CLIENTS {
            clients.clear();
        }
        let region = Region::new(place.1.clone());
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.time)
            .operation_timeout(self.time)
            .operation_attempt_timeout(self.time)
            .build();
        let client = match self.configured.get(&place.0) {
            Some(service) => {
                let config = aws_sdk_kms::Config::builder()
                    .behavior_version(BehaviorVersion::latest())
                    .region(region)
                    .endpoint_url(&service.endpoint)
                    .credentials_provider(service.credentials.clone())
                    .timeout_config(timeouts)
                    .build();
                aws_sdk_kms::Client::from_conf(config)
            }
            None => {
                // AWS's own endpoint of the region, credentials by the default chain (environment, profile, IMDS).
                let config = aws_config::defaults(BehaviorVersion::latest())
                    .region(region)
                    .timeout_config(timeouts)
                    .load()
                    .await;
                aws_sdk_kms::Client::new(&config)
            }
        };
        clients.insert(place, client.clone());
        client
    }
}

fn secret(path: &Path) -> Result<String, PrivateFileError> {
    let bytes = files::read_private(path, 1024)?;
    let form = || PrivateFileError::Form { path: path.to_owned(), expected: "a secret access key" };
    let text = std::str::from_utf8(bytes.trim_ascii()).map_err(|_| form())?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err(form())
    } else {
        Ok(text.to_owned())
    }
}

//! AWS KMS, or another service that speaks its protocol, through AWS's own client.

use crate::key_service::{KeyPolicies, KeyServiceError, KeyWrapper, encryption_context};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use entente_agreement::KeyArn;
use entente_sealing::{Binding, DatasetKey};
use std::future::Future;
use std::time::Duration;

/// The policy's name; KMS knows no other.
const POLICY_NAME: &str = "default";

/// Longest wait for one operation, retries included.
const DEADLINE: Duration = Duration::from_secs(30);

/// Whose credentials requests are signed with.
#[derive(Clone)]
pub enum KmsCredentials {
    /// AWS's usual chain: environment, profile files, instance role.
    Ambient,
    /// These.
    Static {
        /// Access key id.
        access_key_id: String,
        /// Secret access key. Secret.
        secret_access_key: String,
    },
}

/// An owner's key service that speaks the AWS KMS protocol. The region is the key's own.
///
/// Its calls wait for the answer, on a thread and runtime of their own, so they can be made from anywhere; from asynchronous code
/// through `spawn_blocking`.
#[derive(Clone)]
pub struct KmsKeyService {
    endpoint: Option<String>,
    credentials: KmsCredentials,
}

impl KmsKeyService {
    /// AWS KMS itself.
    #[must_use]
    pub fn aws(credentials: KmsCredentials) -> Self {
        Self { endpoint: None, credentials }
    }

    /// A service at another place, such as `http://127.0.0.1:8443`.
    #[must_use]
    pub fn at(endpoint: &str, credentials: KmsCredentials) -> Self {
        Self { endpoint: Some(endpoint.to_owned()), credentials }
    }

    async fn client(&self, key: &KeyArn) -> Client {
        let region = Region::new(key.region().to_owned());
        let mut config = match &self.credentials {
            KmsCredentials::Ambient => {
                let ambient =
                    aws_config::defaults(BehaviorVersion::latest()).region(region.clone()).load().await;
                Builder::from(&ambient)
            }
            KmsCredentials::Static { access_key_id, secret_access_key } => {
                let credentials =
                    Credentials::new(access_key_id, secret_access_key, None, None, "entente-party");
                Builder::new().behavior_version(BehaviorVersion::latest()).credentials_provider(credentials)
            }
        };
        config = config
            .region(region)
            .retry_config(RetryConfig::standard())
            .timeout_config(TimeoutConfig::builder().operation_timeout(DEADLINE).build());
        if let Some(endpoint) = &self.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Client::from_conf(config.build())
    }

    /// Runs one operation to its end.
    fn wait<T: Send>(
        operation: &'static str,
        future: impl Future<Output = Result<T, KeyServiceError>> + Send,
    ) -> Result<T, KeyServiceError> {
        let unreachable = |problem: String| KeyServiceError::Unreachable { operation, problem };
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| unreachable(error.to_string()))?;
            runtime.block_on(future)
        };
        std::thread::scope(|scope| scope.spawn(run).join())
            .unwrap_or_else(|_| Err(unreachable("the client gave up".to_owned())))
    }
}

fn refused<E>(operation: &'static str) -> impl FnOnce(SdkError<E>) -> KeyServiceError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    move |error| match error.code() {
        Some(code) => KeyServiceError::Refused {
            operation,
            code: code.to_owned(),
            message: error.message().unwrap_or_default().to_owned(),
        },
        None => KeyServiceError::Unreachable { operation, problem: DisplayErrorContext(&error).to_string() },
    }
}

impl KeyWrapper for KmsKeyService {
    fn wrap(&self, key: &KeyArn, secret: &DatasetKey, binding: &Binding) -> Result<Vec<u8>, KeyServiceError> {
        const OPERATION: &str = "Encrypt";
        Self::wait(OPERATION, async {
            let context = encryption_context(binding).map(|(name, value)| (name.to_owned(), value));
            let answer = self
                .client(key)
                .await
                .encrypt()
                .key_id(key.as_str())
                .plaintext(Blob::new(secret.expose_for_wrapping().as_slice()))
                .set_encryption_context(Some(context.into_iter().collect()))
                .send()
                .await
                .map_err(refused(OPERATION))?;
            let blob = answer.ciphertext_blob.map(Blob::into_inner).unwrap_or_default();
            if blob.is_empty() || blob.len() > entente_agreement::Manifest::MAX_WRAPPED_KEY_BYTES {
                return Err(KeyServiceError::Incomplete { operation: OPERATION });
            }
            Ok(blob)
        })
    }
}

impl KeyPolicies for KmsKeyService {
    fn policy(&self, key: &KeyArn) -> Result<String, KeyServiceError> {
        const OPERATION: &str = "GetKeyPolicy";
        Self::wait(OPERATION, async {
            let answer = self
                .client(key)
                .await
                .get_key_policy()
                .key_id(key.as_str())
                .policy_name(POLICY_NAME)
                .send()
                .await
                .map_err(refused(OPERATION))?;
            answer.policy.ok_or(KeyServiceError::Incomplete { operation: OPERATION })
        })
    }

    fn put_policy(&self, key: &KeyArn, policy: &str) -> Result<(), KeyServiceError> {
        const OPERATION: &str = "PutKeyPolicy";
        Self::wait(OPERATION, async {
            self.client(key)
                .await
                .put_key_policy()
                .key_id(key.as_str())
                .policy_name(POLICY_NAME)
                .policy(policy)
                .send()
                .await
                .map_err(refused(OPERATION))?;
            Ok(())
        })
    }
}

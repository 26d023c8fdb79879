//! What an owner asks of its own key service.

use entente_agreement::KeyArn;
use entente_sealing::{Binding, DatasetKey};

/// The encryption context of a wrapped key (PROTOCOL §5), in the order of its keys. Public.
#[must_use]
pub fn encryption_context(binding: &Binding) -> [(&'static str, String); 3] {
    [
        ("entente-agreement", binding.agreement.to_string()),
        ("entente-dataset", binding.dataset.to_string()),
        ("entente-sealing", binding.sealing.to_string()),
    ]
}

/// Wraps dataset keys: KMS `Encrypt`.
pub trait KeyWrapper {
    /// Encrypts `K` under the KMS key with the context of PROTOCOL §5; gives the `CiphertextBlob` (1 to 6144 bytes).
    ///
    /// # Errors
    ///
    /// [`KeyServiceError`].
    fn wrap(&self, key: &KeyArn, secret: &DatasetKey, binding: &Binding) -> Result<Vec<u8>, KeyServiceError>;
}

/// Reads and writes key policies: KMS `GetKeyPolicy` and `PutKeyPolicy` for the policy named `default`.
pub trait KeyPolicies {
    /// The key's policy, as JSON text.
    ///
    /// # Errors
    ///
    /// [`KeyServiceError`].
    fn policy(&self, key: &KeyArn) -> Result<String, KeyServiceError>;

    /// Replaces the key's policy.
    ///
    /// # Errors
    ///
    /// [`KeyServiceError`]; whether the policy was replaced is then unknown: read it again.
    fn put_policy(&self, key: &KeyArn, policy: &str) -> Result<(), KeyServiceError>;
}

/// A key service did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyServiceError {
    /// It answered with an error.
    #[error("the key service refused {operation}: {code}: {message}")]
    Refused {
        /// The operation's name in AWS KMS.
        operation: &'static str,
        /// The error's code, such as `AccessDeniedException`.
        code: String,
        /// Its words.
        message: String,
    },
    /// It was not reached, or did not answer in time.
    #[error("the key service could not be asked for {operation}: {problem}")]
    Unreachable {
        /// The operation's name in AWS KMS.
        operation: &'static str,
        /// What happened.
        problem: String,
    },
    /// Its answer lacks what it must have.
    #[error("the key service's answer to {operation} is incomplete")]
    Incomplete {
        /// The operation's name in AWS KMS.
        operation: &'static str,
    },
}

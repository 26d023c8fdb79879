//! ARNs of KMS keys.

use std::fmt;
use std::str::FromStr;

/// The ARN of a KMS key, `arn:PARTITION:kms:REGION:ACCOUNT:key/ID`. Never an alias: an alias can be pointed at another key
/// after the agreement was signed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyArn {
    text: Box<str>,
    region: Box<str>,
    account: Box<str>,
    id: Box<str>,
}

impl KeyArn {
    /// Reads an ARN.
    ///
    /// Partition: `aws`, `aws-cn` or `aws-us-gov`, the one that the region lies in. Region: `[a-z0-9-]{1,32}`. Account: 12
    /// digits. Key id: `[A-Za-z0-9-]{1,64}` (a UUID, or `mrk-` and 32 hex digits).
    ///
    /// # Errors
    /// The first part that is wrong.
    pub fn new(text: &str) -> Result<Self, KeyArnError> {
        let parts: Vec<&str> = text.split(':').collect();
        let [arn, partition, service, region, account, resource] = parts.as_slice() else {
            return Err(KeyArnError::Form);
        };
        if *arn != "arn" {
            return Err(KeyArnError::Form);
        }
        if *service != "kms" {
            return Err(KeyArnError::Service);
        }
        let plain = |text: &str, most: usize| {
            !text.is_empty()
                && text.len() <= most
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if !plain(region, 32) || region.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(KeyArnError::Region);
        }
        let expected = match region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        if *partition != expected {
            return Err(KeyArnError::Partition { expected });
        }
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(KeyArnError::Account);
        }
        if resource.starts_with("alias/") {
            return Err(KeyArnError::Alias);
        }
        match resource.strip_prefix("key/") {
            Some(id) if plain(id, 64) => Ok(Self {
                text: text.into(),
                region: (*region).into(),
                account: (*account).into(),
                id: id.into(),
            }),
            _ => Err(KeyArnError::KeyId),
        }
    }

    /// The whole ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The region, such as `eu-central-1`.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account, 12 digits.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The key id, what follows `key/`.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for KeyArn {
    type Err = KeyArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// Why a text is not a [`KeyArn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyArnError {
    /// Not six parts between colons, `arn` first.
    #[error("not an ARN; write arn:aws:kms:REGION:ACCOUNT:key/ID")]
    Form,
    /// Not of the service `kms`.
    #[error("not an ARN of the service kms; write arn:aws:kms:REGION:ACCOUNT:key/ID")]
    Service,
    /// Not the partition of the region.
    #[error("the partition does not fit the region; write `{expected}`")]
    Partition {
        /// The partition that the region lies in.
        expected: &'static str,
    },
    /// Not a region.
    #[error("not a region; write one such as eu-central-1")]
    Region,
    /// Not 12 digits.
    #[error("the account is not 12 digits; write the account's number")]
    Account,
    /// An alias, which could be pointed at another key later.
    #[error("an alias can be pointed at another key later; write the ARN of the key itself, …:key/ID")]
    Alias,
    /// Not `key/` and an id.
    #[error("the ARN does not end in key/ID; write the key's id")]
    KeyId,
}

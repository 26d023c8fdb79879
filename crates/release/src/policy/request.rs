//! A request as a policy sees it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use entente_agreement::KeyArn;
use entente_attestation::UnixTime;

use super::condition_key::ConditionKey;
use super::principal::PrincipalArn;

/// The values that a request has for each condition key. A key without values is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts(BTreeMap<String, Vec<String>>);

impl Facts {
    pub(super) fn values(&self, key: &ConditionKey) -> &[String] {
        self.0.get(key.folded()).map_or(&[], Vec::as_slice)
    }

    fn set(&mut self, folded: impl Into<String>, value: impl Into<String>) {
        self.0.insert(folded.into(), vec![value.into()]);
    }

    fn add(&mut self, folded: impl Into<String>, value: impl Into<String>) {
        self.0.entry(folded.into()).or_default().push(value.into());
    }
}

macro_rules! actions {
    ($($name:ident)*) => {
        /// An action of AWS KMS, by the name that policies have for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $(
                #[doc = concat!("`kms:", stringify!($name), "`")]
                $name,
            )*
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in policies, `kms:` included.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("kms:", stringify!($name)),)*
                }
            }
        }
    };
}

actions! {
    CancelKeyDeletion CreateAlias CreateGrant CreateKey Decrypt DeleteAlias DeleteImportedKeyMaterial DeriveSharedSecret DescribeKey
    DisableKey DisableKeyRotation EnableKey EnableKeyRotation Encrypt GenerateDataKey GenerateDataKeyPair
    GenerateDataKeyPairWithoutPlaintext GenerateDataKeyWithoutPlaintext GenerateMac GenerateRandom GetKeyPolicy
    GetKeyRotationStatus GetParametersForImport GetPublicKey ImportKeyMaterial ListAliases ListGrants ListKeyPolicies
    ListKeyRotations ListKeys ListResourceTags ListRetirableGrants PutKeyPolicy ReEncryptFrom ReEncryptTo ReplicateKey RetireGrant
    RevokeGrant RotateKeyOnDemand ScheduleKeyDeletion Sign SynchronizeMultiRegionKey TagResource UntagResource UpdateAlias
    UpdateKeyDescription UpdatePrimaryRegion Verify VerifyMac
}

impl Action {
    /// Whether requests for it can carry `Recipient`: only then do the condition keys of attestation exist.
    #[must_use]
    pub const fn accepts_recipient(self) -> bool {
        matches!(
            self,
            Self::Decrypt
                | Self::DeriveSharedSecret
                | Self::GenerateDataKey
                | Self::GenerateDataKeyPair
                | Self::GenerateRandom
        )
    }
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS: `aws:SecureTransport` is true.
    Tls,
    /// Plain HTTP.
    Plain,
}

/// The registers of an authenticated attestation document: the values of `kms:RecipientAttestation:*`.
///
/// ```
/// use entente_release::policy::AttestedRegisters;
///
/// let registers: AttestedRegisters = (0..3).map(|number| (number, vec![0xab; 48])).collect();
/// assert!(!registers.is_debug_mode());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttestedRegisters(BTreeMap<u8, Vec<u8>>);

impl FromIterator<(u8, Vec<u8>)> for AttestedRegisters {
    fn from_iter<I: IntoIterator<Item = (u8, Vec<u8>)>>(registers: I) -> Self {
        Self(registers.into_iter().collect())
    }
}

impl AttestedRegisters {
    /// Whether PCR0, PCR1 or PCR2 is absent or all zero: the enclave was started in debug mode, where its memory can be read from
    /// outside, and no condition on it holds.
    #[must_use]
    pub fn is_debug_mode(&self) -> bool {
        [0, 1, 2]
            .iter()
            .any(|number| self.0.get(number).is_none_or(|value| value.iter().all(|byte| *byte == 0)))
    }

    /// The registers in ascending order: number and value.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.0.iter().map(|(number, value)| (*number, value.as_slice()))
    }
}

/// A request as the policy language sees it: who wants what, with which facts.
///
/// ```
/// use entente_attestation::UnixTime;
/// use entente_release::policy::{AccessRequest, Action, KeyPolicy, Verdict};
///
/// let policy = KeyPolicy::parse(r#"{
///     "Version": "2012-10-17",
///     "Statement": [{"Sid": "owner", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
///                    "Action": "kms:*", "Resource": "*"}]
/// }"#)?;
/// let owner = "arn:aws:iam::111122223333:root".parse()?;
/// let key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".parse()?;
/// let request = AccessRequest::new(Action::PutKeyPolicy, &owner, &key, UnixTime::from_millis(1_767_225_600_000));
/// assert_eq!(policy.evaluate(&request).verdict(), Verdict::Allowed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRequest {
    action: Action,
    caller: PrincipalArn,
    key: KeyArn,
    facts: Facts,
}

impl AccessRequest {
    /// A request by `caller` for `action` on `key` at the time `at`.
    #[must_use]
    pub fn new(action: Action, caller: &PrincipalArn, key: &KeyArn, at: UnixTime) -> Self {
        let mut facts = Facts::default();
        facts.set("aws:currenttime", at.to_string());
        facts.set("aws:epochtime", (at.as_millis() / 1000).to_string());
        facts.set("aws:principalarn", caller.principal_arn());
        facts.set("aws:principalaccount", caller.account());
        facts.set("aws:principaltype", caller.kind_name());
        facts.set("aws:principalisawsservice", "false");
        facts.set("aws:viaawsservice", "false");
        facts.set("kms:calleraccount", caller.account());
        facts.set("aws:securetransport", "false");
        if let Some(name) = caller.user_name() {
            facts.set("aws:username", name);
        }
        facts.set("aws:requestedregion", key.region());
        facts.set("aws:resourceaccount", key.account());
        Self { action, caller: caller.clone(), key: key.clone(), facts }
    }

    /// The request came like this. Without it: plain HTTP.
    #[must_use]
    pub fn with_transport(mut self, transport: Transport) -> Self {
        self.facts.set("aws:securetransport", if transport == Transport::Tls { "true" } else { "false" });
        self
    }

    /// The request came from this address.
    #[must_use]
    pub fn with_source_ip(mut self, address: IpAddr) -> Self {
        self.facts.set("aws:sourceip", address.to_string());
        self
    }

    /// The request has this encryption context: `kms:EncryptionContext:NAME` and `kms:EncryptionContextKeys`.
    ///
    /// Names of condition keys have no case, names in a context have: with `a` and `A` in one context, a condition on either must hold for both in an
    /// Allow statement, and for one of them in a Deny statement.
    #[must_use]
    pub fn with_encryption_context(mut self, context: &BTreeMap<String, String>) -> Self {
        for (name, value) in context {
            self.facts.add(format!("kms:encryptioncontext:{}", name.to_ascii_lowercase()), value);
            self.facts.add("kms:encryptioncontextkeys", name);
        }
        self
    }

    /// The request has `Recipient` with an authentic document of these registers. Ignored for actions that take none, and for a
    /// document of debug mode, whose registers say nothing.
    #[must_use]
    pub fn with_recipient(mut self, registers: &AttestedRegisters) -> Self {
        if !self.action.accepts_recipient() || registers.is_debug_mode() {
            return self;
        }
        for (number, value) in registers.iter() {
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            if number == 0 {
                self.facts.set("kms:recipientattestation:imagesha384", hex.clone());
            }
            self.facts.set(format!("kms:recipientattestation:pcr{number}"), hex);
        }
        self
    }

    /// One more fact, such as `kms:KeySpec`. Several calls with one key make a set of values.
    #[must_use]
    pub fn with_fact(mut self, key: &ConditionKey, value: &str) -> Self {
        self.facts.add(key.folded(), value);
        self
    }

    /// What is asked for.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// Who asks.
    #[must_use]
    pub const fn caller(&self) -> &PrincipalArn {
        &self.caller
    }

    /// The key that it is about.
    #[must_use]
    pub const fn key(&self) -> &KeyArn {
        &self.key
    }

    pub(super) const fn facts(&self) -> &Facts {
        &self.facts
    }
}

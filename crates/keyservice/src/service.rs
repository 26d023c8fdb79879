//! The service: identity, store, and the way from a signed request to an answer.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use entente_agreement::{KeyArn, KeyArnError};
use entente_attestation::{AnchorError, TrustAnchor, UnixTime};
use entente_release::policy::{
    AccessRequest, Action, ConditionKey, KeyPolicy, PrincipalArn, PrincipalError, Transport, Verdict,
};
use zeroize::Zeroizing;

use crate::audit_log::{AuditLog, DecisionEntry, Durability, Entry, UserIdentity};
use crate::blob::Context;
use crate::error::KmsError;
use crate::ledger::{ReleaseLedger, Unlimited};
use crate::operation;
use crate::recipient::Recipient;
use crate::sigv4::{AccessKey, Authorization, Header, Scope};
use crate::store::{KeyRecord, Store, StoreError, random};

/// Which attestation documents count. There is no default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttestationRoot {
    /// Those of AWS Nitro Enclaves.
    AwsNitro,
    /// SIMULATED: those under this CA certificate, in DER. Proves nothing about hardware.
    Simulated {
        /// The certificate.
        certificate_der: Vec<u8>,
    },
}

/// What a new service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitOptions {
    account: String,
    region: String,
    root: AttestationRoot,
}

impl InitOptions {
    /// A service for this account (twelve digits), in this region (such as `eu-central-1`; any name of the form will do), that believes documents under
    /// this root.
    #[must_use]
    pub fn new(account: &str, region: &str, root: AttestationRoot) -> Self {
        Self { account: account.to_owned(), region: region.to_owned(), root }
    }
}

/// Why the service cannot be made or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The account is not twelve digits.
    #[error(transparent)]
    Account(#[from] PrincipalError),
    /// Account and region do not make an ARN.
    #[error("account and region do not make a key's ARN: {0}")]
    Region(#[from] KeyArnError),
    /// The simulated root is no CA certificate.
    #[error("the simulated root: {0}")]
    Root(#[from] AnchorError),
    /// The audit log.
    #[error("the audit log: {0}")]
    AuditLog(#[from] std::io::Error),
}

/// An access key that was just made: the only time that its secret is shown.
pub struct Credentials {
    key: AccessKey,
    principal: PrincipalArn,
}

impl Credentials {
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    #[must_use]
    pub const fn access_key(&self) -> &AccessKey {
        &self.key
    }

    /// Whom they stand for.
    #[must_use]
    pub const fn principal(&self) -> &PrincipalArn {
        &self.principal
    }
}

type Clock = dyn Fn() -> UnixTime + Send + Sync;

/// The system's clock.
fn system_clock() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A key service with its store. One process at a time can have it open.
pub struct Service {
    pub(crate) store: Store,
    pub(crate) anchor: TrustAnchor,
    pub(crate) ledger: Box<dyn ReleaseLedger>,
    audit: AuditLog,
    clock: Arc<Clock>,
    scope: Scope,
    root_user: PrincipalArn,
}

impl Service {
    /// Makes a service in a new or empty directory, and the access key of its account's root user.
    ///
    /// # Errors
    /// If there is one already, the options are not well-formed, or the directory cannot be written.
    pub fn init(dir: &Path, options: &InitOptions) -> Result<Credentials, ServiceError> {
        key_arn(&options.region, &options.account, "x")?;
        let simulated = match &options.root {
            AttestationRoot::AwsNitro => None,
            AttestationRoot::Simulated { certificate_der } => {
                TrustAnchor::simulated(certificate_der)?;
                Some(certificate_der.clone())
            }
        };
        drop(Store::create(dir, &options.account, &options.region, simulated)?);
        let service = Self::open(dir)?;
        service.add_credentials(&service.root_user)
    }

    /// Opens a service.
    ///
    /// # Errors
    /// If there is none, another process has it open, or its files are damaged or readable by others.
    pub fn open(dir: &Path) -> Result<Self, ServiceError> {
        let store = Store::open(dir)?;
        let identity = store.identity();
        let anchor = match &identity.simulated_root {
            None => TrustAnchor::aws_nitro(),
            Some(der) => TrustAnchor::simulated(der)?,
        };
        let sample = key_arn(&identity.region, &identity.account, "x")?;
        let partition = sample.as_str().split(':').nth(1).unwrap_or("aws").to_owned();
        let root_user = format!("arn:{partition}:iam::{}:root", identity.account).parse()?;
        Ok(Self {
            anchor,
            ledger: Box::new(Unlimited),
            audit: AuditLog::open(dir)?,
            clock: Arc::new(system_clock),
            scope: Scope::new(&identity.region, "kms"),
            root_user,
            store,
        })
    }

    /// With another clock, for tests of what time does.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// With a ledger that counts releases.
    #[must_use]
    pub fn with_ledger(mut self, ledger: impl ReleaseLedger + 'static) -> Self {
        self.ledger = Box::new(ledger);
        self
    }

    /// The account's root user, who may do what belongs to no key, such as making one.
    #[must_use]
    pub const fn root_user(&self) -> &PrincipalArn {
        &self.root_user
    }

    /// The account's twelve digits.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.store.identity().account
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.store.identity().region
    }

    /// Which documents are believed.
    #[must_use]
    pub const fn attestation_root(&self) -> &TrustAnchor {
        &self.anchor
    }

    /// Makes an access key for a principal, of this account or another.
    ///
    /// # Errors
    /// If it cannot be stored.
    pub fn add_credentials(&self, principal: &PrincipalArn) -> Result<Credentials, ServiceError> {
        // RFC 4648 base 32, AWS's form of ids: AKIA and 16 letters and digits.
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let tail: String = random::<16>()?
            .iter()
            .filter_map(|byte| LETTERS.get(usize::from(byte & 31)))
            .map(|letter| char::from(*letter))
            .collect();
        let id = format!("AKIA{tail}");
        let secret = Zeroizing::new(base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            Zeroizing::new(random::<30>()?).as_slice(),
        ));
        self.store.insert_credential(&id, principal.as_str(), &secret)?;
        Ok(Credentials { key: AccessKey::new(&id, &secret), principal: principal.clone() })
    }

    /// Answers one request: its headers, its body, and where it came from.
    pub(crate) fn answer(&self, request: &Incoming<'_>) -> Result<Vec<u8>, KmsError> {
        let now = (self.clock)();
        let target = request
            .headers
            .iter()
            .find(|header| header.name() == "x-amz-target")
            .and_then(|header| header.value().strip_prefix("TrentService."))
            .ok_or_else(KmsError::unknown_operation)?;
        let authorization = Authorization::parse(request.headers)?;
        let unknown = || {
            KmsError::new(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        };
        let credential = self
            .store
            .credential(authorization.access_key_id)
            .map_err(KmsError::internal)?
            .ok_or_else(unknown)?;
        authorization.verify(request.headers, request.body, &credential.secret, &self.scope, now)?;
        // There are no temporary credentials here.
        if request.headers.iter().any(|header| header.name() == "x-amz-security-token") {
            return Err(unknown());
        }
        let caller: PrincipalArn = credential.principal.parse().map_err(KmsError::internal)?;
        let mut call = Call {
            service: self,
            now,
            source: request.source,
            transport: request.transport,
            entry: Entry {
                event_time: now.to_string(),
                event_name: target.to_owned(),
                request_id: request.id.to_owned(),
                user_identity: UserIdentity {
                    arn: caller.to_string(),
                    access_key_id: authorization.access_key_id.to_owned(),
                },
                source_ip_address: request.source.to_string(),
                ..Entry::default()
            },
            durability: Durability::Buffered,
            caller,
        };
        let outcome = match operation::find(target) {
            Some(run) => run(&mut call, request.body),
            None => Err(KmsError::unknown_operation()),
        };
        if let Err(error) = &outcome {
            call.entry.error_code = Some(error.exception());
        }
        // Nothing leaves that is not in the log.
        self.audit.append(&call.entry, call.durability).map_err(KmsError::internal)?;
        outcome
    }

    pub(crate) fn key_arn(&self, id: &str) -> Result<KeyArn, KmsError> {
        key_arn(self.region(), self.account(), id).map_err(KmsError::internal)
    }
}

fn key_arn(region: &str, account: &str, id: &str) -> Result<KeyArn, KeyArnError> {
    let partition = match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    KeyArn::new(&format!("arn:{partition}:kms:{region}:{account}:key/{id}"))
}

/// A request as it came.
pub(crate) struct Incoming<'a> {
    pub(crate) id: &'a str,
    pub(crate) headers: &'a [Header],
    pub(crate) body: &'a [u8],
    pub(crate) source: IpAddr,
    pub(crate) transport: Transport,
}

/// A request whose signature holds.
pub(crate) struct Call<'a> {
    pub(crate) service: &'a Service,
    pub(crate) caller: PrincipalArn,
    pub(crate) now: UnixTime,
    source: IpAddr,
    transport: Transport,
    pub(crate) entry: Entry,
    pub(crate) durability: Durability,
}

/// What else a policy may ask about.
#[derive(Default)]
pub(crate) struct Circumstances<'a> {
    pub(crate) context: Option<&'a Context>,
    pub(crate) recipient: Option<&'a Recipient>,
    pub(crate) facts: &'a [(&'a str, &'a str)],
}

impl Call<'_> {
    /// Finds a key by its id or ARN. An alias, another region or account, or a key whose time is over is not found.
    pub(crate) fn find_key(&mut self, name: &str) -> Result<KeyRecord, KmsError> {
        if name.is_empty() || name.len() > 2048 {
            return Err(KmsError::validation(
                "1 validation error detected: Value at 'keyId' failed to satisfy constraint: Member must have length between 1 and 2048",
            ));
        }
        let not_found =
            |shown: &str| KmsError::new("NotFoundException", format!("Key '{shown}' does not exist"));
        let id = if name.starts_with("arn:") {
            let invalid =
                || KmsError::new("NotFoundException", format!("Invalid arn {}", self.service.region()));
            let arn = KeyArn::new(name).map_err(|_| invalid())?;
            if arn.region() != self.service.region() || arn.account() != self.service.account() {
                return Err(invalid());
            }
            arn.key_id().to_owned()
        } else {
            name.to_owned()
        };
        if id.starts_with("alias/") {
            return Err(KmsError::new("NotFoundException", format!("Alias {id} is not found.")));
        }
        let shown = self.service.key_arn(&id).map_or_else(|_| id.clone(), |arn| arn.to_string());
        let record = self.service.store.key(&id).map_err(KmsError::internal)?;
        let record = record.filter(|record| record.deletion.is_none_or(|at| self.now.as_millis() < at));
        self.entry.key_id = Some(shown.clone());
        record.ok_or_else(|| not_found(&shown))
    }

    /// Lets the key's policy decide.
    pub(crate) fn authorize(
        &mut self,
        action: Action,
        key: &KeyRecord,
        circumstances: &Circumstances<'_>,
    ) -> Result<KeyArn, KmsError> {
        let arn = self.service.key_arn(&key.id)?;
        let policy = KeyPolicy::parse(&key.policy).map_err(KmsError::internal)?;
        let decision = policy.evaluate(&self.access_request(action, &arn, circumstances)?);
        let (verdict, reason) = match decision.verdict() {
            Verdict::Allowed => ("Allowed", ""),
            Verdict::DeniedExplicitly => {
                ("DeniedExplicitly", "with an explicit deny in a resource-based policy")
            }
            Verdict::DeniedByDefault => ("DeniedByDefault", "because no resource-based policy allows"),
        };
        self.entry.decisions.push(DecisionEntry {
            action: action.as_str().to_owned(),
            verdict,
            statement_index: decision.statement().map(|statement| statement.index()),
            statement_sid: decision.statement().and_then(|statement| statement.sid()).map(str::to_owned),
        });
        match decision.verdict() {
            Verdict::Allowed => Ok(arn),
            Verdict::DeniedExplicitly => Err(self.denied(action, arn.as_str(), reason)),
            Verdict::DeniedByDefault => {
                Err(self.denied(action, arn.as_str(), &format!("{reason} the {} action", action.as_str())))
            }
        }
    }

    fn access_request(
        &self,
        action: Action,
        arn: &KeyArn,
        circumstances: &Circumstances<'_>,
    ) -> Result<AccessRequest, KmsError> {
        let mut request = AccessRequest::new(action, &self.caller, arn, self.now)
            .with_transport(self.transport)
            .with_source_ip(self.source);
        let always = [
            ("kms:KeySpec", "SYMMETRIC_DEFAULT"),
            ("kms:CustomerMasterKeySpec", "SYMMETRIC_DEFAULT"),
            ("kms:KeyUsage", "ENCRYPT_DECRYPT"),
            ("kms:CustomerMasterKeyUsage", "ENCRYPT_DECRYPT"),
            ("kms:KeyOrigin", "AWS_KMS"),
            ("kms:MultiRegion", "false"),
        ];
        for (name, value) in always.iter().chain(circumstances.facts) {
            let key = ConditionKey::parse(name).map_err(KmsError::internal)?;
            request = request.with_fact(&key, value);
        }
        if let Some(context) = circumstances.context {
            request = request.with_encryption_context(context);
        }
        if let Some(recipient) = circumstances.recipient {
            request = request.with_recipient(recipient.registers());
        }
        Ok(request)
    }

    /// For what belongs to no key: the account's root user alone, since there are no identity policies.
    pub(crate) fn authorize_root(&mut self, action: Action) -> Result<(), KmsError> {
        let allowed = self.caller == *self.service.root_user();
        self.entry.decisions.push(DecisionEntry {
            action: action.as_str().to_owned(),
            verdict: if allowed { "Allowed" } else { "DeniedByDefault" },
            statement_index: None,
            statement_sid: None,
        });
        if allowed {
            return Ok(());
        }
        let reason = format!("because no identity-based policy allows the {} action", action.as_str());
        Err(self.denied(action, "*", &reason))
    }

    /// The words of AWS: who, what, which key; not which condition.
    fn denied(&self, action: Action, resource: &str, reason: &str) -> KmsError {
        KmsError::new(
            "AccessDeniedException",
            format!(
                "User: {} is not authorized to perform: {} on resource: {resource} {reason}",
                self.caller,
                action.as_str()
            ),
        )
    }

    /// The policy lockout safety check: the caller must be able to change the policy again.
    pub(crate) fn check_lockout(&self, policy: &KeyPolicy, arn: &KeyArn) -> Result<(), KmsError> {
        let request = self.access_request(Action::PutKeyPolicy, arn, &Circumstances::default())?;
        if policy.evaluate(&request).verdict() == Verdict::Allowed {
            return Ok(());
        }
        Err(KmsError::new(
            "MalformedPolicyDocumentException",
            "The new key policy will not allow you to update the key policy in the future.",
        ))
    }

    /// Something secret is about to leave: its line in the log must be on disk first.
    pub(crate) const fn audit_release(&mut self) {
        self.durability = Durability::Synced;
    }
}

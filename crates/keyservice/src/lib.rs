//! A key service that speaks the protocol of AWS KMS and checks attestation documents against key policies.
//!
//! For owners who keep their keys outside AWS, and for everybody who develops for Nitro Enclaves without an account: clients of AWS KMS work with it
//! when they are given its address, and a key policy means here what it means there ([`entente_release::policy`]).
//!
//! **Threat model.** Whoever can reach the port may send anything, sees every answer and may hold access keys of some principals; it gets what the policy of a
//! key allows to these principals, and learns from a refusal what AWS would tell it. Whoever can read the directory has all keys. The machine and its
//! clock are trusted.
//!
//! Operations: CreateKey (SYMMETRIC_DEFAULT), DescribeKey, ListKeys, EnableKey, DisableKey, ScheduleKeyDeletion, CancelKeyDeletion, GetKeyPolicy,
//! PutKeyPolicy, ListKeyPolicies, Encrypt, Decrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext, GenerateRandom; `Recipient` on Decrypt,
//! GenerateDataKey and GenerateRandom. There are no identity policies: what belongs to no key is the account root user's alone.
//!
//! ```
//! use std::sync::Arc;
//!
//! use entente_keyservice::{AttestationRoot, InitOptions, Service, serve};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let options = InitOptions::new("111122223333", "eu-central-1", AttestationRoot::AwsNitro);
//! let owner = Service::init(dir.path(), &options)?;
//! println!("export AWS_ACCESS_KEY_ID={}", owner.access_key().id());
//!
//! let service = Service::open(dir.path())?;
//! let host = service.add_credentials(&"arn:aws:iam::111122223333:role/entente-host".parse()?)?;
//! assert_ne!(host.access_key().id(), owner.access_key().id());
//!
//! tokio::runtime::Runtime::new()?.block_on(async {
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//!     serve(Arc::new(service), listener, async { /* until Ctrl-C, say */ }).await
//! })?;
//! # Ok(())
//! # }
//! ```

mod audit_log;
mod blob;
mod error;
mod http;
mod ledger;
mod operation;
mod recipient;
mod service;
pub mod sigv4;
mod store;

pub use http::serve;
pub use ledger::{LedgerRefusal, PendingRelease, ReleaseLedger, Unlimited};
pub use service::{AttestationRoot, Credentials, InitOptions, Service, ServiceError};
pub use store::StoreError;

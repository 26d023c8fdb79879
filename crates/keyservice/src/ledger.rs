//! The release ledger: counts what leaves, before it leaves.
//!
//! The seam is here, the counting is not: [`Unlimited`] lets everything pass. A ledger that counts must have the debit on disk when
//! [`ReleaseLedger::debit`] returns, and never give anything back (PROTOCOL.md §5: keyed by agreement, dataset, PCR17 and request digest).

use std::collections::BTreeMap;

use entente_attestation::UnixTime;

/// A release that policy allows and that is about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRelease {
    pub(crate) key_arn: String,
    pub(crate) encryption_context: BTreeMap<String, String>,
    pub(crate) agreement_register: Option<Vec<u8>>,
    pub(crate) input_register: Option<Vec<u8>>,
    pub(crate) request: Option<Vec<u8>>,
    pub(crate) at: UnixTime,
}

impl PendingRelease {
    /// The key's ARN.
    #[must_use]
    pub fn key_arn(&self) -> &str {
        &self.key_arn
    }

    /// The request's encryption context: agreement, dataset, sealing.
    #[must_use]
    pub const fn encryption_context(&self) -> &BTreeMap<String, String> {
        &self.encryption_context
    }

    /// PCR16 of the enclave that asks, if locked.
    #[must_use]
    pub fn agreement_register(&self) -> Option<&[u8]> {
        self.agreement_register.as_deref()
    }

    /// PCR17 of the enclave that asks, if locked.
    #[must_use]
    pub fn input_register(&self) -> Option<&[u8]> {
        self.input_register.as_deref()
    }

    /// The document's `user_data`, which binds the request's digest where there is a request (PROTOCOL.md §4).
    #[must_use]
    pub fn request(&self) -> Option<&[u8]> {
        self.request.as_deref()
    }

    /// When.
    #[must_use]
    pub const fn at(&self) -> UnixTime {
        self.at
    }
}

/// Why a release is refused although policy allows it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct LedgerRefusal {
    reason: String,
}

impl LedgerRefusal {
    /// With a reason for the owner, which the asker sees too.
    #[must_use]
    pub fn new(reason: &str) -> Self {
        Self { reason: reason.to_owned() }
    }
}

/// Counts releases.
pub trait ReleaseLedger: Send + Sync {
    /// Debits one release, durably, or refuses it.
    ///
    /// # Errors
    /// [`LedgerRefusal`] if the release must not be made.
    fn debit(&self, release: &PendingRelease) -> Result<(), LedgerRefusal>;
}

/// No limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlimited;

impl ReleaseLedger for Unlimited {
    fn debit(&self, _release: &PendingRelease) -> Result<(), LedgerRefusal> {
        Ok(())
    }
}

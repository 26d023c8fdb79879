//! Approvals.

use std::collections::BTreeMap;

use crate::agreement::Agreement;
use crate::name::Name;
use crate::namespace::Namespace;
use crate::sshsig::SignatureError;

/// An agreement that every one of its parties signed. Only [`ApprovedAgreement::verify`] makes one.
///
/// # Security
/// It says that the keys *in the agreement* signed it. Whose keys they are is what a party's pins say
/// ([`KnownParties`](crate::KnownParties)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovedAgreement(Agreement);

impl ApprovedAgreement {
    /// Verifies the approvals: exactly one armored signature for each party, in the namespace `entente-agreement`.
    ///
    /// # Errors
    /// The first party, in the order of the file, whose approval is missing or does not count; then an approval by
    /// somebody who is no party.
    pub fn verify(agreement: Agreement, approvals: &BTreeMap<Name, Vec<u8>>) -> Result<Self, ApprovalError> {
        for party in agreement.parties() {
            let Some(armored) = approvals.get(party.name()) else {
                return Err(ApprovalError::Missing { party: party.name().clone() });
            };
            party
                .sign_key()
                .verify(Namespace::Agreement, agreement.bytes(), armored)
                .map_err(|error| ApprovalError::Signature { party: party.name().clone(), error })?;
        }
        match approvals.keys().find(|name| agreement.party(name).is_none()) {
            Some(name) => Err(ApprovalError::NotAParty { name: name.clone() }),
            None => Ok(Self(agreement)),
        }
    }

    /// The agreement.
    #[must_use]
    pub const fn agreement(&self) -> &Agreement {
        &self.0
    }
}

impl AsRef<Agreement> for ApprovedAgreement {
    fn as_ref(&self) -> &Agreement {
        &self.0
    }
}

impl std::ops::Deref for ApprovedAgreement {
    type Target = Agreement;

    fn deref(&self) -> &Agreement {
        &self.0
    }
}

/// Why an agreement is not approved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// A party's signature is not there.
    #[error("`{party}` has not approved the agreement; wait for its signature")]
    Missing {
        /// The party.
        party: Name,
    },
    /// A party's signature does not count.
    #[error("the approval of `{party}`: {error}")]
    Signature {
        /// The party.
        party: Name,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// A signature by somebody who is no party.
    #[error("`{name}` is no party of the agreement but has a signature there; remove it")]
    NotAParty {
        /// The name.
        name: Name,
    },
}

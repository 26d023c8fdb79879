//! The `Recipient` of a request: an attestation document and, after it was authenticated, the key that the answer is for.

use std::collections::BTreeMap;

use entente_attestation::{PcrIndex, SignedDocument};
use entente_release::policy::AttestedRegisters;
use entente_release::recipient::{EnvelopeSecrets, RecipientPublicKey, envelope};
use serde::Deserialize;

use crate::audit_log::RecipientEntry;
use crate::error::KmsError;
use crate::operation::base64_member;
use crate::service::Call;
use crate::store::random;

/// API reference, RecipientInfo: 1 to 262144 bytes.
const MAX_DOCUMENT: usize = 262_144;

/// As in the request.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RecipientInfo {
    key_encryption_algorithm: Option<String>,
    attestation_document: Option<String>,
}

/// An enclave whose document is authentic under the configured root, now. Whether it is one that may have the key is the policy's to say.
pub(crate) struct Recipient {
    registers: AttestedRegisters,
    agreement_register: Option<Vec<u8>>,
    input_register: Option<Vec<u8>>,
    user_data: Option<Vec<u8>>,
    key: RecipientPublicKey,
}

impl Recipient {
    pub(crate) fn authenticate(call: &mut Call<'_>, info: &RecipientInfo) -> Result<Self, KmsError> {
        if info.key_encryption_algorithm.as_deref() != Some("RSAES_OAEP_SHA_256") {
            return Err(KmsError::validation(
                "1 validation error detected: Value at 'recipient.keyEncryptionAlgorithm' failed to satisfy \
                 constraint: Member must satisfy enum value set: [RSAES_OAEP_SHA_256]",
            ));
        }
        let document = base64_member(
            "recipient.attestationDocument",
            info.attestation_document.as_deref(),
            1..=MAX_DOCUMENT,
        )?;
        // One message for all: which check failed is for our log, not for whoever tries documents.
        let refused = |cause: &dyn std::fmt::Display| {
            tracing::warn!(%cause, "attestation document refused");
            KmsError::validation("The attestation document is not valid.")
        };
        let document = SignedDocument::parse(&document)
            .map_err(|error| refused(&error))?
            .authenticate(&call.service.anchor, call.now)
            .map_err(|error| refused(&error))?;
        let registers: AttestedRegisters =
            document.pcrs().map(|(index, value)| (index.number(), value.as_bytes().to_vec())).collect();
        call.entry.recipient = Some(RecipientEntry {
            attestation_document_module_id: document.module_id().to_owned(),
            attestation_document_timestamp: document.timestamp().to_string(),
            registers: document
                .pcrs()
                .filter(|(_, value)| !value.is_zero())
                .map(|(index, value)| {
                    (format!("attestationDocumentEnclavePCR{}", index.number()), value.to_string())
                })
                .collect::<BTreeMap<_, _>>(),
        });
        let spki = document.public_key().ok_or_else(|| refused(&"no public key"))?;
        let key = RecipientPublicKey::from_spki_der(spki).map_err(|error| refused(&error))?;
        let register = |index| document.pcr(index).map(|value| value.as_bytes().to_vec());
        Ok(Self {
            registers,
            agreement_register: register(PcrIndex::AGREEMENT),
            input_register: register(PcrIndex::INPUT_SET),
            user_data: document.user_data().map(<[u8]>::to_vec),
            key,
        })
    }

    pub(crate) const fn registers(&self) -> &AttestedRegisters {
        &self.registers
    }

    pub(crate) fn agreement_register(&self) -> Option<Vec<u8>> {
        self.agreement_register.clone()
    }

    pub(crate) fn input_register(&self) -> Option<Vec<u8>> {
        self.input_register.clone()
    }

    pub(crate) fn user_data(&self) -> Option<Vec<u8>> {
        self.user_data.clone()
    }

    /// `CiphertextForRecipient`.
    pub(crate) fn envelope(&self, plaintext: &[u8]) -> Result<Vec<u8>, KmsError> {
        let secrets = EnvelopeSecrets::new(
            random().map_err(KmsError::internal)?,
            random().map_err(KmsError::internal)?,
        );
        envelope(&self.key, plaintext, secrets).map_err(KmsError::internal)
    }
}

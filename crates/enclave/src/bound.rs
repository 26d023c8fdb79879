//! *Bound → Keyed*: the keys of all present datasets (PROTOCOL §5 and §10.6).

use std::collections::BTreeMap;
use std::io::{Read, Write};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use entente_agreement::{Agreement, ApprovedAgreement, Image, KeyArn, Manifest, Name, VerifiedInputs};
use entente_analysis::Analysis;
use entente_attestation::{Digest384, RequestBinding, TrustAnchor};
use entente_channel::TalkError;
use entente_nsm::{AttestationRequest, Nsm};
use entente_release::recipient::{RELEASED_KEY_LEN, RecipientKey};
use entente_sealing::{Binding, DatasetKey, SealingKeys};
use zeroize::Zeroizing;

use crate::host::{KeyQuestion, NoAnswer};
use crate::refusal::Refusal;
use crate::{Host, Keyed};

/// What all later states work on: all of it public and checked.
pub(crate) struct Job<A> {
    pub(crate) agreement: ApprovedAgreement,
    pub(crate) terms: entente_agreement::Analysis,
    pub(crate) image: Image,
    pub(crate) analysis: A,
    pub(crate) inputs: VerifiedInputs,
    pub(crate) anchor: TrustAnchor,
}

impl<A> Job<A> {
    pub(crate) fn request_digest(&self) -> Option<Digest384> {
        self.inputs.request().map(entente_agreement::Request::digest)
    }
}

/// The registers are tied to one agreement and one input set, for the rest of this life.
#[must_use = "a life goes on until it ends"]
pub struct Bound<A> {
    nsm: Nsm,
    job: Job<A>,
}

impl<A: Analysis> Bound<A> {
    pub(crate) fn new(nsm: Nsm, job: Job<A>) -> Self {
        Self { nsm, job }
    }

    /// Step 6 of PROTOCOL §10: makes the RSA key, asks once for the key of each present dataset, ascending by name, and wipes
    /// the RSA key.
    ///
    /// # Security
    /// Anybody can make an answer, and CBC has no MAC: an enclave that behaved differently for different wrong answers would be
    /// a decryption oracle. So all questions are asked whatever the answers are, every answer is unwrapped to *some* key, and
    /// after the last one every commitment is compared; the only decision is whether all fit.
    ///
    /// # Errors
    /// [`Refusal::Key`], whatever was wrong.
    pub fn take_keys<C: Read + Write>(self, host: &mut Host<C>) -> Result<Keyed<A>, Refusal> {
        let Self { mut nsm, job } = self;
        let key = RecipientKey::generate().map_err(|_| Refusal::Run)?;
        let keys = ask_for_keys(&key, &mut nsm, &slots(&job)?, job.request_digest(), host);
        drop(key);
        Ok(Keyed::new(nsm, job, keys?))
    }
}

/// What is asked for one dataset.
struct Slot<'j> {
    agreement: Digest384,
    manifest: &'j Manifest,
    key: &'j KeyArn,
}

fn slots<A>(job: &Job<A>) -> Result<Vec<Slot<'_>>, Refusal> {
    let agreement: &Agreement = &job.agreement;
    let slot = |manifest| slot_of(agreement, manifest);
    job.inputs.manifests().map(slot).collect()
}

fn slot_of<'j>(agreement: &'j Agreement, manifest: &'j Manifest) -> Result<Slot<'j>, Refusal> {
    // `VerifiedInputs` admits no manifest without its slot.
    let dataset = agreement.dataset(manifest.dataset()).ok_or(Refusal::Run)?;
    Ok(Slot { agreement: agreement.digest(), manifest, key: dataset.key() })
}

impl Slot<'_> {
    /// The question, with an encryption context made from agreement and slot, never copied from anywhere (PROTOCOL §5).
    fn question(&self, attestation_document: Vec<u8>) -> KeyQuestion {
        let dataset = self.manifest.dataset().to_string();
        KeyQuestion {
            key_id: self.key.to_string(),
            ciphertext_blob: self.manifest.wrapped_key().to_vec(),
            encryption_context: [
                ("entente-agreement", self.agreement.to_string()),
                ("entente-dataset", dataset.clone()),
                ("entente-sealing", self.manifest.sealing().to_string()),
            ],
            dataset,
            attestation_document,
        }
    }

    fn binding(&self) -> Binding {
        Binding {
            agreement: self.agreement,
            dataset: self.manifest.dataset().clone(),
            sealing: self.manifest.sealing(),
        }
    }
}

/// The keys of all slots, or nothing at all.
fn ask_for_keys<C: Read + Write>(
    key: &RecipientKey,
    nsm: &mut Nsm,
    slots: &[Slot<'_>],
    request: Option<Digest384>,
    host: &mut Host<C>,
) -> Result<BTreeMap<Name, SealingKeys>, Refusal> {
    let binding = request.map_or(RequestBinding::NoRequest, RequestBinding::Request);
    let user_data = binding.user_data().map(|digest| digest.as_bytes().to_vec());
    let mut keys = BTreeMap::new();
    let mut all_fit = true;
    for slot in slots {
        // One document for each question: a key service accepts only recent ones.
        let request = AttestationRequest {
            public_key: Some(key.spki_der().to_vec()),
            user_data: user_data.clone(),
            nonce: None,
        };
        let document = nsm.attestation(request)?;
        let answer = match host.key(&slot.question(document)) {
            Ok(answer) => answer,
            // A message that is none, in a frame that is one: unwrapped like any other wrong answer.
            Err(NoAnswer::OtherQuestion | NoAnswer::Talk(TalkError::Message(_))) => Vec::new(),
            // The connection is gone or out of step, which the host knows already.
            Err(NoAnswer::Talk(TalkError::Frame(_))) => return Err(Refusal::Key),
        };
        let mut substitute = [0; RELEASED_KEY_LEN];
        SystemRandom::new().fill(&mut substitute).map_err(|_| Refusal::Run)?;
        let released = key.unwrap(&answer, substitute);
        let dataset_key = DatasetKey::from_bytes(Zeroizing::new(*released.expose_secret()));
        match SealingKeys::derive_committed(&dataset_key, &slot.binding(), slot.manifest.commitment()) {
            Ok(derived) => {
                keys.insert(slot.manifest.dataset().clone(), derived);
            }
            Err(_) => all_fit = false,
        }
    }
    if all_fit { Ok(keys) } else { Err(Refusal::Key) }
}

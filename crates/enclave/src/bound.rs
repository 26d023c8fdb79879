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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use entente_agreement::{Format, ManifestTerms, SealingId};
    use entente_channel::{Answer, Ask, HostEnd};
    use entente_nsm::codec::{Request, Response};
    use entente_release::recipient::{EnvelopeSecrets, RecipientPublicKey, envelope};
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

    use super::*;

    /// Not a cryptographic generator: the same mutations in every run.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % end
        }

        fn byte(&mut self) -> u8 {
            u8::try_from(self.below(256)).unwrap()
        }

        /// Changes an answer somewhere, most often in a way that keeps its structure.
        fn mutate(&mut self, answer: &[u8]) -> Vec<u8> {
            let mut bytes = answer.to_vec();
            match self.below(10) {
                0 => bytes.truncate(self.below(bytes.len())),
                1 => bytes.insert(self.below(bytes.len()), self.byte()),
                2 => {
                    let (from, to) = (self.below(bytes.len()), self.below(bytes.len()));
                    bytes.swap(from, to);
                }
                3 => {
                    let end = bytes.len();
                    bytes.extend_from_slice(&vec![0; self.below(2 * end)]);
                }
                4..7 => {
                    // The last blocks: padding that still holds, or that does not.
                    let at = bytes.len() - 1 - self.below(60);
                    *bytes.get_mut(at).unwrap() ^= 1 << self.below(8);
                }
                _ => {
                    let at = self.below(bytes.len());
                    *bytes.get_mut(at).unwrap() ^= 1 << self.below(8);
                }
            }
            bytes
        }
    }

    /// A module that gives the same bytes as every document: what the key step does with it is to pass it on.
    fn module() -> Nsm {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        std::thread::spawn(move || {
            let answer = Response::Attestation { document: vec![1; 64] }.encode().unwrap();
            let mut room = [0; 0x1000];
            while recv(&theirs, &mut room, RecvFlags::empty()).is_ok_and(|(_, length)| {
                let request = room.get(..length).unwrap_or_default();
                matches!(Request::decode(request), Ok(Request::Attestation(_)))
            }) {
                send(&theirs, &answer, SendFlags::NOSIGNAL).unwrap();
            }
        });
        Nsm::over_socket(ours).unwrap()
    }

    fn manifest(agreement: Digest384, dataset: &str, key: [u8; 32]) -> Manifest {
        let binding =
            Binding { agreement, dataset: dataset.parse().unwrap(), sealing: SealingId::from_bytes([3; 16]) };
        let keys = SealingKeys::derive(&DatasetKey::from_bytes(Zeroizing::new(key)), &binding);
        let terms = ManifestTerms {
            agreement,
            dataset: binding.dataset,
            owner: "owner".parse().unwrap(),
            sealing: binding.sealing,
            format: Format::Parquet,
            bytes: 1,
            chunks: Digest384::of(b"chunks"),
            wrapped_key: vec![1],
            commitment: *keys.commitment(),
        };
        Manifest::new(&terms).unwrap()
    }

    /// PROTOCOL §5: "the only error is `KeyRefused`, whatever went wrong". 10,000 mutations of a genuine answer: what the host
    /// sees of each is one question and one refusal.
    #[test]
    fn ten_thousand_mutated_answers_look_alike() {
        std::thread::scope(|scope| {
            for seed in [1, 2] {
                scope.spawn(move || mutated_answers_look_alike(seed, 5_000));
            }
        });
    }

    fn mutated_answers_look_alike(seed: u64, count: usize) {
        let key = RecipientKey::generate().unwrap();
        let recipient = RecipientPublicKey::from_spki_der(key.spki_der()).unwrap();
        let agreement = Digest384::of(b"agreement");
        let arn = KeyArn::new("arn:aws:kms:eu-central-1:111122223333:key/k").unwrap();
        let manifest = manifest(agreement, "a", [5; 32]);
        let slots = [Slot { agreement, manifest: &manifest, key: &arn }];
        let genuine = envelope(&recipient, &[5; 32], EnvelopeSecrets::new([7; 32], [8; 16])).unwrap();
        // The key's identifier is not documented by AWS, so nothing depends on it: the one place where a change changes nothing.
        let identifier = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.spki_der());
        let start = genuine.windows(32).position(|window| window == identifier.as_ref()).unwrap();

        let mut numbers = Numbers(seed);
        let mut answers: Vec<Vec<u8>> = Vec::new();
        while answers.len() < count {
            let mutated = numbers.mutate(&genuine);
            let same_length = mutated.len() == genuine.len();
            let differs =
                |(at, (one, other)): (usize, (&u8, &u8))| one != other && !(start..start + 32).contains(&at);
            if !same_length || genuine.iter().zip(&mutated).enumerate().any(differs) {
                answers.push(mutated);
            }
        }
        answers.push(genuine);

        let (inside, outside) = UnixStream::pair().unwrap();
        let relay = std::thread::spawn(move || {
            let mut end = HostEnd::new(outside);
            for answer in answers {
                let question = end.question().unwrap();
                assert!(matches!(question, Ask::ReleaseKey { dataset, .. } if dataset == "a"));
                end.answer(&Answer::Key { ciphertext_for_recipient: answer }).unwrap();
            }
            assert!(end.question().is_err(), "one question for each answer");
        });
        let mut nsm = module();
        let mut host = Host::new(inside);
        for number in 0..count {
            let refusal = ask_for_keys(&key, &mut nsm, &slots, None, &mut host).err();
            assert_eq!(refusal, Some(Refusal::Key), "answer {number}");
        }
        assert!(
            ask_for_keys(&key, &mut nsm, &slots, None, &mut host).is_ok(),
            "the genuine answer does open"
        );
        drop(host);
        relay.join().unwrap();
    }
}

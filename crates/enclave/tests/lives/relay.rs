//! A host and a key service in this process, which can be told to misbehave.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use entente_agreement::Name;
use entente_attestation::{SignedDocument, TrustAnchor};
use entente_channel::{Answer, Ask, Documents, ErrorCode, HostEnd, MAX_PIECE};
use entente_release::recipient::{EnvelopeSecrets, RecipientPublicKey, envelope};

use crate::world::{Sealed, World, name, random};

/// Looks at each question and at the true answer, and gives the one that is sent; nothing closes the connection.
pub(crate) type Mischief = Box<dyn FnMut(&Ask, Answer) -> Option<Answer> + Send>;

pub(crate) struct Relay {
    pub(crate) documents: Documents,
    pub(crate) sealed: BTreeMap<Name, Sealed>,
    pub(crate) anchor: TrustAnchor,
    pub(crate) mischief: Mischief,
}

/// What a host saw of one life.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The questions, each as its kind, its dataset or file and a number.
    pub(crate) questions: Vec<String>,
    pub(crate) key_questions: Vec<Ask>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) receipt: Option<Vec<u8>>,
    pub(crate) finished: bool,
    pub(crate) halted: Option<ErrorCode>,
}

impl Relay {
    pub(crate) fn honest(world: &World) -> Self {
        Self {
            documents: world.documents(),
            sealed: world.sealed.clone(),
            anchor: TrustAnchor::simulated(world.hypervisor.root_der()).unwrap(),
            mischief: Box::new(|_, answer| Some(answer)),
        }
    }

    pub(crate) fn start(mut self) -> (UnixStream, JoinHandle<Seen>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (ours, std::thread::spawn(move || self.serve(HostEnd::new(theirs))))
    }

    fn serve(&mut self, mut end: HostEnd<UnixStream>) -> Seen {
        let mut seen = Seen::default();
        while let Ok(question) = end.question() {
            seen.note(&question);
            if matches!(question, Ask::Halted { .. }) {
                break;
            }
            let answer = self.answer(&question);
            let Some(answer) = (self.mischief)(&question, answer) else { break };
            if end.answer(&answer).is_err() {
                break;
            }
        }
        seen
    }

    fn answer(&self, question: &Ask) -> Answer {
        let sealed = |dataset: &str| self.sealed.get(&name(dataset)).unwrap();
        match question {
            Ask::Documents => Answer::Documents(Box::new(self.documents.clone())),
            Ask::ReleaseKey { dataset, attestation_document, .. } => {
                let document = SignedDocument::parse(attestation_document).unwrap();
                let at = document.timestamp_unverified();
                let document = document.authenticate(&self.anchor, at).unwrap();
                let recipient = RecipientPublicKey::from_spki_der(document.public_key().unwrap()).unwrap();
                let secrets = EnvelopeSecrets::new(random(), random());
                let answer = envelope(&recipient, &sealed(dataset).key, secrets).unwrap();
                Answer::Key { ciphertext_for_recipient: answer }
            }
            Ask::ChunkDigests { dataset } => {
                Answer::ChunkDigests { digests: sealed(dataset).list.to_bytes() }
            }
            Ask::Chunk { dataset, index } => {
                let pieces = sealed(dataset).bytes.chunks(MAX_PIECE).nth(usize::try_from(*index).unwrap());
                Answer::Chunk { bytes: pieces.unwrap().to_vec() }
            }
            Ask::Deliver { .. } | Ask::DeliverPiece { .. } | Ask::DeliverReceipt { .. } => Answer::Taken,
            Ask::Finished | Ask::Halted { .. } => Answer::Taken,
        }
    }
}

impl Seen {
    pub(crate) fn note(&mut self, question: &Ask) {
        let text = match question {
            Ask::Documents => "documents".to_owned(),
            Ask::ReleaseKey { dataset, .. } => {
                self.key_questions.push(question.clone());
                format!("key {dataset}")
            }
            Ask::ChunkDigests { dataset } => format!("digests {dataset}"),
            Ask::Chunk { dataset, index } => format!("chunk {dataset} {index}"),
            Ask::Deliver { name, size } => {
                self.files.insert(name.clone(), Vec::new());
                format!("deliver {name} {size}")
            }
            Ask::DeliverPiece { bytes } => {
                let name =
                    self.questions.iter().rev().find_map(|line| line.strip_prefix("deliver ")).unwrap();
                let name = name.split(' ').next().unwrap().to_owned();
                self.files.get_mut(&name).unwrap().extend_from_slice(bytes);
                format!("piece {}", bytes.len())
            }
            Ask::DeliverReceipt { bytes } => {
                self.receipt = Some(bytes.clone());
                "receipt".to_owned()
            }
            Ask::Finished => {
                self.finished = true;
                "finished".to_owned()
            }
            Ask::Halted { code } => {
                self.halted = Some(*code);
                format!("halted {code}")
            }
        };
        self.questions.push(text);
    }
}

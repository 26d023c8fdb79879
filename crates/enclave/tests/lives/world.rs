//! Three parties, their keys and data, an agreement, and everything that they signed: genuine, to be changed one thing at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Decimal128Array, RecordBatch, StringArray};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use entente_agreement::{
    Agreement, Format, InputEntry, InputSet, Manifest, ManifestTerms, Name, Namespace, Request, RequestTerms,
    SealingId, SignKey, Table, Value, sshsig,
};
use entente_attestation::Digest384;
use entente_channel::{Documents, PartySignature, SignedManifest, SignedRequest};
use entente_sealing::result::ResultIdentity;
use entente_sealing::table::{TableTerms, TableWriter};
use entente_sealing::{Binding, ChunkList, ChunkWriter, DatasetKey, SealingKeys, blob};
use entente_testkit::ForgedHypervisor;
use zeroize::Zeroizing;

/// 2026-04-21T22:33:40Z, well inside the agreement's window.
pub(crate) const NOW: u64 = 1_776_810_820_000;

pub(crate) const ANALYSIS: &str = "tally-spring";
pub(crate) const DATASETS: [(&str, &str); 3] =
    [("bids-north", "north"), ("bids-south", "south"), ("note", "harbour")];

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}

pub(crate) struct Party {
    pub(crate) name: Name,
    key: Ed25519KeyPair,
    sign_key: SignKey,
    pub(crate) result: ResultIdentity,
}

impl Party {
    pub(crate) fn new(text: &str) -> Self {
        let key = Ed25519KeyPair::generate().unwrap();
        let mut blob = Vec::new();
        for part in [&b"ssh-ed25519"[..], key.public_key().as_ref()] {
            blob.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
            blob.extend_from_slice(part);
        }
        let sign_key = SignKey::from_blob(&blob).unwrap();
        Self { name: name(text), key, sign_key, result: ResultIdentity::generate().unwrap() }
    }

    pub(crate) fn sign(&self, namespace: Namespace, message: &[u8]) -> Vec<u8> {
        let raw = self.key.sign(&sshsig::signed_data(namespace, message));
        sshsig::armor(&self.sign_key, namespace, raw.as_ref()).unwrap().into_bytes()
    }

    pub(crate) fn public_key(&self) -> String {
        self.sign_key.to_openssh()
    }

    fn signature(&self, namespace: Namespace, message: &[u8]) -> PartySignature {
        PartySignature { party: self.name.to_string(), armored: self.sign(namespace, message) }
    }
}

/// One sealed file and its manifest.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) list: ChunkList,
    pub(crate) manifest: Manifest,
    pub(crate) key: [u8; 32],
}

/// What is sealed into a dataset.
pub(crate) enum Content {
    /// A genuine file of the slot's format.
    Genuine,
    /// These bytes, as they are.
    Raw(Vec<u8>),
    /// Nothing: the owner signs `absent`.
    Absent,
}

pub(crate) struct World {
    pub(crate) hypervisor: ForgedHypervisor,
    pub(crate) measurements: [Digest384; 3],
    pub(crate) parties: Vec<Party>,
    pub(crate) agreement: Agreement,
    pub(crate) sealed: BTreeMap<Name, Sealed>,
    pub(crate) set: InputSet,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|text| text, |_| Content::Genuine)
    }

    /// A world whose agreement's text is changed before anybody signs, and with these contents.
    pub(crate) fn with(edit: impl FnOnce(String) -> String, content: impl Fn(&str) -> Content) -> Self {
        let hypervisor = ForgedHypervisor::new();
        let parties: Vec<Party> = ["north", "south", "harbour"].into_iter().map(Party::new).collect();
        let measurements = ["kernel and all", "kernel", "program"].map(|part| Digest384::of(part.as_bytes()));
        let text = edit(agreement_text(&hypervisor, &parties, &measurements));
        let agreement = Agreement::parse(text.as_bytes()).unwrap();
        let mut world = Self {
            hypervisor,
            measurements,
            parties,
            set: InputSet::new(agreement.digest(), &name(ANALYSIS), 1, entries(&BTreeMap::new())).unwrap(),
            agreement,
            sealed: BTreeMap::new(),
        };
        for (dataset, _) in DATASETS {
            let plain = match content(dataset) {
                Content::Absent => continue,
                Content::Raw(bytes) => Some(bytes),
                Content::Genuine => None,
            };
            let sealed = world.seal(dataset, plain);
            world.sealed.insert(name(dataset), sealed);
        }
        world.set = world.set_of_round(1);
        world
    }

    pub(crate) fn party(&self, text: &str) -> &Party {
        self.parties.iter().find(|party| party.name.as_str() == text).unwrap()
    }

    pub(crate) fn set_of_round(&self, round: u32) -> InputSet {
        self.set_with(&self.sealed, round)
    }

    pub(crate) fn set_with(&self, sealed: &BTreeMap<Name, Sealed>, round: u32) -> InputSet {
        InputSet::new(self.agreement.digest(), &name(ANALYSIS), round, entries(sealed)).unwrap()
    }

    /// The manifest of a sealed file, but for another agreement.
    pub(crate) fn manifest_of_agreement(&self, sealed: &Sealed, agreement: Digest384) -> Manifest {
        let of = &sealed.manifest;
        let terms = ManifestTerms {
            agreement,
            dataset: of.dataset().clone(),
            owner: of.owner().clone(),
            sealing: of.sealing(),
            format: of.format(),
            bytes: of.size(),
            chunks: of.chunks(),
            wrapped_key: of.wrapped_key().to_vec(),
            commitment: *of.commitment(),
        };
        Manifest::new(&terms).unwrap()
    }

    /// Seals a dataset afresh: another key, another sealing id. With `raw` bytes instead of a genuine file, if given.
    pub(crate) fn seal(&self, dataset: &str, raw: Option<Vec<u8>>) -> Sealed {
        let slot = self.agreement.dataset(&name(dataset)).unwrap();
        let key: [u8; 32] = random();
        let binding = Binding {
            agreement: self.agreement.digest(),
            dataset: name(dataset),
            sealing: SealingId::from_bytes(random()),
        };
        let keys = SealingKeys::derive(&DatasetKey::from_bytes(Zeroizing::new(key)), &binding);
        let bytes = raw.unwrap_or_else(|| match slot.format() {
            Format::Parquet => table(slot, &keys),
            Format::Age => note(&keys),
        });
        let mut chunks = ChunkWriter::new(Vec::new());
        std::io::Write::write_all(&mut chunks, &bytes).unwrap();
        let (_, list) = chunks.finish().unwrap();
        let terms = ManifestTerms {
            agreement: self.agreement.digest(),
            dataset: name(dataset),
            owner: slot.owner().clone(),
            sealing: binding.sealing,
            format: slot.format(),
            bytes: list.bytes(),
            chunks: list.digest(),
            wrapped_key: format!("K of {dataset}, wrapped").into_bytes(),
            commitment: *keys.commitment(),
        };
        Sealed { bytes, list, manifest: Manifest::new(&terms).unwrap(), key }
    }

    /// All documents of the job, signed by everybody.
    pub(crate) fn documents(&self) -> Documents {
        let all = |namespace, bytes: &[u8]| {
            self.parties.iter().map(|party| party.signature(namespace, bytes)).collect::<Vec<_>>()
        };
        Documents {
            agreement: self.agreement.bytes().to_vec(),
            approvals: all(Namespace::Agreement, self.agreement.bytes()),
            analysis: ANALYSIS.to_owned(),
            inputs: self.set.bytes().to_vec(),
            input_signatures: all(Namespace::Inputs, self.set.bytes()),
            manifests: self.sealed.values().map(|sealed| self.signed_manifest(&sealed.manifest)).collect(),
            request: None,
        }
    }

    /// A request of `north`, signed by these parties.
    pub(crate) fn request(&self, number: u64, signers: &[&str]) -> SignedRequest {
        self.request_of(number, Table::default(), signers)
    }

    /// The same with a parameter.
    pub(crate) fn request_with_parameter(&self, signers: &[&str]) -> SignedRequest {
        let mut parameters = Table::default();
        parameters.insert("threshold", Value::Integer(7)).unwrap();
        self.request_of(1, parameters, signers)
    }

    fn request_of(&self, number: u64, parameters: Table, signers: &[&str]) -> SignedRequest {
        let terms = RequestTerms {
            agreement: self.agreement.digest(),
            inputs: self.set.digest(),
            analysis: name(ANALYSIS),
            runner: name("north"),
            number,
            parameters,
        };
        let bytes = Request::new(&terms).unwrap().bytes().to_vec();
        let signature = |signer: &&str| self.party(signer).signature(Namespace::Request, &bytes);
        SignedRequest { signatures: signers.iter().map(signature).collect(), bytes }
    }

    pub(crate) fn signed_manifest(&self, manifest: &Manifest) -> SignedManifest {
        SignedManifest {
            dataset: manifest.dataset().to_string(),
            bytes: manifest.bytes().to_vec(),
            armored: self.party(manifest.owner().as_str()).sign(Namespace::Manifest, manifest.bytes()),
        }
    }
}

fn entries(sealed: &BTreeMap<Name, Sealed>) -> Vec<InputEntry> {
    let entry = |(dataset, owner)| match sealed.get(&name(dataset)) {
        Some(sealed) => InputEntry::present(name(dataset), name(owner), sealed.manifest.digest()),
        None => InputEntry::absent(name(dataset), name(owner)),
    };
    DATASETS.into_iter().map(entry).collect()
}

fn table(slot: &entente_agreement::Dataset, keys: &SealingKeys) -> Vec<u8> {
    let terms = TableTerms::of(slot).unwrap();
    let lots: ArrayRef = Arc::new(StringArray::from(vec!["villa", "mill", "barn"]));
    let amounts =
        Decimal128Array::from(vec![12_500_000, 9_999_999, 1]).with_precision_and_scale(18, 2).unwrap();
    let batch = RecordBatch::try_new(terms.schema().clone(), vec![lots, Arc::new(amounts)]).unwrap();
    let mut writer = TableWriter::new(Vec::new(), keys, &terms).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap().out
}

/// A note of more than two pieces.
fn note(keys: &SealingKeys) -> Vec<u8> {
    let text = "the villa leaks\n".repeat(160_000);
    let mut sealed = Vec::new();
    blob::seal_blob(&mut text.as_bytes(), &mut sealed, keys, &[]).unwrap();
    sealed
}

fn agreement_text(hypervisor: &ForgedHypervisor, parties: &[Party], measurements: &[Digest384; 3]) -> String {
    use std::fmt::Write as _;
    let root: String = hypervisor.root_fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
    let [pcr0, pcr1, pcr2] = measurements;
    let mut text = format!(
        "type = \"entente/agreement/v1\"\nserial = \"00112233445566778899aabbccddeeff\"\nsupersedes = \"\"\n\
         not_before = \"2026-04-01T00:00:00Z\"\nnot_after = \"2026-05-01T00:00:00Z\"\nroot = \"simulated:{root}\"\n"
    );
    for party in parties {
        let (sign, result) = (party.sign_key.to_openssh(), party.result.recipient());
        write!(
            text,
            "\n[[party]]\nname = \"{}\"\nsign_key = \"{sign}\"\nresult_key = \"{result}\"\n",
            party.name
        )
        .unwrap();
    }
    write!(text, "\n[[image]]\nname = \"tally\"\npcr0 = \"{pcr0}\"\npcr1 = \"{pcr1}\"\npcr2 = \"{pcr2}\"\n")
        .unwrap();
    for (dataset, owner) in DATASETS {
        let (format, schema, rows, bytes, optional) = match dataset {
            "note" => ("age", "[]", 0, 4_194_304, true),
            _ => (
                "parquet",
                "[\n  \"lot text(40)\",\n  \"amount decimal(18,2)\",\n]",
                100,
                1_048_576,
                dataset == "bids-south",
            ),
        };
        write!(
            text,
            "\n[[dataset]]\nname = \"{dataset}\"\nowner = \"{owner}\"\nformat = \"{format}\"\nschema = {schema}\n\
             max_bytes = {bytes}\nmax_rows = {rows}\npad = false\noptional = {optional}\n\
             key = \"arn:aws:kms:eu-central-1:111122223333:key/{dataset}\"\n"
        )
        .unwrap();
    }
    write!(
        text,
        "\n[[analysis]]\nname = \"{ANALYSIS}\"\nimage = \"tally\"\ndatasets = [\"bids-north\", \"bids-south\", \"note\"]\n\
         authorize = \"inputs\"\nrunners = [\"north\"]\nrounds = 2\nmemory_mib = 256\n\n[analysis.parameters]\n\n\
         [analysis.disclosure]\n"
    )
    .unwrap();
    for recipient in ["north", "harbour"] {
        write!(text, "\n[[analysis.output]]\nname = \"tally\"\nrecipient = \"{recipient}\"\nbytes = 16384\n")
            .unwrap();
    }
    text
}

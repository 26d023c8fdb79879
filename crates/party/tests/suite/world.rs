//! Three parties, an agreement, a key service in memory and a forged hypervisor.

use entente_agreement::{Agreement, ApprovedAgreement, KeyArn, Name, SignedManifest};
use entente_attestation::{Measurements, TrustAnchor, UnixTime};
use entente_party::{
    Home, ImageAssurance, KeyPolicies, KeyRelease, KeyServiceError, KeyWrapper, Progress, ReviewTerms,
    SealError, SealOrder, Sealed, SignKeySource, SimulatedRoot, approve, read_approvals, read_manifest,
    review, seal,
};
use entente_release::policy::KeyPolicy;
use entente_sealing::{Binding, DatasetKey};
use entente_testkit::ForgedHypervisor;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

pub(crate) const OWNER: &str = "arn:aws:iam::111122223333:user/owner";
pub(crate) const HOST: &str = "arn:aws:iam::999988887777:role/entente-host";

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn now() -> UnixTime {
    UnixTime::parse_rfc3339("2026-06-01T12:00:00Z").unwrap()
}

/// A key service that keeps everything in memory, and can be told to fail.
#[derive(Default)]
pub(crate) struct MemoryKeys {
    pub(crate) wrapped: RefCell<Vec<([u8; 32], Binding)>>,
    pub(crate) policies: RefCell<BTreeMap<String, String>>,
    pub(crate) fails: RefCell<Option<&'static str>>,
    pub(crate) deaf: RefCell<Option<()>>,
}

impl MemoryKeys {
    fn may(&self, operation: &'static str) -> Result<(), KeyServiceError> {
        match *self.fails.borrow() {
            Some(failing) if failing == operation => {
                Err(KeyServiceError::Unreachable { operation, problem: "pulled the plug".to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// The key that a manifest's blob stands for.
    pub(crate) fn unwrap(&self, blob: &[u8]) -> (DatasetKey, Binding) {
        let index = usize::from(blob[0]);
        let (key, binding) = self.wrapped.borrow()[index].clone();
        (DatasetKey::from_bytes(Zeroizing::new(key)), binding)
    }
}

impl KeyWrapper for MemoryKeys {
    fn wrap(&self, _: &KeyArn, secret: &DatasetKey, binding: &Binding) -> Result<Vec<u8>, KeyServiceError> {
        self.may("Encrypt")?;
        let mut wrapped = self.wrapped.borrow_mut();
        wrapped.push((*secret.expose_for_wrapping(), binding.clone()));
        Ok(vec![u8::try_from(wrapped.len() - 1).unwrap(), 0xbb])
    }
}

impl KeyPolicies for MemoryKeys {
    fn policy(&self, key: &KeyArn) -> Result<String, KeyServiceError> {
        self.may("GetKeyPolicy")?;
        let first = || KeyPolicy::for_owner(&OWNER.parse().unwrap()).unwrap().to_json();
        Ok(self.policies.borrow().get(key.as_str()).cloned().unwrap_or_else(first))
    }

    fn put_policy(&self, key: &KeyArn, policy: &str) -> Result<(), KeyServiceError> {
        self.may("PutKeyPolicy")?;
        if self.deaf.borrow().is_none() {
            self.policies.borrow_mut().insert(key.as_str().to_owned(), policy.to_owned());
        }
        Ok(())
    }
}

pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) homes: BTreeMap<Name, Home>,
    pub(crate) agreement: Agreement,
    pub(crate) agreement_file: PathBuf,
    pub(crate) hypervisor: ForgedHypervisor,
    pub(crate) keys: MemoryKeys,
}

pub(crate) fn pcr(index: u8) -> String {
    format!("{index}a").repeat(48)
}

impl World {
    /// Parties that know each other, and an agreement that nobody has signed.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut homes = BTreeMap::new();
        for party in ["north", "seller", "south"] {
            let home =
                Home::init(&directory.path().join(party), &name(party), &SignKeySource::Generate).unwrap();
            homes.insert(name(party), home);
        }
        for home in homes.values() {
            for other in homes.values().filter(|other| other.name() != home.name()) {
                home.trust(other.name(), other.sign_key()).unwrap();
            }
        }
        let hypervisor = ForgedHypervisor::new();
        let text = agreement_text(&homes, &hypervisor);
        let agreement_file = directory.path().join("agreement.toml");
        fs::write(&agreement_file, &text).unwrap();
        let agreement = Agreement::parse(text.as_bytes()).unwrap();
        Self { directory, homes, agreement, agreement_file, hypervisor, keys: MemoryKeys::default() }
    }

    /// With everybody's approval.
    pub(crate) fn approved() -> (Self, ApprovedAgreement) {
        let world = Self::new();
        for home in world.homes.values() {
            let review = review(home, &world.agreement, &world.terms()).unwrap();
            approve(home, &review, &world.agreement_file, now()).unwrap();
        }
        let approvals = read_approvals(&world.agreement_file).unwrap();
        let approved = ApprovedAgreement::verify(world.agreement.clone(), &approvals).unwrap();
        (world, approved)
    }

    pub(crate) fn home(&self, party: &str) -> &Home {
        &self.homes[&name(party)]
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    pub(crate) fn anchor(&self) -> TrustAnchor {
        TrustAnchor::simulated(self.hypervisor.root_der()).unwrap()
    }

    pub(crate) fn measurements(&self) -> Measurements {
        *self.agreement.images()[0].measurements()
    }

    pub(crate) fn terms(&self) -> ReviewTerms<'static> {
        ReviewTerms {
            simulated: SimulatedRoot::Accept { ca_sha256: self.hypervisor.root_fingerprint() },
            images: ImageAssurance::Rebuilt(vec![self.measurements()]),
            previous: None,
            at: now(),
        }
    }

    /// Seals text as a party's dataset.
    pub(crate) fn seal(
        &self,
        approved: &ApprovedAgreement,
        party: &str,
        dataset: &str,
        source: &Path,
    ) -> Result<Sealed, SealError> {
        self.seal_watched(approved, party, dataset, source, &mut |_| {})
    }

    pub(crate) fn seal_watched(
        &self,
        approved: &ApprovedAgreement,
        party: &str,
        dataset: &str,
        source: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Sealed, SealError> {
        let directory = self.path("sealed");
        let order = SealOrder {
            approved,
            dataset: &name(dataset),
            source,
            source_format: None,
            directory: &directory,
            at: now(),
        };
        seal(self.home(party), &order, &self.keys, progress)
    }

    pub(crate) fn source(&self, file: &str, text: &str) -> PathBuf {
        let path = self.path(file);
        fs::write(&path, text).unwrap();
        path
    }

    /// Both buyers' bids sealed.
    pub(crate) fn manifests(&self, approved: &ApprovedAgreement) -> BTreeMap<Name, SignedManifest> {
        let mut manifests = BTreeMap::new();
        for party in ["north", "south"] {
            let source = self.source(&format!("{party}.csv"), "lot,amount\nvilla,12.50\nbarn,7\n");
            let dataset = format!("bids-{party}");
            let sealed = self.seal(approved, party, &dataset, &source).unwrap();
            manifests.insert(name(&dataset), read_manifest(&sealed.manifest_file).unwrap());
        }
        manifests
    }

    pub(crate) fn release(&self) -> KeyRelease<'_> {
        KeyRelease {
            owner: OWNER.parse().unwrap(),
            host: HOST.parse().unwrap(),
            policies: &self.keys,
            standing: Vec::new(),
        }
    }
}

pub(crate) fn agreement_text(homes: &BTreeMap<Name, Home>, hypervisor: &ForgedHypervisor) -> String {
    let parties: Vec<String> = homes.values().map(Home::party_block).collect();
    let dataset = |name: &str, owner: &str, format: &str, schema: &str, rows: u32, pad: bool, key: u32| {
        format!(
            "[[dataset]]\nname = \"{name}\"\nowner = \"{owner}\"\nformat = \"{format}\"\nschema = [{schema}]\nmax_bytes = \
             4000000\nmax_rows = {rows}\npad = {pad}\noptional = {}\nkey = \
             \"arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-12345678900{key}\"\n\n",
            name == "reserve"
        )
    };
    let bids = "\"lot text(20)\", \"amount decimal(18,2)\", \"note text(40) null\"";
    let bids_short = "\"lot text(20)\", \"amount decimal(18,2)\"";
    let wide = "\"lot text(20)\", \"amount decimal(18,2)\", \"units int64\", \"firm boolean\", \"day date\", \"at \
                timestamp\", \"proof bytes(4)\", \"note text(40) null\"";
    let wide: Vec<String> = wide.split(", ").map(str::to_owned).collect();
    format!(
        "type = \"entente/agreement/v1\"\nserial = \"000102030405060708090a0b0c0d0e0f\"\nsupersedes = \"\"\nnot_before = \
         \"2026-01-01T00:00:00Z\"\nnot_after = \"2027-01-01T00:00:00Z\"\nroot = \"simulated:{root}\"\n\n{parties}\n\
         [[image]]\nname = \"auction\"\npcr0 = \"{pcr0}\"\npcr1 = \"{pcr1}\"\npcr2 = \"{pcr2}\"\n\n{datasets}\
         [[analysis]]\nname = \"auction\"\nimage = \"auction\"\ndatasets = [\"bids-north\", \"bids-south\", \
         \"reserve\"]\nauthorize = \"inputs\"\nrunners = [\"seller\"]\nrounds = 2\nmemory_mib = 64\n\n\
         [analysis.parameters]\n\n[analysis.disclosure]\n\n\
         [[analysis.output]]\nrecipient = \"seller\"\nname = \"outcome\"\nbytes = 8192\n\n\
         [[analysis.output]]\nrecipient = \"north\"\nname = \"outcome\"\nbytes = 8192\n",
        root = hypervisor.root_fingerprint().iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        parties = parties.join("\n"),
        pcr0 = pcr(1),
        pcr1 = pcr(2),
        pcr2 = pcr(3),
        datasets = [
            dataset("bids-north", "north", "parquet", bids_short, 100, true, 1),
            dataset("bids-south", "south", "parquet", bids_short, 100, false, 2),
            dataset("reserve", "seller", "parquet", bids, 10, false, 3),
            dataset("model", "north", "age", "", 0, false, 4),
            dataset("wide", "north", "parquet", &wide.join(",\n  "), 20_000, false, 5),
        ]
        .concat(),
    )
}

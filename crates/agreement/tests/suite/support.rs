//! Parties whose keys come from fixed seeds, and the example agreement that names them.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use entente_agreement::{
    Agreement, ApprovedAgreement, InputEntry, InputSet, Manifest, ManifestTerms, Name, Namespace, SealingId,
    SignKey, SignedInputs, SignedManifest, sshsig,
};
use entente_attestation::Digest384;

pub(crate) const AUCTION: &str = include_str!("../data/auction.toml");

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// SSH's `string`.
pub(crate) fn ssh_string(bytes: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    key: SignKey,
}

impl Signer {
    pub(crate) fn new(seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let blob = [ssh_string(b"ssh-ed25519"), ssh_string(pair.public_key().as_ref())].concat();
        Self { key: SignKey::from_blob(&blob).unwrap(), pair }
    }

    /// The party of [`AUCTION`].
    pub(crate) fn of(party: &str) -> Self {
        match party {
            "harbour" => Self::new(1),
            "ada" => Self::new(2),
            "bea" => Self::new(3),
            other => panic!("no such party: {other}"),
        }
    }

    pub(crate) fn key(&self) -> &SignKey {
        &self.key
    }

    pub(crate) fn raw(&self, data: &[u8]) -> Vec<u8> {
        self.pair.sign(data).as_ref().to_vec()
    }

    pub(crate) fn sign(&self, namespace: Namespace, message: &[u8]) -> Vec<u8> {
        let raw = self.raw(&sshsig::signed_data(namespace, message));
        sshsig::armor(&self.key, namespace, &raw).unwrap().into_bytes()
    }
}

pub(crate) fn signatures(namespace: Namespace, message: &[u8], parties: &[&str]) -> BTreeMap<Name, Vec<u8>> {
    parties.iter().map(|party| (name(party), Signer::of(party).sign(namespace, message))).collect()
}

pub(crate) fn agreement() -> Agreement {
    Agreement::parse(AUCTION.as_bytes()).unwrap()
}

pub(crate) fn approved(agreement: Agreement) -> ApprovedAgreement {
    let approvals = signatures(Namespace::Agreement, agreement.bytes(), &["harbour", "ada", "bea"]);
    ApprovedAgreement::verify(agreement, &approvals).unwrap()
}

pub(crate) fn terms(agreement: &Agreement, dataset: &str) -> ManifestTerms {
    let slot = agreement.dataset(&name(dataset)).unwrap();
    ManifestTerms {
        agreement: agreement.digest(),
        dataset: slot.name().clone(),
        owner: slot.owner().clone(),
        sealing: SealingId::from_bytes([7; 16]),
        format: slot.format(),
        bytes: 4096,
        chunks: Digest384::of(b"chunks"),
        wrapped_key: vec![9; 184],
        commitment: [5; 48],
    }
}

pub(crate) fn sign_manifest(terms: &ManifestTerms) -> SignedManifest {
    let manifest = Manifest::new(terms).unwrap();
    let signature = Signer::of(terms.owner.as_str()).sign(Namespace::Manifest, manifest.bytes());
    SignedManifest::new(manifest, signature)
}

/// The set of [`AUCTION`] with bea absent, from manifests given for the others.
pub(crate) fn inputs(agreement: &Agreement, manifests: &[SignedManifest]) -> SignedInputs {
    let entries = agreement.datasets().iter().map(|slot| {
        let manifest = manifests.iter().find(|signed| signed.manifest().dataset() == slot.name());
        match manifest {
            Some(signed) => {
                InputEntry::present(slot.name().clone(), slot.owner().clone(), signed.manifest().digest())
            }
            None => InputEntry::absent(slot.name().clone(), slot.owner().clone()),
        }
    });
    let set = InputSet::new(agreement.digest(), &name("auction"), 1, entries.collect()).unwrap();
    let signatures = signatures(Namespace::Inputs, set.bytes(), &["harbour", "ada", "bea"]);
    let manifests =
        manifests.iter().map(|signed| (signed.manifest().dataset().clone(), signed.clone())).collect();
    SignedInputs::new(set, signatures, manifests)
}

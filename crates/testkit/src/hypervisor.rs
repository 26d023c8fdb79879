//! A source of documents that verify, under a test root.

use std::collections::BTreeMap;

use aws_lc_rs::digest;

use crate::{Chain, Forgery, Link, certificate::DEFAULT_MODULE_ID};

/// What a document is to say.
#[derive(Debug, Clone)]
pub struct Attestation {
    /// Milliseconds since 1970; the chain is valid around it.
    pub time: u64,
    /// The enclave, in AWS's form `i-…-enc…`.
    pub module_id: String,
    /// Locked registers, in ascending order.
    pub pcrs: BTreeMap<u8, Vec<u8>>,
    /// `public_key`; `None` is written as `null`.
    pub public_key: Option<Vec<u8>>,
    /// `user_data`; `None` is written as `null`.
    pub user_data: Option<Vec<u8>>,
    /// `nonce`; `None` is written as `null`.
    pub nonce: Option<Vec<u8>>,
}

impl Attestation {
    /// A document of a production enclave at this time (milliseconds since 1970), with none of the three fields.
    ///
    /// PCR0 to 4 hold the SHA-384 of `pcr0` to `pcr4` (their names), 5 to 15 zero.
    #[must_use]
    pub fn at(time: u64) -> Self {
        let pcrs = (0..16)
            .map(|index| {
                let value = if index < 5 { sha384(format!("pcr{index}").as_bytes()) } else { vec![0; 48] };
                (index, value)
            })
            .collect();
        Self {
            time,
            module_id: DEFAULT_MODULE_ID.to_owned(),
            pcrs,
            public_key: None,
            user_data: None,
            nonce: None,
        }
    }

    /// With this register.
    #[must_use]
    pub fn with_pcr(mut self, index: u8, value: &[u8]) -> Self {
        self.pcrs.insert(index, value.to_vec());
        self
    }

    /// With PCR0, PCR1 and PCR2.
    #[must_use]
    pub fn with_measurements(self, pcr0: &[u8], pcr1: &[u8], pcr2: &[u8]) -> Self {
        self.with_pcr(0, pcr0).with_pcr(1, pcr1).with_pcr(2, pcr2)
    }

    /// With PCR16 and PCR17 as an enclave extends them: once from zero, with these digests of 48 bytes.
    #[must_use]
    pub fn bound_to(self, agreement: &[u8], input_set: &[u8]) -> Self {
        self.with_pcr(16, &sha384(&[&[0; 48], agreement].concat()))
            .with_pcr(17, &sha384(&[&[0; 48], input_set].concat()))
    }

    /// In debug mode: PCR0, 1 and 2 are zero.
    #[must_use]
    pub fn in_debug_mode(self) -> Self {
        self.with_measurements(&[0; 48], &[0; 48], &[0; 48])
    }

    /// With `public_key`.
    #[must_use]
    pub fn with_public_key(mut self, bytes: &[u8]) -> Self {
        self.public_key = Some(bytes.to_vec());
        self
    }

    /// With `user_data`.
    #[must_use]
    pub fn with_user_data(mut self, bytes: &[u8]) -> Self {
        self.user_data = Some(bytes.to_vec());
        self
    }

    /// With `nonce`.
    #[must_use]
    pub fn with_nonce(mut self, bytes: &[u8]) -> Self {
        self.nonce = Some(bytes.to_vec());
        self
    }
}

/// A hypervisor with a root of its own, that signs whatever it is asked to.
#[derive(Debug, Clone)]
pub struct ForgedHypervisor {
    root: Link,
    root_der: Vec<u8>,
}

impl Default for ForgedHypervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl ForgedHypervisor {
    /// With a new root, valid from 2019 to 2049.
    #[must_use]
    pub fn new() -> Self {
        let root = Link::test_root();
        let root_der = root.certificate.sign(&root.key);
        Self { root, root_der }
    }

    /// The root certificate in DER: what a verifier pins.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        &self.root_der
    }

    /// SHA-256 of the root certificate: what an agreement names.
    #[must_use]
    pub fn root_fingerprint(&self) -> [u8; 32] {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest::digest(&digest::SHA256, &self.root_der).as_ref());
        fingerprint
    }

    /// A document that says this, ready to be changed.
    #[must_use]
    pub fn forgery(&self, attestation: &Attestation) -> Forgery {
        let chain = Chain::under(&self.root, Some(&self.root_der), attestation.time, &attestation.module_id);
        Forgery::new(chain, attestation)
    }

    /// A document that says this, signed.
    #[must_use]
    pub fn attest(&self, attestation: &Attestation) -> Vec<u8> {
        self.forgery(attestation).sign()
    }
}

fn sha384(data: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA384, data).as_ref().to_vec()
}

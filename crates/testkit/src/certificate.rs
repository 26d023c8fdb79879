//! Certificates and chains in the form of the Nitro hypervisor's, with every part open to change.

use crate::{Key, der};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// A certificate before it is signed. All fields hold the DER of the element that they name, so that each can be
/// replaced by anything.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// `[0] EXPLICIT` version; empty to leave it out (version 1).
    pub version: Vec<u8>,
    /// serialNumber.
    pub serial: Vec<u8>,
    /// The signature algorithm inside the signed part.
    pub inner_algorithm: Vec<u8>,
    /// issuer.
    pub issuer: Vec<u8>,
    /// validity.
    pub validity: Vec<u8>,
    /// subject.
    pub subject: Vec<u8>,
    /// subjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// The extensions in order; none at all leaves the field out.
    pub extensions: Vec<Extension>,
    /// The signature algorithm outside the signed part.
    pub outer_algorithm: Vec<u8>,
    /// Bytes that follow the certificate.
    pub trailing: Vec<u8>,
}

/// One extension of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Content of the object identifier.
    pub oid: Vec<u8>,
    /// Whether a reader that does not know it must refuse.
    pub critical: der::Flag,
    /// DER inside the octet string.
    pub value: Vec<u8>,
}

impl Certificate {
    /// An issuing certificate with `pathLenConstraint` (none for the root) and keyCertSign.
    #[must_use]
    pub fn authority(
        issuer: &[u8],
        subject: &[u8],
        key: &Key,
        validity: Vec<u8>,
        path_length: Option<u8>,
    ) -> Self {
        let mut constraints = der::boolean(&der::Flag::Yes);
        if let Some(length) = path_length {
            constraints.extend(der::integer(&[length]));
        }
        Self::with(
            issuer,
            subject,
            key,
            validity,
            vec![
                Extension {
                    oid: der::BASIC_CONSTRAINTS.to_vec(),
                    critical: der::Flag::Yes,
                    value: der::tlv(0x30, &constraints),
                },
                Extension {
                    oid: der::SUBJECT_KEY_IDENTIFIER.to_vec(),
                    critical: der::Flag::No,
                    value: der::octet_string(&[0x5a; 20]),
                },
                // digitalSignature, keyCertSign, cRLSign
                key_usage(der::Flag::Yes, 1, 0x86),
            ],
        )
    }

    /// A certificate that signs documents: no authority, digitalSignature and nonRepudiation, not critical.
    #[must_use]
    pub fn leaf(issuer: &[u8], subject: &[u8], key: &Key, validity: Vec<u8>) -> Self {
        Self::with(
            issuer,
            subject,
            key,
            validity,
            vec![
                Extension {
                    oid: der::BASIC_CONSTRAINTS.to_vec(),
                    critical: der::Flag::Yes,
                    value: der::sequence(&[]),
                },
                key_usage(der::Flag::No, 6, 0xc0),
            ],
        )
    }

    fn with(issuer: &[u8], subject: &[u8], key: &Key, validity: Vec<u8>, extensions: Vec<Extension>) -> Self {
        let algorithm = der::sequence(&[&der::oid(der::ECDSA_WITH_SHA384)]);
        Self {
            version: der::tlv(0xa0, &der::integer(&[2])),
            serial: der::integer(&[0x01, 0x9a, 0x53, 0x76]),
            inner_algorithm: algorithm.clone(),
            issuer: issuer.to_vec(),
            validity,
            subject: subject.to_vec(),
            spki: key.spki(),
            extensions,
            outer_algorithm: algorithm,
            trailing: Vec::new(),
        }
    }

    /// The extension with this identifier.
    ///
    /// # Panics
    /// If there is none.
    pub fn extension_mut(&mut self, oid: &[u8]) -> &mut Extension {
        self.extensions.iter_mut().find(|extension| extension.oid == oid).expect("the extension is there")
    }

    /// Takes out the extension with this identifier.
    pub fn remove_extension(&mut self, oid: &[u8]) {
        self.extensions.retain(|extension| extension.oid != oid);
    }

    /// The part that is signed (`TBSCertificate`).
    #[must_use]
    pub fn signed_part(&self) -> Vec<u8> {
        let mut parts = [
            &self.version[..],
            &self.serial,
            &self.inner_algorithm,
            &self.issuer,
            &self.validity,
            &self.subject,
            &self.spki,
        ]
        .concat();
        if !self.extensions.is_empty() {
            let extensions: Vec<u8> = self.extensions.iter().flat_map(Extension::encode).collect();
            parts.extend(der::tlv(0xa3, &der::tlv(0x30, &extensions)));
        }
        der::tlv(0x30, &parts)
    }

    /// The certificate, signed by `key`.
    #[must_use]
    pub fn sign(&self, key: &Key) -> Vec<u8> {
        let signed_part = self.signed_part();
        let signature = key.sign_asn1(&signed_part);
        let mut out = der::sequence(&[&signed_part, &self.outer_algorithm, &der::bit_string(0, &signature)]);
        out.extend_from_slice(&self.trailing);
        out
    }
}

impl Extension {
    fn encode(&self) -> Vec<u8> {
        let critical = match self.critical {
            der::Flag::Yes => der::boolean(&der::Flag::Yes),
            der::Flag::No => Vec::new(),
        };
        der::sequence(&[&der::oid(&self.oid), &critical, &der::octet_string(&self.value)])
    }
}

/// keyUsage with these bits (bit 0, digitalSignature, is the highest of `bits`).
#[must_use]
pub fn key_usage(critical: der::Flag, unused: u8, bits: u8) -> Extension {
    Extension { oid: der::KEY_USAGE.to_vec(), critical, value: der::bit_string(unused, &[bits]) }
}

/// A validity from two times in milliseconds since 1970.
#[must_use]
pub fn validity(not_before: u64, not_after: u64) -> Vec<u8> {
    der::sequence(&[&der::time(not_before), &der::time(not_after)])
}

/// Where a certificate stands in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Self-signed; `cabundle[0]`.
    Root,
    /// Issued by the root; `cabundle[1]`.
    Regional,
    /// Issued by the regional one; `cabundle[2]`.
    Zonal,
    /// Issued by the zonal one; `cabundle[3]`.
    Instance,
    /// Signs the document; `certificate`.
    Leaf,
}

/// A certificate with the key that it certifies.
#[derive(Debug, Clone)]
pub struct Link {
    /// The certificate before it is signed.
    pub certificate: Certificate,
    /// The key that it certifies and that signs what comes below it.
    pub key: Key,
}

/// The five certificates of a document, before they are signed.
#[derive(Debug, Clone)]
pub struct Chain {
    links: [Link; 5],
    /// The root certificate as signed: kept, since each signature is different and the root is pinned by its bytes.
    root_der: Option<Vec<u8>>,
}

impl Chain {
    /// A new chain with new keys, as the hypervisor would have it for a document made at `time` (milliseconds since
    /// 1970): validity periods as WIRE.md reports them, the leaf's from 3 seconds before that time for 3 hours.
    #[must_use]
    pub fn at(time: u64) -> Self {
        Self::under(&Link::test_root(), None, time, DEFAULT_MODULE_ID)
    }

    /// A chain under this root for a document of this module; `root_der` is the root certificate as it was signed.
    #[must_use]
    pub fn under(root: &Link, root_der: Option<&[u8]>, time: u64, module_id: &str) -> Self {
        let region = "eu-central-1";
        let regional_name = der::name(&format!("8d5dc75b9861bf17.{region}.aws.nitro-enclaves"));
        let zonal_name = der::name(&format!("884ba65a7e151b5.zonal.{region}.aws.nitro-enclaves"));
        let instance = module_id.split_once("-enc").map_or(module_id, |(instance, _)| instance);
        let instance_name = der::name(&format!("{instance}.{region}.aws.nitro-enclaves"));
        let leaf_name = der::name(&format!("{module_id}.{region}.aws"));
        let (regional, zonal, instance, leaf) = (Key::p384(), Key::p384(), Key::p384(), Key::p384());
        let around = |before: u64, after: u64| validity(time.saturating_sub(before), time + after);
        let links = [
            root.clone(),
            Link {
                certificate: Certificate::authority(
                    &root.certificate.subject,
                    &regional_name,
                    &regional,
                    around(5 * DAY, 15 * DAY),
                    Some(2),
                ),
                key: regional,
            },
            Link {
                certificate: Certificate::authority(
                    &regional_name,
                    &zonal_name,
                    &zonal,
                    around(DAY, 4 * DAY),
                    Some(1),
                ),
                key: zonal,
            },
            Link {
                certificate: Certificate::authority(
                    &zonal_name,
                    &instance_name,
                    &instance,
                    around(9 * HOUR, 15 * HOUR),
                    Some(0),
                ),
                key: instance,
            },
            Link {
                certificate: Certificate::leaf(&instance_name, &leaf_name, &leaf, around(3000, 3 * HOUR)),
                key: leaf,
            },
        ];
        Self { links, root_der: root_der.map(<[u8]>::to_vec) }
    }

    /// The certificate at this position.
    #[must_use]
    pub fn link(&self, position: Position) -> &Link {
        &self.links[index(position)]
    }

    /// The certificate at this position, to change. Changing the root forgets its signed form.
    pub fn link_mut(&mut self, position: Position) -> &mut Link {
        if position == Position::Root {
            self.root_der = None;
        }
        &mut self.links[index(position)]
    }

    /// All five certificates in DER, root first, each signed with the key of the one before it.
    #[must_use]
    pub fn sign(&self) -> Vec<Vec<u8>> {
        let mut out = Vec::with_capacity(5);
        for (at, link) in self.links.iter().enumerate() {
            let signed = match (at, &self.root_der) {
                (0, Some(der)) => der.clone(),
                _ => link.certificate.sign(&self.links[at.saturating_sub(1)].key),
            };
            out.push(signed);
        }
        out
    }
}

impl Link {
    /// A new root, valid from 2019-10-28 to 2049-10-28 as AWS's is, under a name that says what it is.
    #[must_use]
    pub fn test_root() -> Self {
        let key = Key::p384();
        let name = der::name("test.nitro-enclaves");
        let validity = validity(1_572_269_285_000, 2_519_044_085_000);
        Self { certificate: Certificate::authority(&name, &name, &key, validity, None), key }
    }
}

/// The module id of documents that do not ask for another.
pub const DEFAULT_MODULE_ID: &str = "i-06fb0bf4e70d5129f-enc019a5376999041b1";

fn index(position: Position) -> usize {
    match position {
        Position::Root => 0,
        Position::Regional => 1,
        Position::Zonal => 2,
        Position::Instance => 3,
        Position::Leaf => 4,
    }
}

//! One attestation document before it is signed.

use crate::{Attestation, Chain, Key, Position, cbor::Cbor};

/// How the payload map is written.
#[derive(Debug, Clone, PartialEq)]
pub enum PayloadForm {
    /// With its length first, as hardware did before 2025-08-18.
    Definite,
    /// With an end mark, as hardware does since.
    Indefinite,
    /// These bytes instead of the map.
    Raw(Vec<u8>),
}

/// How the signature is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureForm {
    /// ES384 over the Sig_structure of RFC 9052, section 4.4.
    Genuine,
    /// The same signature in its other form, n − s in place of s. Both are valid.
    Mirrored,
    /// These bytes.
    Raw(Vec<u8>),
}

/// An attestation document, every part of it open to change, before [`Forgery::sign`].
#[derive(Debug, Clone)]
pub struct Forgery {
    /// The certificates.
    pub chain: Chain,
    /// The payload's entries in order. `certificate` and `cabundle` hold `null` until signing, which puts the chain
    /// there; anything else in them is kept.
    pub payload: Vec<(Cbor, Cbor)>,
    /// How the payload is written.
    pub payload_form: PayloadForm,
    /// Bytes after the payload map, inside the payload.
    pub payload_trailing: Vec<u8>,
    /// The protected header as signed, without the head of its byte string.
    pub protected: Vec<u8>,
    /// The unprotected header.
    pub unprotected: Cbor,
    /// The tag around the message, outermost first (18 for COSE_Sign1).
    pub tags: Vec<u64>,
    /// How the signature is made.
    pub signature: SignatureForm,
    /// The key that signs, in place of the leaf's.
    pub signing_key: Option<Key>,
    /// Bytes after the message.
    pub trailing: Vec<u8>,
}

/// ES384 as the only entry: `{1: -35}`.
const PROTECTED: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];

impl Forgery {
    /// A document that says this, under this chain; nothing is wrong with it yet.
    #[must_use]
    pub fn new(chain: Chain, attestation: &Attestation) -> Self {
        let pcrs = attestation
            .pcrs
            .iter()
            .map(|(index, value)| (Cbor::Uint(u64::from(*index)), Cbor::bytes(value)))
            .collect();
        let payload = vec![
            (Cbor::text("module_id"), Cbor::text(&attestation.module_id)),
            (Cbor::text("digest"), Cbor::text("SHA384")),
            (Cbor::text("timestamp"), Cbor::Uint(attestation.time)),
            (Cbor::text("pcrs"), Cbor::Map(pcrs)),
            (Cbor::text("certificate"), Cbor::NULL),
            (Cbor::text("cabundle"), Cbor::NULL),
            (Cbor::text("public_key"), Cbor::bytes_or_null(attestation.public_key.as_deref())),
            (Cbor::text("user_data"), Cbor::bytes_or_null(attestation.user_data.as_deref())),
            (Cbor::text("nonce"), Cbor::bytes_or_null(attestation.nonce.as_deref())),
        ];
        Self {
            chain,
            payload,
            payload_form: PayloadForm::Indefinite,
            payload_trailing: Vec::new(),
            protected: PROTECTED.to_vec(),
            unprotected: Cbor::Map(Vec::new()),
            tags: Vec::new(),
            signature: SignatureForm::Genuine,
            signing_key: None,
            trailing: Vec::new(),
        }
    }

    /// The value of this entry of the payload, to change.
    ///
    /// # Panics
    /// If there is none.
    pub fn entry_mut(&mut self, key: &str) -> &mut Cbor {
        let key = Cbor::text(key);
        let entry = self.payload.iter_mut().find(|(name, _)| *name == key);
        &mut entry.expect("the payload has this entry").1
    }

    /// Puts a value in place of this entry's.
    #[must_use]
    pub fn with_entry(mut self, key: &str, value: Cbor) -> Self {
        *self.entry_mut(key) = value;
        self
    }

    /// Takes an entry out of the payload.
    #[must_use]
    pub fn without_entry(mut self, key: &str) -> Self {
        self.payload.retain(|(name, _)| *name != Cbor::text(key));
        self
    }

    /// Adds an entry at the end of the payload, also if there is one of this name already.
    #[must_use]
    pub fn with_extra_entry(mut self, key: Cbor, value: Cbor) -> Self {
        self.payload.push((key, value));
        self
    }

    /// The registers of the payload, to change.
    ///
    /// # Panics
    /// If they were replaced by something that is not a map.
    pub fn pcrs_mut(&mut self) -> &mut Vec<(Cbor, Cbor)> {
        match self.entry_mut("pcrs") {
            Cbor::Map(pairs) | Cbor::OpenMap(pairs) => pairs,
            other => unreachable!("registers are a map, not {other:?}"),
        }
    }

    /// Changes a certificate before it is signed.
    #[must_use]
    pub fn with_certificate(
        mut self,
        position: Position,
        change: impl FnOnce(&mut crate::certificate::Certificate),
    ) -> Self {
        change(&mut self.chain.link_mut(position).certificate);
        self
    }

    /// The document, with everything signed.
    #[must_use]
    pub fn sign(&self) -> Vec<u8> {
        self.sign_over(&self.chain.sign())
    }

    /// The document over these certificates (root first), and the root: for changes to the root itself, whose bytes
    /// are new each time they are signed.
    #[must_use]
    pub fn sign_with_root(&self) -> (Vec<u8>, Vec<u8>) {
        let certificates = self.chain.sign();
        let root = certificates[0].clone();
        (self.sign_over(&certificates), root)
    }

    /// The document over these certificates in DER, root first, leaf last.
    #[must_use]
    pub fn sign_over(&self, certificates: &[Vec<u8>]) -> Vec<u8> {
        let payload = self.payload_bytes(certificates);
        let to_be_signed = Cbor::Array(vec![
            Cbor::text("Signature1"),
            Cbor::bytes(&self.protected),
            Cbor::bytes(&[]),
            Cbor::bytes(&payload),
        ])
        .encode();
        let signature = match &self.signature {
            SignatureForm::Raw(bytes) => bytes.clone(),
            form => {
                let key = self.signing_key.as_ref().unwrap_or(&self.chain.link(Position::Leaf).key);
                let signature = key.sign_fixed(&to_be_signed);
                if *form == SignatureForm::Mirrored { mirrored(&signature) } else { signature }
            }
        };
        let mut message = Cbor::Array(vec![
            Cbor::bytes(&self.protected),
            self.unprotected.clone(),
            Cbor::bytes(&payload),
            Cbor::bytes(&signature),
        ]);
        for tag in self.tags.iter().rev() {
            message = Cbor::Tag(*tag, Box::new(message));
        }
        let mut out = message.encode();
        out.extend_from_slice(&self.trailing);
        out
    }

    fn payload_bytes(&self, certificates: &[Vec<u8>]) -> Vec<u8> {
        let mut entries = self.payload.clone();
        if let Some((leaf, bundle)) = certificates.split_last() {
            for (key, value) in &mut entries {
                if *value != Cbor::NULL {
                    continue;
                }
                if *key == Cbor::text("certificate") {
                    *value = Cbor::bytes(leaf);
                } else if *key == Cbor::text("cabundle") {
                    *value = Cbor::Array(bundle.iter().map(|der| Cbor::bytes(der)).collect());
                }
            }
        }
        let mut out = match &self.payload_form {
            PayloadForm::Definite => Cbor::Map(entries).encode(),
            PayloadForm::Indefinite => Cbor::OpenMap(entries).encode(),
            PayloadForm::Raw(bytes) => bytes.clone(),
        };
        out.extend_from_slice(&self.payload_trailing);
        out
    }
}

/// r ‖ s to r ‖ n − s.
#[must_use]
pub(crate) fn mirrored(signature: &[u8]) -> Vec<u8> {
    /// The order of P-384 (SP 800-186, section 3.2.1.4).
    const ORDER: [u8; 48] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a,
        0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
    ];
    let mut out = signature.to_vec();
    let mut borrow = false;
    for at in (0..48).rev() {
        let (difference, first) = ORDER[at].overflowing_sub(signature[48 + at]);
        let (difference, second) = difference.overflowing_sub(u8::from(borrow));
        out[48 + at] = difference;
        borrow = first || second;
    }
    out
}

//! ECDSA keys of tests.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _,
    },
};

use crate::der;

/// The curve of a [`Key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// secp384r1, the only one that Nitro uses.
    P384,
    /// secp256r1, for evidence with the wrong curve.
    P256,
}

/// An ECDSA key pair, freshly made. Clones are the same key.
#[derive(Debug, Clone)]
pub struct Key {
    curve: Curve,
    pkcs8: Vec<u8>,
    point: Vec<u8>,
}

impl Key {
    /// A new P-384 key.
    ///
    /// # Panics
    /// If the system has no randomness.
    #[must_use]
    pub fn p384() -> Self {
        Self::generate(Curve::P384)
    }

    /// A new key on this curve.
    ///
    /// # Panics
    /// If the system has no randomness.
    #[must_use]
    pub fn generate(curve: Curve) -> Self {
        let pair = EcdsaKeyPair::generate(algorithm(curve)).expect("randomness");
        let pkcs8 = pair.to_pkcs8v1().expect("a fresh key encodes").as_ref().to_vec();
        Self { curve, pkcs8, point: pair.public_key().as_ref().to_vec() }
    }

    /// The public key as an uncompressed point (97 bytes on P-384).
    #[must_use]
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    /// The private key as PKCS#8 DER.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public key as a DER `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki(&self) -> Vec<u8> {
        let curve = match self.curve {
            Curve::P384 => der::oid(der::SECP384R1),
            Curve::P256 => der::oid(der::SECP256R1),
        };
        der::sequence(&[
            &der::sequence(&[&der::oid(der::EC_PUBLIC_KEY), &curve]),
            &der::bit_string(0, &self.point),
        ])
    }

    /// ECDSA as X.509 writes it (a DER sequence of r and s), with SHA-384 on P-384 and SHA-256 on P-256.
    ///
    /// # Panics
    /// If signing fails, which it does not.
    #[must_use]
    pub fn sign_asn1(&self, message: &[u8]) -> Vec<u8> {
        self.sign(algorithm(self.curve), message)
    }

    /// ECDSA with SHA-384, as COSE writes it: r ‖ s, 96 bytes.
    ///
    /// # Panics
    /// If the key is not on P-384.
    #[must_use]
    pub fn sign_fixed(&self, message: &[u8]) -> Vec<u8> {
        self.sign(&ECDSA_P384_SHA384_FIXED_SIGNING, message)
    }

    fn sign(&self, algorithm: &'static EcdsaSigningAlgorithm, message: &[u8]) -> Vec<u8> {
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, &self.pkcs8).expect("the key's own encoding");
        pair.sign(&SystemRandom::new(), message).expect("signing with a valid key").as_ref().to_vec()
    }
}

fn algorithm(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        Curve::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
    }
}

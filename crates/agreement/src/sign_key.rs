//! OpenSSH public keys of the types that may sign.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::namespace::Namespace;
use crate::ssh::{Reader, Truncated, positive_mpint};
use crate::sshsig::{self, SignatureError};

/// An OpenSSH public key that may sign for a party (PROTOCOL §0): ed25519, ecdsa-p256, ecdsa-p384, RSA of 3072 to 8192 bits,
/// sk-ed25519 or sk-ecdsa-p256. Never DSA, `ssh-rsa` signatures, certificates or smaller RSA keys.
///
/// The encoding was checked to be the only one of its key, so two keys are equal exactly when their bytes are.
///
/// ```
/// use entente_agreement::SignKey;
/// let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti alice@example";
/// let key: SignKey = line.parse()?;
/// assert!(key.fingerprint().starts_with("SHA256:"));
/// assert_eq!(key.to_openssh(), line.trim_end_matches(" alice@example"));
/// # Ok::<(), entente_agreement::SignKeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SignKey {
    blob: Vec<u8>,
    material: Material,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Material {
    Ed25519 { point: [u8; 32] },
    EcdsaP256 { point: Vec<u8> },
    EcdsaP384 { point: Vec<u8> },
    Rsa { exponent: Vec<u8>, modulus: Vec<u8> },
    SkEd25519 { point: [u8; 32], application: Vec<u8> },
    SkEcdsaP256 { point: Vec<u8>, application: Vec<u8> },
}

/// The type of a [`SignKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignKeyKind {
    /// `ssh-ed25519`.
    Ed25519,
    /// `ecdsa-sha2-nistp256`.
    EcdsaP256,
    /// `ecdsa-sha2-nistp384`.
    EcdsaP384,
    /// `ssh-rsa`; signatures are `rsa-sha2-256` or `rsa-sha2-512`.
    Rsa,
    /// `sk-ssh-ed25519@openssh.com`, on a hardware token.
    SkEd25519,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`, on a hardware token.
    SkEcdsaP256,
}

impl SignKeyKind {
    /// The type as it stands before the key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::EcdsaP384 => "ecdsa-sha2-nistp384",
            Self::Rsa => "ssh-rsa",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }
}

impl fmt::Display for SignKeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl SignKey {
    /// The least bits of an RSA key.
    pub const MIN_RSA_BITS: usize = 3072;

    /// The most bits of an RSA key: what the verifying library takes.
    pub const MAX_RSA_BITS: usize = 8192;

    /// The most bytes of an encoded key: one of RSA-8192 with the largest exponent has 1,051.
    const MAX_BLOB_BYTES: usize = 2048;

    /// Reads a key as a `.pub` file has it: the type, base64 and, perhaps, a comment, which means nothing and is dropped.
    ///
    /// # Errors
    /// When it is no key, or not one that may sign.
    pub fn from_openssh(line: &str) -> Result<Self, SignKeyError> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        if line.contains('\n') {
            return Err(SignKeyError::Form);
        }
        let mut words = line.splitn(3, ' ');
        let (Some(kind), Some(base64)) = (words.next(), words.next()) else {
            return Err(SignKeyError::Form);
        };
        if base64.len() > Self::MAX_BLOB_BYTES * 4 / 3 {
            return Err(SignKeyError::Form);
        }
        allowed(kind.as_bytes())?;
        let blob = STANDARD.decode(base64).map_err(|_| SignKeyError::Form)?;
        let key = Self::from_blob(&blob)?;
        if key.kind().as_str() != kind {
            return Err(SignKeyError::Form);
        }
        Ok(key)
    }

    /// Reads a key in SSH's binary encoding, as it stands inside of signatures.
    ///
    /// # Errors
    /// When it is no key, or not one that may sign.
    pub fn from_blob(blob: &[u8]) -> Result<Self, SignKeyError> {
        if blob.len() > Self::MAX_BLOB_BYTES {
            return Err(SignKeyError::Form);
        }
        let mut reader = Reader(blob);
        let material = match allowed(reader.string()?)? {
            SignKeyKind::Ed25519 => Material::Ed25519 { point: ed25519(reader.string()?)? },
            SignKeyKind::EcdsaP256 => Material::EcdsaP256 { point: p256(&mut reader)? },
            SignKeyKind::EcdsaP384 => {
                Material::EcdsaP384 { point: ecdsa(&mut reader, b"nistp384", 97, &ECDSA_P384_SHA384_FIXED)? }
            }
            SignKeyKind::Rsa => {
                let exponent = reader.string()?;
                let modulus = reader.string()?;
                rsa(exponent, modulus)?
            }
            SignKeyKind::SkEd25519 => Material::SkEd25519 {
                point: ed25519(reader.string()?)?,
                application: application(reader.string()?)?,
            },
            SignKeyKind::SkEcdsaP256 => {
                let point = p256(&mut reader)?;
                Material::SkEcdsaP256 { point, application: application(reader.string()?)? }
            }
        };
        if !reader.is_empty() {
            return Err(SignKeyError::Encoding);
        }
        Ok(Self { blob: blob.to_vec(), material })
    }

    /// The key's type.
    #[must_use]
    pub const fn kind(&self) -> SignKeyKind {
        match self.material {
            Material::Ed25519 { .. } => SignKeyKind::Ed25519,
            Material::EcdsaP256 { .. } => SignKeyKind::EcdsaP256,
            Material::EcdsaP384 { .. } => SignKeyKind::EcdsaP384,
            Material::Rsa { .. } => SignKeyKind::Rsa,
            Material::SkEd25519 { .. } => SignKeyKind::SkEd25519,
            Material::SkEcdsaP256 { .. } => SignKeyKind::SkEcdsaP256,
        }
    }

    /// The key in SSH's binary encoding.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The key as a `.pub` file has it, without comment or line feed.
    #[must_use]
    pub fn to_openssh(&self) -> String {
        format!("{} {}", self.kind(), STANDARD.encode(&self.blob))
    }

    /// `SHA256:` and base64 without padding, as `ssh-keygen -l` prints it and people compare it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(digest(&SHA256, &self.blob)))
    }

    /// Verifies an armored SSHSIG signature of a message (PROTOCOL §0), without interest in time.
    ///
    /// ```text
    /// ssh-keygen -Y sign -n entente-agreement -f KEY agreement.toml
    /// ```
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn verify(&self, namespace: Namespace, message: &[u8], armored: &[u8]) -> Result<(), SignatureError> {
        sshsig::verify(self, namespace, message, armored)
    }

    pub(crate) const fn material(&self) -> &Material {
        &self.material
    }

    /// What two parties must not share: the key, whatever the application string of a token's key is.
    pub(crate) fn identity(&self) -> Vec<u8> {
        match &self.material {
            Material::Ed25519 { point } | Material::SkEd25519 { point, .. } => point.to_vec(),
            Material::EcdsaP256 { point }
            | Material::SkEcdsaP256 { point, .. }
            | Material::EcdsaP384 { point } => point.clone(),
            Material::Rsa { modulus, .. } => modulus.clone(),
        }
    }
}

impl fmt::Display for SignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_openssh())
    }
}

impl fmt::Debug for SignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignKey({} {})", self.kind(), self.fingerprint())
    }
}

impl FromStr for SignKey {
    type Err = SignKeyError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        Self::from_openssh(line)
    }
}

fn allowed(kind: &[u8]) -> Result<SignKeyKind, SignKeyError> {
    const KINDS: [SignKeyKind; 6] = [
        SignKeyKind::Ed25519,
        SignKeyKind::EcdsaP256,
        SignKeyKind::EcdsaP384,
        SignKeyKind::Rsa,
        SignKeyKind::SkEd25519,
        SignKeyKind::SkEcdsaP256,
    ];
    if let Some(kind) = KINDS.into_iter().find(|known| known.as_str().as_bytes() == kind) {
        return Ok(kind);
    }
    match kind {
        b"ssh-dss" => Err(SignKeyError::Dsa),
        kind if kind.ends_with(b"-cert-v01@openssh.com") => Err(SignKeyError::Certificate),
        kind => Err(SignKeyError::Kind { found: String::from_utf8_lossy(kind).chars().take(64).collect() }),
    }
}

fn ed25519(bytes: &[u8]) -> Result<[u8; 32], SignKeyError> {
    let point: [u8; 32] = bytes.try_into().map_err(|_| SignKeyError::Encoding)?;
    // y of the points of order 1, 2, 4 and 8, the sign bit aside; with such a key anybody can sign for the party.
    let mut masked = point;
    masked[31] &= 0x7f;
    if SMALL_ORDER.contains(&masked) || !below_p(&masked) {
        return Err(SignKeyError::WeakPoint);
    }
    parse(&ED25519, &point)?;
    Ok(point)
}

/// Whether the little-endian y is below 2^255 − 19 (RFC 8032 section 5.1.3, step 1).
fn below_p(y: &[u8; 32]) -> bool {
    !(y[31] == 0x7f && y[1..31].iter().all(|byte| *byte == 0xff) && y[0] >= 0xed)
}

const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];

fn p256(reader: &mut Reader<'_>) -> Result<Vec<u8>, SignKeyError> {
    ecdsa(reader, b"nistp256", 65, &ECDSA_P256_SHA256_FIXED)
}

fn ecdsa(
    reader: &mut Reader<'_>,
    curve: &[u8],
    length: usize,
    algorithm: &'static dyn VerificationAlgorithm,
) -> Result<Vec<u8>, SignKeyError> {
    let found = reader.string()?;
    let point = reader.string()?;
    // RFC 5656 section 3.1: uncompressed, so that a key has one encoding.
    if found != curve || point.len() != length || point.first() != Some(&4) {
        return Err(SignKeyError::Encoding);
    }
    parse(algorithm, point)?;
    Ok(point.to_vec())
}

/// Lets the library check that a point is on its curve.
fn parse(algorithm: &'static dyn VerificationAlgorithm, point: &[u8]) -> Result<(), SignKeyError> {
    ParsedPublicKey::new(algorithm, point).map(drop).map_err(|_| SignKeyError::NotOnCurve)
}

fn rsa(exponent: &[u8], modulus: &[u8]) -> Result<Material, SignKeyError> {
    let exponent = positive_mpint(exponent).ok_or(SignKeyError::Encoding)?;
    let modulus = positive_mpint(modulus).ok_or(SignKeyError::Encoding)?;
    let zeros = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let bits = (modulus.len() * 8).saturating_sub(usize::try_from(zeros).unwrap_or_default());
    if !(SignKey::MIN_RSA_BITS..=SignKey::MAX_RSA_BITS).contains(&bits) {
        return Err(SignKeyError::RsaBits { found: bits });
    }
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    // An exponent of 1 would make every message its own signature; the library takes at most 33 bits.
    if exponent == [1] || exponent.len() > 4 || !odd(exponent) || !odd(modulus) {
        return Err(SignKeyError::Encoding);
    }
    Ok(Material::Rsa { exponent: exponent.to_vec(), modulus: modulus.to_vec() })
}

fn application(bytes: &[u8]) -> Result<Vec<u8>, SignKeyError> {
    if bytes.is_empty() || bytes.len() > 255 { Err(SignKeyError::Encoding) } else { Ok(bytes.to_vec()) }
}

impl From<Truncated> for SignKeyError {
    fn from(_: Truncated) -> Self {
        Self::Encoding
    }
}

/// Why a text is not a [`SignKey`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignKeyError {
    /// Not a type and base64 that belong together.
    #[error("not an OpenSSH public key; write the line of the .pub file")]
    Form,
    /// A type that may not sign.
    #[error(
        "keys of type {found:?} may not sign; make one with `ssh-keygen -t ed25519` (or ecdsa of 256 or 384 bits, RSA of 3072, ed25519-sk, ecdsa-sk)"
    )]
    Kind {
        /// The type, cut at 64 characters.
        found: String,
    },
    /// A DSA key.
    #[error("DSA keys may not sign; make one with `ssh-keygen -t ed25519`")]
    Dsa,
    /// A certificate.
    #[error("certificates may not sign; write the plain public key")]
    Certificate,
    /// An RSA key that is too small or too large.
    #[error("an RSA key of {found} bits; use 3072 to 8192 bits, or ed25519")]
    RsaBits {
        /// Bits found.
        found: usize,
    },
    /// Its fields are not what the type says, or not in their one encoding.
    #[error("the key is damaged; copy the line of the .pub file again")]
    Encoding,
    /// A point that is not on its curve.
    #[error("the key is not a point of its curve; copy the line of the .pub file again")]
    NotOnCurve,
    /// A point for which anybody can sign.
    #[error("anybody could sign with this key; make one with `ssh-keygen -t ed25519`")]
    WeakPoint,
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::UnparsedPublicKey;

    /// Why such keys are refused: R = the neutral point and S = 0 is a signature under each, made without any private key.
    #[test]
    fn anybody_can_sign_with_a_weak_point() {
        let mut signature = [0; 64];
        signature[0] = 1;
        let mut forged = 0;
        for weak in SMALL_ORDER {
            for sign in [0, 0x80] {
                let mut point = weak;
                point[31] |= sign;
                assert_eq!(ed25519(&point), Err(SignKeyError::WeakPoint));
                let key = UnparsedPublicKey::new(&ED25519, point);
                if (0..200_u32).any(|message| key.verify(&message.to_be_bytes(), &signature).is_ok()) {
                    forged += 1;
                }
            }
        }
        // The orders are 1, 2, 4, 4 and four times 8; the neutral point and −1 have no second sign.
        assert!(forged >= 8, "only {forged} keys could be forged with");
    }
}

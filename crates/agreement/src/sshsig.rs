//! SSHSIG signatures (OpenSSH's PROTOCOL.sshsig, version 1): what is signed, the armor, and strict verification.
//!
//! Signing itself is for who holds a private key: sign [`signed_data`] and give the raw signature to [`armor`].

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::namespace::Namespace;
use crate::sign_key::{Material, SignKey, SignKeyError, SignKeyKind};
use crate::ssh::{Reader, Truncated, positive_mpint, put_mpint, put_string};

/// The most bytes of an armored signature. One of RSA-8192 has under 3,000.
pub const MAX_ARMORED_BYTES: usize = 8192;

const MAGIC: &[u8; 6] = b"SSHSIG";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";

/// FIDO "user present" (CTAP2, WebAuthn section 6.1): somebody touched the token. Neither OpenSSH nor the ssh-key crate insists.
const USER_PRESENT: u8 = 0x01;

/// The hash that a signature is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn of(self, message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &SHA256,
            Self::Sha512 => &SHA512,
        };
        digest(algorithm, message).as_ref().to_vec()
    }
}

/// What the private key signs for a message: `"SSHSIG" ‖ namespace ‖ "" ‖ "sha512" ‖ SHA-512(message)`.
#[must_use]
pub fn signed_data(namespace: Namespace, message: &[u8]) -> Vec<u8> {
    signed(namespace.as_str().as_bytes(), Hash::Sha512, message)
}

fn signed(namespace: &[u8], hash: Hash, message: &[u8]) -> Vec<u8> {
    let mut data = MAGIC.to_vec();
    put_string(&mut data, namespace);
    put_string(&mut data, b"");
    put_string(&mut data, hash.as_str().as_bytes());
    put_string(&mut data, &hash.of(message));
    data
}

/// Makes the armored signature from a raw signature of [`signed_data`], and checks nothing but its length.
///
/// Raw signatures: ed25519, its 64 bytes; ECDSA, `r ‖ s`, 32 or 48 bytes each, over SHA-256 or SHA-384 of the data; RSA,
/// PKCS#1 v1.5 with SHA-512 (`rsa-sha2-512`), as long as the modulus.
///
/// # Errors
/// [`ArmorError`] for another length, or a key on a token: let `ssh-keygen -Y sign` do that.
pub fn armor(key: &SignKey, namespace: Namespace, raw: &[u8]) -> Result<String, ArmorError> {
    let mut signature = Vec::new();
    let length = |expected: usize| {
        if raw.len() == expected { Ok(()) } else { Err(ArmorError::Length { expected, found: raw.len() }) }
    };
    let halves = |signature: &mut Vec<u8>| {
        let (r, s) = raw.split_at(raw.len() / 2);
        let mut inner = Vec::new();
        put_mpint(&mut inner, r);
        put_mpint(&mut inner, s);
        put_string(signature, &inner);
    };
    match key.material() {
        Material::Ed25519 { .. } => {
            length(64)?;
            put_string(&mut signature, key.kind().as_str().as_bytes());
            put_string(&mut signature, raw);
        }
        Material::EcdsaP256 { .. } => {
            length(64)?;
            put_string(&mut signature, key.kind().as_str().as_bytes());
            halves(&mut signature);
        }
        Material::EcdsaP384 { .. } => {
            length(96)?;
            put_string(&mut signature, key.kind().as_str().as_bytes());
            halves(&mut signature);
        }
        Material::Rsa { modulus, .. } => {
            length(modulus.len())?;
            put_string(&mut signature, b"rsa-sha2-512");
            put_string(&mut signature, raw);
        }
        Material::SkEd25519 { .. } | Material::SkEcdsaP256 { .. } => return Err(ArmorError::Token),
    }
    let mut blob = MAGIC.to_vec();
    blob.extend_from_slice(&1_u32.to_be_bytes());
    put_string(&mut blob, key.blob());
    put_string(&mut blob, namespace.as_str().as_bytes());
    put_string(&mut blob, b"");
    put_string(&mut blob, Hash::Sha512.as_str().as_bytes());
    put_string(&mut blob, &signature);
    Ok(armor_blob(&blob))
}

fn armor_blob(blob: &[u8]) -> String {
    let base64 = STANDARD.encode(blob);
    let mut text = format!("{BEGIN}\n");
    // OpenSSH breaks lines at 70 characters.
    for (index, character) in base64.chars().enumerate() {
        if index > 0 && index % 70 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push('\n');
    text.push_str(END);
    text.push('\n');
    text
}

/// Why a raw signature cannot be armored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArmorError {
    /// Not as long as the key's signatures are.
    #[error("a signature of {found} bytes where the key's have {expected}; sign with the key that was named")]
    Length {
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The key is on a hardware token.
    #[error("the key is on a hardware token; sign with `ssh-keygen -Y sign`")]
    Token,
}

/// Why a signature does not count. Whose fault: the signer's or the carrier's; nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// More than [`MAX_ARMORED_BYTES`].
    #[error("the signature file has {found} bytes, more than any signature; give the .sig file")]
    TooLarge {
        /// Bytes found.
        found: usize,
    },
    /// Not between the lines that begin and end an armored SSH signature, or text around them.
    #[error("not an armored SSH signature; make it with `ssh-keygen -Y sign`")]
    Armor,
    /// What is between those lines is not base64.
    #[error("the signature's base64 is damaged; copy the file again")]
    Base64,
    /// The bytes end within a field, or a field has a form that it cannot have.
    #[error("the signature is damaged in its {field}; copy the file again")]
    Encoding {
        /// The field.
        field: &'static str,
    },
    /// Bytes after the last field.
    #[error("the signature has {found} bytes too many after its {field}; make it with `ssh-keygen -Y sign`")]
    TrailingBytes {
        /// The last field.
        field: &'static str,
        /// How many.
        found: usize,
    },
    /// Does not begin with `SSHSIG`.
    #[error("not an SSH signature; make it with `ssh-keygen -Y sign`")]
    Magic,
    /// A version other than 1.
    #[error("a signature of version {found}, not 1; make it with `ssh-keygen -Y sign`")]
    Version {
        /// The version.
        found: u32,
    },
    /// The key inside is not one that may sign.
    #[error("the key inside the signature: {0}")]
    Key(SignKeyError),
    /// The key inside is another than the party's.
    #[error("signed with the key {found}, not with the party's, {expected}; sign with that one")]
    OtherKey {
        /// Fingerprint of the party's key.
        expected: String,
        /// Fingerprint of the key inside.
        found: String,
    },
    /// Made for another kind of object.
    #[error("signed for the namespace {found:?}, not {expected:?}; sign with -n {expected}")]
    Namespace {
        /// The namespace asked for.
        expected: &'static str,
        /// The one found, cut at 64 characters.
        found: String,
    },
    /// The reserved field is not empty.
    #[error("the signature's reserved field is not empty; make it with `ssh-keygen -Y sign`")]
    Reserved,
    /// A hash other than sha256 and sha512.
    #[error("signed over the hash {found:?}; use sha512 or sha256")]
    Hash {
        /// The hash, cut at 64 characters.
        found: String,
    },
    /// A signature algorithm that does not go with the key, such as `ssh-rsa` (SHA-1).
    #[error(
        "the signature algorithm {found:?} does not count for a key of type {key}; sign with a current OpenSSH"
    )]
    Algorithm {
        /// The key's type.
        key: SignKeyKind,
        /// The algorithm, cut at 64 characters.
        found: String,
    },
    /// Made on a hardware token that nobody touched.
    #[error(
        "nobody touched the token when this was signed; make a key without no-touch-required and sign again"
    )]
    UserPresence,
    /// Everything fits but the signature itself: another message, or a forgery.
    #[error("the signature does not fit the file; sign the file as it is")]
    Mismatch,
}

/// Reads one field, and says which when it is damaged.
macro_rules! field {
    ($name:literal, $read:expr) => {
        $read.map_err(|Truncated| SignatureError::Encoding { field: $name })?
    };
}

/// Verifies an armored signature. Every field is checked here, so that nothing depends on what another reader lets pass.
pub(crate) fn verify(
    key: &SignKey,
    namespace: Namespace,
    message: &[u8],
    armored: &[u8],
) -> Result<(), SignatureError> {
    let blob = dearmor(armored)?;
    let mut reader = Reader(&blob);
    if reader.take(MAGIC.len()) != Ok(MAGIC) {
        return Err(SignatureError::Magic);
    }
    let version = field!("version", reader.u32());
    if version != 1 {
        return Err(SignatureError::Version { found: version });
    }
    let public_key = field!("public key", reader.string());
    let found_namespace = field!("namespace", reader.string());
    let reserved = field!("reserved field", reader.string());
    let hash = field!("hash algorithm", reader.string());
    let signature = field!("signature", reader.string());
    if !reader.is_empty() {
        return Err(SignatureError::TrailingBytes { field: "signature", found: reader.0.len() });
    }
    let public_key = SignKey::from_blob(public_key).map_err(SignatureError::Key)?;
    if public_key != *key {
        return Err(SignatureError::OtherKey {
            expected: key.fingerprint(),
            found: public_key.fingerprint(),
        });
    }
    if found_namespace != namespace.as_str().as_bytes() {
        return Err(SignatureError::Namespace {
            expected: namespace.as_str(),
            found: printable(found_namespace),
        });
    }
    if !reserved.is_empty() {
        return Err(SignatureError::Reserved);
    }
    let hash = match hash {
        b"sha256" => Hash::Sha256,
        b"sha512" => Hash::Sha512,
        other => return Err(SignatureError::Hash { found: printable(other) }),
    };
    verify_raw(key, &signed(found_namespace, hash, message), signature)
}

fn verify_raw(key: &SignKey, data: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let mut reader = Reader(signature);
    let algorithm = field!("signature algorithm", reader.string());
    let raw = field!("raw signature", reader.string());
    let is = |name: &str| algorithm == name.as_bytes();
    let wrong = || SignatureError::Algorithm { key: key.kind(), found: printable(algorithm) };
    let end = |reader: &Reader<'_>| {
        if reader.is_empty() {
            Ok(())
        } else {
            Err(SignatureError::TrailingBytes { field: "raw signature", found: reader.0.len() })
        }
    };
    let own = |()| if is(key.kind().as_str()) { Ok(()) } else { Err(wrong()) };
    match key.material() {
        Material::Ed25519 { point } => {
            own(())?;
            end(&reader)?;
            check(&ED25519, point, data, raw, 64)
        }
        Material::EcdsaP256 { point } => {
            own(())?;
            end(&reader)?;
            check(&ECDSA_P256_SHA256_FIXED, point, data, &fixed::<32>(raw)?, 64)
        }
        Material::EcdsaP384 { point } => {
            own(())?;
            end(&reader)?;
            check(&ECDSA_P384_SHA384_FIXED, point, data, &fixed::<48>(raw)?, 96)
        }
        Material::Rsa { exponent, modulus } => {
            let parameters = match algorithm {
                b"rsa-sha2-256" => &RSA_PKCS1_2048_8192_SHA256,
                b"rsa-sha2-512" => &RSA_PKCS1_2048_8192_SHA512,
                _ => return Err(wrong()),
            };
            end(&reader)?;
            if raw.len() != modulus.len() {
                return Err(SignatureError::Encoding { field: "raw signature" });
            }
            RsaPublicKeyComponents { n: modulus, e: exponent }
                .verify(parameters, data, raw)
                .map_err(|_| SignatureError::Mismatch)
        }
        Material::SkEd25519 { point, application } => {
            own(())?;
            let data = token_data(application, data, &mut reader)?;
            end(&reader)?;
            check(&ED25519, point, &data, raw, 64)
        }
        Material::SkEcdsaP256 { point, application } => {
            own(())?;
            let data = token_data(application, data, &mut reader)?;
            end(&reader)?;
            check(&ECDSA_P256_SHA256_FIXED, point, &data, &fixed::<32>(raw)?, 64)
        }
    }
}

/// What a token signs (OpenSSH's PROTOCOL.u2f): `SHA-256(application) ‖ flags ‖ counter ‖ SHA-256(data)`. Takes flags and counter.
fn token_data(application: &[u8], data: &[u8], reader: &mut Reader<'_>) -> Result<Vec<u8>, SignatureError> {
    let flags = field!("token's flags", reader.byte());
    let counter = field!("token's counter", reader.u32());
    if flags & USER_PRESENT == 0 {
        return Err(SignatureError::UserPresence);
    }
    let mut signed = Hash::Sha256.of(application);
    signed.push(flags);
    signed.extend_from_slice(&counter.to_be_bytes());
    signed.extend_from_slice(&Hash::Sha256.of(data));
    Ok(signed)
}

fn check(
    algorithm: &'static dyn VerificationAlgorithm,
    point: &[u8],
    data: &[u8],
    raw: &[u8],
    length: usize,
) -> Result<(), SignatureError> {
    if raw.len() != length {
        return Err(SignatureError::Encoding { field: "raw signature" });
    }
    UnparsedPublicKey::new(algorithm, point).verify(data, raw).map_err(|_| SignatureError::Mismatch)
}

/// `mpint r ‖ mpint s` (RFC 5656 section 3.1.2) as two numbers of N bytes.
fn fixed<const N: usize>(raw: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let damaged = SignatureError::Encoding { field: "raw signature" };
    let mut reader = Reader(raw);
    let mut out = Vec::with_capacity(2 * N);
    for _ in 0..2 {
        let number = field!("raw signature", reader.string());
        let Some(magnitude) = positive_mpint(number) else { return Err(damaged) };
        let Some(zeros) = N.checked_sub(magnitude.len()) else { return Err(damaged) };
        out.resize(out.len() + zeros, 0);
        out.extend_from_slice(magnitude);
    }
    if !reader.is_empty() {
        return Err(SignatureError::TrailingBytes { field: "raw signature", found: reader.0.len() });
    }
    Ok(out)
}

/// The armor as OpenSSH writes it: the two lines alone, base64 between them in lines of at most 76 characters.
fn dearmor(armored: &[u8]) -> Result<Vec<u8>, SignatureError> {
    if armored.len() > MAX_ARMORED_BYTES {
        return Err(SignatureError::TooLarge { found: armored.len() });
    }
    let text = std::str::from_utf8(armored).map_err(|_| SignatureError::Armor)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let body = text
        .strip_prefix(BEGIN)
        .and_then(|text| text.strip_prefix('\n'))
        .and_then(|text| text.strip_suffix(END))
        .and_then(|text| text.strip_suffix('\n'))
        .ok_or(SignatureError::Armor)?;
    let mut base64 = String::with_capacity(body.len());
    for line in body.split('\n') {
        if line.is_empty() || line.len() > 76 || line.starts_with('-') {
            return Err(SignatureError::Armor);
        }
        base64.push_str(line);
    }
    STANDARD.decode(base64).map_err(|_| SignatureError::Base64)
}

fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(64).collect()
}

//! Signing with a party's own key.
//!
//! Ed25519 and ECDSA keys in OpenSSH files without passphrase are used here, through aws-lc-rs. Everything else
//! (RSA, hardware tokens, keys with a passphrase, keys in an agent) is signed by stock `ssh-keygen -Y sign`. Either way the
//! signature is verified against the public key before it is given out.

use crate::files::{self, FileError};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use entente_agreement::sshsig::{self, ArmorError};
use entente_agreement::{Namespace, SignKey, SignKeyError, SignatureError};
use ssh_key::private::{EcdsaKeypair, KeypairData};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// Largest key file that is read: an RSA-8192 key takes less than 8 KiB.
const KEY_FILE_LIMIT: u64 = 64 << 10;

/// Largest signature that is taken from `ssh-keygen`.
const SIGNATURE_LIMIT: u64 = 64 << 10;

/// A party's signing key, ready for use.
///
/// # Security
///
/// A secret key that is held here is wiped when dropped. It signs only bytes of the kinds that [`Namespace`] names.
pub struct Signer {
    public: SignKey,
    means: Means,
}

enum Means {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    SshKeygen { key: PathBuf },
}

impl Signer {
    /// Takes the key of an OpenSSH private key file; or of a public key file (`.pub`), whose private side is then sought
    /// by `ssh-keygen` in the agent or on a token.
    ///
    /// # Errors
    ///
    /// [`SignerError`] if it is no key, or of a type that may not sign.
    pub fn open(path: &Path) -> Result<Self, SignerError> {
        let text = Zeroizing::new(files::read(path, KEY_FILE_LIMIT)?);
        if let Some(public) = std::str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse().ok()) {
            return Ok(Self { public, means: Means::SshKeygen { key: path.to_owned() } });
        }
        let malformed = |_| SignerError::NotAKey { path: path.to_owned() };
        let private = ssh_key::PrivateKey::from_openssh(&text[..]).map_err(malformed)?;
        let line = private.public_key().to_openssh().map_err(malformed)?;
        let public = SignKey::from_openssh(&line)?;
        let refused = || SignerError::NotAKey { path: path.to_owned() };
        let means = match private.key_data() {
            KeypairData::Ed25519(pair) => Means::Ed25519(
                Ed25519KeyPair::from_seed_and_public_key(
                    Zeroizing::new(pair.private.to_bytes()).as_slice(),
                    &pair.public.0,
                )
                .map_err(|_| refused())?,
            ),
            KeypairData::Ecdsa(pair) => {
                let algorithm = match pair {
                    EcdsaKeypair::NistP256 { .. } => &ECDSA_P256_SHA256_FIXED_SIGNING,
                    EcdsaKeypair::NistP384 { .. } => &ECDSA_P384_SHA384_FIXED_SIGNING,
                    EcdsaKeypair::NistP521 { .. } => return Err(refused()),
                };
                Means::Ecdsa(
                    EcdsaKeyPair::from_private_key_and_public_key(
                        algorithm,
                        pair.private_key_bytes(),
                        pair.public_key_bytes(),
                    )
                    .map_err(|_| refused())?,
                )
            }
            _ => Means::SshKeygen { key: path.to_owned() },
        };
        Ok(Self { public, means })
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &SignKey {
        &self.public
    }

    /// Signs a file's bytes: an armored SSHSIG that stock `ssh-keygen -Y verify` accepts.
    ///
    /// # Errors
    ///
    /// [`SignerError`].
    pub fn sign(&self, namespace: Namespace, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        let armored = match &self.means {
            Means::Ed25519(pair) => {
                let raw = pair.sign(&sshsig::signed_data(namespace, message));
                sshsig::armor(&self.public, namespace, raw.as_ref())?.into_bytes()
            }
            Means::Ecdsa(pair) => {
                let raw = pair
                    .sign(&SystemRandom::new(), &sshsig::signed_data(namespace, message))
                    .map_err(|_| SignerError::Library)?;
                sshsig::armor(&self.public, namespace, raw.as_ref())?.into_bytes()
            }
            Means::SshKeygen { key } => ssh_keygen(key, namespace, message)?,
        };
        self.public.verify(namespace, message, &armored)?;
        Ok(armored)
    }
}

/// `ssh-keygen -Y sign`, from standard input to standard output. Its questions (passphrase, touch) go to the terminal.
fn ssh_keygen(key: &Path, namespace: Namespace, message: &[u8]) -> Result<Vec<u8>, SignerError> {
    let failed = |error: std::io::Error| SignerError::SshKeygen { problem: error.to_string() };
    let mut child = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", namespace.as_str(), "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // A broken pipe means that the program gave up; its exit code and words say why.
        let _ = input.write_all(message);
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() || output.stdout.len() as u64 > SIGNATURE_LIMIT {
        let problem = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(SignerError::SshKeygen { problem });
    }
    Ok(output.stdout)
}

/// Makes a new Ed25519 key: private and public OpenSSH file.
pub(crate) fn generate(comment: &str) -> Result<(Zeroizing<String>, String), SignerError> {
    use aws_lc_rs::rand::SecureRandom;
    let mut seed = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(&mut seed[..]).map_err(|_| SignerError::Library)?;
    let pair = ssh_key::private::Ed25519Keypair::from_seed(&seed);
    let key =
        ssh_key::PrivateKey::new(KeypairData::Ed25519(pair), comment).map_err(|_| SignerError::Library)?;
    let private = key.to_openssh(ssh_key::LineEnding::LF).map_err(|_| SignerError::Library)?;
    let public = key.public_key().to_openssh().map_err(|_| SignerError::Library)?;
    Ok((private, format!("{}\n", public.trim_end())))
}

/// A key cannot be used, or a signature was not made.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The key file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not an OpenSSH key file of a type that is known here.
    #[error("{}: not an OpenSSH key that can sign", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// A key of a type or size that may not sign.
    #[error(transparent)]
    KeyType(#[from] SignKeyError),
    /// `ssh-keygen` is not there or refused.
    #[error("ssh-keygen -Y sign: {problem}")]
    SshKeygen {
        /// Its words.
        problem: String,
    },
    /// The signature that was made does not verify: a private key that is not the public key's, or a broken token.
    #[error("the signature does not verify with the public key: {0}")]
    Unverified(#[from] SignatureError),
    /// The signature has an impossible form.
    #[error(transparent)]
    Armor(#[from] ArmorError),
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Library,
}

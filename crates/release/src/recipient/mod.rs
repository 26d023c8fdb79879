//! The Recipient exchange of AWS KMS: a key goes from the key service into one enclave's memory, through everybody's hands.
//!
//! An enclave makes a [`RecipientKey`], puts [`RecipientKey::spki_der`] into an attestation document and sends the document with its
//! request; the key service checks the document and answers with an [`envelope`] for that key instead of the plaintext.
//!
//! # Security
//! *Anybody can make an envelope*: the public key is public, and AES-CBC has no MAC. An envelope therefore says nothing about who made it, and
//! an enclave that told a bad one from a good one would be a decryption oracle. PROTOCOL.md §5: whatever is wrong, a random key takes
//! the place of the real one, and the commitment in the manifest is the only judge.

mod ber;
mod cms;

use aws_lc_rs::cipher::{
    AES_256, DecryptingKey, DecryptionContext, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes in a dataset key `K`.
pub const RELEASED_KEY_LEN: usize = 32;

/// Most plaintext that an envelope carries: what AWS KMS allows for `Encrypt`, in bytes.
pub const MAX_ENVELOPED: usize = 4096;

/// AES block, in bytes.
const BLOCK: usize = 16;

/// A released key under AES-256-CBC with PKCS#7: PROTOCOL.md §5, "content exactly 48 bytes".
const RELEASED_KEY_CONTENT: usize = RELEASED_KEY_LEN + BLOCK;

/// AES-256 key, in bytes.
const CONTENT_KEY: usize = 32;

/// RSA-2048 modulus, in bytes.
const RSA_2048: usize = 256;

/// The library refused an operation that cannot fail on valid values: out of memory, or no entropy at the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic library failed")]
pub struct CryptoFailure;

/// An enclave's RSA-2048 key pair for one life: made after Bind, wiped when the last key is in.
///
/// # Security
/// It exists in memory only and has neither `Debug` nor `Clone` nor a way out. Private operations are aws-lc's: blinded and
/// constant-time, with the OAEP check free of branches on secrets; freeing the key overwrites it. Generation draws from aws-lc's own generator,
/// which is the one source of randomness in this crate that is not an argument (the library offers no other).
pub struct RecipientKey {
    key: OaepPrivateDecryptingKey,
    spki: Vec<u8>,
}

impl RecipientKey {
    /// Makes a key pair.
    ///
    /// # Errors
    /// When aws-lc cannot, for want of memory or entropy.
    pub fn generate() -> Result<Self, CryptoFailure> {
        Self::from_private(PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| CryptoFailure)?)
    }

    /// Takes a key from PKCS#8 (RFC 5208), RSA of 2048 bits or more: for test vectors and for tools that open a developer's envelopes. An enclave
    /// never loads a key.
    ///
    /// # Errors
    /// When the bytes are not such a key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, CryptoFailure> {
        Self::from_private(PrivateDecryptingKey::from_pkcs8(der).map_err(|_| CryptoFailure)?)
    }

    fn from_private(private: PrivateDecryptingKey) -> Result<Self, CryptoFailure> {
        let spki = private.public_key().as_der().map_err(|_| CryptoFailure)?.as_ref().to_vec();
        let key = OaepPrivateDecryptingKey::new(private).map_err(|_| CryptoFailure)?;
        Ok(Self { key, spki })
    }

    /// The public key as a DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7): what goes into the attestation document's `public_key`. 294 bytes.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Opens a `CiphertextForRecipient` that should hold a 32-byte key, and always gives a key: the one inside, or `substitute` if anything at
    /// all is wrong with the answer.
    ///
    /// `substitute` must be 32 fresh random bytes that nobody else knows.
    ///
    /// # Security
    /// Implicit rejection (PROTOCOL.md §5). Every call does one RSA operation, one CBC decryption and one constant-time selection, in
    /// this order, whatever the answer is; a message without structure is replaced by a fixed one. What remains visible in time is how long
    /// the structure took to read, and that is a function of public bytes.
    #[must_use]
    pub fn unwrap(&self, answer: &[u8], substitute: [u8; RELEASED_KEY_LEN]) -> ReleasedKey {
        let substitute = Zeroizing::new(substitute);
        // Below any 2048-bit modulus, so that the dummy costs what a real one costs.
        let dummy = [0x42; RSA_2048];
        let parsed = cms::Message::parse(answer).ok().and_then(|message| {
            let content: [u8; RELEASED_KEY_CONTENT] = message.content.as_slice().try_into().ok()?;
            (message.encrypted_key.len() == RSA_2048).then_some((message.encrypted_key, message.iv, content))
        });
        let well_formed = Choice::from(u8::from(parsed.is_some()));
        let (encrypted_key, iv, content) = parsed.unwrap_or((&dummy, [0; BLOCK], [0; RELEASED_KEY_CONTENT]));

        let (content_key, key_opened) = self.content_key(encrypted_key);
        let mut content = Zeroizing::new(content);
        let decrypted = decrypt_cbc(&content_key, iv, content.as_mut_slice());
        let (key, padding) = content.split_at(RELEASED_KEY_LEN);
        let padding_holds = padding.ct_eq(&[0x10; BLOCK]);

        let good = well_formed & key_opened & decrypted & padding_holds;
        let mut released = [0; RELEASED_KEY_LEN];
        for ((out, real), other) in released.iter_mut().zip(key).zip(substitute.iter()) {
            *out = u8::conditional_select(other, real, good);
        }
        ReleasedKey(released)
    }

    /// Opens a `CiphertextForRecipient` of any content: for programs that got it from a key service over a connection they trust.
    ///
    /// # Security
    /// Tells success from failure, and is therefore a padding oracle for whoever may choose answers and see the outcome. Enclaves of
    /// this project use [`RecipientKey::unwrap`].
    ///
    /// # Errors
    /// One error, whatever is wrong.
    pub fn unwrap_any(&self, answer: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        let message = cms::Message::parse(answer).map_err(|ber::Malformed| UnwrapError)?;
        let (content_key, key_opened) = self.content_key(message.encrypted_key);
        let mut content = Zeroizing::new(message.content);
        let decrypted = decrypt_cbc(&content_key, message.iv, content.as_mut_slice());
        if !bool::from(key_opened & decrypted) {
            return Err(UnwrapError);
        }
        // RFC 5652 §6.3: n bytes of value n, 1 to the block size.
        let count = *content.last().ok_or(UnwrapError)?;
        let kept = content.len().checked_sub(usize::from(count)).ok_or(UnwrapError)?;
        let padding = content.get(kept..).ok_or(UnwrapError)?;
        if !(1..=BLOCK).contains(&padding.len()) || padding.iter().any(|byte| *byte != count) {
            return Err(UnwrapError);
        }
        content.truncate(kept);
        Ok(content)
    }

    /// The content-encryption key, and whether it is one.
    fn content_key(&self, encrypted_key: &[u8]) -> (Zeroizing<[u8; CONTENT_KEY]>, Choice) {
        let mut plaintext = Zeroizing::new(vec![0; self.key.min_output_size()]);
        let length = self
            .key
            .decrypt(&OAEP_SHA256_MGF1SHA256, encrypted_key, &mut plaintext, None)
            .map_or(0, |opened| opened.len());
        let opened = u64::try_from(length).unwrap_or(0).ct_eq(&32);
        let mut content_key = Zeroizing::new([0; CONTENT_KEY]);
        for (out, byte) in content_key.iter_mut().zip(plaintext.iter()) {
            *out = *byte;
        }
        (content_key, opened)
    }
}

/// Decrypts whole blocks in place, without looking at the padding.
fn decrypt_cbc(key: &[u8; CONTENT_KEY], iv: [u8; BLOCK], content: &mut [u8]) -> Choice {
    let done = UnboundCipherKey::new(&AES_256, key).and_then(DecryptingKey::cbc).and_then(|cipher| {
        cipher.decrypt(content, DecryptionContext::Iv128(FixedLength::from(iv))).map(|_| ())
    });
    Choice::from(u8::from(done.is_ok()))
}

/// Thirty-two bytes that came out of [`RecipientKey::unwrap`]: the dataset's key or a random one, and nothing here says which.
///
/// # Security
/// Overwritten when dropped. No `Debug`, no `Clone`, no comparison: the manifest's commitment decides.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct ReleasedKey([u8; RELEASED_KEY_LEN]);

impl ReleasedKey {
    /// The secret bytes.
    #[must_use]
    pub const fn expose_secret(&self) -> &[u8; RELEASED_KEY_LEN] {
        &self.0
    }
}

/// The answer does not open, for whatever reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer does not open with this key")]
pub struct UnwrapError;

/// A recipient's public key, from an attestation document's `public_key`.
#[derive(Debug)]
pub struct RecipientPublicKey {
    key: OaepPublicEncryptingKey,
    identifier: [u8; 32],
}

impl RecipientPublicKey {
    /// Parses a DER SubjectPublicKeyInfo with an RSA key of 2048 to 4096 bits. (AWS documents 2048 and, later, larger ones.)
    ///
    /// # Errors
    /// [`RecipientKeyError`] says what is wrong with it.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, RecipientKeyError> {
        let public = PublicEncryptingKey::from_der(der).map_err(|_| RecipientKeyError::NotRsa)?;
        let bits = public.key_size_bits();
        if !(2048..=4096).contains(&bits) {
            return Err(RecipientKeyError::Size { bits });
        }
        // The identifier is a hash of the encoding, so there must be one encoding.
        let canonical = public.as_der().map_err(|_| RecipientKeyError::NotRsa)?;
        if canonical.as_ref() != der {
            return Err(RecipientKeyError::NotCanonical);
        }
        let mut identifier = [0; 32];
        identifier.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
        let key = OaepPublicEncryptingKey::new(public).map_err(|_| RecipientKeyError::NotRsa)?;
        Ok(Self { key, identifier })
    }
}

/// Why bytes are not a recipient's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipientKeyError {
    /// Not a SubjectPublicKeyInfo of an RSA key of 2048 to 8192 bits.
    #[error("not an RSA public key of at least 2048 bits")]
    NotRsa,
    /// Larger than any key that a recipient may use.
    #[error("an RSA key of {bits} bits; 2048 to 4096 are allowed")]
    Size {
        /// Bits in the modulus.
        bits: usize,
    },
    /// A second encoding of a key, or bytes after it.
    #[error("not the one DER encoding of this key")]
    NotCanonical,
}

/// What one envelope is encrypted with: 32 and 16 random bytes that are used for nothing else.
///
/// # Security
/// Overwritten when dropped; no `Debug`, no `Clone`; [`envelope`] consumes it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct EnvelopeSecrets {
    content_key: [u8; CONTENT_KEY],
    iv: [u8; BLOCK],
}

impl EnvelopeSecrets {
    /// Takes a fresh AES-256 key and a fresh initialisation vector.
    #[must_use]
    pub const fn new(content_key: [u8; 32], iv: [u8; 16]) -> Self {
        Self { content_key, iv }
    }
}

/// Why an envelope was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// More plaintext than AWS KMS handles.
    #[error("{length} bytes do not fit into an envelope; at most 4096 do")]
    TooLong {
        /// Bytes of plaintext.
        length: usize,
    },
    /// aws-lc failed.
    #[error(transparent)]
    Crypto(#[from] CryptoFailure),
}

/// Encrypts `plaintext` for `recipient`: a `CiphertextForRecipient` in the form of AWS KMS, which `openssl cms -decrypt` opens too.
///
/// RSAES-OAEP draws its seed from aws-lc's own generator.
///
/// # Errors
/// If the plaintext is longer than [`MAX_ENVELOPED`], or aws-lc fails.
#[expect(clippy::needless_pass_by_value, reason = "consumed: the secrets are for one envelope")]
pub fn envelope(
    recipient: &RecipientPublicKey,
    plaintext: &[u8],
    secrets: EnvelopeSecrets,
) -> Result<Vec<u8>, EnvelopeError> {
    if plaintext.len() > MAX_ENVELOPED {
        return Err(EnvelopeError::TooLong { length: plaintext.len() });
    }
    let mut encrypted_key = vec![0; recipient.key.ciphertext_size()];
    recipient
        .key
        .encrypt(&OAEP_SHA256_MGF1SHA256, &secrets.content_key, &mut encrypted_key, None)
        .map_err(|_| CryptoFailure)?;
    // Room for the padding, so that the plaintext is not left behind in a buffer that grew.
    let mut content = Zeroizing::new(Vec::with_capacity(plaintext.len().saturating_add(BLOCK)));
    content.extend_from_slice(plaintext);
    UnboundCipherKey::new(&AES_256, &secrets.content_key)
        .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
        .and_then(|cipher| {
            cipher.less_safe_encrypt(&mut *content, EncryptionContext::Iv128(FixedLength::from(secrets.iv)))
        })
        .map_err(|_| CryptoFailure)?;
    Ok(cms::write(&recipient.identifier, &encrypted_key, &secrets.iv, &content))
}

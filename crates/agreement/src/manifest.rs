//! Manifests of sealed datasets.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entente_attestation::Digest384;

use crate::agreement::read_hex;
use crate::dataset::{Dataset, Format, read_format};
use crate::name::Name;
use crate::reader;
use crate::render::{Text, require_canonical};
use crate::text::{TextError, TextErrorKind};

/// The random id of one sealing, 16 bytes (PROTOCOL §2). Displayed as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealingId([u8; 16]);

impl SealingId {
    /// From 16 random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SealingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SealingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingId({self})")
    }
}

/// What a [`Manifest`] says. Every field is required; plain data, checked by [`Manifest::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestTerms {
    /// The digest of the agreement.
    pub agreement: Digest384,
    /// The dataset.
    pub dataset: Name,
    /// Its owner, who signs the manifest.
    pub owner: Name,
    /// The id of this sealing.
    pub sealing: SealingId,
    /// How it is sealed.
    pub format: Format,
    /// Bytes of the sealed file.
    pub bytes: u64,
    /// H of the concatenated H of each 1 MiB piece.
    pub chunks: Digest384,
    /// K, wrapped by the owner's key service: KMS's `CiphertextBlob`, 1 to 6144 bytes.
    pub wrapped_key: Vec<u8>,
    /// The commitment to K.
    pub commitment: [u8; 48],
}

/// A manifest: which sealed file is one dataset of one agreement (PROTOCOL §2). It holds nothing computed from plaintext.
///
/// A generated object: its bytes are the only ones for its terms.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    bytes: Box<[u8]>,
    digest: Digest384,
    terms: ManifestTerms,
}

impl Manifest {
    /// The first line's type.
    pub const TYPE: &'static str = "entente/manifest/v1";

    /// The most bytes of a wrapped key: the limit of a KMS `CiphertextBlob`.
    pub const MAX_WRAPPED_KEY_BYTES: usize = 6144;

    /// Makes the manifest of some terms.
    ///
    /// # Errors
    /// When `bytes` or `wrapped_key` is outside of its limits.
    pub fn new(terms: &ManifestTerms) -> Result<Self, TextError> {
        Self::parse(&render(terms))
    }

    /// Reads a manifest. The bytes must be exactly those that [`Manifest::new`] makes.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and column.
    pub fn parse(bytes: &[u8]) -> Result<Self, TextError> {
        let table = reader::read(bytes, Self::TYPE)?;
        table.only(&[
            "agreement",
            "dataset",
            "owner",
            "sealing",
            "format",
            "bytes",
            "chunks",
            "wrapped_key",
            "commitment",
        ])?;
        let base64 = table.text("wrapped_key")?.replace('\n', "");
        let wrapped_key = STANDARD
            .decode(base64)
            .ok()
            .filter(|key| (1..=Self::MAX_WRAPPED_KEY_BYTES).contains(&key.len()))
            .ok_or_else(|| {
                let max = Self::MAX_WRAPPED_KEY_BYTES;
                table.error(
                    "wrapped_key",
                    TextErrorKind::Base64 { key: "wrapped_key".to_owned(), min: 1, max },
                )
            })?;
        let terms = ManifestTerms {
            agreement: table.digest("agreement")?,
            dataset: table.name("dataset")?,
            owner: table.name("owner")?,
            sealing: SealingId(read_hex(&table, "sealing")?),
            format: read_format(&table)?,
            bytes: table.unsigned("bytes", 1..=Dataset::MAX_BYTES)?,
            chunks: table.digest("chunks")?,
            wrapped_key,
            commitment: read_hex(&table, "commitment")?,
        };
        require_canonical(bytes, &render(&terms))?;
        Ok(Self { bytes: bytes.into(), digest: Digest384::of(bytes), terms })
    }

    /// The exact bytes, which the owner signs.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-384 of the bytes, which input sets name.
    #[must_use]
    pub const fn digest(&self) -> Digest384 {
        self.digest
    }

    /// The digest of the agreement.
    #[must_use]
    pub const fn agreement(&self) -> Digest384 {
        self.terms.agreement
    }

    /// The dataset.
    #[must_use]
    pub const fn dataset(&self) -> &Name {
        &self.terms.dataset
    }

    /// The dataset's owner.
    #[must_use]
    pub const fn owner(&self) -> &Name {
        &self.terms.owner
    }

    /// The id of the sealing.
    #[must_use]
    pub const fn sealing(&self) -> SealingId {
        self.terms.sealing
    }

    /// How it is sealed.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.terms.format
    }

    /// Bytes of the sealed file, 1 to [`Dataset::MAX_BYTES`].
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.terms.bytes
    }

    /// H of the concatenated H of each 1 MiB piece of the sealed file, in order.
    #[must_use]
    pub const fn chunks(&self) -> Digest384 {
        self.terms.chunks
    }

    /// K, wrapped by the owner's key service, 1 to 6144 bytes.
    #[must_use]
    pub fn wrapped_key(&self) -> &[u8] {
        &self.terms.wrapped_key
    }

    /// The commitment to K.
    #[must_use]
    pub const fn commitment(&self) -> &[u8; 48] {
        &self.terms.commitment
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { terms, digest, .. } = self;
        f.debug_struct("Manifest")
            .field("dataset", &terms.dataset)
            .field("digest", digest)
            .finish_non_exhaustive()
    }
}

fn render(terms: &ManifestTerms) -> Vec<u8> {
    let mut text = Text::new(Manifest::TYPE);
    text.word("agreement", terms.agreement);
    text.word("dataset", &terms.dataset);
    text.word("owner", &terms.owner);
    text.word("sealing", terms.sealing);
    text.word("format", terms.format);
    text.number("bytes", terms.bytes);
    text.word("chunks", terms.chunks);
    text.base64("wrapped_key", &STANDARD.encode(&terms.wrapped_key));
    text.word("commitment", hex::encode(terms.commitment));
    text.finish()
}

//! Agreements.

use std::collections::BTreeMap;
use std::fmt;

use entente_attestation::{Digest384, Measurements, UnixTime};

use crate::analysis::Analysis;
use crate::dataset::Dataset;
use crate::name::Name;
use crate::reader;
use crate::result_key::decode_recipient;
use crate::sign_key::SignKey;
use crate::table::Table;
use crate::text::{TextError, TextErrorKind};

/// The random number of an agreement, 16 bytes: equal terms agreed twice are two agreements.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial([u8; 16]);

impl Serial {
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

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

/// An agreement: the terms that parties sign (PROTOCOL §1). A value of this type is well-formed and consistent in itself;
/// that anybody approved it is what [`ApprovedAgreement`](crate::ApprovedAgreement) says.
///
/// Its identity is the SHA-384 of its exact bytes. Two agreements are equal when their bytes are.
#[derive(Clone)]
pub struct Agreement {
    bytes: Box<[u8]>,
    digest: Digest384,
    serial: Serial,
    supersedes: Option<Digest384>,
    window: Window,
    root: Root,
    parties: Vec<Party>,
    images: Vec<Image>,
    datasets: Vec<Dataset>,
    analyses: Vec<Analysis>,
}

impl Agreement {
    /// The first line's type.
    pub const TYPE: &'static str = "entente/agreement/v1";

    const KEYS: [&'static str; 9] =
        ["serial", "supersedes", "not_before", "not_after", "root", "party", "image", "dataset", "analysis"];

    /// Reads an agreement: strict text, every rule of PROTOCOL §1.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and column.
    pub fn parse(bytes: &[u8]) -> Result<Self, TextError> {
        let table = reader::read(bytes, Self::TYPE)?;
        table.only(&Self::KEYS)?;
        let serial = Serial(read_hex(&table, "serial")?);
        let supersedes = match table.text("supersedes")? {
            "" => None,
            _ => Some(table.digest("supersedes")?),
        };
        let window = Window::read(&table)?;
        let root = Root::read(&table)?;
        let parties = read_parties(table.tables("party")?)?;
        let images = read_blocks(table.tables("image")?, "image", Image::read, Image::name)?;
        let datasets = read_blocks(table.tables("dataset")?, "dataset", Dataset::read, Dataset::name)?;
        for (block, dataset) in table.tables("dataset")?.iter().zip(&datasets) {
            refer(block, "owner", "party", dataset.owner(), &parties, Party::name)?;
        }
        let analyses = read_blocks(table.tables("analysis")?, "analysis", Analysis::read, Analysis::name)?;
        for (block, analysis) in table.tables("analysis")?.iter().zip(&analyses) {
            refer(block, "image", "image", analysis.image(), &images, Image::name)?;
            refer_all(block, "datasets", "dataset", analysis.datasets(), &datasets, Dataset::name)?;
            refer_all(block, "runners", "party", analysis.runners(), &parties, Party::name)?;
            for (block, output) in block.tables("output")?.iter().zip(analysis.outputs()) {
                refer(block, "recipient", "party", output.recipient(), &parties, Party::name)?;
            }
        }
        Ok(Self {
            bytes: bytes.into(),
            digest: Digest384::of(bytes),
            serial,
            supersedes,
            window,
            root,
            parties,
            images,
            datasets,
            analyses,
        })
    }

    /// The exact bytes, which signatures are over.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The agreement's identity: SHA-384 of its bytes.
    #[must_use]
    pub const fn digest(&self) -> Digest384 {
        self.digest
    }

    /// The agreement's random number.
    #[must_use]
    pub const fn serial(&self) -> Serial {
        self.serial
    }

    /// The agreement that this one replaces.
    #[must_use]
    pub const fn supersedes(&self) -> Option<Digest384> {
        self.supersedes
    }

    /// When runs may start and receipts be made.
    #[must_use]
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// Whose attestation documents count.
    #[must_use]
    pub const fn root(&self) -> Root {
        self.root
    }

    /// The parties, in the order of the file.
    #[must_use]
    pub fn parties(&self) -> &[Party] {
        &self.parties
    }

    /// The party of a name.
    #[must_use]
    pub fn party(&self, name: &Name) -> Option<&Party> {
        self.parties.iter().find(|party| party.name == *name)
    }

    /// The images, in the order of the file.
    #[must_use]
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// The image of a name.
    #[must_use]
    pub fn image(&self, name: &Name) -> Option<&Image> {
        self.images.iter().find(|image| image.name == *name)
    }

    /// The datasets, in the order of the file.
    #[must_use]
    pub fn datasets(&self) -> &[Dataset] {
        &self.datasets
    }

    /// The dataset of a name.
    #[must_use]
    pub fn dataset(&self, name: &Name) -> Option<&Dataset> {
        self.datasets.iter().find(|dataset| dataset.name() == name)
    }

    /// The analyses, in the order of the file.
    #[must_use]
    pub fn analyses(&self) -> &[Analysis] {
        &self.analyses
    }

    /// The analysis of a name.
    #[must_use]
    pub fn analysis(&self, name: &Name) -> Option<&Analysis> {
        self.analyses.iter().find(|analysis| analysis.name() == name)
    }

    /// The owners of the datasets that an analysis names, present or absent, ascending, each once: who signs its input sets.
    #[must_use]
    pub fn owners(&self, analysis: &Analysis) -> Vec<Name> {
        let owners = analysis.datasets().iter().filter_map(|name| self.dataset(name));
        let owners: std::collections::BTreeSet<Name> =
            owners.map(|dataset| dataset.owner().clone()).collect();
        owners.into_iter().collect()
    }
}

impl PartialEq for Agreement {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Agreement {}

impl fmt::Debug for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreement").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// The only time in which a run may start and a receipt may be made: from `not_before` until just before `not_after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    not_before: UnixTime,
    not_after: UnixTime,
}

impl Window {
    fn read(table: &Table) -> Result<Self, TextError> {
        let not_before = table.time("not_before")?;
        let not_after = table.time("not_after")?;
        if not_after <= not_before {
            return Err(table.error("not_after", TextErrorKind::WindowOrder));
        }
        Ok(Self { not_before, not_after })
    }

    /// The first moment.
    #[must_use]
    pub const fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// The first moment after the window. Key policies say `aws:CurrentTime` < `not_after`.
    #[must_use]
    pub const fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// Whether a moment is in the window: `not_before` ≤ t < `not_after`.
    #[must_use]
    pub fn contains(&self, time: UnixTime) -> bool {
        self.not_before <= time && time < self.not_after
    }
}

/// The trust root that attestation documents must chain to. Never a free label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// `aws-nitro`: the root of AWS Nitro Enclaves.
    AwsNitro,
    /// `simulated:HEX`: a simulated hypervisor's CA. Proves nothing about hardware; everything a person sees says `SIMULATED`.
    Simulated {
        /// The SHA-256 of the CA certificate's DER.
        ca_sha256: [u8; 32],
    },
}

impl Root {
    fn read(table: &Table) -> Result<Self, TextError> {
        let text = table.text("root")?;
        if text == "aws-nitro" {
            return Ok(Self::AwsNitro);
        }
        text.strip_prefix("simulated:")
            .and_then(decode_hex)
            .map(|ca_sha256| Self::Simulated { ca_sha256 })
            .ok_or_else(|| table.error("root", TextErrorKind::Root))
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AwsNitro => f.pad("aws-nitro"),
            Self::Simulated { ca_sha256 } => f.pad(&format!("simulated:{}", hex::encode(ca_sha256))),
        }
    }
}

/// A party of an agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    name: Name,
    sign_key: SignKey,
    result_key: String,
}

impl Party {
    /// The party's name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The key that its signatures must be made with.
    #[must_use]
    pub const fn sign_key(&self) -> &SignKey {
        &self.sign_key
    }

    /// The age X25519 recipient that its results are sealed to: `age1…`, checked.
    #[must_use]
    pub fn result_key(&self) -> &str {
        &self.result_key
    }

    /// Checks that the party's block holds the keys that the party itself says are its own (PROTOCOL §11.2).
    ///
    /// # Errors
    /// Which of the two is another.
    pub fn check_own(&self, sign_key: &SignKey, result_key: &str) -> Result<(), OwnBlockError> {
        if self.sign_key != *sign_key {
            return Err(OwnBlockError::SignKey {
                expected: sign_key.fingerprint(),
                found: self.sign_key.fingerprint(),
            });
        }
        if self.result_key != result_key {
            return Err(OwnBlockError::ResultKey {
                expected: result_key.to_owned(),
                found: self.result_key.clone(),
            });
        }
        Ok(())
    }
}

/// A party's own block of an agreement holds a key that is not the party's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnBlockError {
    /// Another signing key.
    #[error("the agreement gives your name the signing key {found}, yours is {expected}; do not sign")]
    SignKey {
        /// Fingerprint of the party's own key.
        expected: String,
        /// Fingerprint of the agreement's.
        found: String,
    },
    /// Another result key.
    #[error("the agreement gives your name the result key {found}, yours is {expected}; do not sign")]
    ResultKey {
        /// The party's own.
        expected: String,
        /// The agreement's.
        found: String,
    },
}

/// An enclave image, by its measurements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    name: Name,
    measurements: Measurements,
    pcr3: Option<Digest384>,
    pcr4: Option<Digest384>,
    pcr8: Option<Digest384>,
}

impl Image {
    fn read(table: &Table) -> Result<Self, TextError> {
        table.only(&["name", "pcr0", "pcr1", "pcr2", "pcr3", "pcr4", "pcr8"])?;
        let name = table.name("name")?;
        let required = |key: &'static str| {
            let digest = table.digest(key)?;
            if digest.is_zero() {
                return Err(table.error(key, TextErrorKind::ZeroMeasurement { key }));
            }
            Ok(digest)
        };
        let optional = |key: &'static str| table.value(key).map(|_| required(key)).transpose();
        let (pcr0, pcr1, pcr2) = (required("pcr0")?, required("pcr1")?, required("pcr2")?);
        let measurements = Measurements::new(pcr0, pcr1, pcr2)
            .map_err(|_| table.error("pcr0", TextErrorKind::ZeroMeasurement { key: "pcr0" }))?;
        Ok(Self {
            name,
            measurements,
            pcr3: optional("pcr3")?,
            pcr4: optional("pcr4")?,
            pcr8: optional("pcr8")?,
        })
    }

    /// The image's name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// PCR0, PCR1 and PCR2.
    #[must_use]
    pub const fn measurements(&self) -> &Measurements {
        &self.measurements
    }

    /// PCR3, the parent instance's IAM role, where the agreement names it. Never zero.
    #[must_use]
    pub const fn pcr3(&self) -> Option<Digest384> {
        self.pcr3
    }

    /// PCR4, the parent instance's id, where the agreement names it. Never zero.
    #[must_use]
    pub const fn pcr4(&self) -> Option<Digest384> {
        self.pcr4
    }

    /// PCR8, the certificate that signed the image, where the agreement names it. Never zero.
    #[must_use]
    pub const fn pcr8(&self) -> Option<Digest384> {
        self.pcr8
    }
}

fn read_parties(blocks: &[Table]) -> Result<Vec<Party>, TextError> {
    let mut sign_keys: BTreeMap<Vec<u8>, Name> = BTreeMap::new();
    let mut result_keys: BTreeMap<[u8; 32], Name> = BTreeMap::new();
    read_blocks(
        blocks,
        "party",
        |block| {
            block.only(&["name", "sign_key", "result_key"])?;
            let name = block.name("name")?;
            // An RSA key is longer than a line may be: it is written between """ on several lines, the breaks mean nothing.
            let sign_key = block.text("sign_key")?.replace('\n', "");
            let sign_key = SignKey::from_openssh(&sign_key).map_err(|problem| {
                block.error("sign_key", TextErrorKind::SignKey { key: "sign_key".to_owned(), problem })
            })?;
            if let Some(other) = sign_keys.insert(sign_key.identity(), name.clone()) {
                return Err(block.error("sign_key", TextErrorKind::SharedKey { key: "sign_key", other }));
            }
            let result_key = block.text("result_key")?.to_owned();
            let point = decode_recipient(&result_key)
                .map_err(|problem| block.error("result_key", TextErrorKind::ResultKey { problem }))?;
            if let Some(other) = result_keys.insert(point, name.clone()) {
                return Err(block.error("result_key", TextErrorKind::SharedKey { key: "result_key", other }));
            }
            Ok(Party { name, sign_key, result_key })
        },
        Party::name,
    )
}

/// Reads the blocks of one kind; each must have a name of its own.
fn read_blocks<T>(
    blocks: &[Table],
    what: &'static str,
    mut read: impl FnMut(&Table) -> Result<T, TextError>,
    name: impl Fn(&T) -> &Name,
) -> Result<Vec<T>, TextError> {
    let mut values = Vec::with_capacity(blocks.len());
    let mut names = std::collections::BTreeSet::new();
    for block in blocks {
        let value = read(block)?;
        if !names.insert(name(&value).clone()) {
            let name = name(&value).clone();
            return Err(block.error("name", TextErrorKind::DuplicateName { what, name }));
        }
        values.push(value);
    }
    Ok(values)
}

/// Checks that the name at a key names one of the blocks.
fn refer<T>(
    block: &Table,
    key: &'static str,
    what: &'static str,
    name: &Name,
    values: &[T],
    name_of: impl Fn(&T) -> &Name,
) -> Result<(), TextError> {
    if values.iter().any(|value| name_of(value) == name) {
        Ok(())
    } else {
        Err(block.error(key, TextErrorKind::UnknownReference { key, what, name: name.clone() }))
    }
}

fn refer_all<T>(
    block: &Table,
    key: &'static str,
    what: &'static str,
    names: &[Name],
    values: &[T],
    name_of: impl Fn(&T) -> &Name,
) -> Result<(), TextError> {
    for (index, name) in names.iter().enumerate() {
        if !values.iter().any(|value| name_of(value) == name) {
            return Err(TextError::new(
                block.position_of_item(key, index),
                TextErrorKind::UnknownReference { key, what, name: name.clone() },
            ));
        }
    }
    Ok(())
}

/// Exactly 2·N lower-case hex digits.
pub(crate) fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

pub(crate) fn read_hex<const N: usize>(table: &Table, key: &str) -> Result<[u8; N], TextError> {
    decode_hex(table.text(key)?)
        .ok_or_else(|| table.error(key, TextErrorKind::Hex { key: key.to_owned(), digits: 2 * N }))
}

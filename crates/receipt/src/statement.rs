//! The in-toto statement about a run.

use core::fmt;
use std::collections::BTreeSet;

use entente_agreement::{InputEntry, InputSet, Name, NameError};
use entente_attestation::{DebugMode, Digest384, DigestError, Measurements};
use serde::{Deserialize, Serialize};

use crate::envelope;

/// in-toto attestation framework, Statement layer v1.
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// PROTOCOL §8.
const PREDICATE_TYPE: &str = "urn:entente:run:v1";
/// An agreement is at most 256 KiB of text (PROTOCOL §0), and a statement repeats a part of it with three digests of 96
/// digits for each output and dataset; this is well above the largest that fits.
pub(crate) const STATEMENT_MOST: usize = 2 << 20;

/// One result file of a run: which, and the digests of it sealed and opened. No file, no length, no verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultFile {
    /// The output.
    pub output: Name,
    /// The party that it is sealed to.
    pub recipient: Name,
    /// SHA-384 of the age file.
    pub sealed: Digest384,
    /// SHA-384 of the archive inside. A salt in the archive keeps its content from being guessed.
    pub opened: Digest384,
}

impl ResultFile {
    /// `OUTPUT.RECIPIENT.age`: the subject's name. Names hold no dots, so it says both unmistakably.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.{}.age", self.output, self.recipient)
    }
}

/// What an enclave states about its run (PROTOCOL §8). It may be shown to anybody: no verdict, count, size, duration or
/// digest of plaintext is in it.
///
/// Parsed, it is well-formed; that an enclave said it is for [`verify`](crate::verify()).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    bytes: Vec<u8>,
    input_set: InputSet,
    claimed_input_set: Digest384,
    request: Option<Digest384>,
    image: Measurements,
    results: Vec<ResultFile>,
}

impl Statement {
    /// The statement about a run on this input set, for this request if there was one, by this image, with these result
    /// files in the agreement's order.
    ///
    /// # Errors
    /// [`StatementError`] if the result would not parse again: two files of one name, or more than 2 MiB.
    pub fn new(
        input_set: &InputSet,
        request: Option<Digest384>,
        image: &Measurements,
        results: &[ResultFile],
    ) -> Result<Self, StatementError> {
        let json = StatementJson {
            kind: STATEMENT_TYPE.to_owned(),
            subject: results
                .iter()
                .map(|file| SubjectJson {
                    name: file.file_name(),
                    digest: DigestJson { sha384: file.sealed.to_string() },
                })
                .collect(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: PredicateJson {
                agreement: input_set.agreement().to_string(),
                analysis: input_set.analysis().to_string(),
                round: input_set.round(),
                datasets: input_set
                    .datasets()
                    .iter()
                    .map(|entry| DatasetJson {
                        name: entry.name().to_string(),
                        owner: entry.owner().to_string(),
                        manifest: entry
                            .manifest()
                            .map_or_else(|| "absent".to_owned(), |digest| digest.to_string()),
                    })
                    .collect(),
                inputs: input_set.digest().to_string(),
                request: request.map(|digest| digest.to_string()),
                image: ImageJson {
                    pcr0: image.pcr0().to_string(),
                    pcr1: image.pcr1().to_string(),
                    pcr2: image.pcr2().to_string(),
                },
                opened: results.iter().map(|file| file.opened.to_string()).collect(),
            },
        };
        let bytes = serde_json::to_vec(&json).map_err(|error| StatementError::from_json(&error))?;
        Self::parse(&bytes)
    }

    /// Reads a statement: JSON without unknown, missing or duplicate members, every value of its form.
    ///
    /// # Errors
    /// [`StatementError`], the first thing that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > STATEMENT_MOST {
            return Err(StatementError::TooLong { found: bytes.len() });
        }
        let json: StatementJson =
            serde_json::from_slice(bytes).map_err(|error| StatementError::from_json(&error))?;
        if json.kind != STATEMENT_TYPE {
            return Err(StatementError::Type { found: json.kind });
        }
        if json.predicate_type != PREDICATE_TYPE {
            return Err(StatementError::PredicateType { found: json.predicate_type });
        }
        let PredicateJson { agreement, analysis, round, datasets, inputs, request, image, opened } =
            json.predicate;
        let agreement = digest(Place::Agreement, &agreement)?;
        let analysis = name(Place::Analysis, &analysis)?;
        let datasets = datasets.iter().map(read_dataset).collect::<Result<Vec<_>, _>>()?;
        for pair in datasets.windows(2) {
            if let [before, after] = pair
                && before.name() >= after.name()
            {
                return Err(StatementError::DatasetOrder { name: after.name().clone() });
            }
        }
        // "The input set rendered from the statement's own fields" (PROTOCOL §13, step 6).
        let input_set = InputSet::new(agreement, &analysis, round, datasets)
            .map_err(|error| StatementError::InputSet { reason: error.to_string() })?;
        let claimed_input_set = digest(Place::Inputs, &inputs)?;
        let request = request.map(|request| digest(Place::Request, &request)).transpose()?;
        let image = Measurements::new(
            digest(Place::Image, &image.pcr0)?,
            digest(Place::Image, &image.pcr1)?,
            digest(Place::Image, &image.pcr2)?,
        )?;
        if opened.len() != json.subject.len() {
            return Err(StatementError::OpenedCount { subjects: json.subject.len(), opened: opened.len() });
        }
        let mut seen = BTreeSet::new();
        let mut results = Vec::with_capacity(opened.len());
        for (subject, opened) in json.subject.into_iter().zip(&opened) {
            let (output, recipient) = read_subject_name(&subject.name)?;
            if !seen.insert((output.clone(), recipient.clone())) {
                return Err(StatementError::SubjectTwice { name: subject.name });
            }
            results.push(ResultFile {
                output,
                recipient,
                sealed: digest(Place::Subject, &subject.digest.sha384)?,
                opened: digest(Place::Opened, opened)?,
            });
        }
        Ok(Self { bytes: bytes.to_vec(), input_set, claimed_input_set, request, image, results })
    }

    /// The exact bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the attestation document of the receipt must carry in `user_data`: the SHA-384 of the statement in DSSE's
    /// pre-authentication encoding.
    #[must_use]
    pub fn user_data(&self) -> Digest384 {
        envelope::pae_digest(&self.bytes)
    }

    /// The agreement.
    #[must_use]
    pub fn agreement(&self) -> Digest384 {
        self.input_set.agreement()
    }

    /// The analysis.
    #[must_use]
    pub fn analysis(&self) -> &Name {
        self.input_set.analysis()
    }

    /// The round, from 1.
    #[must_use]
    pub fn round(&self) -> u32 {
        self.input_set.round()
    }

    /// The input set, rendered from `agreement`, `analysis`, `round` and `datasets`.
    #[must_use]
    pub fn input_set(&self) -> &InputSet {
        &self.input_set
    }

    /// The digest of the input set as the statement gives it. Equal to that of [`input_set`](Self::input_set) in every
    /// statement that verifies.
    #[must_use]
    pub fn claimed_input_set(&self) -> Digest384 {
        self.claimed_input_set
    }

    /// The request, if the run had one.
    #[must_use]
    pub fn request(&self) -> Option<Digest384> {
        self.request
    }

    /// The image.
    #[must_use]
    pub fn image(&self) -> &Measurements {
        &self.image
    }

    /// The result files.
    #[must_use]
    pub fn results(&self) -> &[ResultFile] {
        &self.results
    }
}

/// A place in a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// `predicate.agreement`.
    Agreement,
    /// `predicate.analysis`.
    Analysis,
    /// `predicate.datasets`.
    Dataset,
    /// `predicate.inputs`.
    Inputs,
    /// `predicate.request`.
    Request,
    /// `predicate.image`.
    Image,
    /// `predicate.opened`.
    Opened,
    /// `subject`.
    Subject,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agreement => "predicate.agreement",
            Self::Analysis => "predicate.analysis",
            Self::Dataset => "predicate.datasets",
            Self::Inputs => "predicate.inputs",
            Self::Request => "predicate.request",
            Self::Image => "predicate.image",
            Self::Opened => "predicate.opened",
            Self::Subject => "subject",
        })
    }
}

/// Why bytes are not a statement about a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// More than 2 MiB.
    #[error("a statement of {found} bytes; at most 2 MiB are read")]
    TooLong {
        /// The length found, in bytes.
        found: usize,
    },
    /// Not the JSON of a statement: malformed, or a member is unknown, missing, there twice or of another type.
    #[error("line {line}, column {column}: {reason}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// The reader's words.
        reason: String,
    },
    /// `_type` is another.
    #[error("_type is {found:?}, not an in-toto statement of version 1")]
    Type {
        /// What it is.
        found: String,
    },
    /// `predicateType` is another.
    #[error("predicateType is {found:?}, not urn:entente:run:v1")]
    PredicateType {
        /// What it is.
        found: String,
    },
    /// A digest is not one.
    #[error("{place}: {error}")]
    Digest {
        /// Where.
        place: Place,
        /// Why.
        error: DigestError,
    },
    /// A name is not one.
    #[error("{place}: {error}")]
    Name {
        /// Where.
        place: Place,
        /// Why.
        error: NameError,
    },
    /// A subject is not named `OUTPUT.RECIPIENT.age`.
    #[error("a subject is named {found:?}, not OUTPUT.RECIPIENT.age")]
    SubjectName {
        /// Its name.
        found: String,
    },
    /// Two subjects have one name.
    #[error("two subjects are named {name:?}")]
    SubjectTwice {
        /// The name.
        name: String,
    },
    /// There are not as many archives as result files.
    #[error("{subjects} result files, {opened} archives")]
    OpenedCount {
        /// Entries of `subject`.
        subjects: usize,
        /// Entries of `opened`.
        opened: usize,
    },
    /// Datasets are not in ascending order, or one is there twice.
    #[error("predicate.datasets: {name} is out of order")]
    DatasetOrder {
        /// The first dataset that should be further up.
        name: Name,
    },
    /// No input set has these fields.
    #[error("the input set: {reason}")]
    InputSet {
        /// Why.
        reason: String,
    },
    /// The image is of an enclave in debug mode.
    #[error("predicate.image: {0}")]
    DebugMode(#[from] DebugMode),
}

impl StatementError {
    fn from_json(error: &serde_json::Error) -> Self {
        Self::Json { line: error.line(), column: error.column(), reason: envelope::words_of(error) }
    }
}

fn digest(place: Place, text: &str) -> Result<Digest384, StatementError> {
    text.parse().map_err(|error| StatementError::Digest { place, error })
}

fn name(place: Place, text: &str) -> Result<Name, StatementError> {
    text.parse().map_err(|error| StatementError::Name { place, error })
}

fn read_dataset(json: &DatasetJson) -> Result<InputEntry, StatementError> {
    let place = Place::Dataset;
    let (dataset, owner) = (name(place, &json.name)?, name(place, &json.owner)?);
    Ok(match json.manifest.as_str() {
        "absent" => InputEntry::absent(dataset, owner),
        manifest => InputEntry::present(dataset, owner, digest(place, manifest)?),
    })
}

fn read_subject_name(text: &str) -> Result<(Name, Name), StatementError> {
    let parts = text.strip_suffix(".age").and_then(|stem| stem.split_once('.'));
    let names = parts.and_then(|(output, recipient)| Some((output.parse().ok()?, recipient.parse().ok()?)));
    names.ok_or_else(|| StatementError::SubjectName { found: text.to_owned() })
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementJson {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<SubjectJson>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: PredicateJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectJson {
    name: String,
    digest: DigestJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestJson {
    sha384: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PredicateJson {
    agreement: String,
    analysis: String,
    round: u32,
    datasets: Vec<DatasetJson>,
    inputs: String,
    /// Must be there, if only as `null`: serde would take a missing one for `None`.
    #[serde(deserialize_with = "Option::deserialize")]
    request: Option<String>,
    image: ImageJson,
    opened: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DatasetJson {
    name: String,
    owner: String,
    manifest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageJson {
    pcr0: String,
    pcr1: String,
    pcr2: String,
}

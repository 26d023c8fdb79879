//! What crosses the HTTP API, as types: the same for the server and for [`crate::client`]. Plain data.
//!
//! Nothing here holds plaintext: names, digests, sizes, states and codes, all of them public to the parties.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use entente_attestation::Digest384;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Serde form of a [`Digest384`]: 96 lower-case hex digits.
pub(crate) mod digest_text {
    use super::Digest384;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(digest: &Digest384, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(digest)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest384, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Serde form of an optional [`Digest384`].
pub(crate) mod optional_digest_text {
    use super::Digest384;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the form that serde's `with` calls")]
    pub(crate) fn serialize<S: Serializer>(
        digest: &Option<Digest384>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match digest {
            Some(digest) => serializer.collect_str(digest),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Digest384>, D::Error> {
        let text = <Option<String>>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
    }
}

/// Identity of a run: 32 lower-case hex digits, drawn by the host. It names a record of this host and proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

impl RunId {
    /// From 16 random bytes.
    #[must_use]
    pub(crate) fn from_random(bytes: [u8; 16]) -> Self {
        Self(hex::encode(bytes))
    }

    /// The 32 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, RunIdError> {
        if text.len() == 32 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RunIdError)
        }
    }
}

impl Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text is no run's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run's id is 32 lower-case hex digits")]
pub struct RunIdError;

/// Body of every answer with a status of 400 or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable code, for programs.
    pub code: ProblemCode,
    /// What is wrong, one sentence, for people.
    pub message: String,
    /// What to do about it, one sentence.
    pub action: String,
}

/// Stable codes of the API's problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProblemCode {
    /// No bearer token, or another one (401).
    Unauthorized,
    /// No such route (404).
    NoSuchRoute,
    /// The route exists, the method does not (405).
    MethodNotAllowed,
    /// A part of the path or of the query is not of its form (400).
    MalformedPath,
    /// A body is not what the route takes (400).
    MalformedBody,
    /// A body is longer than the route takes (413).
    BodyTooLarge,
    /// The request took too long (408).
    TooSlow,
    /// Too many requests at the same time (503).
    Busy,
    /// The bytes do not have the digest that the path names (422).
    DigestMismatch,
    /// An agreement, manifest, input set or request does not parse (422).
    ObjectRefused,
    /// A signature does not verify under the key that the agreement names (422).
    SignatureRefused,
    /// An image is no enclave image file, or measures to something else than the path names (422).
    ImageRefused,
    /// What a body refers to is not stored here (409).
    MissingReference,
    /// No such agreement (404).
    UnknownAgreement,
    /// The agreement has no such party (404).
    UnknownParty,
    /// No such approval or signature (404).
    UnknownSignature,
    /// No such image (404).
    UnknownImage,
    /// No such manifest (404).
    UnknownManifest,
    /// No such input set (404).
    UnknownInputs,
    /// No such request object (404).
    UnknownRequest,
    /// No such run (404).
    UnknownRun,
    /// The run has no such result file, or no results (404).
    UnknownResult,
    /// A chunk's number is not below the number of chunks, or there is no chunk list yet (404).
    UnknownChunk,
    /// The manifest's signature must be there before its file is taken (409).
    ManifestUnsigned,
    /// What is asked for does not fit the state of the run (409).
    RunState,
    /// Something needed for the run is not stored here: the message names it (409).
    RunIncomplete,
    /// A queued or live run needs what is to be removed (409).
    InUse,
    /// A configured limit is reached (507).
    LimitReached,
    /// Reading or writing the data directory failed; details are in the host's log (500).
    Storage,
}

/// Facts about the running host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    pub status: String,
    /// Version of the host program.
    pub version: String,
    /// Platform that enclaves are started on: `local`, `qemu` or `nitro`.
    pub platform: String,
}

/// The identity that something was stored under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stored {
    /// SHA-384 of the stored bytes (of an image: its PCR0).
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub digest: Digest384,
}

/// One signature that an object needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignatureState {
    /// Party that is to sign.
    pub party: String,
    /// Whether its signature is stored here.
    pub present: bool,
}

/// An agreement as the host knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgreementFacts {
    /// Its digest.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub digest: Digest384,
    /// Its serial.
    pub serial: String,
    /// Start of its window, RFC 3339.
    pub not_before: String,
    /// End of its window, RFC 3339.
    pub not_after: String,
    /// Names of its analyses.
    pub analyses: Vec<String>,
    /// Names of its datasets.
    pub datasets: Vec<String>,
    /// Every party, and whether its approval is here.
    pub approvals: Vec<SignatureState>,
    /// PCR0 of every image it names, and whether that image is here.
    pub images: Vec<ImageState>,
}

/// An image that an agreement names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageState {
    /// Its name in the agreement.
    pub name: String,
    /// Its PCR0.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub pcr0: Digest384,
    /// Whether it is stored here.
    pub present: bool,
}

/// Agreements that are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgreementList {
    /// By digest, ascending.
    pub agreements: Vec<AgreementFacts>,
}

/// An image as the host measured it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageFacts {
    /// PCR0: the image's identity here.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub pcr0: Digest384,
    /// PCR1.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub pcr1: Digest384,
    /// PCR2.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub pcr2: Digest384,
    /// Size of the file, bytes.
    pub bytes: u64,
}

/// Images that are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageList {
    /// By PCR0, ascending.
    pub images: Vec<ImageFacts>,
}

/// A manifest, and how much of its sealed file is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManifestFacts {
    /// Its digest.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub digest: Digest384,
    /// Its agreement.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub agreement: Digest384,
    /// Dataset that it fills.
    pub dataset: String,
    /// Party that signs it.
    pub owner: String,
    /// Size of the sealed file, bytes.
    pub bytes: u64,
    /// Chunks of 1 MiB of the sealed file, the last one possibly shorter.
    pub chunk_count: u32,
    /// Whether the owner's signature is here.
    pub signed: bool,
    /// Whether the list of chunk digests is here.
    pub listed: bool,
    /// Whether every chunk is here.
    pub complete: bool,
}

/// Manifests of an agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManifestList {
    /// By dataset, then digest, ascending.
    pub manifests: Vec<ManifestFacts>,
}

/// Chunks of a sealed file that are not here yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissingChunks {
    /// How many chunks the file has.
    pub chunk_count: u32,
    /// How many are missing.
    pub missing_count: u32,
    /// The missing ones as ranges, ascending, at most 1,000 of them: upload these, then ask again.
    pub missing: Vec<ChunkRange>,
}

/// Consecutive chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChunkRange {
    /// Number of the first, from 0.
    pub first: u32,
    /// Number of the last, included.
    pub last: u32,
}

/// An input set as the host knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InputsFacts {
    /// Its digest.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub digest: Digest384,
    /// Its agreement.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub agreement: Digest384,
    /// Its analysis.
    pub analysis: String,
    /// Its round.
    pub round: u32,
    /// Its datasets.
    pub datasets: Vec<InputState>,
    /// Owners that are to sign, and whether they did.
    pub signatures: Vec<SignatureState>,
}

/// One dataset of an input set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InputState {
    /// Name of the dataset.
    pub dataset: String,
    /// Its owner.
    pub owner: String,
    /// Digest of its manifest; null if the dataset is absent.
    #[serde(with = "optional_digest_text")]
    #[schema(value_type = Option<String>)]
    pub manifest: Option<Digest384>,
    /// Whether the manifest, its signature and every chunk are here (true if the dataset is absent).
    pub ready: bool,
}

/// Input sets of an agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InputsList {
    /// By digest, ascending.
    pub inputs: Vec<InputsFacts>,
}

/// A request object as the host knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestFacts {
    /// Its digest.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub digest: Digest384,
    /// Its agreement.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub agreement: Digest384,
    /// The input set that it asks of.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub inputs: Digest384,
    /// Its analysis.
    pub analysis: String,
    /// Parties that are to sign, and whether they did.
    pub signatures: Vec<SignatureState>,
}

/// Requests of an agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestList {
    /// By digest, ascending.
    pub requests: Vec<RequestFacts>,
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRun {
    /// Digest of the agreement.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub agreement: Digest384,
    /// Name of the analysis.
    pub analysis: String,
    /// Digest of the input set.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub inputs: Digest384,
    /// Digest of the request, for an analysis that takes one.
    #[serde(default, with = "optional_digest_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub request: Option<Digest384>,
}

/// State of a run. `finished` is the only one with results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum RunState {
    /// Waits for its turn.
    Queued,
    /// Its enclave is being started.
    Starting,
    /// Its enclave has asked its first question.
    Running,
    /// All result files and the receipt are stored.
    Finished,
    /// The enclave ended with one of its six codes. No results.
    Halted {
        /// The code.
        code: HaltCode,
    },
    /// The host gave up on the enclave. No results.
    Failed {
        /// Why, for programs.
        reason: FailureReason,
        /// Why, one sentence.
        message: String,
    },
    /// The host ended during the run. No results; the run may be started again.
    Interrupted,
    /// Stopped on demand. No results; the run may be started again.
    Stopped,
}

impl RunState {
    /// Whether an enclave exists for the run.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }

    /// Whether nothing more will happen unless somebody starts the run again.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        !matches!(self, Self::Queued | Self::Starting | Self::Running)
    }

    /// Whether the run may be started again: it ended without results.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.is_ended() && !matches!(self, Self::Finished)
    }

    /// The state's name, as in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Halted { .. } => "halted",
            Self::Failed { .. } => "failed",
            Self::Interrupted => "interrupted",
            Self::Stopped => "stopped",
        }
    }
}

/// The six codes of PROTOCOL §10, all that an enclave ever says about a run that it gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum HaltCode {
    /// The agreement or its approvals.
    AgreementRefused,
    /// The input set, manifests, request or their signatures.
    InputsRefused,
    /// The enclave's own attestation.
    AttestationRefused,
    /// A key was not released, or is another one.
    KeyRefused,
    /// A sealed file differs from its manifest.
    CiphertextRefused,
    /// A defect.
    RunFailed,
}

/// Why the host gave up on a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureReason {
    /// The platform did not start the enclave.
    Platform,
    /// The enclave did not answer in time after its start.
    Boot,
    /// The enclave was silent for too long.
    Silence,
    /// The attempt took longer than a run may take.
    Deadline,
    /// The enclave ended or closed its channel without result or code.
    Ended,
    /// The enclave broke the job protocol.
    Protocol,
    /// What the enclave delivered is not what the agreement says a run delivers.
    Results,
    /// Something needed was removed, or the data directory failed.
    Storage,
}

/// One step in the life of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Transition {
    /// When, RFC 3339, by the host's clock.
    pub at: String,
    /// Attempt it belongs to, from 1.
    pub attempt: u32,
    /// State that the run went into.
    #[serde(flatten)]
    pub state: RunState,
}

/// How far a live run is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunProgress {
    /// Keys that the key services released, by dataset, and whether they did.
    pub keys: BTreeMap<String, KeyAnswer>,
    /// Bytes of sealed files that the enclave has fetched.
    pub fetched_bytes: u64,
    /// Bytes of sealed files that it will fetch.
    pub input_bytes: u64,
    /// Bytes of results that it has delivered.
    pub delivered_bytes: u64,
}

/// What a key service answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAnswer {
    /// A key, encrypted for the enclave.
    Released,
    /// None; the host's log says why.
    Refused,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunFacts {
    /// Its identity.
    #[schema(value_type = String)]
    pub id: RunId,
    /// What is run.
    pub run: NewRun,
    /// PCR0 of the image.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub pcr0: Digest384,
    /// Its state now.
    #[serde(flatten)]
    pub state: RunState,
    /// Attempts so far.
    pub attempt: u32,
    /// When it was asked for, RFC 3339, by the host's clock.
    pub created: String,
    /// Steps of its life, oldest first, the last 64.
    pub history: Vec<Transition>,
    /// How far it is; null unless it is live.
    pub progress: Option<RunProgress>,
}

/// Runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunList {
    /// Newest first, at most the asked number.
    pub runs: Vec<RunFacts>,
}

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunEvent {
    /// Number of the event, ascending from 1 within the run.
    pub number: u64,
    /// When, RFC 3339, by the host's clock.
    pub at: String,
    /// What.
    #[serde(flatten)]
    pub what: RunHappening,
}

/// What happened to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum RunHappening {
    /// It went into another state.
    State {
        /// The state.
        #[serde(flatten)]
        state: RunState,
    },
    /// A key service answered.
    Key {
        /// The dataset whose key was asked for.
        dataset: String,
        /// The answer.
        answer: KeyAnswer,
    },
    /// The enclave has fetched a sealed file to its end.
    Fetched {
        /// The dataset.
        dataset: String,
        /// Bytes of the sealed file.
        bytes: u64,
    },
    /// The enclave has delivered a result file to its end; it is kept only if all are.
    Delivered {
        /// Its name.
        name: String,
        /// Its size.
        bytes: u64,
    },
}

/// Events of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunEvents {
    /// Ascending by number, at most 1,000.
    pub events: Vec<RunEvent>,
}

/// A result file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResultFacts {
    /// `OUTPUT.RECIPIENT.age`.
    pub name: String,
    /// Its size, bytes.
    pub bytes: u64,
    /// SHA-384 of it.
    #[serde(with = "digest_text")]
    #[schema(value_type = String)]
    pub digest: Digest384,
}

/// Result files of a finished run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResultList {
    /// In the order of the agreement.
    pub results: Vec<ResultFacts>,
}

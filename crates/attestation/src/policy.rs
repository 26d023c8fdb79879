//! Appraisal: is it the enclave that we want, for the purpose that we want, now?

use core::{fmt, time::Duration};
use std::collections::BTreeMap;

use crate::{
    AuthenticDocument, DebugMode, Digest384, Field, Measurements, Nonce, PcrIndex, UnixTime,
    der::{self, NotDer},
    pcr16_for, pcr17_for,
};

/// What a document must say: total, without defaults. What it does not name is refused, or named here as free.
///
/// Free, unless [`HardwareRegisters`] name them: PCR3 to PCR15, which say where the enclave runs and who signed its
/// image. Nothing else is.
///
/// ```
/// use core::time::Duration;
/// use entente_attestation::{
///     Digest384, DocumentKind, Freshness, HardwareRegisters, Measurements, Nonce, Policy, UnixTime, UserRegisters,
/// };
///
/// let image = Digest384::of(b"the image that we rebuilt");
/// let policy = Policy {
///     measurements: Measurements::new(image, image, image)?,
///     hardware_registers: HardwareRegisters::unnamed().and_signed_by(Digest384::of(b"PCR8 of our release key")),
///     user_registers: UserRegisters::Bound {
///         agreement: Digest384::of(b"agreement.toml"),
///         input_set: Digest384::of(b"inputs.toml"),
///     },
///     freshness: Freshness::Recent {
///         now: UnixTime::parse_rfc3339("2026-04-21T22:33:40Z").unwrap(),
///         max_age: Duration::from_secs(60),
///         max_ahead: Duration::from_secs(5),
///     },
///     kind: DocumentKind::SelfCheck { nonce: Nonce::from_bytes([7; 32]) },
/// };
/// # let _ = policy;
/// # Ok::<(), entente_attestation::DebugMode>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// PCR0, PCR1, PCR2: the image.
    pub measurements: Measurements,
    /// PCR3 to PCR15: what the hypervisor measured besides the image.
    pub hardware_registers: HardwareRegisters,
    /// PCR16 to PCR31: what the enclave itself extended.
    pub user_registers: UserRegisters,
    /// When the document may have been made.
    pub freshness: Freshness,
    /// What the document is for (PROTOCOL §4).
    pub kind: DocumentKind,
}

/// Values that PCR3 to PCR15 must have. Registers that are not named may hold anything: they tell one parent instance,
/// role or signer from another, and by themselves vouch for no code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardwareRegisters(BTreeMap<PcrIndex, Digest384>);

impl HardwareRegisters {
    /// None is named.
    #[must_use]
    pub fn unnamed() -> Self {
        Self(BTreeMap::new())
    }

    /// PCR3 must be this: the parent instance's IAM role.
    #[must_use]
    pub fn and_parent_role(self, pcr3: Digest384) -> Self {
        self.and(PcrIndex::PARENT_ROLE, pcr3)
    }

    /// PCR4 must be this: the parent instance's id.
    #[must_use]
    pub fn and_parent_instance(self, pcr4: Digest384) -> Self {
        self.and(PcrIndex::PARENT_INSTANCE, pcr4)
    }

    /// PCR8 must be this: the certificate that signed the image.
    #[must_use]
    pub fn and_signed_by(self, pcr8: Digest384) -> Self {
        self.and(PcrIndex::SIGNING_CERTIFICATE, pcr8)
    }

    /// The named registers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (PcrIndex, &Digest384)> {
        self.0.iter().map(|(index, value)| (*index, value))
    }

    fn and(mut self, index: PcrIndex, value: Digest384) -> Self {
        self.0.insert(index, value);
        self
    }
}

/// What PCR16 to PCR31 must be. They are in a document only once locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserRegisters {
    /// None is locked: an enclave before it binds itself to an agreement.
    Unbound,
    /// PCR16 and PCR17 are extended once with these digests and locked; no other is.
    Bound {
        /// Digest of the agreement's bytes.
        agreement: Digest384,
        /// Digest of the input set's bytes.
        input_set: Digest384,
    },
}

impl UserRegisters {
    fn expected(self, index: PcrIndex) -> Option<Digest384> {
        match (self, index) {
            (Self::Bound { agreement, .. }, PcrIndex::AGREEMENT) => Some(pcr16_for(&agreement)),
            (Self::Bound { input_set, .. }, PcrIndex::INPUT_SET) => Some(pcr17_for(&input_set)),
            _ => None,
        }
    }
}

/// When a document may have been made, by the hypervisor's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Not long ago. The nonce, where the kind has one, is the stronger proof: clocks can be wrong.
    Recent {
        /// The present, by the verifier's own clock, never by the document's.
        now: UnixTime,
        /// How old it may be.
        max_age: Duration,
        /// How far the hypervisor's clock may be ahead of the verifier's.
        max_ahead: Duration,
    },
    /// Within a window: evidence of something that happened then (a run, under its agreement).
    Window {
        /// The first moment of the window.
        not_before: UnixTime,
        /// The first moment after the window, as in agreements and in key policies (`aws:CurrentTime` < `not_after`).
        not_after: UnixTime,
    },
}

/// What a document is for, and so what must be in its three fields (PROTOCOL §4). What a kind does not use must be
/// absent; empty is not absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// `nonce` alone, 32 bytes drawn for this question.
    SelfCheck {
        /// The bytes drawn.
        nonce: Nonce,
    },
    /// `public_key` is an RSA-2048 key; the result gives it ([`AttestedEnclave::recipient_key`]).
    KeyRequest {
        /// Which request, if the analysis takes any, the key is asked for.
        request: RequestBinding,
    },
    /// `user_data` binds the TLS connection and the speaker's role in it, `nonce` is the peer's.
    Channel {
        /// The role of the enclave that the document speaks for. Checking it defeats reflection.
        role: ChannelRole,
        /// `tls-exporter` of the connection (RFC 9266), 32 bytes.
        exporter: [u8; 32],
        /// The bytes that this side sent.
        nonce: Nonce,
    },
    /// `user_data` is the digest of a statement in its DSSE pre-authentication encoding.
    Receipt {
        /// That digest.
        statement: Digest384,
    },
}

/// What `user_data` of a key request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestBinding {
    /// The analysis takes no requests: `user_data` is absent.
    NoRequest,
    /// `user_data` binds the request with this digest.
    Request(Digest384),
}

impl RequestBinding {
    /// H("entente-key-request/v1" ‖ 0x00 ‖ H(request)), or nothing.
    #[must_use]
    pub fn user_data(&self) -> Option<Digest384> {
        match self {
            Self::NoRequest => None,
            Self::Request(request) => {
                Some(Digest384::of_parts(&[b"entente-key-request/v1\0", request.as_bytes()]))
            }
        }
    }
}

/// Which end of a TLS connection an enclave is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelRole {
    /// The one that was connected to.
    Server,
    /// The one that connected.
    Client,
}

impl ChannelRole {
    /// `server` or `client`, as it is bound.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }

    /// H("entente-channel/v1" ‖ 0x00 ‖ role ‖ 0x00 ‖ exporter): what an enclave in this role puts into `user_data`.
    #[must_use]
    pub fn user_data(self, exporter: &[u8; 32]) -> Digest384 {
        Digest384::of_parts(&[b"entente-channel/v1\0", self.as_str().as_bytes(), b"\0", exporter])
    }
}

/// An enclave that is the one wanted: the result of parse, authenticate, appraise.
///
/// # Security
/// It says that at [`AuthenticDocument::timestamp`] an enclave with the policy's image, under the anchor's authority,
/// said what the policy's kind binds. It does not say that the enclave still runs, nor that the image is a good one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestedEnclave {
    document: AuthenticDocument,
    measurements: Measurements,
    recipient_key: Option<Vec<u8>>,
}

impl AttestedEnclave {
    /// The document.
    #[must_use]
    pub fn document(&self) -> &AuthenticDocument {
        &self.document
    }

    /// The image.
    #[must_use]
    pub fn measurements(&self) -> &Measurements {
        &self.measurements
    }

    /// The RSA-2048 key (DER `SubjectPublicKeyInfo`) of a key request; `None` for every other kind.
    #[must_use]
    pub fn recipient_key(&self) -> Option<&[u8]> {
        self.recipient_key.as_deref()
    }
}

/// Why an authentic document is not the one wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppraisalError {
    /// The enclave runs in debug mode.
    #[error(transparent)]
    DebugMode(#[from] DebugMode),
    /// A register that the policy names is not in the document.
    #[error("{register} is not in the document")]
    PcrMissing {
        /// Which.
        register: PcrIndex,
    },
    /// A register differs from the policy.
    #[error("{register} differs: expected {expected}, found {found}")]
    PcrDiffers {
        /// Which.
        register: PcrIndex,
        /// The policy's value.
        expected: Digest384,
        /// The document's value.
        found: Digest384,
    },
    /// The enclave locked a user register that the policy does not name.
    #[error("{register} is locked, which the policy does not allow")]
    PcrUnexpected {
        /// Which.
        register: PcrIndex,
    },
    /// The document is too old.
    #[error("made at {timestamp}, more than {} s before {now}", max_age.as_secs())]
    TooOld {
        /// When it was made.
        timestamp: UnixTime,
        /// The present.
        now: UnixTime,
        /// How old it may be.
        max_age: Duration,
    },
    /// The document is from the future by more than clocks may differ.
    #[error("made at {timestamp}, more than {} s after {now}", max_ahead.as_secs())]
    FromTheFuture {
        /// When it was made.
        timestamp: UnixTime,
        /// The present.
        now: UnixTime,
        /// How far clocks may differ.
        max_ahead: Duration,
    },
    /// The document was made outside the window.
    #[error("made at {timestamp}, outside the window from {not_before} to {not_after}")]
    OutsideWindow {
        /// When it was made.
        timestamp: UnixTime,
        /// The first moment allowed.
        not_before: UnixTime,
        /// The first moment no more allowed.
        not_after: UnixTime,
    },
    /// A field that documents of this kind have is absent.
    #[error("{field} is absent; a {kind} document has it")]
    FieldAbsent {
        /// Which.
        field: Field,
        /// The kind asked for.
        kind: KindName,
    },
    /// A field that documents of this kind do not have is present.
    #[error("{field} is present; a {kind} document does not have it")]
    FieldPresent {
        /// Which.
        field: Field,
        /// The kind asked for.
        kind: KindName,
    },
    /// The nonce is not the one sent: the document answers another question, perhaps a recorded one.
    #[error("the nonce is not the one that was sent")]
    NonceDiffers,
    /// `user_data` does not bind what it must bind.
    #[error("user_data of this {kind} document binds something else")]
    UserDataDiffers {
        /// The kind asked for.
        kind: KindName,
    },
    /// `public_key` is not a DER `SubjectPublicKeyInfo` of an RSA key with 2,048 bits and exponent 65,537.
    #[error("public_key is not an RSA-2048 key")]
    PublicKey,
}

/// The name of a [`DocumentKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KindName {
    /// [`DocumentKind::SelfCheck`].
    SelfCheck,
    /// [`DocumentKind::KeyRequest`].
    KeyRequest,
    /// [`DocumentKind::Channel`].
    Channel,
    /// [`DocumentKind::Receipt`].
    Receipt,
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SelfCheck => "self-check",
            Self::KeyRequest => "key-request",
            Self::Channel => "channel",
            Self::Receipt => "receipt",
        })
    }
}

impl DocumentKind {
    fn name(&self) -> KindName {
        match self {
            Self::SelfCheck { .. } => KindName::SelfCheck,
            Self::KeyRequest { .. } => KindName::KeyRequest,
            Self::Channel { .. } => KindName::Channel,
            Self::Receipt { .. } => KindName::Receipt,
        }
    }
}

pub(crate) fn appraise(
    document: AuthenticDocument,
    policy: &Policy,
) -> Result<AttestedEnclave, AppraisalError> {
    // Before anything else, since every other difference follows from it.
    let measurements = document.measurements()?;
    check_registers(&document, policy)?;
    check_freshness(document.timestamp(), &policy.freshness)?;
    let recipient_key = check_kind(&document, &policy.kind)?;
    Ok(AttestedEnclave { document, measurements, recipient_key })
}

fn check_registers(document: &AuthenticDocument, policy: &Policy) -> Result<(), AppraisalError> {
    let image = [
        (PcrIndex::IMAGE, *policy.measurements.pcr0()),
        (PcrIndex::KERNEL, *policy.measurements.pcr1()),
        (PcrIndex::APPLICATION, *policy.measurements.pcr2()),
    ];
    let hardware = policy.hardware_registers.iter().map(|(index, value)| (index, *value));
    let user = [PcrIndex::AGREEMENT, PcrIndex::INPUT_SET]
        .into_iter()
        .filter_map(|index| Some((index, policy.user_registers.expected(index)?)));
    for (register, expected) in image.into_iter().chain(hardware).chain(user) {
        match document.pcr(register) {
            None => return Err(AppraisalError::PcrMissing { register }),
            Some(found) if *found != expected => {
                return Err(AppraisalError::PcrDiffers { register, expected, found: *found });
            }
            Some(_) => {}
        }
    }
    let surplus = document
        .pcrs()
        .map(|(index, _)| index)
        .find(|index| index.number() >= 16 && policy.user_registers.expected(*index).is_none());
    match surplus {
        Some(register) => Err(AppraisalError::PcrUnexpected { register }),
        None => Ok(()),
    }
}

fn check_freshness(timestamp: UnixTime, freshness: &Freshness) -> Result<(), AppraisalError> {
    match *freshness {
        Freshness::Recent { now, max_age, max_ahead } => {
            if timestamp.saturating_add(max_age) < now {
                return Err(AppraisalError::TooOld { timestamp, now, max_age });
            }
            if timestamp > now.saturating_add(max_ahead) {
                return Err(AppraisalError::FromTheFuture { timestamp, now, max_ahead });
            }
        }
        Freshness::Window { not_before, not_after } => {
            if !(not_before..not_after).contains(&timestamp) {
                return Err(AppraisalError::OutsideWindow { timestamp, not_before, not_after });
            }
        }
    }
    Ok(())
}

/// The table of PROTOCOL §4; gives the key of a key request.
fn check_kind(document: &AuthenticDocument, kind: &DocumentKind) -> Result<Option<Vec<u8>>, AppraisalError> {
    let name = kind.name();
    let absent = |field, value: Option<&[u8]>| match value {
        None => Ok(()),
        Some(_) => Err(AppraisalError::FieldPresent { field, kind: name }),
    };
    let user_data = |expected: &Digest384| match document.user_data() {
        None => Err(AppraisalError::FieldAbsent { field: Field::UserData, kind: name }),
        Some(found) if found == expected.as_bytes() => Ok(()),
        Some(_) => Err(AppraisalError::UserDataDiffers { kind: name }),
    };
    let nonce = |expected: &Nonce| match document.nonce() {
        None => Err(AppraisalError::FieldAbsent { field: Field::Nonce, kind: name }),
        Some(found) if found == expected.as_bytes() => Ok(()),
        Some(_) => Err(AppraisalError::NonceDiffers),
    };
    match kind {
        DocumentKind::SelfCheck { nonce: expected } => {
            absent(Field::PublicKey, document.public_key())?;
            absent(Field::UserData, document.user_data())?;
            nonce(expected)?;
            Ok(None)
        }
        DocumentKind::KeyRequest { request } => {
            let key = document
                .public_key()
                .ok_or(AppraisalError::FieldAbsent { field: Field::PublicKey, kind: name })?;
            check_rsa_2048(key).map_err(|NotDer| AppraisalError::PublicKey)?;
            match request.user_data() {
                None => absent(Field::UserData, document.user_data())?,
                Some(expected) => user_data(&expected)?,
            }
            absent(Field::Nonce, document.nonce())?;
            Ok(Some(key.to_vec()))
        }
        DocumentKind::Channel { role, exporter, nonce: expected } => {
            absent(Field::PublicKey, document.public_key())?;
            user_data(&role.user_data(exporter))?;
            nonce(expected)?;
            Ok(None)
        }
        DocumentKind::Receipt { statement } => {
            absent(Field::PublicKey, document.public_key())?;
            user_data(statement)?;
            absent(Field::Nonce, document.nonce())?;
            Ok(None)
        }
    }
}

/// RFC 3279, section 2.3.1: rsaEncryption with NULL parameters, a modulus of exactly 2,048 bits, exponent 65,537.
fn check_rsa_2048(spki: &[u8]) -> Result<(), NotDer> {
    /// 1.2.840.113549.1.1.1
    const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    let mut outer = der::Reader::new(spki);
    let mut info = outer.nested(der::SEQUENCE)?;
    outer.end()?;
    let mut algorithm = info.nested(der::SEQUENCE)?;
    if algorithm.content(der::OID)? != RSA_ENCRYPTION || !algorithm.content(der::NULL)?.is_empty() {
        return Err(NotDer);
    }
    algorithm.end()?;
    let mut bits = der::Reader::new(info.whole_bits()?);
    info.end()?;
    let mut key = bits.nested(der::SEQUENCE)?;
    bits.end()?;
    let modulus = key.content(der::INTEGER)?;
    let exponent = key.content(der::INTEGER)?;
    key.end()?;
    match modulus {
        [0, 0x80..=0xff, rest @ ..] if rest.len() == 255 && exponent == [1, 0, 1] => Ok(()),
        _ => Err(NotDer),
    }
}

//! The NSM's messages in CBOR, both directions.
//!
//! AWS's `nsm-api` serialises with serde's externally tagged form: a variant without fields is a text string
//! (`"GetRandom"`), any other is a map with one entry (`{"DescribePCR": {"index": 0}}`). The encoders here give the
//! bytes of `nsm-api` exactly (`vectors/nsm/nsm-wire.tsv`). The decoders accept what a correct peer may send (fields in
//! any order, integers in any width: QEMU's NSM is not `nsm-api`) and nothing else: an unknown variant or field, a
//! field that is missing or comes twice, an indefinite length, a value of the wrong size and bytes after the message
//! are errors of their own. No decoder recurses or skips, so depth needs no limit, and every allocation is bounded by the
//! size of the message, which is bounded by [`MAX_REQUEST`] and [`MAX_RESPONSE`].

use entente_attestation::Digest384;
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use thiserror::Error;

/// Bytes of the longest request: `NSM_REQUEST_MAX_SIZE` of Linux's `drivers/misc/nsm.c` (the driver answers `EMSGSIZE`
/// to a longer one).
pub const MAX_REQUEST: usize = 0x1000;

/// Bytes of the longest response: `NSM_RESPONSE_MAX_SIZE` of Linux's `drivers/misc/nsm.c`.
pub const MAX_RESPONSE: usize = 0x3000;

/// Bytes of the longest `user_data`, `nonce` or `public_key`: the CDDL of AWS's attestation process and `nsm-check`.
pub const MAX_OPTIONAL: usize = 1024;

/// Bytes of the longest `module_id` that is accepted (a real one has about 40).
pub const MAX_MODULE_ID: usize = 256;

/// Registers of an NSM: indices run from 0 to 31.
pub const PCR_COUNT: u16 = 32;

/// A request to the NSM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Value and lock of a register.
    DescribePcr {
        /// The register.
        index: u16,
    },
    /// Set a register to SHA-384(old value ‖ data).
    ExtendPcr {
        /// The register.
        index: u16,
        /// What is appended.
        data: Vec<u8>,
    },
    /// Make a register unchangeable and put it into attestation documents.
    LockPcr {
        /// The register.
        index: u16,
    },
    /// Lock all registers below `range`.
    LockPcrs {
        /// The first register that is not locked.
        range: u16,
    },
    /// The module's version, identity and locked registers.
    DescribeNsm,
    /// A signed attestation document.
    Attestation(AttestationRequest),
    /// Random bytes; the module chooses how many (hardware and QEMU: 256).
    GetRandom,
}

/// The fields that an enclave puts into its attestation document: each at most [`MAX_OPTIONAL`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttestationRequest {
    /// Data of the program's choice.
    pub user_data: Option<Vec<u8>>,
    /// What the reader of the document sent to know that it is fresh.
    pub nonce: Option<Vec<u8>>,
    /// A public key of the program, as DER SubjectPublicKeyInfo.
    pub public_key: Option<Vec<u8>>,
}

/// An answer of the NSM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// To [`Request::DescribePcr`].
    DescribePcr(PcrState),
    /// To [`Request::ExtendPcr`]: the new value.
    ExtendPcr {
        /// The register's new value.
        data: Digest384,
    },
    /// To [`Request::LockPcr`].
    LockPcr,
    /// To [`Request::LockPcrs`].
    LockPcrs,
    /// To [`Request::DescribeNsm`].
    DescribeNsm(ModuleDescription),
    /// To [`Request::Attestation`]: the document, a `COSE_Sign1` structure.
    Attestation {
        /// The document's bytes.
        document: Vec<u8>,
    },
    /// To [`Request::GetRandom`].
    GetRandom {
        /// Random bytes.
        random: Vec<u8>,
    },
    /// The request was refused.
    Error(NsmErrorCode),
}

/// A register: its value, and whether it can still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PcrState {
    /// Whether the register can still be extended.
    pub lock: Lock,
    /// The value.
    pub value: Digest384,
}

/// Whether a register can still be extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// It can be extended, and attestation documents leave it out.
    Unlocked,
    /// It is fixed for this life, and attestation documents hold it.
    Locked,
}

/// What the NSM says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleDescription {
    /// Version, first part.
    pub version_major: u16,
    /// Version, second part.
    pub version_minor: u16,
    /// Version, third part.
    pub version_patch: u16,
    /// The module's name, `INSTANCE-encENCLAVE`.
    pub module_id: String,
    /// How many registers there are.
    pub max_pcrs: u16,
    /// The locked registers, ascending.
    pub locked_pcrs: Vec<u16>,
    /// The registers' hash. Anything but SHA-384 is refused by the decoder.
    pub digest: PcrDigest,
}

/// The hash behind the registers. Nitro has had one since it exists; another would make every value here meaningless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PcrDigest {
    /// SHA-384.
    Sha384,
}

/// The reasons for which an NSM refuses a request (`ErrorCode` of `nsm-api`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NsmErrorCode {
    /// "No error", which is never a right answer.
    #[error("success, sent as an error")]
    Success,
    /// An argument is wrong.
    #[error("invalid argument")]
    InvalidArgument,
    /// There is no such register.
    #[error("invalid register index")]
    InvalidIndex,
    /// The module's own answer makes no sense.
    #[error("invalid response")]
    InvalidResponse,
    /// The register is locked.
    #[error("the register is locked")]
    ReadOnlyIndex,
    /// The module cannot do this.
    #[error("invalid operation")]
    InvalidOperation,
    /// The answer does not fit the caller's buffer.
    #[error("response buffer too small")]
    BufferTooSmall,
    /// A field of the request is too long.
    #[error("input too large")]
    InputTooLarge,
    /// The module failed.
    #[error("internal error")]
    InternalError,
}

impl NsmErrorCode {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Success, "Success"),
        (Self::InvalidArgument, "InvalidArgument"),
        (Self::InvalidIndex, "InvalidIndex"),
        (Self::InvalidResponse, "InvalidResponse"),
        (Self::ReadOnlyIndex, "ReadOnlyIndex"),
        (Self::InvalidOperation, "InvalidOperation"),
        (Self::BufferTooSmall, "BufferTooSmall"),
        (Self::InputTooLarge, "InputTooLarge"),
        (Self::InternalError, "InternalError"),
    ];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(code, _)| *code == self).map_or("InternalError", |(_, name)| name)
    }

    fn from_wire(name: &str) -> Result<Self, CodecError> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(code, _)| *code).ok_or(CodecError::UnknownErrorCode)
    }
}

/// Why bytes are not a message of the NSM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CodecError {
    /// The message is longer than the driver lets through.
    #[error("message of {found} bytes; at most {limit} are allowed")]
    MessageTooLong {
        /// Its length.
        found: usize,
        /// [`MAX_REQUEST`] or [`MAX_RESPONSE`].
        limit: usize,
    },
    /// Not CBOR of the shape that stands here.
    #[error("not the expected CBOR at byte {at}")]
    Malformed {
        /// Offset of the first byte that does not fit.
        at: usize,
    },
    /// A variant that the NSM does not have (or has in the other form, with or without fields).
    #[error("unknown kind of message")]
    UnknownVariant,
    /// A field that the variant does not have.
    #[error("unknown field at byte {at}")]
    UnknownField {
        /// Offset of the field's name.
        at: usize,
    },
    /// A field stands twice.
    #[error("field {field} stands twice")]
    DuplicateField {
        /// The field.
        field: &'static str,
    },
    /// A field is missing.
    #[error("field {field} is missing")]
    MissingField {
        /// The field.
        field: &'static str,
    },
    /// A field's value has a length that it cannot have.
    #[error("field {field} has {found} bytes")]
    FieldLength {
        /// The field.
        field: &'static str,
        /// How many bytes it has.
        found: usize,
    },
    /// `digest` is not `SHA384`.
    #[error("the registers' hash is not SHA-384")]
    UnknownDigest,
    /// An error code that `nsm-api` does not have.
    #[error("unknown error code")]
    UnknownErrorCode,
    /// `locked_pcrs` is not strictly ascending or names a register that does not exist.
    #[error("the list of locked registers is not strictly ascending below {PCR_COUNT}")]
    LockedRegisters,
    /// Bytes after the message.
    #[error("{count} bytes after the message")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
}

impl Request {
    /// The request's bytes, as `nsm-api` gives them.
    ///
    /// # Errors
    /// [`CodecError::FieldLength`] when a field of an attestation request is longer than [`MAX_OPTIONAL`];
    /// [`CodecError::MessageTooLong`] when the request does not fit [`MAX_REQUEST`].
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let mut out = Encoder::new(Vec::with_capacity(64));
        let written = match self {
            Self::DescribePcr { index } => index_request(&mut out, "DescribePCR", "index", *index),
            Self::ExtendPcr { index, data } => out
                .map(1)
                .and_then(|e| e.str("ExtendPCR")?.map(2)?.str("index")?.u16(*index)?.str("data")?.bytes(data))
                .map(|_| ()),
            Self::LockPcr { index } => index_request(&mut out, "LockPCR", "index", *index),
            Self::LockPcrs { range } => index_request(&mut out, "LockPCRs", "range", *range),
            Self::DescribeNsm => out.str("DescribeNSM").map(|_| ()),
            Self::GetRandom => out.str("GetRandom").map(|_| ()),
            Self::Attestation(request) => {
                let AttestationRequest { user_data, nonce, public_key } = request;
                check_optional("user_data", user_data.as_deref())?;
                check_optional("nonce", nonce.as_deref())?;
                check_optional("public_key", public_key.as_deref())?;
                out.map(1)
                    .and_then(|e| e.str("Attestation")?.map(3))
                    .and_then(|e| optional(e, "user_data", user_data.as_deref()))
                    .and_then(|e| optional(e, "nonce", nonce.as_deref()))
                    .and_then(|e| optional(e, "public_key", public_key.as_deref()))
                    .map(|_| ())
            }
        };
        finish(written, out, MAX_REQUEST)
    }

    /// Reads a request.
    ///
    /// # Errors
    /// A [`CodecError`] for everything that is not exactly one request.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut d = start(bytes, MAX_REQUEST)?;
        let request = match variant(&mut d)? {
            Variant::Unit("DescribeNSM") => Self::DescribeNsm,
            Variant::Unit("GetRandom") => Self::GetRandom,
            Variant::Fields("DescribePCR") => Self::DescribePcr { index: index_field(&mut d, "index")? },
            Variant::Fields("LockPCR") => Self::LockPcr { index: index_field(&mut d, "index")? },
            Variant::Fields("LockPCRs") => Self::LockPcrs { range: index_field(&mut d, "range")? },
            Variant::Fields("ExtendPCR") => {
                let mut index = Field::new("index");
                let mut data = Field::new("data");
                for_fields(&mut d, |name, d| match name {
                    "index" => index.set(u16_value(d)?).map(Some),
                    "data" => data.set(bytes_value(d)?.to_vec()).map(Some),
                    _ => Ok(None),
                })?;
                Self::ExtendPcr { index: index.take()?, data: data.take()? }
            }
            Variant::Fields("Attestation") => {
                let mut user_data = Field::new("user_data");
                let mut nonce = Field::new("nonce");
                let mut public_key = Field::new("public_key");
                for_fields(&mut d, |name, d| match name {
                    "user_data" => user_data.set(optional_value(d, "user_data")?).map(Some),
                    "nonce" => nonce.set(optional_value(d, "nonce")?).map(Some),
                    "public_key" => public_key.set(optional_value(d, "public_key")?).map(Some),
                    _ => Ok(None),
                })?;
                Self::Attestation(AttestationRequest {
                    user_data: user_data.take()?,
                    nonce: nonce.take()?,
                    public_key: public_key.take()?,
                })
            }
            Variant::Unit(_) | Variant::Fields(_) => return Err(CodecError::UnknownVariant),
        };
        end(&d)?;
        Ok(request)
    }
}

impl Response {
    /// The response's bytes, as `nsm-api` gives them.
    ///
    /// # Errors
    /// [`CodecError::MessageTooLong`] when the response does not fit [`MAX_RESPONSE`].
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let mut out = Encoder::new(Vec::with_capacity(128));
        let written = match self {
            Self::DescribePcr(PcrState { lock, value }) => out
                .map(1)
                .and_then(|e| {
                    e.str("DescribePCR")?
                        .map(2)?
                        .str("lock")?
                        .bool(*lock == Lock::Locked)?
                        .str("data")?
                        .bytes(value.as_bytes())
                })
                .map(|_| ()),
            Self::ExtendPcr { data } => bytes_response(&mut out, "ExtendPCR", "data", data.as_bytes()),
            Self::LockPcr => out.str("LockPCR").map(|_| ()),
            Self::LockPcrs => out.str("LockPCRs").map(|_| ()),
            Self::DescribeNsm(module) => out
                .map(1)
                .and_then(|e| {
                    e.str("DescribeNSM")?.map(7)?;
                    e.str("version_major")?.u16(module.version_major)?;
                    e.str("version_minor")?.u16(module.version_minor)?;
                    e.str("version_patch")?.u16(module.version_patch)?;
                    e.str("module_id")?.str(&module.module_id)?;
                    e.str("max_pcrs")?.u16(module.max_pcrs)?;
                    e.str("locked_pcrs")?.encode(&module.locked_pcrs)?;
                    match module.digest {
                        PcrDigest::Sha384 => e.str("digest")?.str("SHA384"),
                    }
                })
                .map(|_| ()),
            Self::Attestation { document } => bytes_response(&mut out, "Attestation", "document", document),
            Self::GetRandom { random } => bytes_response(&mut out, "GetRandom", "random", random),
            Self::Error(code) => out.map(1).and_then(|e| e.str("Error")?.str(code.as_str())).map(|_| ()),
        };
        finish(written, out, MAX_RESPONSE)
    }

    /// Reads a response.
    ///
    /// # Errors
    /// A [`CodecError`] for everything that is not exactly one response.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut d = start(bytes, MAX_RESPONSE)?;
        let response = match variant(&mut d)? {
            Variant::Unit("LockPCR") => Self::LockPcr,
            Variant::Unit("LockPCRs") => Self::LockPcrs,
            Variant::Fields("DescribePCR") => {
                let mut lock = Field::new("lock");
                let mut data = Field::new("data");
                for_fields(&mut d, |name, d| match name {
                    "lock" => lock.set(lock_value(d)?).map(Some),
                    "data" => data.set(register_value(d)?).map(Some),
                    _ => Ok(None),
                })?;
                Self::DescribePcr(PcrState { lock: lock.take()?, value: data.take()? })
            }
            Variant::Fields("ExtendPCR") => {
                let mut data = Field::new("data");
                for_fields(&mut d, |name, d| match name {
                    "data" => data.set(register_value(d)?).map(Some),
                    _ => Ok(None),
                })?;
                Self::ExtendPcr { data: data.take()? }
            }
            Variant::Fields("DescribeNSM") => Self::DescribeNsm(module_description(&mut d)?),
            Variant::Fields("Attestation") => {
                Self::Attestation { document: bytes_field(&mut d, "document")? }
            }
            Variant::Fields("GetRandom") => Self::GetRandom { random: bytes_field(&mut d, "random")? },
            Variant::Fields("Error") => {
                let at = d.position();
                let name = d.str().map_err(|_| CodecError::Malformed { at })?;
                Self::Error(NsmErrorCode::from_wire(name)?)
            }
            Variant::Unit(_) | Variant::Fields(_) => return Err(CodecError::UnknownVariant),
        };
        end(&d)?;
        Ok(response)
    }
}

type Written<T> = Result<T, minicbor::encode::Error<core::convert::Infallible>>;

fn index_request(out: &mut Encoder<Vec<u8>>, variant: &str, field: &str, value: u16) -> Written<()> {
    out.map(1)?.str(variant)?.map(1)?.str(field)?.u16(value)?.ok()
}

fn bytes_response(out: &mut Encoder<Vec<u8>>, variant: &str, field: &str, value: &[u8]) -> Written<()> {
    out.map(1)?.str(variant)?.map(1)?.str(field)?.bytes(value)?.ok()
}

fn optional<'e>(
    out: &'e mut Encoder<Vec<u8>>,
    field: &str,
    value: Option<&[u8]>,
) -> Written<&'e mut Encoder<Vec<u8>>> {
    out.str(field)?;
    match value {
        Some(bytes) => out.bytes(bytes),
        None => out.null(),
    }
}

fn check_optional(field: &'static str, value: Option<&[u8]>) -> Result<(), CodecError> {
    match value {
        Some(bytes) if bytes.len() > MAX_OPTIONAL => {
            Err(CodecError::FieldLength { field, found: bytes.len() })
        }
        _ => Ok(()),
    }
}

fn finish(written: Written<()>, out: Encoder<Vec<u8>>, limit: usize) -> Result<Vec<u8>, CodecError> {
    let bytes = out.into_writer();
    // Writing into a Vec cannot fail; were it to, the message would be cut short, which is what this says.
    written.map_err(|_| CodecError::Malformed { at: bytes.len() })?;
    if bytes.len() > limit {
        return Err(CodecError::MessageTooLong { found: bytes.len(), limit });
    }
    Ok(bytes)
}

fn start(bytes: &[u8], limit: usize) -> Result<Decoder<'_>, CodecError> {
    if bytes.len() > limit {
        return Err(CodecError::MessageTooLong { found: bytes.len(), limit });
    }
    Ok(Decoder::new(bytes))
}

fn end(d: &Decoder<'_>) -> Result<(), CodecError> {
    match d.input().len().saturating_sub(d.position()) {
        0 => Ok(()),
        count => Err(CodecError::TrailingBytes { count }),
    }
}

enum Variant<'b> {
    Unit(&'b str),
    Fields(&'b str),
}

fn variant<'b>(d: &mut Decoder<'b>) -> Result<Variant<'b>, CodecError> {
    let malformed = |at| CodecError::Malformed { at };
    match d.datatype().map_err(|_| malformed(0))? {
        Type::String => d.str().map(Variant::Unit).map_err(|_| malformed(0)),
        Type::Map => match d.map() {
            Ok(Some(1)) => {
                let at = d.position();
                d.str().map(Variant::Fields).map_err(|_| malformed(at))
            }
            _ => Err(malformed(0)),
        },
        _ => Err(malformed(0)),
    }
}

/// Calls `field` for each entry of the map that comes next; `Ok(None)` says that it has no such field.
fn for_fields<'b>(
    d: &mut Decoder<'b>,
    mut field: impl FnMut(&str, &mut Decoder<'b>) -> Result<Option<()>, CodecError>,
) -> Result<(), CodecError> {
    let at = d.position();
    // Not `map_iter`: the count is from outside, so the entries are read one by one, each from bytes that are there.
    let Ok(Some(entries)) = d.map() else { return Err(CodecError::Malformed { at }) };
    for _ in 0..entries {
        let at = d.position();
        let name = d.str().map_err(|_| CodecError::Malformed { at })?;
        field(name, d)?.ok_or(CodecError::UnknownField { at })?;
    }
    Ok(())
}

/// A field that must come exactly once.
struct Field<T> {
    name: &'static str,
    value: Option<T>,
}

impl<T> Field<T> {
    fn new(name: &'static str) -> Self {
        Self { name, value: None }
    }

    fn set(&mut self, value: T) -> Result<(), CodecError> {
        match self.value.replace(value) {
            None => Ok(()),
            Some(_) => Err(CodecError::DuplicateField { field: self.name }),
        }
    }

    fn take(self) -> Result<T, CodecError> {
        self.value.ok_or(CodecError::MissingField { field: self.name })
    }
}

fn u16_value(d: &mut Decoder<'_>) -> Result<u16, CodecError> {
    let at = d.position();
    d.u16().map_err(|_| CodecError::Malformed { at })
}

fn bytes_value<'b>(d: &mut Decoder<'b>) -> Result<&'b [u8], CodecError> {
    let at = d.position();
    d.bytes().map_err(|_| CodecError::Malformed { at })
}

fn lock_value(d: &mut Decoder<'_>) -> Result<Lock, CodecError> {
    let at = d.position();
    match d.bool() {
        Ok(true) => Ok(Lock::Locked),
        Ok(false) => Ok(Lock::Unlocked),
        Err(_) => Err(CodecError::Malformed { at }),
    }
}

fn register_value(d: &mut Decoder<'_>) -> Result<Digest384, CodecError> {
    let bytes = bytes_value(d)?;
    let value = <[u8; 48]>::try_from(bytes);
    value
        .map(Digest384::from_bytes)
        .map_err(|_| CodecError::FieldLength { field: "data", found: bytes.len() })
}

fn optional_value(d: &mut Decoder<'_>, field: &'static str) -> Result<Option<Vec<u8>>, CodecError> {
    let at = d.position();
    if d.datatype().map_err(|_| CodecError::Malformed { at })? == Type::Null {
        d.null().map_err(|_| CodecError::Malformed { at })?;
        return Ok(None);
    }
    let bytes = bytes_value(d)?;
    check_optional(field, Some(bytes))?;
    Ok(Some(bytes.to_vec()))
}

fn index_field(d: &mut Decoder<'_>, field: &'static str) -> Result<u16, CodecError> {
    let mut value = Field::new(field);
    for_fields(d, |name, d| if name == field { value.set(u16_value(d)?).map(Some) } else { Ok(None) })?;
    value.take()
}

fn bytes_field(d: &mut Decoder<'_>, field: &'static str) -> Result<Vec<u8>, CodecError> {
    let mut value = Field::new(field);
    for_fields(
        d,
        |name, d| if name == field { value.set(bytes_value(d)?.to_vec()).map(Some) } else { Ok(None) },
    )?;
    value.take()
}

fn module_description(d: &mut Decoder<'_>) -> Result<ModuleDescription, CodecError> {
    let mut version_major = Field::new("version_major");
    let mut version_minor = Field::new("version_minor");
    let mut version_patch = Field::new("version_patch");
    let mut module_id = Field::new("module_id");
    let mut max_pcrs = Field::new("max_pcrs");
    let mut locked_pcrs = Field::new("locked_pcrs");
    let mut digest = Field::new("digest");
    for_fields(d, |name, d| match name {
        "version_major" => version_major.set(u16_value(d)?).map(Some),
        "version_minor" => version_minor.set(u16_value(d)?).map(Some),
        "version_patch" => version_patch.set(u16_value(d)?).map(Some),
        "module_id" => module_id.set(module_id_value(d)?).map(Some),
        "max_pcrs" => max_pcrs.set(u16_value(d)?).map(Some),
        "locked_pcrs" => locked_pcrs.set(locked_value(d)?).map(Some),
        "digest" => digest.set(digest_value(d)?).map(Some),
        _ => Ok(None),
    })?;
    Ok(ModuleDescription {
        version_major: version_major.take()?,
        version_minor: version_minor.take()?,
        version_patch: version_patch.take()?,
        module_id: module_id.take()?,
        max_pcrs: max_pcrs.take()?,
        locked_pcrs: locked_pcrs.take()?,
        digest: digest.take()?,
    })
}

fn module_id_value(d: &mut Decoder<'_>) -> Result<String, CodecError> {
    let at = d.position();
    let text = d.str().map_err(|_| CodecError::Malformed { at })?;
    if text.len() > MAX_MODULE_ID {
        return Err(CodecError::FieldLength { field: "module_id", found: text.len() });
    }
    Ok(text.to_owned())
}

fn locked_value(d: &mut Decoder<'_>) -> Result<Vec<u16>, CodecError> {
    let at = d.position();
    let Ok(Some(count)) = d.array() else { return Err(CodecError::Malformed { at }) };
    if count > u64::from(PCR_COUNT) {
        return Err(CodecError::LockedRegisters);
    }
    let mut locked = Vec::new();
    for _ in 0..count {
        let index = u16_value(d)?;
        if index >= PCR_COUNT || locked.last().is_some_and(|last| *last >= index) {
            return Err(CodecError::LockedRegisters);
        }
        locked.push(index);
    }
    Ok(locked)
}

fn digest_value(d: &mut Decoder<'_>) -> Result<PcrDigest, CodecError> {
    let at = d.position();
    match d.str().map_err(|_| CodecError::Malformed { at })? {
        "SHA384" => Ok(PcrDigest::Sha384),
        _ => Err(CodecError::UnknownDigest),
    }
}

//! Why bytes are not an attestation document.

use core::fmt;

use crate::PcrIndex;

/// Why bytes are not an attestation document. Nothing about signatures or time: that is
/// [`AuthenticationError`](crate::AuthenticationError).
///
/// Offsets count bytes from the start of the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Longer than any document that hardware makes; see [`Limits`](crate::Limits).
    #[error("{found} bytes are more than the {limit} that a document may have")]
    TooLong {
        /// The most that is allowed, in bytes.
        limit: usize,
        /// The length found, in bytes.
        found: usize,
    },
    /// Not the CBOR that hardware writes.
    #[error("at byte {offset}: {fault}")]
    Cbor {
        /// Where the item in question begins.
        offset: usize,
        /// What is wrong with it.
        fault: CborFault,
    },
    /// An item is of another type than its place demands.
    #[error("{field} is {found} (at byte {offset})")]
    WrongType {
        /// The place.
        field: Field,
        /// The type found.
        found: CborKind,
        /// Where the item begins.
        offset: usize,
    },
    /// Bytes after the end.
    #[error("{count} bytes follow {after}")]
    TrailingBytes {
        /// What should have been the last thing.
        after: Field,
        /// How many bytes follow.
        count: usize,
    },
    /// A CBOR tag other than 18, the one of `COSE_Sign1` (RFC 9052, section 4.2).
    #[error("tagged {found}; a signed document is untagged or tagged 18 (COSE_Sign1)")]
    Tag {
        /// The tag found.
        found: u64,
    },
    /// `COSE_Sign1` is an array of four.
    #[error("an array of {found}; COSE_Sign1 has 4 elements")]
    MessageLength {
        /// The number of elements found.
        found: u64,
    },
    /// The protected header has other entries than the algorithm.
    #[error("the protected header has an entry {label}; only 1 (the algorithm) may be there")]
    ProtectedHeader {
        /// The label of the first entry that does not belong there; 1 if the algorithm is there twice.
        label: i128,
    },
    /// The protected header names no algorithm.
    #[error("the protected header names no algorithm")]
    AlgorithmMissing,
    /// Another signature algorithm than ES384 (−35), the only one that the hypervisor uses.
    #[error("signature algorithm {found}; documents are signed with ES384 (-35) only")]
    Algorithm {
        /// The COSE algorithm identifier found.
        found: i128,
    },
    /// The unprotected header, which nobody signs, is not empty.
    #[error("the unprotected header, which no signature covers, has {entries} entries")]
    UnprotectedHeader {
        /// How many.
        entries: u64,
    },
    /// An ES384 signature has 96 bytes, r ‖ s (RFC 9053, section 2.1).
    #[error("the signature has {found} bytes, not 96")]
    SignatureLength {
        /// The length found, in bytes.
        found: usize,
    },
    /// A key of the payload that AWS's specification does not have.
    #[error("the payload has an unknown key (at byte {offset})")]
    UnknownKey {
        /// Where the key begins.
        offset: usize,
    },
    /// A key of the payload stands there twice.
    #[error("the payload has {field} twice")]
    Duplicate {
        /// Which.
        field: Field,
    },
    /// A mandatory key of the payload is not there.
    #[error("the payload lacks {field}")]
    Missing {
        /// Which.
        field: Field,
    },
    /// A field is shorter or longer than its specification allows.
    #[error("{field} has {found} bytes; {least} to {most} are allowed")]
    Length {
        /// Which.
        field: Field,
        /// The fewest bytes allowed.
        least: usize,
        /// The most bytes allowed.
        most: usize,
        /// The length found.
        found: usize,
    },
    /// The registers are digests of another algorithm than SHA-384.
    #[error("the digest algorithm is not SHA384")]
    DigestAlgorithm,
    /// The timestamp is zero.
    #[error("the timestamp is zero")]
    TimestampZero,
    /// A map of registers has 1 to 32 entries.
    #[error("{found} registers; 1 to 32 are allowed")]
    PcrCount {
        /// The number found.
        found: u64,
    },
    /// Registers are numbered 0 to 31.
    #[error("a register is numbered {found}; 0 to 31 are allowed")]
    PcrNumber {
        /// The number found.
        found: u64,
    },
    /// A register stands there twice.
    #[error("{register} is there twice")]
    PcrDuplicate {
        /// Which.
        register: PcrIndex,
    },
    /// A register does not have the 48 bytes of a SHA-384 value.
    #[error("{register} has {found} bytes; a SHA-384 value has 48")]
    PcrLength {
        /// Which.
        register: PcrIndex,
        /// The length found, in bytes.
        found: usize,
    },
    /// PCR0, PCR1 or PCR2 is not there. Hardware locks registers 0 to 15 at boot and puts every locked one in.
    #[error("{register} is missing")]
    PcrMissing {
        /// The first one missing.
        register: PcrIndex,
    },
    /// The bundle has no certificate, or more than [`Limits`](crate::Limits) allow.
    #[error("a bundle of {found} certificates; 1 to {most} are allowed")]
    BundleLength {
        /// The most allowed.
        most: usize,
        /// The number found.
        found: u64,
    },
}

/// What is wrong with an item of CBOR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CborFault {
    /// The bytes end before the item does.
    Truncated,
    /// A number or length is not written in its shortest form, so the same document could be written in several ways.
    NonMinimal,
    /// An indefinite length where hardware writes none; only the payload map may have it.
    IndefiniteLength,
    /// A head that RFC 8949 reserves.
    Reserved,
    /// A text string that is not UTF-8.
    InvalidUtf8,
}

impl fmt::Display for CborFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the bytes end inside a CBOR item",
            Self::NonMinimal => "a CBOR number or length is not in its shortest form",
            Self::IndefiniteLength => "a CBOR item has an indefinite length",
            Self::Reserved => "a reserved CBOR head",
            Self::InvalidUtf8 => "a text is not UTF-8",
        })
    }
}

/// The type of an item of CBOR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CborKind {
    /// An integer from zero up.
    Unsigned,
    /// An integer below zero.
    Negative,
    /// A byte string.
    Bytes,
    /// A text string.
    Text,
    /// An array.
    Array,
    /// A map.
    Map,
    /// A tag.
    Tag,
    /// `null`.
    Null,
    /// A boolean, a float, `undefined` or another simple value.
    Simple,
    /// The break that ends an item of indefinite length.
    Break,
}

impl fmt::Display for CborKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsigned => "an unsigned integer",
            Self::Negative => "a negative integer",
            Self::Bytes => "a byte string",
            Self::Text => "a text",
            Self::Array => "an array",
            Self::Map => "a map",
            Self::Tag => "a tagged item",
            Self::Null => "null",
            Self::Simple => "a simple value",
            Self::Break => "a break",
        })
    }
}

/// A place in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Field {
    /// The `COSE_Sign1` array.
    Message,
    /// Its first element: the protected header.
    ProtectedHeader,
    /// A label of the protected header.
    HeaderLabel,
    /// The algorithm in the protected header.
    Algorithm,
    /// Its second element: the unprotected header.
    UnprotectedHeader,
    /// Its third element: the payload, which is signed.
    Payload,
    /// Its fourth element: the signature.
    Signature,
    /// A key of the payload map.
    PayloadKey,
    /// `module_id`.
    ModuleId,
    /// `digest`.
    Digest,
    /// `timestamp`.
    Timestamp,
    /// `pcrs`.
    Pcrs,
    /// A key of `pcrs`.
    PcrNumber,
    /// A value of `pcrs`.
    PcrValue,
    /// `certificate`, the leaf.
    Certificate,
    /// `cabundle`.
    Cabundle,
    /// An element of `cabundle`.
    BundleCertificate,
    /// `public_key`.
    PublicKey,
    /// `user_data`.
    UserData,
    /// `nonce`.
    Nonce,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message => "the signed message",
            Self::ProtectedHeader => "the protected header",
            Self::HeaderLabel => "a label of the protected header",
            Self::Algorithm => "the algorithm",
            Self::UnprotectedHeader => "the unprotected header",
            Self::Payload => "the payload",
            Self::Signature => "the signature",
            Self::PayloadKey => "a key of the payload",
            Self::ModuleId => "module_id",
            Self::Digest => "digest",
            Self::Timestamp => "timestamp",
            Self::Pcrs => "pcrs",
            Self::PcrNumber => "the number of a register",
            Self::PcrValue => "the value of a register",
            Self::Certificate => "certificate",
            Self::Cabundle => "cabundle",
            Self::BundleCertificate => "an entry of cabundle",
            Self::PublicKey => "public_key",
            Self::UserData => "user_data",
            Self::Nonce => "nonce",
        })
    }
}

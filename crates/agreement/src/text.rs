//! Positions and errors of text objects.

use std::fmt;

use entente_attestation::{DigestError, TimeError};

use crate::dataset::ColumnError;
use crate::key_arn::KeyArnError;
use crate::name::{Name, NameError};
use crate::result_key::ResultKeyError;
use crate::sign_key::SignKeyError;

/// The most bytes that a text object may have (PROTOCOL §0): 256 KiB.
pub const MAX_TEXT_BYTES: usize = 256 * 1024;

/// The most bytes that a line of a text object may have, its LF not counted (PROTOCOL §0).
pub const MAX_LINE_BYTES: usize = 200;

/// A place in a text object. Lines and columns count from 1; a column is a byte, since every byte is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    line: u32,
    column: u32,
}

impl Position {
    /// The place of a value that was made by a program and read from no text: line 0, column 0.
    pub const NONE: Self = Self { line: 0, column: 0 };

    pub(crate) const START: Self = Self { line: 1, column: 1 };

    pub(crate) const fn new(line: u32, column: u32) -> Self {
        Self { line, column }
    }

    /// The line, from 1.
    #[must_use]
    pub const fn line(self) -> u32 {
        self.line
    }

    /// The column in bytes, from 1.
    #[must_use]
    pub const fn column(self) -> u32 {
        self.column
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a text object was refused, and where. Everything in it is public: text objects are.
///
/// Its `Display` is one sentence: the place, the problem, then what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    position: Position,
    kind: TextErrorKind,
}

impl TextError {
    /// An error at a place, for readers of [`Table`](crate::Table)s outside of this crate.
    #[must_use]
    pub const fn new(position: Position, kind: TextErrorKind) -> Self {
        Self { position, kind }
    }

    /// The line, from 1 (0: the value was read from no text).
    #[must_use]
    pub const fn line(&self) -> u32 {
        self.position.line
    }

    /// The column in bytes, from 1 (0: the value was read from no text).
    #[must_use]
    pub const fn column(&self) -> u32 {
        self.position.column
    }

    /// The place.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// What is wrong there.
    #[must_use]
    pub const fn kind(&self) -> &TextErrorKind {
        &self.kind
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.position == Position::NONE {
            write!(f, "{}", self.kind)
        } else {
            write!(f, "{}: {}", self.position, self.kind)
        }
    }
}

impl std::error::Error for TextError {}

/// What is wrong at a place of a text object. Whose fault: always who wrote the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextErrorKind {
    // ---- bytes and lines (PROTOCOL §0) ----
    /// More than [`MAX_TEXT_BYTES`].
    #[error("the file has {found} bytes, more than the {MAX_TEXT_BYTES} that are allowed; shorten it")]
    TooLarge {
        /// Bytes found.
        found: usize,
    },
    /// No byte at all.
    #[error("the file is empty; give the file that was meant")]
    Empty,
    /// A line of more than [`MAX_LINE_BYTES`].
    #[error(
        "this line has {found} bytes, more than the {MAX_LINE_BYTES} that are allowed; break it (a long text can be written between \"\"\" on several lines)"
    )]
    LineTooLong {
        /// Bytes of the line.
        found: usize,
    },
    /// The file begins with a byte order mark.
    #[error("the file begins with a byte order mark; save it as plain ASCII without one")]
    ByteOrderMark,
    /// A carriage return: Windows line ends.
    #[error("a carriage return; save the file with LF line ends")]
    CarriageReturn,
    /// A tab.
    #[error("a tab; write spaces")]
    Tab,
    /// A backslash: no escapes exist, so that what is read is what is written.
    #[error("a backslash; escapes are not allowed, write the text without them")]
    Backslash,
    /// Any other byte outside of 0x20–0x7E and LF.
    #[error("byte 0x{byte:02X} is not printable ASCII; write only characters from space to ~")]
    ByteNotAllowed {
        /// The byte.
        byte: u8,
    },
    /// The last line has no LF.
    #[error("the last line does not end; end the file with one line feed")]
    NoFinalNewline,
    /// Empty lines at the end.
    #[error("empty lines at the end; end the file with one line feed")]
    BlankEnd,
    /// The first line is not the one of this kind of object.
    #[error("the first line is not `type = \"{expected}\"`; give a file of that kind")]
    FirstLine {
        /// The type that was asked for.
        expected: &'static str,
    },

    // ---- TOML, restricted (PROTOCOL §0) ----
    /// Not TOML 1.0.
    #[error("not TOML: {problem}; write it as TOML 1.0 has it")]
    Syntax {
        /// The TOML parser's description.
        problem: String,
    },
    /// A comment that shares its line with something else.
    #[error("a comment after other text; put the comment on a line of its own")]
    TrailingComment,
    /// A dotted key, such as `a.b = 1`.
    #[error("a dotted key; write the part before the dot as a table header")]
    DottedKey,
    /// A quoted key, such as `"a" = 1`.
    #[error("a quoted key; write the key without quotes")]
    QuotedKey,
    /// An inline table, such as `{{ a = 1 }}`.
    #[error("an inline table; write a table header and one key a line")]
    InlineTable,
    /// A list within a list.
    #[error("a list within a list; use tables")]
    NestedList,
    /// A list whose items differ in type.
    #[error("a list of different types; give all items the same type")]
    MixedList,
    /// A floating-point number.
    #[error("a floating-point number; write decimals as text, such as \"12.50\"")]
    Float,
    /// A date or time without quotes.
    #[error("a time without quotes; write it as text, such as \"2026-01-31T12:00:00Z\"")]
    DateTime,
    /// An integer outside of 64 bits.
    #[error("an integer outside of 64 bits; write a smaller one")]
    IntegerRange,
    /// A table header of too many parts.
    #[error("a table header of more than {limit} parts; nest less")]
    TooDeep {
        /// Parts allowed.
        limit: usize,
    },
    /// A key that is not `[a-z][a-z0-9_]*` of at most 40 bytes.
    #[error("`{key}` is not a key; use a to z, 0 to 9 and _, a letter first, at most 40 characters")]
    KeyForm {
        /// The key.
        key: String,
    },
    /// A key or table that was there before.
    #[error("`{key}` was given before, on line {first}; give it once")]
    DuplicateKey {
        /// The key.
        key: String,
        /// The line of the first one.
        first: u32,
    },
    /// A key that is not known there.
    #[error("unknown key `{key}`; known here: {}", list(known))]
    UnknownKey {
        /// The key.
        key: String,
        /// The keys that are known at this place.
        known: Vec<String>,
    },
    /// A required key is missing from the table that begins at the place.
    #[error("`{key}` is missing from the table that begins here; add it")]
    MissingKey {
        /// The key.
        key: String,
    },
    /// A value of another type.
    #[error("`{key}` is {found}; write {expected}")]
    WrongType {
        /// The key.
        key: String,
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },

    // ---- values ----
    /// Not a name.
    #[error("`{key}`: {problem}")]
    Name {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: NameError,
    },
    /// Not a SHA-384 digest in hex.
    #[error("`{key}` is not a digest: {problem}; write 96 lower-case hex digits")]
    Digest {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: DigestError,
    },
    /// Not so many lower-case hex digits.
    #[error("`{key}` is not {digits} lower-case hex digits; write exactly so many")]
    Hex {
        /// The key.
        key: String,
        /// Digits expected.
        digits: usize,
    },
    /// Not standard base64, of a length within its limits.
    #[error("`{key}` is not base64 of {min} to {max} bytes; write it in the standard alphabet with padding")]
    Base64 {
        /// The key.
        key: String,
        /// Fewest bytes.
        min: usize,
        /// Most bytes.
        max: usize,
    },
    /// Not a time.
    #[error("`{key}` is not a time: {problem}; write it as 2026-01-31T12:00:00Z")]
    Time {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: TimeError,
    },
    /// An integer outside of its range.
    #[error("`{key}` is {found}; write a number from {min} to {max}")]
    OutOfRange {
        /// The key.
        key: String,
        /// What it is.
        found: i64,
        /// Least allowed.
        min: u64,
        /// Most allowed.
        max: u64,
    },
    /// An integer that is not a multiple of what it must be one of.
    #[error("`{key}` is not a multiple of {of}; round it up to one")]
    NotMultiple {
        /// The key.
        key: String,
        /// Of what.
        of: u64,
    },
    /// A text that is none of the words allowed.
    #[error("`{key}` is {found:?}; write one of: {}", allowed.join(", "))]
    NotOneOf {
        /// The key.
        key: String,
        /// What it is.
        found: String,
        /// The words allowed.
        allowed: &'static [&'static str],
    },
    /// An empty list or text where something is required.
    #[error("`{key}` is empty; name at least one")]
    EmptyValue {
        /// The key.
        key: String,
    },
    /// An item that stands twice in a list.
    #[error("`{key}` has `{item}` twice; keep one")]
    DuplicateItem {
        /// The key.
        key: String,
        /// The item.
        item: String,
    },

    // ---- the agreement's own rules (PROTOCOL §1) ----
    /// A trust root that is neither `aws-nitro` nor `simulated:` with a SHA-256.
    #[error(
        "`root` is neither \"aws-nitro\" nor \"simulated:\" with the 64 lower-case hex digits of a CA certificate's SHA-256; write one of them"
    )]
    Root,
    /// `not_after` is not later than `not_before`.
    #[error("`not_after` is not later than `not_before`; widen the window")]
    WindowOrder,
    /// A measurement of zeroes: debug mode, which proves nothing.
    #[error(
        "`{key}` is all zeroes, which is what an enclave in debug mode measures; write the image's measurement"
    )]
    ZeroMeasurement {
        /// The register's key.
        key: &'static str,
    },
    /// Not a signing key of a type allowed.
    #[error("`{key}`: {problem}")]
    SignKey {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: SignKeyError,
    },
    /// Not an age X25519 recipient.
    #[error("`result_key`: {problem}")]
    ResultKey {
        /// What is wrong with it.
        problem: ResultKeyError,
    },
    /// Not the ARN of a KMS key.
    #[error("`key`: {problem}")]
    KeyArn {
        /// What is wrong with it.
        problem: KeyArnError,
    },
    /// Not a column of a schema.
    #[error("`schema`: {problem}")]
    Column {
        /// What is wrong with it.
        problem: ColumnError,
    },
    /// Two blocks of one kind have one name.
    #[error("a second {what} named `{name}`; give each {what} a name of its own")]
    DuplicateName {
        /// What the name names.
        what: &'static str,
        /// The name.
        name: Name,
    },
    /// A name that names nothing in this agreement.
    #[error("`{key}` names `{name}`, but no [[{what}]] has that name; correct it or add the block")]
    UnknownReference {
        /// The key.
        key: &'static str,
        /// What should have the name.
        what: &'static str,
        /// The name.
        name: Name,
    },
    /// Two parties with one key.
    #[error("`{key}` is the same key as that of `{other}`; each party needs a key of its own")]
    SharedKey {
        /// `sign_key` or `result_key`.
        key: &'static str,
        /// The party that had it first.
        other: Name,
    },
    /// A recipient gets two outputs of one name.
    #[error("`{recipient}` already gets an output named `{output}`; give this one another name")]
    DuplicateOutput {
        /// The recipient.
        recipient: Name,
        /// The output's name.
        output: Name,
    },
    /// A dataset of format `age` with columns, rows or padding by rows.
    #[error("`{key}` says something about rows, but the format is \"age\"; write `{key} = {instead}`")]
    RowsInBlob {
        /// The key.
        key: &'static str,
        /// What to write.
        instead: &'static str,
    },

    // ---- generated objects ----
    /// The value is right but not written as a generator writes it.
    #[error("this is not how the file is generated; do not edit it, generate it again")]
    NotCanonical,
    /// Input-set entries not in ascending order of their names.
    #[error("the dataset `{name}` is out of order; generate the file again")]
    Order {
        /// The name.
        name: Name,
    },
    /// A text that cannot be written without escapes, or has a line that is too long.
    #[error(
        "`{key}` cannot be written without escapes in lines of {MAX_LINE_BYTES} bytes; shorten it or break its lines"
    )]
    Unwritable {
        /// The key.
        key: String,
    },

    // ---- readers outside of this crate ----
    /// An analysis refuses the value of one of its parameters.
    #[error("`{key}`: {reason}")]
    Refused {
        /// The key.
        key: String,
        /// The problem, then what to do.
        reason: String,
    },
}

fn list(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

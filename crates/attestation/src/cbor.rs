//! A reader of the CBOR (RFC 8949) that a Nitro hypervisor writes, and of no other.
//!
//! It goes forward over borrowed bytes, allocates nothing, never skips an item and never recurses: what is read is
//! always one head or one string that the caller expects, so neither depth nor size of foreign input can make it work
//! harder than once over the bytes. Lengths are compared with what is left before they are used.
//!
//! Stricter than RFC 8949 demands: heads in their shortest form (its section 4.2.1), strings never in pieces. The one
//! indefinite length that hardware writes, the payload map since 2025-08-18, is the caller's to allow.

use crate::{CborFault, CborKind, Field, ParseError};

pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Offset of `bytes` in the document, so that errors point into the document.
    base: usize,
}

/// The first part of an item: its type and argument.
#[derive(Clone, Copy)]
struct Head {
    kind: CborKind,
    argument: Argument,
    offset: usize,
}

#[derive(Clone, Copy)]
enum Argument {
    Value(u64),
    Indefinite,
}

/// How a map says where it ends.
#[derive(Clone, Copy)]
pub(crate) enum MapEnd {
    Count(u64),
    Break,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], base: usize) -> Self {
        Self { bytes, at: 0, base }
    }

    /// Offset in the document of the next byte.
    pub(crate) fn offset(&self) -> usize {
        self.base.saturating_add(self.at)
    }

    /// Bytes not yet read.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// Major type of the next item, without reading it.
    pub(crate) fn peek(&self) -> Option<CborKind> {
        self.bytes.get(self.at).map(|initial| kind_of(*initial))
    }

    /// Reads a tag's number if a tag is next.
    pub(crate) fn optional_tag(&mut self) -> Result<Option<u64>, ParseError> {
        if self.peek() != Some(CborKind::Tag) {
            return Ok(None);
        }
        let head = self.head()?;
        self.definite(head).map(Some)
    }

    pub(crate) fn unsigned(&mut self, field: Field) -> Result<u64, ParseError> {
        let head = self.expect(field, CborKind::Unsigned)?;
        self.definite(head)
    }

    /// An integer of either sign, as wide as CBOR has them.
    pub(crate) fn integer(&mut self, field: Field) -> Result<i128, ParseError> {
        let head = self.head()?;
        match head.kind {
            CborKind::Unsigned => Ok(i128::from(self.definite(head)?)),
            CborKind::Negative => Ok(-1 - i128::from(self.definite(head)?)),
            found => Err(ParseError::WrongType { field, found, offset: head.offset }),
        }
    }

    pub(crate) fn bytes(&mut self, field: Field) -> Result<&'a [u8], ParseError> {
        let head = self.expect(field, CborKind::Bytes)?;
        self.string(head)
    }

    /// A byte string or `null`.
    pub(crate) fn bytes_or_null(&mut self, field: Field) -> Result<Option<&'a [u8]>, ParseError> {
        if self.peek() == Some(CborKind::Null) {
            self.at = self.at.saturating_add(1);
            return Ok(None);
        }
        self.bytes(field).map(Some)
    }

    pub(crate) fn text(&mut self, field: Field) -> Result<&'a str, ParseError> {
        let head = self.expect(field, CborKind::Text)?;
        let bytes = self.string(head)?;
        core::str::from_utf8(bytes)
            .map_err(|_| ParseError::Cbor { offset: head.offset, fault: CborFault::InvalidUtf8 })
    }

    /// The number of elements of an array of definite length.
    pub(crate) fn array(&mut self, field: Field) -> Result<u64, ParseError> {
        let head = self.expect(field, CborKind::Array)?;
        self.definite(head)
    }

    /// The number of pairs of a map of definite length.
    pub(crate) fn map(&mut self, field: Field) -> Result<u64, ParseError> {
        let head = self.expect(field, CborKind::Map)?;
        self.definite(head)
    }

    /// The head of a map of either form.
    pub(crate) fn map_of_either_form(&mut self, field: Field) -> Result<MapEnd, ParseError> {
        let head = self.expect(field, CborKind::Map)?;
        Ok(match head.argument {
            Argument::Value(count) => MapEnd::Count(count),
            Argument::Indefinite => MapEnd::Break,
        })
    }

    /// Whether the map has another pair; reads the break that ends an indefinite one.
    pub(crate) fn another_pair(&mut self, end: &mut MapEnd) -> Option<()> {
        match end {
            MapEnd::Count(0) => None,
            MapEnd::Count(left) => {
                *left -= 1;
                Some(())
            }
            MapEnd::Break if self.peek() == Some(CborKind::Break) => {
                self.at = self.at.saturating_add(1);
                None
            }
            MapEnd::Break => Some(()),
        }
    }

    fn expect(&mut self, field: Field, expected: CborKind) -> Result<Head, ParseError> {
        let head = self.head()?;
        if head.kind == expected {
            Ok(head)
        } else {
            Err(ParseError::WrongType { field, found: head.kind, offset: head.offset })
        }
    }

    #[expect(clippy::unused_self, reason = "reads as an operation of the reader, like its neighbours")]
    fn definite(&self, head: Head) -> Result<u64, ParseError> {
        match head.argument {
            Argument::Value(value) => Ok(value),
            Argument::Indefinite => {
                Err(ParseError::Cbor { offset: head.offset, fault: CborFault::IndefiniteLength })
            }
        }
    }

    fn string(&mut self, head: Head) -> Result<&'a [u8], ParseError> {
        let truncated = ParseError::Cbor { offset: head.offset, fault: CborFault::Truncated };
        let length = usize::try_from(self.definite(head)?).map_err(|_| truncated.clone())?;
        let end = self.at.checked_add(length).ok_or_else(|| truncated.clone())?;
        let string = self.bytes.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(string)
    }

    fn head(&mut self) -> Result<Head, ParseError> {
        let offset = self.offset();
        let fault = |fault| ParseError::Cbor { offset, fault };
        let initial = *self.bytes.get(self.at).ok_or(fault(CborFault::Truncated))?;
        self.at = self.at.saturating_add(1);
        let kind = kind_of(initial);
        let info = initial & 0x1f;
        // Floats, booleans and the like are never expected: the type alone decides, so their argument stays unread.
        if initial >> 5 == 7 {
            return match info {
                28..=30 => Err(fault(CborFault::Reserved)),
                _ => Ok(Head { kind, argument: Argument::Value(u64::from(info)), offset }),
            };
        }
        let width = match info {
            0..=23 => return Ok(Head { kind, argument: Argument::Value(u64::from(info)), offset }),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            31 if matches!(kind, CborKind::Bytes | CborKind::Text | CborKind::Array | CborKind::Map) => {
                return Ok(Head { kind, argument: Argument::Indefinite, offset });
            }
            _ => return Err(fault(CborFault::Reserved)),
        };
        let end = self.at.checked_add(width).ok_or(fault(CborFault::Truncated))?;
        let argument = self.bytes.get(self.at..end).ok_or(fault(CborFault::Truncated))?;
        self.at = end;
        let value = argument.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let least = match width {
            1 => 24,
            2 => 1 << 8,
            4 => 1 << 16,
            _ => 1 << 32,
        };
        if value < least {
            return Err(fault(CborFault::NonMinimal));
        }
        Ok(Head { kind, argument: Argument::Value(value), offset })
    }
}

fn kind_of(initial: u8) -> CborKind {
    match (initial >> 5, initial & 0x1f) {
        (0, _) => CborKind::Unsigned,
        (1, _) => CborKind::Negative,
        (2, _) => CborKind::Bytes,
        (3, _) => CborKind::Text,
        (4, _) => CborKind::Array,
        (5, _) => CborKind::Map,
        (6, _) => CborKind::Tag,
        (_, 22) => CborKind::Null,
        (_, 31) => CborKind::Break,
        _ => CborKind::Simple,
    }
}

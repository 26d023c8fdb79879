//! The little of Thrift's compact protocol that a sealed table's framing needs, with bounds on everything.
//!
//! The parquet crate decodes footers itself; these structures are read before it, so that it never sees a length
//! that leads outside its module.

/// Nesting allowed while skipping an unknown field. Page headers nest four deep (statistics).
const DEPTH_LIMIT: u8 = 8;

/// The bytes are not the expected structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// Type codes of the compact protocol.
mod code {
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const BYTE: u8 = 3;
    pub(super) const I16: u8 = 4;
    pub(super) const I32: u8 = 5;
    pub(super) const I64: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BINARY: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const SET: u8 = 10;
    pub(super) const STRUCT: u8 = 12;
}

struct Field {
    id: i64,
    kind: u8,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is left after the structure.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Malformed> {
        let count = usize::try_from(count).map_err(|_| Malformed)?;
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn zigzag(&mut self) -> Result<i64, Malformed> {
        let value = self.varint()?;
        let half = i64::try_from(value >> 1).map_err(|_| Malformed)?;
        Ok(if value & 1 == 0 { half } else { -half - 1 })
    }

    fn binary(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.varint()?;
        self.take(length)
    }

    fn field(&mut self, last: i64) -> Result<Option<Field>, Malformed> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        let kind = byte & 0x0f;
        let id = match byte >> 4 {
            0 => self.zigzag()?,
            delta => last + i64::from(delta),
        };
        // Fields stand in ascending order in everything that Parquet writes; a repeated one would be ambiguous.
        if id <= last || id > i64::from(i16::MAX) {
            return Err(Malformed);
        }
        Ok(Some(Field { id, kind }))
    }

    fn skip(&mut self, kind: u8, depth: u8) -> Result<(), Malformed> {
        if depth == 0 {
            return Err(Malformed);
        }
        match kind {
            code::TRUE | code::FALSE => {}
            code::BYTE => {
                self.byte()?;
            }
            code::I16 | code::I32 | code::I64 => {
                self.varint()?;
            }
            code::DOUBLE => {
                self.take(8)?;
            }
            code::BINARY => {
                self.binary()?;
            }
            code::LIST | code::SET => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.varint()?,
                    count => u64::from(count),
                };
                let element = head & 0x0f;
                for _ in 0..count {
                    // A boolean element takes a byte in a list; every element consumes input, so the count is bounded by it.
                    if matches!(element, code::TRUE | code::FALSE) {
                        self.byte()?;
                    } else {
                        self.skip(element, depth - 1)?;
                    }
                }
            }
            code::STRUCT => {
                let mut last = 0;
                while let Some(field) = self.field(last)? {
                    last = field.id;
                    self.skip(field.kind, depth - 1)?;
                }
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }
}

/// `FileCryptoMetaData` of a file with AES_GCM_V1 and no AAD prefix; everything else is malformed here.
pub(crate) struct FileCrypto<'a> {
    /// The file's own random part of every module's AAD.
    pub(crate) aad_file_unique: &'a [u8],
    /// Key material of the footer key.
    pub(crate) key_metadata: &'a [u8],
}

pub(crate) fn file_crypto<'a>(reader: &mut Reader<'a>) -> Result<FileCrypto<'a>, Malformed> {
    let (mut unique, mut metadata) = (None, None);
    let mut last = 0;
    while let Some(field) = reader.field(last)? {
        last = field.id;
        match (field.id, field.kind) {
            (1, code::STRUCT) => unique = Some(algorithm(reader)?),
            (2, code::BINARY) => metadata = Some(reader.binary()?),
            _ => return Err(Malformed),
        }
    }
    Ok(FileCrypto { aad_file_unique: unique.ok_or(Malformed)?, key_metadata: metadata.ok_or(Malformed)? })
}

/// The union `EncryptionAlgorithm`: `AES_GCM_V1` (1) only.
fn algorithm<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    match reader.field(0)? {
        Some(Field { id: 1, kind: code::STRUCT }) => {}
        _ => return Err(Malformed),
    }
    let mut unique = None;
    let mut last = 0;
    while let Some(field) = reader.field(last)? {
        last = field.id;
        match (field.id, field.kind) {
            (2, code::BINARY) => unique = Some(reader.binary()?),
            // supply_aad_prefix = false
            (3, code::FALSE) => {}
            _ => return Err(Malformed),
        }
    }
    match reader.field(1)? {
        None => unique.ok_or(Malformed),
        Some(_) => Err(Malformed),
    }
}

/// What the framing needs of a `PageHeader`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PageHeader {
    pub(crate) kind: PageKind,
    pub(crate) encoding: PageEncoding,
    /// Bytes of the page before compression, as the header claims.
    pub(crate) uncompressed: u32,
    /// Bytes of the page in the file, with length, nonce and tag.
    pub(crate) stored: u32,
    /// Values of a data page, nulls included; of a dictionary page its entries.
    pub(crate) values: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageKind {
    Data,
    Dictionary,
}

/// Encodings (`Encoding` in parquet.thrift) whose values take no more room decoded than a page and a dictionary do. The delta
/// encodings are not among them: a page of shared prefixes expands a thousandfold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageEncoding {
    Plain,
    Dictionary,
    Rle,
    Other,
}

pub(crate) fn page_header(bytes: &[u8]) -> Result<PageHeader, Malformed> {
    let mut reader = Reader::new(bytes);
    let (mut kind, mut uncompressed, mut stored, mut body) = (None, None, None, None);
    let mut last = 0;
    while let Some(field) = reader.field(last)? {
        last = field.id;
        match (field.id, field.kind) {
            (1, code::I32) => kind = Some(reader.zigzag()?),
            (2, code::I32) => uncompressed = Some(reader.zigzag()?),
            (3, code::I32) => stored = Some(reader.zigzag()?),
            // data_page_header, dictionary_page_header, data_page_header_v2: exactly one.
            (5 | 7 | 8, code::STRUCT) if body.is_none() => {
                let encoding_field = if field.id == 8 { 4 } else { 2 };
                let (values, encoding) = page_body(&mut reader, encoding_field)?;
                body = Some((field.id, values, encoding));
            }
            (5 | 7 | 8, _) => return Err(Malformed),
            (_, other) => reader.skip(other, DEPTH_LIMIT)?,
        }
    }
    if !reader.rest.is_empty() {
        return Err(Malformed);
    }
    let (body, values, encoding) = body.ok_or(Malformed)?;
    let kind = match (kind, body) {
        (Some(0), 5) | (Some(3), 8) => PageKind::Data,
        (Some(2), 7) => PageKind::Dictionary,
        _ => return Err(Malformed),
    };
    let size = |value: Option<i64>| u32::try_from(value.ok_or(Malformed)?).map_err(|_| Malformed);
    Ok(PageHeader {
        kind,
        encoding,
        uncompressed: size(uncompressed)?,
        stored: size(stored)?,
        values: size(Some(values))?,
    })
}

/// `num_values` (field 1) and `encoding` of one of the three page header structures.
fn page_body(reader: &mut Reader<'_>, encoding_field: i64) -> Result<(i64, PageEncoding), Malformed> {
    let (mut values, mut encoding) = (None, None);
    let mut last = 0;
    while let Some(field) = reader.field(last)? {
        last = field.id;
        match (field.id, field.kind) {
            (1, code::I32) => values = Some(reader.zigzag()?),
            (id, code::I32) if id == encoding_field => {
                encoding = Some(match reader.zigzag()? {
                    0 => PageEncoding::Plain,
                    2 | 8 => PageEncoding::Dictionary,
                    3 => PageEncoding::Rle,
                    _ => PageEncoding::Other,
                });
            }
            (_, other) => reader.skip(other, DEPTH_LIMIT)?,
        }
    }
    Ok((values.ok_or(Malformed)?, encoding.ok_or(Malformed)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_a_data_page_header() {
        // type 0, uncompressed 5, compressed 60, data_page_header { num_values 2, encoding 0, 3, 3 }
        let bytes = [0x15, 0, 0x15, 10, 0x15, 120, 0x2c, 0x15, 4, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0];
        let header = PageHeader {
            kind: PageKind::Data,
            encoding: PageEncoding::Plain,
            uncompressed: 5,
            stored: 60,
            values: 2,
        };
        assert_eq!(page_header(&bytes), Ok(header));
        for end in 0..bytes.len() {
            assert_eq!(page_header(&bytes[..end]), Err(Malformed));
        }
    }

    #[test]
    fn depth_is_bounded() {
        let mut bytes = vec![0x9c];
        bytes.extend(std::iter::repeat_n(0x1c, 100_000));
        assert_eq!(page_header(&bytes), Err(Malformed));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = page_header(&bytes);
            let _ = file_crypto(&mut Reader::new(&bytes));
        }
    }
}

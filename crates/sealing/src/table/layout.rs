//! The framing of an encrypted Parquet file (parquet-format, Encryption.md §5), checked before the parquet library reads it.
//!
//! The library trusts lengths that the writer of a file chose: a module shorter than a nonce makes it panic, a page header may
//! claim gigabytes. The owner of a dataset is such a writer and may be hostile, so every module's length, every page header and
//! the sum of all pages are checked here first.

use crate::key::SealingKeys;
use crate::material::{self, MaterialError};
use crate::thrift::{self, PageEncoding, PageKind};
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use bytes::Bytes;
use parquet::basic::Compression;
use parquet::file::column_crypto_metadata::ColumnCryptoMetaData;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::ChunkReader;
use zeroize::Zeroizing;

/// Magic number at both ends of a file with encrypted footer.
const MAGIC: &[u8; 4] = b"PARE";

/// Length, nonce and tag around the ciphertext of a module (Encryption.md §5.1): 4 + 12 + 16 bytes.
const FRAME: u64 = 32;

/// Longest page header module: headers carry at most two statistics values.
const HEADER_LIMIT: u64 = 1 << 20;

/// Longest footer: 32,767 row groups of a narrow table, or 1,000 columns, fit easily.
const FOOTER_LIMIT: u64 = 64 << 20;

/// Module types of the AAD suffix (Encryption.md §4.4.2).
const DATA_PAGE_HEADER: u8 = 4;
const DICTIONARY_PAGE_HEADER: u8 = 5;

/// What precedes the footer: the data key and the file's part of all AADs.
pub(super) struct Opened {
    pub(super) data_key: Zeroizing<Vec<u8>>,
    file_unique: Vec<u8>,
    body_end: u64,
}

/// Reads both ends of the file, checks the footer's frame and unwraps the data key.
pub(super) fn open<R: ChunkReader>(file: &R, keys: &SealingKeys) -> Result<Opened, LayoutError> {
    let length = file.len();
    // Magic, footer length, magic, and an empty footer module at least.
    if length < 12 + FRAME {
        return Err(LayoutError::NotEncryptedParquet);
    }
    let tail = read(file, length - 8, 8)?;
    if read(file, 0, 4)?[..] != MAGIC[..] || tail[4..] != MAGIC[..] {
        return Err(LayoutError::NotEncryptedParquet);
    }
    let footer_bytes = u64::from(little_endian(&tail));
    if footer_bytes > FOOTER_LIMIT || footer_bytes > length - 12 {
        return Err(LayoutError::Footer);
    }
    let body_end = length - 8 - footer_bytes;
    let footer = read(file, body_end, footer_bytes)?;
    let mut reader = thrift::Reader::new(&footer);
    let crypto = thrift::file_crypto(&mut reader).map_err(|_| LayoutError::Algorithm)?;
    let module = reader.rest();
    if (module.len() as u64) <= FRAME || u64::from(little_endian(module)) + 4 != module.len() as u64 {
        return Err(LayoutError::Footer);
    }
    // Parquet writers use 8 bytes; a long one would be copied into every AAD.
    if crypto.aad_file_unique.len() > 64 {
        return Err(LayoutError::Algorithm);
    }
    let data_key = material::unwrap(keys, crypto.key_metadata)?;
    Ok(Opened { data_key, file_unique: crypto.aad_file_unique.to_vec(), body_end })
}

/// Bounds for [`check_pages`].
pub(super) struct PageBounds {
    /// Sum of all pages before compression, in bytes.
    pub(super) uncompressed: u64,
    /// Whether the table is padded, and so neither compressed nor dictionary-encoded.
    pub(super) plain: bool,
}

/// Facts that the pages gave.
pub(super) struct Pages {
    /// Largest dictionary page before compression: no value of the file is longer than the larger of this and a page.
    pub(super) largest_dictionary: u64,
}

/// Walks over all pages of all column chunks: every module lies inside its chunk, chunks do not overlap, headers
/// authenticate, sizes agree, and what the pages claim to expand to stays within bounds.
pub(super) fn check_pages<R: ChunkReader>(
    file: &R,
    opened: &Opened,
    metadata: &ParquetMetaData,
    bounds: &PageBounds,
) -> Result<Pages, LayoutError> {
    let key = material::gcm(&opened.data_key).ok_or(LayoutError::Algorithm)?;
    let mut ranges = Vec::new();
    let mut uncompressed = 0_u64;
    let mut largest_dictionary = 0;
    for (group_number, group) in metadata.row_groups().iter().enumerate() {
        let group_ordinal = i16::try_from(group_number).map_err(|_| LayoutError::Footer)?;
        for (column_number, column) in group.columns().iter().enumerate() {
            let column_ordinal = i16::try_from(column_number).map_err(|_| LayoutError::Footer)?;
            match column.crypto_metadata() {
                Some(ColumnCryptoMetaData::ENCRYPTION_WITH_FOOTER_KEY) => {}
                _ => return Err(LayoutError::ColumnKey { column: column_number }),
            }
            let stored_plainly = column.compression() == Compression::UNCOMPRESSED
                && column.dictionary_page_offset().is_none();
            match column.compression() {
                Compression::UNCOMPRESSED | Compression::SNAPPY if stored_plainly || !bounds.plain => {}
                _ => return Err(LayoutError::Compression { column: column_number }),
            }
            let (start, end) = chunk_range(column, opened.body_end)?;
            ranges.push((start, end));
            let walk =
                Walk { file, key: &key, file_unique: &opened.file_unique, group_ordinal, column_ordinal };
            let mut at = start;
            let mut ordinal = 0_i16;
            let mut values = 0_u64;
            let mut dictionary_next = column.dictionary_page_offset().is_some();
            while at < end {
                let (header, next) = walk.page(at, end, (!dictionary_next).then_some(ordinal))?;
                uncompressed = uncompressed.saturating_add(u64::from(header.uncompressed));
                if uncompressed > bounds.uncompressed {
                    return Err(LayoutError::Expansion { limit: bounds.uncompressed });
                }
                match header.encoding {
                    PageEncoding::Plain => {}
                    PageEncoding::Dictionary | PageEncoding::Rle if !bounds.plain => {}
                    _ => return Err(LayoutError::Compression { column: column_number }),
                }
                match (header.kind, dictionary_next) {
                    (PageKind::Dictionary, true) => {
                        dictionary_next = false;
                        largest_dictionary = largest_dictionary.max(u64::from(header.uncompressed));
                    }
                    (PageKind::Data, false) => {
                        values += u64::from(header.values);
                        ordinal = ordinal.checked_add(1).ok_or(LayoutError::Page { offset: at })?;
                    }
                    _ => return Err(LayoutError::Page { offset: at }),
                }
                at = next;
            }
            let expected = u64::try_from(group.num_rows()).map_err(|_| LayoutError::Footer)?;
            if values != expected || u64::try_from(column.num_values()) != Ok(expected) {
                return Err(LayoutError::ValueCount { column: column_number });
            }
        }
    }
    ranges.sort_unstable();
    if ranges.is_sorted_by(|before, after| before.1 <= after.0) {
        Ok(Pages { largest_dictionary })
    } else {
        Err(LayoutError::Footer)
    }
}

struct Walk<'a, R> {
    file: &'a R,
    key: &'a LessSafeKey,
    file_unique: &'a [u8],
    group_ordinal: i16,
    column_ordinal: i16,
}

impl<R: ChunkReader> Walk<'_, R> {
    /// One page at `at`: its header and where the next one begins. `ordinal` is `None` for the dictionary page.
    fn page(
        &self,
        at: u64,
        end: u64,
        ordinal: Option<i16>,
    ) -> Result<(thrift::PageHeader, u64), LayoutError> {
        let fault = LayoutError::Page { offset: at };
        let header_bytes = self.module(at, end)?;
        if header_bytes > HEADER_LIMIT {
            return Err(fault);
        }
        let module = read(self.file, at, header_bytes)?;
        let mut aad = self.file_unique.to_vec();
        aad.push(if ordinal.is_some() { DATA_PAGE_HEADER } else { DICTIONARY_PAGE_HEADER });
        aad.extend_from_slice(&self.group_ordinal.to_le_bytes());
        aad.extend_from_slice(&self.column_ordinal.to_le_bytes());
        if let Some(ordinal) = ordinal {
            aad.extend_from_slice(&ordinal.to_le_bytes());
        }
        let nonce = Nonce::try_assume_unique_for_key(&module[4..16]).map_err(|_| fault)?;
        let mut ciphertext = module[16..].to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(aad), &mut ciphertext).map_err(|_| fault)?;
        let header = thrift::page_header(plain).map_err(|_| fault)?;
        let body = at + header_bytes;
        if self.module(body, end)? != u64::from(header.stored) {
            return Err(fault);
        }
        let next = body + u64::from(header.stored);
        Ok((header, next))
    }

    /// Length, with its frame, of the module at `at`, which must end by `end`.
    fn module(&self, at: u64, end: u64) -> Result<u64, LayoutError> {
        let fault = LayoutError::Page { offset: at };
        if end - at < FRAME {
            return Err(fault);
        }
        let length = u64::from(little_endian(&read(self.file, at, 4)?)) + 4;
        if length < FRAME || length > end - at { Err(fault) } else { Ok(length) }
    }
}

/// Where a column chunk lies.
fn chunk_range(column: &ColumnChunkMetaData, body_end: u64) -> Result<(u64, u64), LayoutError> {
    let first = match column.dictionary_page_offset() {
        Some(offset) if offset < column.data_page_offset() => offset,
        Some(_) => return Err(LayoutError::Footer),
        None => column.data_page_offset(),
    };
    let start = u64::try_from(first).map_err(|_| LayoutError::Footer)?;
    let length = u64::try_from(column.compressed_size()).map_err(|_| LayoutError::Footer)?;
    let end = start.checked_add(length).ok_or(LayoutError::Footer)?;
    if start < 4 || end > body_end { Err(LayoutError::Footer) } else { Ok((start, end)) }
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |word| u32::from_le_bytes(*word))
}

fn read<R: ChunkReader>(file: &R, at: u64, length: u64) -> Result<Bytes, LayoutError> {
    let length = usize::try_from(length).map_err(|_| LayoutError::Footer)?;
    let bytes = file.get_bytes(at, length).map_err(|_| LayoutError::Unreadable)?;
    if bytes.len() == length { Ok(bytes) } else { Err(LayoutError::Unreadable) }
}

/// The file is not an encrypted Parquet file of the form that was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Too short, or without the magic number `PARE` at both ends.
    #[error("not a Parquet file with encrypted footer")]
    NotEncryptedParquet,
    /// Another algorithm than `AES_GCM_V1`, an AAD prefix, or malformed encryption metadata.
    #[error("encrypted otherwise than with AES_GCM_V1 and no AAD prefix")]
    Algorithm,
    /// The footer's length, or an offset in it, leads outside the file.
    #[error("the footer does not fit the file")]
    Footer,
    /// The key material inside the file was refused.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// A column is in plaintext or under a key of its own.
    #[error("column {column} is not encrypted under the file's key")]
    ColumnKey {
        /// Number of the column, from 0.
        column: usize,
    },
    /// A column is compressed otherwise than with Snappy, or encoded otherwise than plainly, by a dictionary or in runs; or not
    /// plainly in a padded table.
    #[error("column {column} is compressed or encoded in a way that was not agreed")]
    Compression {
        /// Number of the column, from 0.
        column: usize,
    },
    /// A page does not authenticate, or its lengths are wrong.
    #[error("the page at offset {offset} is malformed")]
    Page {
        /// Offset in the file.
        offset: u64,
    },
    /// The pages of a column hold another number of values than the table has rows.
    #[error("column {column} does not hold one value for each row")]
    ValueCount {
        /// Number of the column, from 0.
        column: usize,
    },
    /// The pages would expand to more than was declared.
    #[error("the pages expand to more than {limit} bytes")]
    Expansion {
        /// The limit in bytes.
        limit: u64,
    },
    /// The file could not be read.
    #[error("the file cannot be read")]
    Unreadable,
}

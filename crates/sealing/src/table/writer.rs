//! Sealing a table.

use super::schema::{SchemaError, TableTerms, ValueError};
use crate::key::{RandomnessFailed, SealingKeys};
use crate::material;
use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, cast::AsArray, new_null_array};
use arrow_array::{Date32Array, Decimal128Array, Int64Array, TimestampMicrosecondArray};
use entente_agreement::{ColumnType, Padding};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding};
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::io::Write;
use std::sync::Arc;

/// Rows of a row group of a table that is not padded. A row group is held in memory while it is made.
const GROUP_ROWS: usize = 1 << 18;

/// Rows written at a time while filling up.
const FILL_ROWS: u64 = 4096;

/// Largest filling text of one row.
const FILL_TEXT: u64 = 1 << 20;

/// Largest padded table: a padded table is made in memory, and Parquet counts the bytes of a page in an i32.
const PADDED_LIMIT: u64 = 1 << 30;

/// Writes a sealed table, batch by batch.
///
/// Memory: one row group (262,144 rows) of a table that is not padded, the whole table of a padded one, which is one row
/// group so that only whole columns have a visible length.
pub struct TableWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    terms: TableTerms,
    rows: u64,
    text: Vec<u64>,
}

/// What came of sealing a table.
#[derive(Debug)]
pub struct SealedTable<W> {
    /// The writer that was given to [`TableWriter::new`]; the file is complete in it.
    pub out: W,
    /// Rows of the owner, filling rows not counted. Secret: it must not go into a manifest.
    pub rows: u64,
}

impl<W: Write + Send> TableWriter<W> {
    /// Begins a sealed table under a fresh data key.
    ///
    /// # Errors
    ///
    /// [`SealTableError`] if the generator or the writer fails.
    pub fn new(out: W, keys: &SealingKeys, terms: &TableTerms) -> Result<Self, SealTableError> {
        if terms.padding == Padding::ToMaximum && padded_bytes(terms) > PADDED_LIMIT {
            return Err(SealTableError::TooLargeToPad { rows: terms.max_rows });
        }
        let wrapped = material::wrap_fresh(keys)?;
        // No column keys: uniform encryption. Once one column key is set, every column that is not listed is written in
        // plaintext, even with an encrypted footer.
        let encryption = FileEncryptionProperties::builder(wrapped.data_key.to_vec())
            .with_footer_key_metadata(wrapped.material)
            .build()?;
        let properties = WriterProperties::builder()
            .with_file_encryption_properties(encryption)
            .set_dictionary_enabled(false);
        let properties = match terms.padding {
            Padding::None => {
                properties.set_compression(Compression::SNAPPY).set_max_row_group_row_count(Some(GROUP_ROWS))
            }
            Padding::ToMaximum => properties
                .set_compression(Compression::UNCOMPRESSED)
                .set_encoding(Encoding::PLAIN)
                .set_statistics_enabled(EnabledStatistics::None)
                .set_bloom_filter_enabled(false)
                .set_offset_index_disabled(true)
                .set_max_row_group_row_count(None)
                .set_data_page_row_count_limit(usize::MAX)
                .set_data_page_size_limit(usize::MAX),
        };
        let options =
            ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(out, terms.stored_schema(), options)?;
        Ok(Self { writer, terms: terms.clone(), rows: 0, text: vec![0; terms.columns.len()] })
    }

    /// Adds rows. The batch has exactly the agreed columns ([`TableTerms::schema`]), without the filling column.
    ///
    /// # Errors
    ///
    /// [`SealTableError`]; nothing that was written so far may be used then.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), SealTableError> {
        TableTerms::check_schema(&self.terms.schema, &batch.schema())?;
        self.terms.check_values(batch, self.rows)?;
        let rows = self.rows + batch.num_rows() as u64;
        if rows > self.terms.max_rows {
            return Err(SealTableError::TooManyRows { limit: self.terms.max_rows });
        }
        self.rows = rows;
        for (array, total) in batch.columns().iter().zip(&mut self.text) {
            *total += text_bytes(array);
        }
        let mut columns = batch.columns().to_vec();
        if self.terms.padding == Padding::ToMaximum {
            columns.push(Arc::new(BooleanArray::from(vec![false; batch.num_rows()])));
        }
        self.put(columns)
    }

    /// Fills up where that is agreed, writes the footer and gives the writer back.
    ///
    /// # Errors
    ///
    /// [`SealTableError`]; nothing that was written may be used then.
    pub fn finish(mut self) -> Result<SealedTable<W>, SealTableError> {
        if self.terms.padding == Padding::ToMaximum {
            self.fill()?;
        }
        let rows = self.rows;
        Ok(SealedTable { out: self.writer.into_inner()?, rows })
    }

    fn put(&mut self, columns: Vec<ArrayRef>) -> Result<(), SealTableError> {
        let batch = RecordBatch::try_new(self.terms.stored_schema(), columns)
            .map_err(|error| SealTableError::Parquet(error.to_string()))?;
        Ok(self.writer.write(&batch)?)
    }

    /// Adds the filling rows.
    fn fill(&mut self) -> Result<(), SealTableError> {
        let mut left = self.terms.max_rows - self.rows;
        let targets = self.text_targets();
        let mut missing: Vec<u64> =
            targets.iter().zip(&self.text).map(|(target, have)| target.saturating_sub(*have)).collect();
        while left > 0 {
            let widest =
                missing.iter().map(|bytes| bytes.div_ceil(left)).max().unwrap_or(0).clamp(1, FILL_TEXT);
            let rows = left.min(FILL_ROWS).min((4 * FILL_TEXT / widest).max(1));
            let mut columns = Vec::with_capacity(self.terms.columns.len() + 1);
            for (column, missing) in self.terms.columns.iter().zip(&mut missing) {
                columns.push(filling(column.kind(), rows, left, missing));
            }
            let rows_usize = usize::try_from(rows).expect("at most FILL_ROWS");
            columns.push(Arc::new(BooleanArray::from(vec![true; rows_usize])) as ArrayRef);
            self.put(columns)?;
            left -= rows;
        }
        Ok(())
    }

    /// How many bytes of text each text or byte column should hold in the end: `max_rows` of the longest value, scaled down
    /// evenly where that would not fit into half of `max_bytes`. It depends on the agreement alone.
    fn text_targets(&self) -> Vec<u64> {
        let full: Vec<u64> = self
            .terms
            .columns
            .iter()
            .map(|column| match column.kind() {
                ColumnType::Text { max_bytes } | ColumnType::Bytes { max_bytes } => {
                    self.terms.max_rows.saturating_mul(u64::from(max_bytes))
                }
                _ => 0,
            })
            .collect();
        let total = full.iter().fold(0_u128, |sum, bytes| sum + u128::from(*bytes));
        // One page a column: Parquet counts its bytes in an i32.
        let room = u128::from((self.terms.max_bytes / 2).min(1 << 30));
        if total <= room {
            return full;
        }
        full.iter()
            .map(|bytes| u64::try_from(u128::from(*bytes) * room / total).expect("a part of at most 2^30"))
            .collect()
    }
}

/// Bytes that the columns of fixed width take in a padded table, and the lengths that PLAIN writes before texts.
fn padded_bytes(terms: &TableTerms) -> u64 {
    terms
        .columns
        .iter()
        .map(|column| match column.kind() {
            ColumnType::Text { .. } | ColumnType::Bytes { .. } | ColumnType::Date => 4,
            ColumnType::Int64 | ColumnType::Timestamp => 8,
            ColumnType::Decimal { .. } => 16,
            ColumnType::Boolean => 1,
        })
        .fold(0_u64, |sum, width| sum.saturating_add(terms.max_rows.saturating_mul(width)))
}

/// Bytes of all values of a text or byte column.
fn text_bytes(array: &ArrayRef) -> u64 {
    let bytes: usize = if let Some(text) = array.as_string_opt::<i32>() {
        text.iter().flatten().map(str::len).sum()
    } else if let Some(bytes) = array.as_binary_opt::<i32>() {
        bytes.iter().flatten().map(<[u8]>::len).sum()
    } else {
        0
    };
    bytes as u64
}

/// `rows` filling values; `left` filling rows are still to come, these included, and share the `missing` bytes.
fn filling(kind: ColumnType, rows: u64, left: u64, missing: &mut u64) -> ArrayRef {
    let count = usize::try_from(rows).expect("at most FILL_ROWS");
    let mut share = |index: u64| {
        let bytes = missing.div_ceil(left - index).min(FILL_TEXT).min(*missing);
        *missing -= bytes;
        usize::try_from(bytes).expect("at most FILL_TEXT")
    };
    match kind {
        ColumnType::Text { .. } => {
            let mut builder = StringBuilder::new();
            (0..rows).for_each(|index| builder.append_value(" ".repeat(share(index))));
            Arc::new(builder.finish())
        }
        ColumnType::Bytes { .. } => {
            let mut builder = BinaryBuilder::new();
            (0..rows).for_each(|index| builder.append_value(vec![0; share(index)]));
            Arc::new(builder.finish())
        }
        ColumnType::Int64 => Arc::new(Int64Array::from(vec![0; count])),
        ColumnType::Decimal { precision, scale } => {
            let scale = i8::try_from(scale).expect("an agreement's scale is at most 38");
            match Decimal128Array::from(vec![0; count]).with_precision_and_scale(precision, scale) {
                Ok(array) => Arc::new(array),
                Err(_) => new_null_array(&arrow_schema::DataType::Decimal128(precision, scale), count),
            }
        }
        ColumnType::Boolean => Arc::new(BooleanArray::from(vec![false; count])),
        ColumnType::Date => Arc::new(Date32Array::from(vec![0; count])),
        ColumnType::Timestamp => {
            Arc::new(TimestampMicrosecondArray::from(vec![0; count]).with_timezone("UTC"))
        }
    }
}

/// A table could not be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealTableError {
    /// The batch has other columns than agreed.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A value breaks the rules of its column.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// More rows than agreed.
    #[error("more than the agreed {limit} rows")]
    TooManyRows {
        /// `max_rows` of the agreement.
        limit: u64,
    },
    /// The agreement's `max_rows` is too large for a padded table, which is made in memory in one piece (1 GiB at most).
    #[error("a padded table of {rows} rows is too large: agree on fewer rows, or on `pad = false`")]
    TooLargeToPad {
        /// `max_rows` of the agreement.
        rows: u64,
    },
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessFailed),
    /// The parquet library or the writer failed; its words.
    #[error("writing the table: {0}")]
    Parquet(String),
}

impl From<ParquetError> for SealTableError {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(error.to_string())
    }
}

//! Opening a sealed table.

use super::layout::{self, LayoutError, PageBounds};
use super::schema::{SchemaError, TableTerms, ValueError};
use crate::key::SealingKeys;
use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use entente_agreement::Padding;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::file::reader::ChunkReader;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Rows of a batch, where values are short.
const BATCH_ROWS: usize = 8192;

/// A dictionary may be as long as one value; a batch of such values must not take more than this.
const BATCH_BYTES: u64 = 256 << 20;

/// Reads the rows of a sealed table in batches, with all checks of PROTOCOL §2 and §10.8: size, rows, columns, encryption and
/// encoding before the first row; nulls, lengths and digits of every value as it comes. Filling rows are left out.
///
/// An error after some batches voids the whole table: nothing of it may be used.
///
/// # Security
///
/// The parquet library decodes bytes that a hostile owner made. Framing and expansion are checked before (see
/// [`LayoutError`]), and a panic of the library is turned into [`OpenTableError::Library`] where panics unwind.
pub struct TableReader {
    rows: ParquetRecordBatchReader,
    schema: SchemaRef,
    terms: TableTerms,
    position: u64,
    decoded: u64,
    decoded_limit: u64,
    ended: bool,
}

impl TableReader {
    /// Opens a sealed table of known integrity (its chunk list was checked).
    ///
    /// `decoded_limit` bounds, in bytes, both what the pages may expand to and what the decoded rows may take in memory;
    /// a batch at a time may come on top.
    ///
    /// # Errors
    ///
    /// [`OpenTableError`]: the owner's doing.
    pub fn open<R: ChunkReader + 'static>(
        file: R,
        keys: &SealingKeys,
        terms: &TableTerms,
        decoded_limit: u64,
    ) -> Result<Self, OpenTableError> {
        guarded(|| Self::open_unguarded(file, keys, terms, decoded_limit))
    }

    fn open_unguarded<R: ChunkReader + 'static>(
        file: R,
        keys: &SealingKeys,
        terms: &TableTerms,
        decoded_limit: u64,
    ) -> Result<Self, OpenTableError> {
        if file.len() > terms.max_bytes {
            return Err(OpenTableError::TooLarge { limit: terms.max_bytes });
        }
        let opened = layout::open(&file, keys)?;
        let decryption = FileDecryptionProperties::builder(opened.data_key.to_vec())
            .build()
            .map_err(|_| OpenTableError::Library)?;
        // The Arrow schema that some writers store beside is the writer's word; types follow from Parquet's own.
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_file_decryption_properties(decryption);
        let metadata = ArrowReaderMetadata::load(&file, options).map_err(|_| OpenTableError::Metadata)?;
        for field in metadata.parquet_schema().root_schema().get_fields() {
            if !field.is_primitive() {
                return Err(SchemaError::Nested { column: field.name().to_owned() }.into());
            }
        }
        TableTerms::check_schema(&terms.stored_schema(), metadata.schema())?;
        let plain = terms.padding == Padding::ToMaximum;
        check_rows(&metadata, terms, plain)?;
        let bounds = PageBounds { uncompressed: decoded_limit, plain };
        let pages = layout::check_pages(&file, &opened, metadata.metadata(), &bounds)?;
        let batch = BATCH_BYTES
            .checked_div(pages.largest_dictionary)
            .and_then(|rows| usize::try_from(rows).ok())
            .map_or(BATCH_ROWS, |rows| rows.clamp(1, BATCH_ROWS));
        let rows = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
            .with_batch_size(batch)
            .build()
            .map_err(|_| OpenTableError::Library)?;
        Ok(Self {
            rows,
            schema: terms.schema.clone(),
            terms: terms.clone(),
            position: 0,
            decoded: 0,
            decoded_limit,
            ended: false,
        })
    }

    /// The agreed schema; all batches have it.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Reads all rows.
    ///
    /// # Errors
    ///
    /// As the iterator's items.
    pub fn read_all(self) -> Result<Vec<RecordBatch>, OpenTableError> {
        self.collect()
    }

    fn step(&mut self) -> Result<Option<RecordBatch>, OpenTableError> {
        let rows = &mut self.rows;
        let Some(batch) = guarded(|| rows.next().transpose().map_err(|_| OpenTableError::Undecodable))?
        else {
            return Ok(None);
        };
        let count = batch.num_rows() as u64;
        let batch = match self.terms.padding {
            Padding::None => batch,
            Padding::ToMaximum => without_filling(&batch)?,
        };
        self.terms.check_values(&batch, self.position)?;
        self.position += count;
        self.decoded = self.decoded.saturating_add(batch.get_array_memory_size() as u64);
        if self.decoded > self.decoded_limit {
            return Err(LayoutError::Expansion { limit: self.decoded_limit }.into());
        }
        // Stock writers declare every column nullable; the values were checked, so the agreed schema is true.
        let batch = RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())
            .map_err(|_| OpenTableError::Undecodable)?;
        Ok(Some(batch))
    }
}

impl Iterator for TableReader {
    type Item = Result<RecordBatch, OpenTableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.step().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

fn check_rows(metadata: &ArrowReaderMetadata, terms: &TableTerms, full: bool) -> Result<(), OpenTableError> {
    let total = u64::try_from(metadata.metadata().file_metadata().num_rows())
        .map_err(|_| OpenTableError::Metadata)?;
    let mut sum = 0_u64;
    for group in metadata.metadata().row_groups() {
        let rows = u64::try_from(group.num_rows()).map_err(|_| OpenTableError::Metadata)?;
        sum = sum.saturating_add(rows);
    }
    if sum != total {
        return Err(OpenTableError::Metadata);
    }
    if total > terms.max_rows {
        return Err(OpenTableError::TooManyRows { limit: terms.max_rows });
    }
    if full && total != terms.max_rows {
        return Err(OpenTableError::NotFilledUp { rows: terms.max_rows });
    }
    Ok(())
}

/// Drops the rows whose last column, the filling mark, is true, and the column itself.
fn without_filling(batch: &RecordBatch) -> Result<RecordBatch, OpenTableError> {
    let (mark, columns) = batch.columns().split_last().ok_or(OpenTableError::Undecodable)?;
    let mark = mark.as_boolean_opt().ok_or(OpenTableError::Undecodable)?;
    if mark.null_count() > 0 {
        return Err(OpenTableError::Undecodable);
    }
    let keep: BooleanArray = mark.iter().map(|fills| Some(fills == Some(false))).collect();
    let projection: Vec<usize> = (0..columns.len()).collect();
    let batch = batch.project(&projection).map_err(|_| OpenTableError::Undecodable)?;
    filter_record_batch(&batch, &keep).map_err(|_| OpenTableError::Undecodable)
}

/// Runs code of the parquet library; a panic in it is an error of the file.
fn guarded<T>(body: impl FnOnce() -> Result<T, OpenTableError>) -> Result<T, OpenTableError> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(Err(OpenTableError::Library))
}

/// A sealed table does not open, or is not what was agreed. It never repeats a value of the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenTableError {
    /// The file is larger than agreed.
    #[error("larger than the agreed {limit} bytes")]
    TooLarge {
        /// `max_bytes` of the agreement.
        limit: u64,
    },
    /// The framing of the encrypted file is not as it must be.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The footer does not authenticate or decode.
    #[error("the footer does not open")]
    Metadata,
    /// The columns are not those agreed.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// More rows than agreed.
    #[error("more than the agreed {limit} rows")]
    TooManyRows {
        /// `max_rows` of the agreement.
        limit: u64,
    },
    /// A padded table with fewer rows than agreed.
    #[error("not filled up to the agreed {rows} rows")]
    NotFilledUp {
        /// `max_rows` of the agreement.
        rows: u64,
    },
    /// A page does not authenticate or decode.
    #[error("a page does not decode")]
    Undecodable,
    /// A value breaks the rules of its column.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The parquet library gave up in a way that it does not document.
    #[error("the Parquet library could not read the file")]
    Library,
}

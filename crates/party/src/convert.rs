//! Plain tables into the agreed schema: CSV, Parquet and Arrow IPC.
//!
//! Every value is converted exactly or refused with its place; nothing is rounded, cut or guessed. Columns that the agreement
//! does not name are left out and never sealed.

use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader, make_array};
use arrow_cast::display::array_value_to_string;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Schema as ArrowSchema, SchemaRef};
use entente_agreement::{Column, ColumnType, Nullability, Schema};
use entente_sealing::table::arrow_schema;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// Longest value that an error message repeats, in characters.
const SHOWN: usize = 80;

/// The form of a plain table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFormat {
    /// Comma-separated values (RFC 4180), UTF-8, with a header line. Decimals `-12.50`; `true` and `false`; dates `2026-01-31`;
    /// timestamps in RFC 3339 with `Z` or an offset; bytes in hex. An empty field is NULL where that is allowed.
    Csv,
    /// Apache Parquet, not encrypted.
    Parquet,
    /// Arrow IPC, file or stream (Feather version 2).
    ArrowIpc,
}

impl SourceFormat {
    /// The form that a file's name ends in: `.csv`, `.parquet`, `.arrow`, `.arrows`, `.feather`, `.ipc`.
    #[must_use]
    pub fn of_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            "arrow" | "arrows" | "feather" | "ipc" => Some(Self::ArrowIpc),
            _ => None,
        }
    }
}

/// Rows of a plain table in the agreed schema, batch by batch.
pub(crate) struct Rows {
    batches: Box<dyn Iterator<Item = Result<RecordBatch, ConvertError>>>,
    /// Columns of the source that the agreement does not name.
    pub(crate) left_out: Vec<String>,
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, ConvertError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batches.next()
    }
}

/// Opens a plain table. `read` counts the bytes that were read from a CSV file or an Arrow stream.
pub(crate) fn open(
    path: &Path,
    format: SourceFormat,
    schema: &Schema,
    read: &Rc<Cell<u64>>,
) -> Result<Rows, ConvertError> {
    let file = File::open(path).map_err(|error| ConvertError::Io { path: path.to_owned(), error })?;
    match format {
        SourceFormat::Csv => csv_rows(path, Counted { inner: file, read: Rc::clone(read) }, schema),
        SourceFormat::Parquet => {
            let library = library(path);
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                .map_err(|error| library(error.to_string()))?
                .with_batch_size(BATCH_ROWS)
                .build()
                .map_err(|error| library(error.to_string()))?;
            let source = reader.schema();
            columnar(path, schema, &source, reader.map(|batch| batch.map_err(|error| error.to_string())))
        }
        SourceFormat::ArrowIpc => {
            let library = library(path);
            let mut file = file;
            let mut magic = [0; 6];
            let count = read_up_to(&mut file, &mut magic)
                .and_then(|count| io::Seek::rewind(&mut file).map(|()| count))
                .map_err(|error| ConvertError::Io { path: path.to_owned(), error })?;
            let counted = BufReader::new(Counted { inner: file, read: Rc::clone(read) });
            if &magic[..count] == b"ARROW1" {
                // The file form wants to seek.
                let file =
                    File::open(path).map_err(|error| ConvertError::Io { path: path.to_owned(), error })?;
                let reader = arrow_ipc::reader::FileReader::try_new(BufReader::new(file), None)
                    .map_err(|error| library(error.to_string()))?;
                let source = reader.schema();
                columnar(path, schema, &source, reader.map(|batch| batch.map_err(|error| error.to_string())))
            } else {
                let reader = arrow_ipc::reader::StreamReader::try_new(counted, None)
                    .map_err(|error| library(error.to_string()))?;
                let source = reader.schema();
                columnar(path, schema, &source, reader.map(|batch| batch.map_err(|error| error.to_string())))
            }
        }
    }
}

fn library(path: &Path) -> impl Fn(String) -> ConvertError + 'static {
    let path = path.to_owned();
    move |problem| ConvertError::NotReadable { path: path.clone(), problem }
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read(&mut buffer[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// Counts what is read.
pub(crate) struct Counted<R> {
    pub(crate) inner: R,
    pub(crate) read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

// --- CSV -----------------------------------------------------------------------------------------------------------

fn csv_rows<R: Read + 'static>(path: &Path, input: R, schema: &Schema) -> Result<Rows, ConvertError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(true).flexible(false).from_reader(input);
    let header = reader.byte_headers().map_err(|error| csv_error(path, error))?.clone();
    let names: Vec<String> = header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let (places, left_out) = places(path, schema, &names)?;
    let mut csv = Csv {
        path: path.to_owned(),
        reader,
        columns: schema.columns().to_vec(),
        places,
        schema: arrow_schema(schema),
        ended: false,
    };
    Ok(Rows { batches: Box::new(std::iter::from_fn(move || csv.batch().transpose())), left_out })
}

/// Where each agreed column stands in the source, and which columns of the source nobody agreed on.
fn places(path: &Path, schema: &Schema, names: &[String]) -> Result<(Vec<usize>, Vec<String>), ConvertError> {
    let mut places = Vec::new();
    for column in schema.columns() {
        let mut found = names.iter().enumerate().filter(|(_, name)| *name == column.name());
        match (found.next(), found.next()) {
            (Some((place, _)), None) => places.push(place),
            (None, _) => {
                return Err(ConvertError::ColumnMissing {
                    path: path.to_owned(),
                    column: column.name().to_owned(),
                });
            }
            (Some(_), Some(_)) => {
                return Err(ConvertError::ColumnTwice {
                    path: path.to_owned(),
                    column: column.name().to_owned(),
                });
            }
        }
    }
    let left_out = names.iter().filter(|name| schema.column(name).is_none()).cloned().collect();
    Ok((places, left_out))
}

struct Csv<R> {
    path: PathBuf,
    reader: csv::Reader<R>,
    columns: Vec<Column>,
    places: Vec<usize>,
    schema: SchemaRef,
    ended: bool,
}

impl<R: Read> Csv<R> {
    fn batch(&mut self) -> Result<Option<RecordBatch>, ConvertError> {
        if self.ended {
            return Ok(None);
        }
        let mut builders: Vec<Builder> =
            self.columns.iter().map(|column| Builder::new(column.kind())).collect();
        let mut record = csv::ByteRecord::new();
        let mut rows = 0;
        while rows < BATCH_ROWS {
            let more = self.reader.read_byte_record(&mut record).map_err(|error| {
                self.ended = true;
                csv_error(&self.path, error)
            })?;
            if !more {
                self.ended = true;
                break;
            }
            for ((column, place), builder) in self.columns.iter().zip(&self.places).zip(&mut builders) {
                let value = record.get(*place).unwrap_or_default();
                if let Err(expected) = builder.put(column, value) {
                    self.ended = true;
                    return Err(ConvertError::Cell(CellFault {
                        path: self.path.clone(),
                        place: Place::Line(line_of(&record, *place)),
                        column: column.name().to_owned(),
                        value: shown(&String::from_utf8_lossy(value)),
                        expected,
                    }));
                }
            }
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        let arrays = builders.into_iter().map(Builder::finish).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map(Some)
            .map_err(|error| library(&self.path)(error.to_string()))
    }
}

/// The line on which a field begins: that of its record, and one more for each line break inside the fields before it.
fn line_of(record: &csv::ByteRecord, place: usize) -> u64 {
    let start = record.position().map_or(0, csv::Position::line);
    let breaks = record.iter().take(place).flatten().filter(|byte| **byte == b'\n').count();
    start + breaks as u64
}

fn csv_error(path: &Path, error: csv::Error) -> ConvertError {
    let line = error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(error) => ConvertError::Io { path: path.to_owned(), error },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            ConvertError::Fields { path: path.to_owned(), line, expected: expected_len, found: len }
        }
        other => library(path)(format!("line {line}: {other:?}")),
    }
}

enum Builder {
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Int64(Int64Builder),
    Decimal(Decimal128Builder),
    Boolean(BooleanBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Builder {
    fn new(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Text { .. } => Self::Text(StringBuilder::new()),
            ColumnType::Bytes { .. } => Self::Bytes(BinaryBuilder::new()),
            ColumnType::Int64 => Self::Int64(Int64Builder::new()),
            ColumnType::Decimal { precision, scale } => {
                let data_type = DataType::Decimal128(precision, i8::try_from(scale).unwrap_or(i8::MAX));
                Self::Decimal(Decimal128Builder::new().with_data_type(data_type))
            }
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::Date => Self::Date(Date32Builder::new()),
            ColumnType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
        }
    }

    /// Adds a field; the error says what was expected.
    fn put(&mut self, column: &Column, value: &[u8]) -> Result<(), String> {
        let expected = || match column.nullability() {
            Nullability::Never => format!("{} (and not empty)", column.kind()),
            Nullability::Allowed => format!("{} or nothing", column.kind()),
        };
        if value.is_empty() && column.nullability() == Nullability::Allowed {
            match self {
                Self::Text(builder) => builder.append_null(),
                Self::Bytes(builder) => builder.append_null(),
                Self::Int64(builder) => builder.append_null(),
                Self::Decimal(builder) => builder.append_null(),
                Self::Boolean(builder) => builder.append_null(),
                Self::Date(builder) => builder.append_null(),
                Self::Timestamp(builder) => builder.append_null(),
            }
            return Ok(());
        }
        let text = std::str::from_utf8(value).map_err(|_| "UTF-8".to_owned())?;
        match (self, column.kind()) {
            (Self::Text(builder), ColumnType::Text { max_bytes }) => {
                if text.len() as u64 > u64::from(max_bytes) {
                    return Err(column.kind().to_string());
                }
                builder.append_value(text);
            }
            (Self::Bytes(builder), ColumnType::Bytes { max_bytes }) => {
                let bytes = hex::decode(text).map_err(|_| format!("{} in hex digits", column.kind()))?;
                if bytes.len() as u64 > u64::from(max_bytes) {
                    return Err(column.kind().to_string());
                }
                builder.append_value(bytes);
            }
            (Self::Int64(builder), _) => builder.append_value(integer(text).ok_or_else(expected)?),
            (Self::Decimal(builder), ColumnType::Decimal { precision, scale }) => {
                builder.append_value(decimal(text, precision, scale).ok_or_else(expected)?);
            }
            (Self::Boolean(builder), _) => builder.append_value(match text {
                "true" => true,
                "false" => false,
                _ => return Err(format!("{} (true or false)", column.kind())),
            }),
            (Self::Date(builder), _) => {
                let days = date(text).ok_or_else(|| format!("{} (YYYY-MM-DD)", column.kind()))?;
                builder.append_value(days);
            }
            (Self::Timestamp(builder), _) => {
                let micros = timestamp(text)
                    .ok_or_else(|| format!("{} (RFC 3339, at most six decimals)", column.kind()))?;
                builder.append_value(micros);
            }
            _ => return Err(expected()),
        }
        Ok(())
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Bytes(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Int64(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Decimal(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Boolean(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Date(mut builder) => ArrayBuilder::finish(&mut builder),
            Self::Timestamp(mut builder) => ArrayBuilder::finish(&mut builder),
        }
    }
}

/// `-?[0-9]+`, within 64 bits.
fn integer(text: &str) -> Option<i64> {
    if text.starts_with('+') { None } else { text.parse().ok() }
}

/// `-?[0-9]+(\.[0-9]+)?`, exactly: at most `scale` decimals (zeros beyond are nothing), at most `precision` digits.
fn decimal(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (digits, ""),
    };
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = usize::from(scale).checked_sub(fraction.len())?;
    let bound = 10_i128.checked_pow(u32::from(precision))?;
    let digits = whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', missing));
    let mut value = 0_i128;
    for digit in digits {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    if value >= bound { None } else { Some(if negative { -value } else { value }) }
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
fn date(text: &str) -> Option<i32> {
    let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let date: jiff::civil::Date = plain.then(|| text.parse().ok())??;
    let days = (date - jiff::civil::date(1970, 1, 1)).get_days();
    Some(days)
}

/// Microseconds since 1970-01-01T00:00:00Z of an RFC 3339 time.
fn timestamp(text: &str) -> Option<i64> {
    // jiff also takes a space for the T, and a time zone in brackets.
    let strict = text.is_ascii() && text.as_bytes().get(10) == Some(&b'T') && !text.contains('[');
    let time: jiff::Timestamp = strict.then(|| text.parse().ok())??;
    (time.as_nanosecond() % 1000 == 0).then(|| time.as_microsecond())
}

// --- Parquet, Arrow ------------------------------------------------------------------------------------------------

fn columnar(
    path: &Path,
    schema: &Schema,
    source: &ArrowSchema,
    batches: impl Iterator<Item = Result<RecordBatch, String>> + 'static,
) -> Result<Rows, ConvertError> {
    let names: Vec<String> = source.fields().iter().map(|field| field.name().clone()).collect();
    let (places, left_out) = places(path, schema, &names)?;
    let target = arrow_schema(schema);
    for ((column, place), field) in schema.columns().iter().zip(&places).zip(target.fields()) {
        let found = source.field(*place).data_type();
        if !convertible(found, column.kind()) {
            return Err(ConvertError::ColumnType {
                path: path.to_owned(),
                column: column.name().to_owned(),
                expected: field.data_type().to_string(),
                found: found.to_string(),
            });
        }
    }
    let (path, columns) = (path.to_owned(), schema.columns().to_vec());
    let mut first_row = 0_u64;
    let batches = batches.map(move |batch| {
        let batch = batch.map_err(library(&path))?;
        let mut arrays = Vec::with_capacity(columns.len());
        for ((column, place), field) in columns.iter().zip(&places).zip(target.fields()) {
            let source = batch.column(*place);
            let array = convert(source, column, field.data_type()).map_err(|(index, expected)| {
                let value = array_value_to_string(source, index).unwrap_or_default();
                ConvertError::Cell(CellFault {
                    path: path.clone(),
                    place: Place::Row(first_row + index as u64 + 1),
                    column: column.name().to_owned(),
                    value: shown(if source.is_null(index) { "NULL" } else { &value }),
                    expected,
                })
            })?;
            arrays.push(array);
        }
        first_row += batch.num_rows() as u64;
        RecordBatch::try_new(Arc::clone(&target), arrays).map_err(|error| library(&path)(error.to_string()))
    });
    Ok(Rows { batches: Box::new(batches), left_out })
}

/// Types whose values can be exactly those of a column's type; whether each is, [`convert`] checks.
fn convertible(found: &DataType, kind: ColumnType) -> bool {
    use DataType as T;
    let integer = matches!(
        found,
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64
    );
    match kind {
        ColumnType::Text { .. } => match found {
            T::Dictionary(_, value) => matches!(**value, T::Utf8 | T::LargeUtf8 | T::Utf8View),
            _ => matches!(found, T::Utf8 | T::LargeUtf8 | T::Utf8View),
        },
        ColumnType::Bytes { .. } => {
            matches!(found, T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_))
        }
        ColumnType::Int64 => integer,
        ColumnType::Decimal { .. } => {
            integer
                || matches!(
                    found,
                    T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..)
                )
        }
        ColumnType::Boolean => *found == T::Boolean,
        ColumnType::Date => matches!(found, T::Date32 | T::Date64),
        // A timestamp without time zone is not a moment.
        ColumnType::Timestamp => matches!(found, T::Timestamp(_, Some(_))),
    }
}

/// Converts a column exactly; the error is the index of the first value that does not fit, and what was expected.
fn convert(source: &ArrayRef, column: &Column, target: &DataType) -> Result<ArrayRef, (usize, String)> {
    let expected = || column.kind().to_string();
    let first = |wrong: &dyn Fn(usize) -> bool| (0..source.len()).find(|index| wrong(*index));
    if column.nullability() == Nullability::Never
        && let Some(index) = first(&|index| source.is_null(index))
    {
        return Err((index, format!("{}, not NULL", column.kind())));
    }
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let array = cast_with_options(source, target, &options).map_err(|_| (0, expected()))?;
    // A value that does not fit became null, or does not come back as it was.
    if let Some(index) = first(&|index| array.is_null(index) != source.is_null(index)) {
        return Err((index, expected()));
    }
    let text = matches!(column.kind(), ColumnType::Text { .. } | ColumnType::Bytes { .. });
    if !text && array.data_type() != source.data_type() {
        let back = cast_with_options(&array, source.data_type(), &options).map_err(|_| (0, expected()))?;
        if let Some(index) = first(&|index| back.slice(index, 1) != source.slice(index, 1)) {
            return Err((index, expected()));
        }
    }
    let wrong: Option<usize> = match column.kind() {
        ColumnType::Text { max_bytes } | ColumnType::Bytes { max_bytes } => {
            let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX);
            let lengths = value_lengths(&array);
            lengths.iter().position(|length| *length > limit)
        }
        ColumnType::Decimal { precision, .. } => {
            use arrow_array::cast::AsArray;
            let bound = 10_u128.pow(u32::from(precision));
            array
                .as_primitive::<arrow_array::types::Decimal128Type>()
                .iter()
                .position(|value| value.is_some_and(|value| value.unsigned_abs() >= bound))
        }
        _ => None,
    };
    match wrong {
        Some(index) => Err((index, expected())),
        None => Ok(make_array(array.to_data())),
    }
}

/// Lengths of the values of a `Utf8` or `Binary` array.
fn value_lengths(array: &ArrayRef) -> Vec<usize> {
    use arrow_array::cast::AsArray;
    if let Some(text) = array.as_string_opt::<i32>() {
        text.iter().map(|value| value.map_or(0, str::len)).collect()
    } else if let Some(bytes) = array.as_binary_opt::<i32>() {
        bytes.iter().map(|value| value.map_or(0, <[u8]>::len)).collect()
    } else {
        Vec::new()
    }
}

// --- errors --------------------------------------------------------------------------------------------------------

fn shown(value: &str) -> String {
    let mut shown: String = value.chars().take(SHOWN).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    shown
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A line of a text file, from 1.
    Line(u64),
    /// A row of a table, from 1.
    Row(u64),
}

/// One value that is not of its column's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellFault {
    path: PathBuf,
    place: Place,
    column: String,
    value: String,
    expected: String,
}

impl CellFault {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line of a CSV file, from 1; `None` for other forms.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        match self.place {
            Place::Line(line) => Some(line),
            Place::Row(_) => None,
        }
    }

    /// The row of a Parquet or Arrow file, from 1; `None` for CSV.
    #[must_use]
    pub fn row(&self) -> Option<u64> {
        match self.place {
            Place::Row(row) => Some(row),
            Place::Line(_) => None,
        }
    }

    /// The column's name.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The value, cut to 80 characters. It is the owner's own data: show it to the owner only.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What the column takes.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

impl fmt::Display for CellFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, place, column, value, expected } = self;
        match place {
            Place::Line(line) => write!(f, "{}:{line}: ", path.display())?,
            Place::Row(row) => write!(f, "{}, row {row}: ", path.display())?,
        }
        write!(f, "column {column:?}: {value:?} is not {expected}")
    }
}

/// A plain table cannot be brought into the agreed schema. Nothing was sealed.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// Reading failed.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is not of its form.
    #[error("{}: {problem}", path.display())]
    NotReadable {
        /// The file.
        path: PathBuf,
        /// The reading library's words.
        problem: String,
    },
    /// An agreed column is not there.
    #[error("{}: there is no column {column:?}, which the agreement names", path.display())]
    ColumnMissing {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// An agreed column is there twice.
    #[error("{}: the column {column:?} is there more than once", path.display())]
    ColumnTwice {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A column of a type whose values cannot be the agreed ones.
    #[error("{}: column {column:?} is {found}, which cannot be {expected} exactly", path.display())]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Arrow type agreed.
        expected: String,
        /// Arrow type found.
        found: String,
    },
    /// A line with more or fewer fields than the header.
    #[error("{}:{line}: {found} fields; the header has {expected}", path.display())]
    Fields {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Fields of the header.
        expected: u64,
        /// Fields found.
        found: u64,
    },
    /// A value that does not fit.
    #[error("{0}")]
    Cell(CellFault),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal("12.50", 18, 2), Some(1250));
        assert_eq!(decimal("-0.01", 18, 2), Some(-1));
        assert_eq!(decimal("7", 3, 2), Some(700));
        assert_eq!(decimal("1.2300000", 18, 2), Some(123));
        assert_eq!(decimal("99.99", 4, 2), Some(9999));
        let widest = "9".repeat(38);
        assert_eq!(decimal(&widest, 38, 0), Some(10_i128.pow(38) - 1));
        for wrong in ["", "-", ".5", "5.", "1e3", "+1", "1,5", " 1", "1_0", "0x1", "NaN", "1.234", "--1", "١"]
        {
            assert_eq!(decimal(wrong, 18, 2), None, "{wrong}");
        }
        assert_eq!(decimal("100.00", 4, 2), None);
        assert_eq!(decimal(&"9".repeat(39), 38, 0), None);
    }

    #[test]
    fn dates_and_times_are_exact() {
        assert_eq!(date("1970-01-02"), Some(1));
        assert_eq!(date("2026-01-31"), Some(20_484));
        for wrong in ["2026-02-30", "2026-1-31", "31.01.2026", "2026-01-31T00:00:00Z", "+2026-01-31", ""] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
        assert_eq!(timestamp("1970-01-01T00:00:01Z"), Some(1_000_000));
        assert_eq!(timestamp("1970-01-01T01:00:00.000001+01:00"), Some(1));
        for wrong in ["1970-01-01 00:00:01Z", "1970-01-01T00:00:01", "1970-01-01T00:00:00.0000001Z", "x", ""]
        {
            assert_eq!(timestamp(wrong), None, "{wrong}");
        }
    }
}

//! The agreement's schema as an Arrow schema, and the rules that every value keeps.

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};
use entente_agreement::{Column, ColumnType, Dataset, Format, Nullability, Padding, Schema};
use std::sync::Arc;

/// Name of the boolean column of a padded table: true in rows that only fill.
pub const PAD_COLUMN: &str = "entente_pad";

/// The Arrow schema of an agreement's schema:
///
/// | agreement | Arrow |
/// |---|---|
/// | `text(n)` | `Utf8`, at most n bytes a value |
/// | `bytes(n)` | `Binary`, at most n bytes a value |
/// | `int64` | `Int64` |
/// | `decimal(p,s)` | `Decimal128(p, s)` |
/// | `bool` | `Boolean` |
/// | `date` | `Date32` |
/// | `timestamp` | `Timestamp(Microsecond, "UTC")` |
#[must_use]
pub fn arrow_schema(schema: &Schema) -> SchemaRef {
    Arc::new(ArrowSchema::new(schema.columns().iter().map(field).collect::<Vec<_>>()))
}

fn field(column: &Column) -> Field {
    let data_type = match column.kind() {
        ColumnType::Text { .. } => DataType::Utf8,
        ColumnType::Bytes { .. } => DataType::Binary,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Decimal { precision, scale } => {
            DataType::Decimal128(precision, i8::try_from(scale).expect("an agreement's scale is at most 38"))
        }
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    };
    Field::new(column.name(), data_type, column.nullability() == Nullability::Allowed)
}

/// What a sealed table must keep to: the terms of its dataset slot in the agreement.
#[derive(Debug, Clone)]
pub struct TableTerms {
    pub(crate) columns: Vec<Column>,
    pub(crate) schema: SchemaRef,
    pub(crate) max_bytes: u64,
    pub(crate) max_rows: u64,
    pub(crate) padding: Padding,
}

impl TableTerms {
    /// The terms of a dataset.
    ///
    /// # Errors
    ///
    /// [`NotATable`] if its format is not Parquet.
    pub fn of(dataset: &Dataset) -> Result<Self, NotATable> {
        if dataset.format() != Format::Parquet {
            return Err(NotATable);
        }
        Ok(Self {
            columns: dataset.schema().columns().to_vec(),
            schema: arrow_schema(dataset.schema()),
            max_bytes: dataset.max_bytes(),
            max_rows: dataset.max_rows(),
            padding: dataset.padding(),
        })
    }

    /// The Arrow schema of the rows, without the filling column.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Largest number of rows, filling rows not counted.
    #[must_use]
    pub fn max_rows(&self) -> u64 {
        self.max_rows
    }

    /// Largest size of the sealed file in bytes.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// The schema as it stands in the sealed file, with the filling column where the table is padded.
    pub(crate) fn stored_schema(&self) -> SchemaRef {
        match self.padding {
            Padding::None => Arc::clone(&self.schema),
            Padding::ToMaximum => {
                let mut fields: Vec<_> = self.schema.fields().iter().cloned().collect();
                fields.push(Arc::new(Field::new(PAD_COLUMN, DataType::Boolean, false)));
                Arc::new(ArrowSchema::new(fields))
            }
        }
    }

    /// Checks that `found` has exactly the columns of `expected`, by name, order and type. A column that is declared
    /// nullable is accepted for one that must not be null: stock writers declare all columns so; the values decide.
    pub(crate) fn check_schema(expected: &ArrowSchema, found: &ArrowSchema) -> Result<(), SchemaError> {
        if expected.fields().len() != found.fields().len() {
            return Err(SchemaError::Columns {
                expected: expected.fields().len(),
                found: found.fields().len(),
            });
        }
        for (number, (want, have)) in expected.fields().iter().zip(found.fields()).enumerate() {
            if want.name() != have.name() {
                return Err(SchemaError::Name {
                    number: number + 1,
                    expected: want.name().clone(),
                    found: have.name().clone(),
                });
            }
            if want.data_type() != have.data_type() {
                return Err(SchemaError::Type {
                    column: want.name().clone(),
                    expected: want.data_type().to_string(),
                    found: have.data_type().to_string(),
                });
            }
        }
        Ok(())
    }

    /// Checks every value of a batch whose schema is right; `first_row` is the number of its first row, from 0.
    pub(crate) fn check_values(&self, batch: &RecordBatch, first_row: u64) -> Result<(), ValueError> {
        for (column, array) in self.columns.iter().zip(batch.columns()) {
            let fault = |index: usize, kind: fn(String, u64) -> ValueError| {
                kind(column.name().to_owned(), first_row + index as u64)
            };
            if column.nullability() != Nullability::Allowed
                && array.null_count() > 0
                && let Some(index) = (0..array.len()).find(|index| array.is_null(*index))
            {
                return Err(fault(index, |column, row| ValueError::Null { column, row }));
            }
            let too_long = match column.kind() {
                ColumnType::Text { max_bytes } => {
                    let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX);
                    array.as_string::<i32>().iter().position(|v| v.is_some_and(|v| v.len() > limit))
                }
                ColumnType::Bytes { max_bytes } => {
                    let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX);
                    array.as_binary::<i32>().iter().position(|v| v.is_some_and(|v| v.len() > limit))
                }
                _ => None,
            };
            if let Some(index) = too_long {
                return Err(fault(index, |column, row| ValueError::TooLong { column, row }));
            }
            if let ColumnType::Decimal { precision, .. } = column.kind() {
                let bound = 10_u128.pow(u32::from(precision));
                let wide = array
                    .as_primitive::<Decimal128Type>()
                    .iter()
                    .position(|v| v.is_some_and(|v| v.unsigned_abs() >= bound));
                if let Some(index) = wide {
                    return Err(fault(index, |column, row| ValueError::TooPrecise { column, row }));
                }
            }
        }
        Ok(())
    }
}

/// The dataset's format in the agreement is not `parquet`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the dataset is not a table")]
pub struct NotATable;

/// The columns are not those that were agreed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Another number of columns.
    #[error("the agreement has {expected} columns here, the table has {found}")]
    Columns {
        /// Columns agreed (with the filling column of a padded table).
        expected: usize,
        /// Columns found.
        found: usize,
    },
    /// A column of another name, or in another place.
    #[error("column {number} is {expected:?} in the agreement, {found:?} in the table")]
    Name {
        /// Position of the column, from 1.
        number: usize,
        /// Name agreed.
        expected: String,
        /// Name found.
        found: String,
    },
    /// A column of another type.
    #[error("column {column:?} is {expected} in the agreement, {found} in the table")]
    Type {
        /// Name of the column.
        column: String,
        /// Arrow type agreed.
        expected: String,
        /// Arrow type found.
        found: String,
    },
    /// A column that is itself a list, map or structure.
    #[error("column {column:?} is nested")]
    Nested {
        /// Name of the column.
        column: String,
    },
}

/// A value breaks the rules of its column. Rows are counted from 0; the value itself is not repeated here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A null where the agreement allows none.
    #[error("column {column:?}, row {row}: null where none is agreed")]
    Null {
        /// Name of the column.
        column: String,
        /// Row, from 0.
        row: u64,
    },
    /// A text or byte string longer than agreed.
    #[error("column {column:?}, row {row}: longer than agreed")]
    TooLong {
        /// Name of the column.
        column: String,
        /// Row, from 0.
        row: u64,
    },
    /// A decimal with more digits than agreed.
    #[error("column {column:?}, row {row}: more digits than agreed")]
    TooPrecise {
        /// Name of the column.
        column: String,
        /// Row, from 0.
        row: u64,
    },
}

//! Datasets and their schemas.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::key_arn::KeyArn;
use crate::name::Name;
use crate::table::Table;
use crate::text::{TextError, TextErrorKind};

/// A dataset slot of an agreement: who puts what in, in which form and within which limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    name: Name,
    owner: Name,
    format: Format,
    schema: Schema,
    max_bytes: u64,
    max_rows: u64,
    padding: Padding,
    presence: Presence,
    key: KeyArn,
}

impl Dataset {
    pub(crate) const KEYS: [&'static str; 9] =
        ["name", "owner", "format", "schema", "max_bytes", "max_rows", "pad", "optional", "key"];

    /// The most bytes that a sealed file may be allowed: 1 TiB.
    pub const MAX_BYTES: u64 = 1 << 40;

    /// The most rows that a table may be allowed: 2^36.
    pub const MAX_ROWS: u64 = 1 << 36;

    pub(crate) fn read(table: &Table) -> Result<Self, TextError> {
        table.only(&Self::KEYS)?;
        let name = table.name("name")?;
        let owner = table.name("owner")?;
        let format = read_format(table)?;
        let schema = Schema::read(table)?;
        let max_bytes = table.unsigned("max_bytes", 1..=Self::MAX_BYTES)?;
        let max_rows = table.unsigned("max_rows", 0..=Self::MAX_ROWS)?;
        match format {
            Format::Parquet => {
                if schema.columns().is_empty() {
                    return Err(table.error("schema", TextErrorKind::EmptyValue { key: "schema".to_owned() }));
                }
                table.unsigned("max_rows", 1..=Self::MAX_ROWS)?;
            }
            Format::Age => {
                if !schema.columns().is_empty() {
                    return Err(
                        table.error("schema", TextErrorKind::RowsInBlob { key: "schema", instead: "[]" })
                    );
                }
                if max_rows != 0 {
                    return Err(
                        table.error("max_rows", TextErrorKind::RowsInBlob { key: "max_rows", instead: "0" })
                    );
                }
            }
        }
        let padding = if table.flag("pad")? { Padding::ToMaximum } else { Padding::None };
        let presence = match table.optional_flag("optional")? {
            Some(true) => Presence::Optional,
            Some(false) | None => Presence::Required,
        };
        let key = KeyArn::new(table.text("key")?)
            .map_err(|problem| table.error("key", TextErrorKind::KeyArn { problem }))?;
        Ok(Self { name, owner, format, schema, max_bytes, max_rows, padding, presence, key })
    }

    /// The dataset's name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The party that puts it in.
    #[must_use]
    pub const fn owner(&self) -> &Name {
        &self.owner
    }

    /// How it is sealed.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Its columns; none for [`Format::Age`].
    #[must_use]
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The most bytes that the sealed file may have, 1 to [`Dataset::MAX_BYTES`].
    #[must_use]
    pub const fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// The most rows that the table may have, 1 to [`Dataset::MAX_ROWS`]; 0 for [`Format::Age`].
    #[must_use]
    pub const fn max_rows(&self) -> u64 {
        self.max_rows
    }

    /// Whether sealing hides the number of rows.
    #[must_use]
    pub const fn padding(&self) -> Padding {
        self.padding
    }

    /// Whether a round may go on without it.
    #[must_use]
    pub const fn presence(&self) -> Presence {
        self.presence
    }

    /// The KMS key that wraps the dataset's key.
    #[must_use]
    pub const fn key(&self) -> &KeyArn {
        &self.key
    }
}

/// How a dataset is sealed (PROTOCOL §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// A table: Parquet with Modular Encryption.
    Parquet,
    /// A blob: an age file.
    Age,
}

impl Format {
    /// `parquet` or `age`, as it stands in agreements and manifests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Age => "age",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Reads `format`, of a dataset or of a manifest.
pub(crate) fn read_format(table: &Table) -> Result<Format, TextError> {
    match table.text("format")? {
        "parquet" => Ok(Format::Parquet),
        "age" => Ok(Format::Age),
        other => Err(table.error(
            "format",
            TextErrorKind::NotOneOf {
                key: "format".to_owned(),
                found: other.to_owned(),
                allowed: &["parquet", "age"],
            },
        )),
    }
}

/// Whether sealing hides the size of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Padding {
    /// The host sees how long the sealed file and its parts are.
    None,
    /// The sealed file is as long as the largest that the agreement allows.
    ToMaximum,
}

/// Whether a round may go on without a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presence {
    /// It has to be there.
    Required,
    /// Its owner may leave it out; the owner still signs the input set that says `absent`.
    Optional,
}

/// The columns of a table, in the agreement's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema(Vec<Column>);

impl Schema {
    fn read(table: &Table) -> Result<Self, TextError> {
        let mut columns = Vec::new();
        let mut names = BTreeSet::new();
        for (index, text) in table.texts("schema")?.into_iter().enumerate() {
            let at = |problem| {
                TextError::new(table.position_of_item("schema", index), TextErrorKind::Column { problem })
            };
            let column: Column = text.parse().map_err(at)?;
            if !names.insert(column.name.clone()) {
                return Err(at(ColumnError::Duplicate { name: column.name }));
            }
            columns.push(column);
        }
        Ok(Self(columns))
    }

    /// The columns.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.0
    }

    /// The column of a name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.0.iter().find(|column| column.name() == name)
    }
}

/// A column: `NAME TYPE`, or `NAME TYPE null` where NULL is allowed.
///
/// ```
/// use entente_agreement::{Column, ColumnType, Nullability};
/// let column: Column = "amount decimal(18,2)".parse()?;
/// assert_eq!(column.name(), "amount");
/// assert_eq!(column.kind(), ColumnType::Decimal { precision: 18, scale: 2 });
/// assert_eq!(column.nullability(), Nullability::Never);
/// # Ok::<(), entente_agreement::ColumnError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    name: String,
    kind: ColumnType,
    nullability: Nullability,
}

impl Column {
    /// Its name: `[a-z][a-z0-9_]{0,39}`, not beginning with `entente_`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> ColumnType {
        self.kind
    }

    /// Whether NULL may stand in it.
    #[must_use]
    pub const fn nullability(&self) -> Nullability {
        self.nullability
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.kind)?;
        match self.nullability {
            Nullability::Never => Ok(()),
            Nullability::Allowed => f.write_str(" null"),
        }
    }
}

impl FromStr for Column {
    type Err = ColumnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split(' ').collect();
        let (name, kind, nullability) = match words.as_slice() {
            [name, kind] => (*name, *kind, Nullability::Never),
            [name, kind, "null"] => (*name, *kind, Nullability::Allowed),
            _ => return Err(ColumnError::Form { text: text.to_owned() }),
        };
        let letter = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if !letter || !plain || name.len() > 40 {
            return Err(ColumnError::Name { name: name.to_owned() });
        }
        if name.starts_with("entente_") {
            return Err(ColumnError::Reserved { name: name.to_owned() });
        }
        Ok(Self { name: name.to_owned(), kind: kind.parse()?, nullability })
    }
}

/// Whether NULL may stand in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nullability {
    /// A NULL is an error of the owner.
    Never,
    /// NULL is a value like others.
    Allowed,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ColumnType {
    /// `text(N)`: UTF-8 of at most N bytes, 1 to 1,048,576.
    Text {
        /// The most bytes of a value.
        max_bytes: u32,
    },
    /// `bytes(N)`: at most N bytes, 1 to 1,048,576.
    Bytes {
        /// The most bytes of a value.
        max_bytes: u32,
    },
    /// `int64`: a signed integer of 64 bits.
    Int64,
    /// `decimal(P,S)`: P digits (1 to 38), S of them after the point (at most P).
    Decimal {
        /// All digits.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// `boolean`: true or false.
    Boolean,
    /// `date`: a day of the proleptic Gregorian calendar.
    Date,
    /// `timestamp`: microseconds since 1970-01-01T00:00:00Z.
    Timestamp,
}

impl ColumnType {
    /// The most bytes that a `text` or `bytes` column may allow a value: 1 MiB.
    pub const MAX_VALUE_BYTES: u32 = 1 << 20;
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { max_bytes } => write!(f, "text({max_bytes})"),
            Self::Bytes { max_bytes } => write!(f, "bytes({max_bytes})"),
            Self::Int64 => f.write_str("int64"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Boolean => f.write_str("boolean"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
        }
    }
}

impl FromStr for ColumnType {
    type Err = ColumnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || ColumnError::Type { text: text.to_owned() };
        let (word, arguments) = match text.split_once('(') {
            None => (text, None),
            Some((word, rest)) => (word, Some(rest.strip_suffix(')').ok_or_else(unknown)?)),
        };
        let size = |arguments: &str| match number(arguments) {
            Some(size) if (1..=Self::MAX_VALUE_BYTES).contains(&size) => Ok(size),
            _ => Err(ColumnError::Size { text: text.to_owned() }),
        };
        match (word, arguments) {
            ("text", Some(arguments)) => Ok(Self::Text { max_bytes: size(arguments)? }),
            ("bytes", Some(arguments)) => Ok(Self::Bytes { max_bytes: size(arguments)? }),
            ("int64", None) => Ok(Self::Int64),
            ("boolean", None) => Ok(Self::Boolean),
            ("date", None) => Ok(Self::Date),
            ("timestamp", None) => Ok(Self::Timestamp),
            ("decimal", Some(arguments)) => {
                let digits = |text: &str| number(text).and_then(|number| u8::try_from(number).ok());
                let parts = arguments.split_once(',').and_then(|(p, s)| Some((digits(p)?, digits(s)?)));
                match parts {
                    Some((precision, scale)) if (1..=38).contains(&precision) && scale <= precision => {
                        Ok(Self::Decimal { precision, scale })
                    }
                    _ => Err(ColumnError::Precision { text: text.to_owned() }),
                }
            }
            _ => Err(unknown()),
        }
    }
}

/// A number in its one decimal form: no sign, no leading zero.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// Why a text is not a [`Column`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// Not a name and a type.
    #[error("{text:?} is not a column; write NAME TYPE or NAME TYPE null, with one space between")]
    Form {
        /// The text.
        text: String,
    },
    /// Not the name of a column.
    #[error(
        "{name:?} is not a column's name; use a to z, 0 to 9 and _, a letter first, at most 40 characters"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A name that begins with `entente_`.
    #[error("column names that begin with entente_ are reserved, as is {name:?}; choose another")]
    Reserved {
        /// The name.
        name: String,
    },
    /// Two columns of one name.
    #[error("a second column {name:?}; give each column a name of its own")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// Not a type.
    #[error(
        "{text:?} is not a type; write text(N), bytes(N), int64, decimal(P,S), boolean, date or timestamp"
    )]
    Type {
        /// The text.
        text: String,
    },
    /// A size outside of its range.
    #[error("{text:?} does not say how many bytes; write a number from 1 to 1048576")]
    Size {
        /// The text.
        text: String,
    },
    /// A precision or scale outside of its range.
    #[error("{text:?} is not decimal(P,S) with P from 1 to 38 and S at most P; correct it")]
    Precision {
        /// The text.
        text: String,
    },
}

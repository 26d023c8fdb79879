//! Tables of a text object, read strictly and with positions.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use entente_attestation::{Digest384, UnixTime};

use crate::name::Name;
use crate::text::{Position, TextError, TextErrorKind};

/// A value of a [`Table`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text: printable ASCII and, in a multi-line text, LF.
    Text(String),
    /// An integer of 64 bits.
    Integer(i64),
    /// `true` or `false`.
    Flag(bool),
    /// A list of texts, integers or flags, all of one type, never of lists or tables.
    List(Vec<Value>),
    /// A table: `[KEY]`.
    Table(Table),
    /// Tables in the order of the file: `[[KEY]]`, at least one.
    Tables(Vec<Table>),
}

impl Value {
    /// What it is, in words, for errors.
    #[must_use]
    pub const fn description(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "an integer",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Tables(_) => "a list of tables",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Position,
    pub(crate) place: Position,
    pub(crate) items: Vec<Position>,
    pub(crate) value: Value,
}

/// A table of a text object: keys `[a-z][a-z0-9_]{0,39}` in ascending order, each with a [`Value`] and its place.
///
/// Reading is strict: a missing key, a value of another type and, with [`Table::only`], an unknown key are errors with
/// line and column. Two tables are equal when keys and values are; places do not count.
///
/// ```
/// use entente_agreement::{Table, Value};
/// let mut table = Table::new();
/// table.insert("pricing", Value::Text("first-price".to_owned()))?;
/// table.only(&["pricing", "reserve"])?;
/// assert_eq!(table.text("pricing")?, "first-price");
/// assert!(table.text("reserve").is_err());
/// # Ok::<(), entente_agreement::TextError>(())
/// ```
#[derive(Clone)]
pub struct Table {
    pub(crate) position: Position,
    /// Whether a header of its own opened it (else `[a.b]` did on the way to `b`).
    pub(crate) headed: bool,
    pub(crate) entries: BTreeMap<String, Entry>,
}

impl Table {
    /// An empty table, read from no text.
    #[must_use]
    pub const fn new() -> Self {
        Self::at(Position::NONE)
    }

    pub(crate) const fn at(position: Position) -> Self {
        Self { position, headed: true, entries: BTreeMap::new() }
    }

    /// Puts a value in, in place of what the key had.
    ///
    /// # Errors
    /// [`TextErrorKind::KeyForm`].
    pub fn insert(&mut self, key: &str, value: Value) -> Result<(), TextError> {
        check_key(key, Position::NONE)?;
        let entry = Entry { key: Position::NONE, place: Position::NONE, items: Vec::new(), value };
        self.entries.insert(key.to_owned(), entry);
        Ok(())
    }

    /// Where the table begins: its header, or the start of the file.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Where the value of a key is; where the table begins if the key is absent.
    #[must_use]
    pub fn position_of(&self, key: &str) -> Position {
        self.entries.get(key).map_or(self.position, |entry| entry.place)
    }

    /// Where an item of a list is; where the list is if there is no such item.
    #[must_use]
    pub fn position_of_item(&self, key: &str, index: usize) -> Position {
        let items = self.entries.get(key).map(|entry| entry.items.as_slice()).unwrap_or_default();
        items.get(index).copied().unwrap_or_else(|| self.position_of(key))
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The keys, ascending.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The value of a key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Checks that every key of the table is one of these.
    ///
    /// # Errors
    /// [`TextErrorKind::UnknownKey`] at the first key of the file that is not.
    pub fn only(&self, known: &[&str]) -> Result<(), TextError> {
        let unknown = self.entries.iter().filter(|(key, _)| !known.contains(&key.as_str()));
        match unknown.min_by_key(|(_, entry)| entry.key) {
            None => Ok(()),
            Some((key, entry)) => Err(TextError::new(
                entry.key,
                TextErrorKind::UnknownKey {
                    key: key.clone(),
                    known: known.iter().map(|key| (*key).to_owned()).collect(),
                },
            )),
        }
    }

    /// The text of a key.
    ///
    /// # Errors
    /// [`TextErrorKind::MissingKey`], [`TextErrorKind::WrongType`].
    pub fn text(&self, key: &str) -> Result<&str, TextError> {
        self.optional_text(key)?.ok_or_else(|| self.missing(key))
    }

    /// The text of a key that may be absent.
    ///
    /// # Errors
    /// [`TextErrorKind::WrongType`].
    pub fn optional_text(&self, key: &str) -> Result<Option<&str>, TextError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(key, "a text between quotes", other)),
        }
    }

    /// The integer of a key.
    ///
    /// # Errors
    /// [`TextErrorKind::MissingKey`], [`TextErrorKind::WrongType`].
    pub fn integer(&self, key: &str) -> Result<i64, TextError> {
        self.optional_integer(key)?.ok_or_else(|| self.missing(key))
    }

    /// The integer of a key that may be absent.
    ///
    /// # Errors
    /// [`TextErrorKind::WrongType`].
    pub fn optional_integer(&self, key: &str) -> Result<Option<i64>, TextError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Integer(integer)) => Ok(Some(*integer)),
            Some(other) => Err(self.wrong_type(key, "an integer", other)),
        }
    }

    /// The integer of a key, within a range.
    ///
    /// # Errors
    /// [`TextErrorKind::MissingKey`], [`TextErrorKind::WrongType`], [`TextErrorKind::OutOfRange`].
    pub fn unsigned(&self, key: &str, range: RangeInclusive<u64>) -> Result<u64, TextError> {
        let found = self.integer(key)?;
        match u64::try_from(found) {
            Ok(value) if range.contains(&value) => Ok(value),
            _ => Err(self.error(
                key,
                TextErrorKind::OutOfRange {
                    key: key.to_owned(),
                    found,
                    min: *range.start(),
                    max: *range.end(),
                },
            )),
        }
    }

    /// The flag of a key.
    ///
    /// # Errors
    /// [`TextErrorKind::MissingKey`], [`TextErrorKind::WrongType`].
    pub fn flag(&self, key: &str) -> Result<bool, TextError> {
        self.optional_flag(key)?.ok_or_else(|| self.missing(key))
    }

    /// The flag of a key that may be absent.
    ///
    /// # Errors
    /// [`TextErrorKind::WrongType`].
    pub fn optional_flag(&self, key: &str) -> Result<Option<bool>, TextError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Flag(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong_type(key, "true or false", other)),
        }
    }

    /// The items of a list of texts; the list may be empty.
    ///
    /// # Errors
    /// [`TextErrorKind::MissingKey`], [`TextErrorKind::WrongType`].
    pub fn texts(&self, key: &str) -> Result<Vec<&str>, TextError> {
        let expected = "a list of texts between quotes";
        match self.value(key) {
            None => Err(self.missing(key)),
            Some(Value::List(items)) => items
                .iter()
                .map(|item| match item {
                    Value::Text(text) => Ok(text.as_str()),
                    other => Err(self.wrong_type(key, expected, other)),
                })
                .collect(),
            Some(other) => Err(self.wrong_type(key, expected, other)),
        }
    }

    /// The table of a key: `[…KEY]`.
    ///
    /// # Errors
    /// [`TextErrorKind::MissingKey`], [`TextErrorKind::WrongType`].
    pub fn table(&self, key: &str) -> Result<&Self, TextError> {
        self.optional_table(key)?.ok_or_else(|| self.missing(key))
    }

    /// The table of a key that may be absent.
    ///
    /// # Errors
    /// [`TextErrorKind::WrongType`].
    pub fn optional_table(&self, key: &str) -> Result<Option<&Self>, TextError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Table(table)) => Ok(Some(table)),
            Some(other) => Err(self.wrong_type(key, "a table, [KEY]", other)),
        }
    }

    /// The tables of a key, `[[…KEY]]`, at least one.
    ///
    /// # Errors
    /// [`TextErrorKind::MissingKey`], [`TextErrorKind::WrongType`].
    pub fn tables(&self, key: &str) -> Result<&[Self], TextError> {
        match self.value(key) {
            None => Err(self.missing(key)),
            Some(Value::Tables(tables)) => Ok(tables),
            Some(other) => Err(self.wrong_type(key, "tables, [[KEY]]", other)),
        }
    }

    /// The tables of a key that may be absent: then none.
    ///
    /// # Errors
    /// [`TextErrorKind::WrongType`].
    pub fn optional_tables(&self, key: &str) -> Result<&[Self], TextError> {
        if self.value(key).is_none() { Ok(&[]) } else { self.tables(key) }
    }

    /// The name that a key has as its text.
    ///
    /// # Errors
    /// [`TextErrorKind::MissingKey`], [`TextErrorKind::WrongType`], [`TextErrorKind::Name`].
    pub fn name(&self, key: &str) -> Result<Name, TextError> {
        let text = self.text(key)?;
        Name::new(text)
            .map_err(|problem| self.error(key, TextErrorKind::Name { key: key.to_owned(), problem }))
    }

    /// The names that a key has as its list, each once.
    ///
    /// # Errors
    /// [`TextErrorKind::MissingKey`], [`TextErrorKind::WrongType`], [`TextErrorKind::Name`],
    /// [`TextErrorKind::EmptyValue`], [`TextErrorKind::DuplicateItem`].
    pub fn names(&self, key: &str) -> Result<Vec<Name>, TextError> {
        let texts = self.texts(key)?;
        if texts.is_empty() {
            return Err(self.error(key, TextErrorKind::EmptyValue { key: key.to_owned() }));
        }
        let mut seen = std::collections::BTreeSet::new();
        let mut names = Vec::with_capacity(texts.len());
        for (index, text) in texts.into_iter().enumerate() {
            let at = |kind| TextError::new(self.position_of_item(key, index), kind);
            let name = Name::new(text)
                .map_err(|problem| at(TextErrorKind::Name { key: key.to_owned(), problem }))?;
            if !seen.insert(name.clone()) {
                return Err(at(TextErrorKind::DuplicateItem {
                    key: key.to_owned(),
                    item: name.as_str().to_owned(),
                }));
            }
            names.push(name);
        }
        Ok(names)
    }

    /// The digest that a key has as its text.
    ///
    /// # Errors
    /// [`TextErrorKind::MissingKey`], [`TextErrorKind::WrongType`], [`TextErrorKind::Digest`].
    pub fn digest(&self, key: &str) -> Result<Digest384, TextError> {
        let text = self.text(key)?;
        text.parse()
            .map_err(|problem| self.error(key, TextErrorKind::Digest { key: key.to_owned(), problem }))
    }

    /// The time that a key has as its text.
    ///
    /// # Errors
    /// [`TextErrorKind::MissingKey`], [`TextErrorKind::WrongType`], [`TextErrorKind::Time`].
    pub fn time(&self, key: &str) -> Result<UnixTime, TextError> {
        let text = self.text(key)?;
        UnixTime::parse_rfc3339(text)
            .map_err(|problem| self.error(key, TextErrorKind::Time { key: key.to_owned(), problem }))
    }

    /// An error at the value of a key, for readers outside of this crate: the problem, then what to do.
    #[must_use]
    pub fn refuse(&self, key: &str, reason: &str) -> TextError {
        self.error(key, TextErrorKind::Refused { key: key.to_owned(), reason: reason.to_owned() })
    }

    pub(crate) fn error(&self, key: &str, kind: TextErrorKind) -> TextError {
        TextError::new(self.position_of(key), kind)
    }

    pub(crate) fn missing(&self, key: &str) -> TextError {
        TextError::new(self.position, TextErrorKind::MissingKey { key: key.to_owned() })
    }

    fn wrong_type(&self, key: &str, expected: &'static str, found: &Value) -> TextError {
        let found = found.description();
        self.error(key, TextErrorKind::WrongType { key: key.to_owned(), expected, found })
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.entries.len() == other.entries.len()
            && self
                .entries
                .iter()
                .zip(&other.entries)
                .all(|((key, entry), (other_key, other))| key == other_key && entry.value == other.value)
    }
}

impl Eq for Table {}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries.iter().map(|(key, entry)| (key, &entry.value))).finish()
    }
}

/// Checks that a key is `[a-z][a-z0-9_]{0,39}`.
pub(crate) fn check_key(key: &str, position: Position) -> Result<(), TextError> {
    let bytes = key.as_bytes();
    let first = bytes.first().is_some_and(u8::is_ascii_lowercase);
    let rest = bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if first && rest && bytes.len() <= 40 {
        Ok(())
    } else {
        Err(TextError::new(position, TextErrorKind::KeyForm { key: key.to_owned() }))
    }
}

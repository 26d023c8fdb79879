//! The one way in which generated objects are written.

use std::fmt::Write as _;

use crate::table::{Table, Value};
use crate::text::{MAX_LINE_BYTES, Position, TextError, TextErrorKind};

/// Characters of base64 on a line, as in PEM.
const BASE64_LINE: usize = 64;

/// A text object in the making.
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn new(kind: &str) -> Self {
        Self(format!("type = \"{kind}\"\n"))
    }

    /// A text that needs neither escapes nor several lines, as names, digests and words do not.
    pub(crate) fn word(&mut self, key: &str, value: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{key} = \"{value}\"");
    }

    pub(crate) fn number(&mut self, key: &str, value: u64) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    /// A text between `"""`, broken into lines.
    pub(crate) fn base64(&mut self, key: &str, base64: &str) {
        let _ = writeln!(self.0, "{key} = \"\"\"");
        let mut rest = base64;
        while let Some((line, tail)) = rest.split_at_checked(BASE64_LINE) {
            let _ = writeln!(self.0, "{line}");
            rest = tail;
        }
        if !rest.is_empty() {
            let _ = writeln!(self.0, "{rest}");
        }
        self.0.push_str("\"\"\"\n");
    }

    pub(crate) fn flag(&mut self, key: &str, value: bool) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    pub(crate) fn comment(&mut self, text: &str) {
        let _ = writeln!(self.0, "# {text}");
    }

    pub(crate) fn blank(&mut self) {
        self.0.push('\n');
    }

    /// A text on one line or, if it is too long for that, folded between `"""`; the reader of such a key drops the breaks.
    pub(crate) fn folded(&mut self, key: &str, value: &str) {
        if key.len() + value.len() + 5 <= MAX_LINE_BYTES {
            self.word(key, value);
        } else {
            self.base64(key, value);
        }
    }

    /// A list of texts.
    pub(crate) fn words<T: ToString>(&mut self, key: &str, words: &[T]) -> Result<(), TextError> {
        let items = words.iter().map(|word| Value::Text(word.to_string())).collect();
        let list = inline(key, &Value::List(items))?;
        let _ = writeln!(self.0, "{key} = {list}");
        Ok(())
    }

    /// `[[key]]` after an empty line.
    pub(crate) fn block(&mut self, key: &str) {
        let _ = write!(self.0, "\n[[{key}]]\n");
    }

    /// A table and the tables in it: keys ascending, tables last.
    pub(crate) fn table(&mut self, path: &str, table: &Table) -> Result<(), TextError> {
        let _ = write!(self.0, "\n[{path}]\n");
        self.entries(path, table)
    }

    fn entries(&mut self, path: &str, table: &Table) -> Result<(), TextError> {
        for (key, entry) in &table.entries {
            if !matches!(entry.value, Value::Table(_) | Value::Tables(_)) {
                let value = inline(key, &entry.value)?;
                let _ = writeln!(self.0, "{key} = {value}");
            }
        }
        for (key, entry) in &table.entries {
            let path = format!("{path}.{key}");
            match &entry.value {
                Value::Table(inner) => self.table(&path, inner)?,
                Value::Tables(inner) => {
                    if inner.is_empty() {
                        return Err(unwritable(key));
                    }
                    for inner in inner {
                        self.block(&path);
                        self.entries(&path, inner)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

fn unwritable(key: &str) -> TextError {
    TextError::new(Position::NONE, TextErrorKind::Unwritable { key: key.to_owned() })
}

fn inline(key: &str, value: &Value) -> Result<String, TextError> {
    let text = match value {
        Value::Text(text) => quote(text).ok_or_else(|| unwritable(key))?,
        Value::Integer(integer) => integer.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::List(items) => {
            if items.is_empty() {
                return Ok("[]".to_owned());
            }
            let mut text = "[\n".to_owned();
            for item in items {
                let item = match item {
                    Value::Text(text) if text.contains('\n') => return Err(unwritable(key)),
                    Value::Text(_) | Value::Integer(_) | Value::Flag(_) => inline(key, item)?,
                    _ => return Err(unwritable(key)),
                };
                let _ = writeln!(text, "  {item},");
            }
            text.push(']');
            text
        }
        Value::Table(_) | Value::Tables(_) => return Err(unwritable(key)),
    };
    // `KEY = ` stands before the first line.
    let mut limit = MAX_LINE_BYTES.saturating_sub(key.len() + 3);
    for line in text.split('\n') {
        if line.len() > limit {
            return Err(unwritable(key));
        }
        limit = MAX_LINE_BYTES;
    }
    Ok(text)
}

/// The first of `"…"`, `'…'`, `"""…"""` and `'''…'''` that can hold the text without escapes; one line if the text is one line.
fn quote(text: &str) -> Option<String> {
    if text.bytes().any(|byte| byte == b'\\' || !matches!(byte, b'\n' | 0x20..=0x7E)) {
        return None;
    }
    let one_line = !text.contains('\n');
    if one_line && !text.contains('"') {
        Some(format!("\"{text}\""))
    } else if one_line && !text.contains('\'') {
        Some(format!("'{text}'"))
    } else if !text.contains("\"\"\"") && !text.ends_with('"') {
        Some(format!("\"\"\"\n{text}\"\"\""))
    } else if !text.contains("'''") && !text.ends_with('\'') {
        Some(format!("'''\n{text}'''"))
    } else {
        None
    }
}

/// Finds the first byte in which a file differs from how it would be generated.
pub(crate) fn require_canonical(found: &[u8], generated: &[u8]) -> Result<(), TextError> {
    if found == generated {
        return Ok(());
    }
    let same = found.iter().zip(generated).take_while(|(a, b)| a == b).count();
    let before = found.get(..same).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Err(TextError::new(Position::new(number(line), number(column)), TextErrorKind::NotCanonical))
}

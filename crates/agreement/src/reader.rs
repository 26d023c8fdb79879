//! The strict reader of text objects: bytes and lines first, then TOML by `toml_parser`'s events, restricted.
//!
//! `toml_parser` is the grammar under `toml_edit`; it gives every token with its place. What it accepts beyond TOML 1.0 (it
//! follows 1.1) needs backslashes, inline tables or bare times, none of which pass here, so that every text accepted
//! here is TOML 1.0 and means the same to every TOML reader (a test compares with `toml_edit`).

use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::parser::{Event, EventKind, EventReceiver, parse_document};
use toml_parser::{ErrorSink, ParseError, Source, Span};

use crate::table::{Entry, Table, Value, check_key};
use crate::text::{MAX_LINE_BYTES, MAX_TEXT_BYTES, Position, TextError, TextErrorKind};

/// The most parts of a table header; `analysis.parameters.lot` has three.
const MAX_DEPTH: usize = 4;

/// Reads a text object whose first line must be `type = "KIND"`. The table returned has no `type` key any more.
pub(crate) fn read(bytes: &[u8], kind: &'static str) -> Result<Table, TextError> {
    let (text, lines) = Lines::check(bytes)?;
    let first = text.lines().next().unwrap_or_default();
    if first.strip_prefix("type = \"").and_then(|rest| rest.strip_suffix('"')) != Some(kind) {
        return Err(TextError::new(Position::START, TextErrorKind::FirstLine { expected: kind }));
    }
    let mut table = Builder { source: Source::new(text), lines: &lines }.build()?;
    table.entries.remove("type");
    Ok(table)
}

/// Where each line starts.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    /// PROTOCOL §0: bytes 0x20–0x7E and LF; no BOM, CR, tab or backslash; ends in one LF; at most 256 KiB and 200 bytes a line.
    fn check(bytes: &[u8]) -> Result<(&str, Self), TextError> {
        let start = |kind| Err(TextError::new(Position::START, kind));
        if bytes.len() > MAX_TEXT_BYTES {
            return start(TextErrorKind::TooLarge { found: bytes.len() });
        }
        if bytes.is_empty() {
            return start(TextErrorKind::Empty);
        }
        if bytes.starts_with(b"\xEF\xBB\xBF")
            || bytes.starts_with(b"\xFE\xFF")
            || bytes.starts_with(b"\xFF\xFE")
        {
            return start(TextErrorKind::ByteOrderMark);
        }
        let mut starts = vec![0];
        for (offset, byte) in bytes.iter().enumerate() {
            if *byte == b'\n' {
                starts.push(offset + 1);
            }
        }
        let lines = Self { starts };
        for (offset, byte) in bytes.iter().copied().enumerate() {
            let kind = match byte {
                b'\\' => TextErrorKind::Backslash,
                b'\n' | 0x20..=0x7E => continue,
                b'\r' => TextErrorKind::CarriageReturn,
                b'\t' => TextErrorKind::Tab,
                byte => TextErrorKind::ByteNotAllowed { byte },
            };
            return Err(lines.error(offset, kind));
        }
        for pair in lines.starts.windows(2) {
            let found = pair[1] - pair[0] - 1;
            if found > MAX_LINE_BYTES {
                return Err(lines.error(pair[0] + MAX_LINE_BYTES, TextErrorKind::LineTooLong { found }));
            }
        }
        let last = bytes.len() - 1;
        if bytes[last] != b'\n' {
            return Err(lines.error(last, TextErrorKind::NoFinalNewline));
        }
        if bytes.ends_with(b"\n\n") || bytes == b"\n" {
            return Err(lines.error(last, TextErrorKind::BlankEnd));
        }
        // Printable ASCII and LF are UTF-8, so this cannot fail; if it did, the first byte would be as good a place as any.
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok((text, lines)),
            Err(_) => start(TextErrorKind::ByteNotAllowed { byte: bytes[0] }),
        }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index)).copied().unwrap_or_default();
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Position::new(number(line), number(offset - start + 1))
    }

    fn line_start(&self, offset: usize) -> usize {
        let line = self.starts.partition_point(|start| *start <= offset);
        line.checked_sub(1).and_then(|index| self.starts.get(index)).copied().unwrap_or_default()
    }

    fn error(&self, offset: usize, kind: TextErrorKind) -> TextError {
        TextError::new(self.position(offset), kind)
    }
}

/// Takes events, and refuses to enter what is not allowed, so that nesting can exhaust no stack.
struct Events<'a> {
    events: Vec<Event>,
    list_depth: usize,
    source: Source<'a>,
    refused: Option<(usize, TextErrorKind)>,
}

impl Events<'_> {
    fn push(&mut self, kind: EventKind, encoding: Option<Encoding>, span: Span) {
        self.events.push(Event::new_unchecked(kind, encoding, span));
    }

    fn refuse(&mut self, span: Span, kind: TextErrorKind) {
        self.refused.get_or_insert((span.start(), kind));
    }
}

impl EventReceiver for Events<'_> {
    fn std_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.push(EventKind::StdTableOpen, None, span);
    }
    fn std_table_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.push(EventKind::StdTableClose, None, span);
    }
    fn array_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.push(EventKind::ArrayTableOpen, None, span);
    }
    fn array_table_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.push(EventKind::ArrayTableClose, None, span);
    }
    fn inline_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.refuse(span, TextErrorKind::InlineTable);
        false
    }
    fn array_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        if self.list_depth > 0 {
            self.refuse(span, TextErrorKind::NestedList);
            return false;
        }
        self.list_depth += 1;
        self.push(EventKind::ArrayOpen, None, span);
        true
    }
    fn array_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.list_depth = self.list_depth.saturating_sub(1);
        self.push(EventKind::ArrayClose, None, span);
    }
    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, _: &mut dyn ErrorSink) {
        if encoding.is_some() {
            self.refuse(span, TextErrorKind::QuotedKey);
        }
        self.push(EventKind::SimpleKey, encoding, span);
    }
    fn key_sep(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.push(EventKind::KeySep, None, span);
    }
    fn key_val_sep(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.push(EventKind::KeyValSep, None, span);
    }
    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, _: &mut dyn ErrorSink) {
        self.push(EventKind::Scalar, encoding, span);
    }
    fn comment(&mut self, span: Span, _: &mut dyn ErrorSink) {
        let before = self.source.input().get(..span.start()).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        if line.bytes().any(|byte| byte != b' ') {
            self.refuse(span, TextErrorKind::TrailingComment);
        }
    }
    fn error(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.push(EventKind::Error, None, span);
    }
}

struct Builder<'a> {
    source: Source<'a>,
    lines: &'a Lines,
}

impl Builder<'_> {
    fn build(&self) -> Result<Table, TextError> {
        let tokens = self.source.lex().into_vec();
        let mut receiver = Events { events: Vec::new(), list_depth: 0, source: self.source, refused: None };
        let mut problem: Option<ParseError> = None;
        parse_document(&tokens, &mut receiver, &mut problem);
        drop(tokens);
        let refused = receiver.refused;
        if let Some(problem) = problem {
            let offset = self.offset_of(&problem);
            return Err(match refused {
                Some((place, kind)) if place <= offset => self.lines.error(place, kind),
                _ => self.syntax(&problem),
            });
        }
        if let Some((offset, kind)) = refused {
            return Err(self.lines.error(offset, kind));
        }
        self.tables(&receiver.events)
    }

    fn tables(&self, events: &[Event]) -> Result<Table, TextError> {
        let mut root = Table::at(Position::START);
        let mut current = &mut root;
        let mut events = events.iter();
        while let Some(event) = events.next() {
            match event.kind() {
                EventKind::StdTableOpen => {
                    let path = self.header(&mut events, EventKind::StdTableClose)?;
                    current = open(&mut root, &path, Header::One, self.place(event))?;
                }
                EventKind::ArrayTableOpen => {
                    let path = self.header(&mut events, EventKind::ArrayTableClose)?;
                    current = open(&mut root, &path, Header::Many, self.place(event))?;
                }
                EventKind::SimpleKey => {
                    let (key, key_place) = self.key(event)?;
                    match events.next().map(Event::kind) {
                        Some(EventKind::KeyValSep) => {}
                        Some(EventKind::KeySep) => {
                            return Err(TextError::new(key_place, TextErrorKind::DottedKey));
                        }
                        _ => return Err(self.unexpected(event)),
                    }
                    let (value, place, items) = self.value(&mut events, event)?;
                    if let Some(first) = current.entries.get(&key) {
                        return Err(duplicate(key, key_place, first.key));
                    }
                    current.entries.insert(key, Entry { key: key_place, place, items, value });
                }
                _ => return Err(self.unexpected(event)),
            }
        }
        Ok(root)
    }

    fn header(
        &self,
        events: &mut std::slice::Iter<'_, Event>,
        close: EventKind,
    ) -> Result<Vec<(String, Position)>, TextError> {
        let mut path = Vec::new();
        for event in events.by_ref() {
            match event.kind() {
                EventKind::SimpleKey if path.len() == MAX_DEPTH => {
                    return Err(TextError::new(
                        self.place(event),
                        TextErrorKind::TooDeep { limit: MAX_DEPTH },
                    ));
                }
                EventKind::SimpleKey => path.push(self.key(event)?),
                EventKind::KeySep => {}
                kind if kind == close => return Ok(path),
                _ => return Err(self.unexpected(event)),
            }
        }
        Ok(path)
    }

    fn key(&self, event: &Event) -> Result<(String, Position), TextError> {
        let place = self.place(event);
        let text = self.source.get(event).map(|raw| raw.as_str()).unwrap_or_default();
        check_key(text, place)?;
        Ok((text.to_owned(), place))
    }

    fn value(
        &self,
        events: &mut std::slice::Iter<'_, Event>,
        key: &Event,
    ) -> Result<(Value, Position, Vec<Position>), TextError> {
        let Some(event) = events.next() else { return Err(self.unexpected(key)) };
        match event.kind() {
            EventKind::Scalar => Ok((self.scalar(event)?, self.place(event), Vec::new())),
            EventKind::ArrayOpen => {
                let mut list: Vec<Value> = Vec::new();
                let mut places = Vec::new();
                for item in events.by_ref() {
                    match item.kind() {
                        EventKind::ArrayClose => {
                            return Ok((Value::List(list), self.place(event), places));
                        }
                        EventKind::Scalar => {
                            let value = self.scalar(item)?;
                            let same = |first: &Value| {
                                std::mem::discriminant(first) == std::mem::discriminant(&value)
                            };
                            if !list.first().is_none_or(same) {
                                return Err(TextError::new(self.place(item), TextErrorKind::MixedList));
                            }
                            list.push(value);
                            places.push(self.place(item));
                        }
                        _ => return Err(self.unexpected(item)),
                    }
                }
                Err(self.unexpected(event))
            }
            _ => Err(self.unexpected(event)),
        }
    }

    fn scalar(&self, event: &Event) -> Result<Value, TextError> {
        let Some(raw) = self.source.get(event) else { return Err(self.unexpected(event)) };
        let mut text = String::new();
        let mut problem: Option<ParseError> = None;
        let kind = raw.decode_scalar(&mut text, &mut problem);
        if let Some(problem) = problem {
            return Err(self.syntax(&problem));
        }
        match kind {
            ScalarKind::String => Ok(Value::Text(text)),
            ScalarKind::Boolean(flag) => Ok(Value::Flag(flag)),
            ScalarKind::Integer(radix) => i64::from_str_radix(&text, radix.value())
                .map(Value::Integer)
                .map_err(|_| TextError::new(self.place(event), TextErrorKind::IntegerRange)),
            ScalarKind::Float => Err(TextError::new(self.place(event), TextErrorKind::Float)),
            ScalarKind::DateTime => Err(TextError::new(self.place(event), TextErrorKind::DateTime)),
        }
    }

    fn place(&self, event: &Event) -> Position {
        self.lines.position(event.span().start())
    }

    fn unexpected(&self, event: &Event) -> TextError {
        let problem = format!("unexpected {}", event.kind().description());
        TextError::new(self.place(event), TextErrorKind::Syntax { problem })
    }

    fn offset_of(&self, problem: &ParseError) -> usize {
        let span = problem.unexpected().or_else(|| problem.context());
        // The parser reports what is missing at the end of the text as a place behind it.
        span.map_or(0, |span| span.start()).min(self.source.input().len().saturating_sub(1))
    }

    fn syntax(&self, problem: &ParseError) -> TextError {
        let offset = self.offset_of(problem);
        let position = Position::new(
            self.lines.position(offset).line(),
            u32::try_from(offset - self.lines.line_start(offset) + 1).unwrap_or(u32::MAX),
        );
        TextError::new(position, TextErrorKind::Syntax { problem: problem.description().to_owned() })
    }
}

#[derive(Clone, Copy)]
enum Header {
    /// `[path]`
    One,
    /// `[[path]]`
    Many,
}

/// Finds or makes the table that a header opens, by the rules of TOML 1.0.
fn open<'t>(
    root: &'t mut Table,
    path: &[(String, Position)],
    header: Header,
    place: Position,
) -> Result<&'t mut Table, TextError> {
    let mut table = root;
    let Some(((last, last_place), parents)) = path.split_last() else {
        return Err(TextError::new(place, TextErrorKind::KeyForm { key: String::new() }));
    };
    for (key, key_place) in parents {
        let entry = table.entries.entry(key.clone()).or_insert_with(|| {
            let implied = Table { headed: false, ..Table::at(place) };
            Entry { key: *key_place, place, items: Vec::new(), value: Value::Table(implied) }
        });
        let first = entry.key;
        table = match &mut entry.value {
            Value::Table(inner) => inner,
            Value::Tables(inner) => match inner.last_mut() {
                Some(inner) => inner,
                None => return Err(duplicate(key.clone(), *key_place, first)),
            },
            _ => return Err(duplicate(key.clone(), *key_place, first)),
        };
    }
    let fresh = |value| Entry { key: *last_place, place, items: Vec::new(), value };
    let error = |first| Err(duplicate(last.clone(), *last_place, first));
    match header {
        Header::One => {
            let entry = table
                .entries
                .entry(last.clone())
                .or_insert_with(|| fresh(Value::Table(Table { headed: false, ..Table::at(place) })));
            let first = entry.key;
            match &mut entry.value {
                Value::Table(inner) if !inner.headed => {
                    inner.headed = true;
                    inner.position = place;
                    Ok(inner)
                }
                _ => error(first),
            }
        }
        Header::Many => {
            let entry = table.entries.entry(last.clone()).or_insert_with(|| fresh(Value::Tables(Vec::new())));
            let first = entry.key;
            match &mut entry.value {
                Value::Tables(inner) => {
                    inner.push(Table::at(place));
                    inner.last_mut().map_or_else(|| error(first), Ok)
                }
                _ => error(first),
            }
        }
    }
}

fn duplicate(key: String, place: Position, first: Position) -> TextError {
    TextError::new(place, TextErrorKind::DuplicateKey { key, first: first.line() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "entente/test/v1";

    /// Whether toml_edit reads the same; `first` is the key that only toml_edit still has.
    fn same(table: &Table, other: &toml_edit::Table, first: &str) -> bool {
        let known: Vec<&str> = other.iter().map(|(key, _)| key).filter(|key| *key != first).collect();
        known.len() == table.len()
            && known.iter().all(|key| match (table.value(key), other.get(key)) {
                (Some(Value::Table(inner)), Some(toml_edit::Item::Table(item))) => same(inner, item, ""),
                (Some(Value::Tables(inner)), Some(toml_edit::Item::ArrayOfTables(items))) => {
                    inner.len() == items.len() && inner.iter().zip(items.iter()).all(|(a, b)| same(a, b, ""))
                }
                (Some(value), Some(toml_edit::Item::Value(item))) => same_value(value, item),
                _ => false,
            })
    }

    fn same_value(value: &Value, item: &toml_edit::Value) -> bool {
        match value {
            Value::Text(text) => item.as_str() == Some(text),
            Value::Integer(integer) => item.as_integer() == Some(*integer),
            Value::Flag(flag) => item.as_bool() == Some(*flag),
            Value::List(items) => item.as_array().is_some_and(|array| {
                array.len() == items.len() && items.iter().zip(array.iter()).all(|(a, b)| same_value(a, b))
            }),
            Value::Table(_) | Value::Tables(_) => false,
        }
    }

    /// Texts put together from lines that fit and lines that do not: what is read here is read by `toml_edit` as the same, and
    /// what it refuses is refused here.
    #[test]
    fn reads_as_toml_edit_does() {
        const LINES: &[&str] = &[
            "a = 1",
            "a = -0x1",
            "b = 0x1F",
            "b = 0o17",
            "b = 0b101",
            "b = 1_000",
            "b = +5",
            "b = -9223372036854775808",
            "c = \"text\"",
            "c = 'it\"s'",
            "c = \"\"\"",
            "d\"\"\"",
            "c = '''",
            "'''",
            "d = true",
            "d = false",
            "e = [1, 2]",
            "e = [",
            "  1,",
            "  2",
            "]",
            "e = [\"x\",]",
            "e = []",
            "# comment",
            "  # comment",
            "",
            " ",
            "[a]",
            "[b]",
            "[b.c]",
            "[b.c.d]",
            "[[b]]",
            "[[c]]",
            "[[c.d]]",
            "[c.e]",
            "[ b . c ]",
            "a = 1 ",
            " a = 2",
            "a.b = 1",
            "f = 1.5",
            "f = inf",
            "f = 1979-05-27",
            "f = 07:32:00",
            "g = { x = 1 }",
            "h",
            "= 1",
            "i = ",
            "j = 1 2",
            "k = \"\"",
            "k = \"\"\"\"\"\"",
            "l = \"\"\"a\"b\"\"\"",
            "m = 01",
            "n = TRUE",
            "[]",
            "[a",
            "a]",
            "o = [1, \"x\"]",
            "p = [[1]]",
            "a-b = 1",
            "1 = 1",
            "type = \"again\"",
            "[type]",
            "x = \"\"\"a\"\"\"\"",
            "y = ''''a'''",
            "z = 1__0",
            "z = _1",
            "z = 1_",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 16).unwrap() % bound
        };
        let mut taken = 0;
        for _ in 0..20_000 {
            let mut text = format!("type = \"{KIND}\"\n");
            for _ in 0..=below(5) {
                text.push_str(LINES[below(LINES.len())]);
                text.push('\n');
            }
            let ours = read(text.as_bytes(), KIND);
            let theirs = text.parse::<toml_edit::DocumentMut>();
            match (ours, theirs) {
                (Ok(ours), Ok(theirs)) => {
                    assert!(same(&ours, theirs.as_table(), "type"), "{text}\n{ours:?}");
                    taken += 1;
                }
                (Ok(ours), Err(error)) => {
                    panic!("toml_edit refuses what we take:\n{text}\n{ours:?}\n{error}")
                }
                (Err(_), _) => {}
            }
        }
        assert!(taken > 1000, "only {taken} were taken");
    }
}

//! What a command prints, and the exit code that follows from it.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Map, Value};

/// Sentences for people or one object for programs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// What a command found out: decides between exit codes 0 and 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Done; where there was something to judge, it is good.
    Good,
    /// The answer is no; it was printed.
    Bad,
}

/// A command was not used as it can be: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misuse(pub(crate) String);

/// Where everything that a command says goes through.
///
/// Text is written as it comes. Facts are collected and printed as one JSON object at the end when that format was asked for.
pub(crate) struct Output {
    format: Format,
    facts: Map<String, Value>,
    closed: bool,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, facts: Map::new(), closed: false }
    }

    /// A line for people.
    pub(crate) fn line(&mut self, line: impl Display) {
        if self.format == Format::Text {
            self.write(format!("{line}\n").as_bytes());
        }
    }

    /// A fact for programs.
    pub(crate) fn fact(&mut self, name: &str, value: impl Serialize) {
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        self.facts.insert(name.to_owned(), value);
    }

    /// Bytes that are the product itself (a completion script, a rendered policy), in either format.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.write(bytes);
    }

    /// Print what is left and turn the outcome into an exit code.
    pub(crate) fn finish(mut self, done: anyhow::Result<Verdict>) -> ExitCode {
        let code = match &done {
            Ok(Verdict::Good) => 0,
            Ok(Verdict::Bad) => 1,
            Err(error) if error.is::<Misuse>() => 2,
            Err(_) => 1,
        };
        if let Err(error) = done {
            if self.format == Format::Json {
                self.fact("error", format!("{error:#}"));
            }
            let _ = writeln!(io::stderr(), "entente: {error:#}");
        }
        if self.format == Format::Json && !self.facts.is_empty() {
            let facts = Value::Object(std::mem::take(&mut self.facts));
            self.write(format!("{facts:#}\n").as_bytes());
        }
        ExitCode::from(code)
    }

    /// A reader that went away (`| head`) is no error.
    fn write(&mut self, bytes: &[u8]) {
        if !self.closed {
            let mut out = io::stdout().lock();
            self.closed = out.write_all(bytes).and_then(|()| out.flush()).is_err();
        }
    }
}

/// Lower-case hex, for people and JSON alike.
pub(crate) fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

//! Requests.

use std::fmt;

use entente_attestation::Digest384;

use crate::name::Name;
use crate::reader;
use crate::render::{Text, require_canonical};
use crate::table::Table;
use crate::text::TextError;

/// What a [`Request`] says. Every field is required; plain data, checked by [`Request::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTerms {
    /// The digest of the agreement.
    pub agreement: Digest384,
    /// The digest of the input set that it runs on.
    pub inputs: Digest384,
    /// The analysis.
    pub analysis: Name,
    /// Who asks, and signs.
    pub runner: Name,
    /// The runner's number of it, from 1: equal questions asked twice are two requests.
    pub number: u64,
    /// The query or parameter values; their meaning is the analysis's.
    pub parameters: Table,
}

/// A request: one question to an analysis that takes questions (PROTOCOL §3).
///
/// A generated object: its bytes are the only ones for its terms.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    bytes: Box<[u8]>,
    digest: Digest384,
    terms: RequestTerms,
}

impl Request {
    /// The first line's type.
    pub const TYPE: &'static str = "entente/request/v1";

    /// The largest number.
    pub const MAX_NUMBER: u64 = i64::MAX.unsigned_abs();

    /// Makes the request of some terms.
    ///
    /// # Errors
    /// A number outside of 1 to [`Request::MAX_NUMBER`], or parameters that cannot be written.
    pub fn new(terms: &RequestTerms) -> Result<Self, TextError> {
        Self::parse(&render(terms)?)
    }

    /// Reads a request. The bytes must be exactly those that [`Request::new`] makes.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and column.
    pub fn parse(bytes: &[u8]) -> Result<Self, TextError> {
        let table = reader::read(bytes, Self::TYPE)?;
        table.only(&["agreement", "inputs", "analysis", "runner", "number", "parameters"])?;
        let terms = RequestTerms {
            agreement: table.digest("agreement")?,
            inputs: table.digest("inputs")?,
            analysis: table.name("analysis")?,
            runner: table.name("runner")?,
            number: table.unsigned("number", 1..=Self::MAX_NUMBER)?,
            parameters: table.table("parameters")?.clone(),
        };
        require_canonical(bytes, &render(&terms)?)?;
        Ok(Self { bytes: bytes.into(), digest: Digest384::of(bytes), terms })
    }

    /// The exact bytes, which the runner signs.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-384 of the bytes.
    #[must_use]
    pub const fn digest(&self) -> Digest384 {
        self.digest
    }

    /// The digest of the agreement.
    #[must_use]
    pub const fn agreement(&self) -> Digest384 {
        self.terms.agreement
    }

    /// The digest of the input set.
    #[must_use]
    pub const fn inputs(&self) -> Digest384 {
        self.terms.inputs
    }

    /// The analysis.
    #[must_use]
    pub const fn analysis(&self) -> &Name {
        &self.terms.analysis
    }

    /// Who asks.
    #[must_use]
    pub const fn runner(&self) -> &Name {
        &self.terms.runner
    }

    /// The runner's number of it, from 1.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.terms.number
    }

    /// The query or parameter values.
    #[must_use]
    pub const fn parameters(&self) -> &Table {
        &self.terms.parameters
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("digest", &self.digest).finish_non_exhaustive()
    }
}

fn render(terms: &RequestTerms) -> Result<Vec<u8>, TextError> {
    let mut text = Text::new(Request::TYPE);
    text.word("agreement", terms.agreement);
    text.word("inputs", terms.inputs);
    text.word("analysis", &terms.analysis);
    text.word("runner", &terms.runner);
    text.number("number", terms.number);
    text.table("parameters", &terms.parameters)?;
    Ok(text.finish())
}

//! What is wrong with an analysis in an agreement.

use core::fmt;

use entente_agreement::{Name, Position, TextError, TextErrorKind};

/// An agreement's analysis that cannot be run as written: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterError {
    /// Line and column in the agreement's text. [`Position::NONE`] where the problem names a dataset or an output: find it by its name.
    pub position: Position,
    /// What is wrong there.
    pub problem: ParameterProblem,
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.position != Position::NONE {
            write!(f, "{}: ", self.position)?;
        }
        write!(f, "{}", self.problem)
    }
}

impl std::error::Error for ParameterError {}

impl From<TextError> for ParameterError {
    fn from(error: TextError) -> Self {
        Self { position: error.position(), problem: ParameterProblem::Text(error.kind().clone()) }
    }
}

/// What is wrong with an analysis' parameters, disclosure rules, datasets or outputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterProblem {
    /// The analysis is not of the kind that this program computes.
    #[error(
        "analysis `{name}` is not of the kind `{kind}`: its name must be `{kind}` or start with `{kind}-`"
    )]
    OtherKind {
        /// The analysis' name.
        name: Name,
        /// The kind that is compiled in.
        kind: &'static str,
    },
    /// A key is missing, unknown or of another type.
    #[error("{0}")]
    Text(TextErrorKind),
    /// A value that is not among those allowed.
    #[error("`{key}` is `{found}`, expected {expected}")]
    Value {
        /// The key.
        key: String,
        /// The value found.
        found: String,
        /// What may stand there.
        expected: String,
    },
    /// Two entries of a list that must differ are equal.
    #[error("`{key}` `{value}` appears twice")]
    Duplicate {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// A key that only makes sense with another value of a second one.
    #[error("`{key}` does not go with {with}")]
    Conflict {
        /// The key.
        key: String,
        /// What it does not go with.
        with: String,
    },
    /// A name of a party that the agreement does not define.
    #[error("`{key}` names `{name}`, which is no party of the agreement")]
    UnknownParty {
        /// The key.
        key: String,
        /// The name found.
        name: String,
    },
    /// A dataset that the analysis does not list.
    #[error("`{key}` names `{name}`, which is no dataset of this analysis")]
    UnknownDataset {
        /// The key.
        key: String,
        /// The name found.
        name: String,
    },
    /// A dataset whose owner, format or columns do not fit its part.
    #[error("dataset `{dataset}` {problem}")]
    Dataset {
        /// The dataset.
        dataset: Name,
        /// What does not fit, as the rest of a sentence.
        problem: String,
    },
    /// An output that the analysis does not have.
    #[error("there is no output `{output}`: this analysis has {known}")]
    UnknownOutput {
        /// The output.
        output: Name,
        /// The outputs that there are.
        known: String,
    },
    /// An output goes to a party that it is not meant for, or to one twice.
    #[error("output `{output}` for `{recipient}` {problem}")]
    Recipient {
        /// The output.
        output: Name,
        /// The recipient.
        recipient: Name,
        /// What is wrong, as the rest of a sentence.
        problem: String,
    },
    /// A party that must get an output gets none.
    #[error("there is no output `{output}` for `{recipient}`: add an [[analysis.output]]")]
    MissingOutput {
        /// The output.
        output: &'static str,
        /// The recipient.
        recipient: Name,
    },
    /// An output that cannot hold what it must.
    #[error("output `{output}` for `{recipient}` has {bytes} bytes and may need {needed}: raise `bytes`")]
    OutputTooSmall {
        /// The output.
        output: Name,
        /// The recipient.
        recipient: Name,
        /// Its agreed size.
        bytes: u64,
        /// The size that it may need.
        needed: u64,
    },
}

impl ParameterProblem {
    /// This problem, at `position`.
    #[must_use]
    pub fn at(self, position: Position) -> ParameterError {
        ParameterError { position, problem: self }
    }
}

//! Key policies: the part of the IAM policy language that AWS KMS key policies use, read strictly and judged as AWS judges.
//!
//! The same text must mean the same here and at AWS; where AWS leaves something open, the reading that releases less is taken, and what nobody
//! can have meant (unknown elements, operators, condition keys, a member twice) is refused when the policy is read.
//!
//! # Differences from AWS
//! * There are no identity policies. "Allow" for an account therefore means its root user alone.
//! * A condition without set operator on a key that holds a set is refused.
//! * Resource and service control policies, session policies and permission boundaries do not exist.

mod condition;
mod condition_key;
mod json;
mod pattern;
mod principal;
mod request;
mod statement;

pub use condition_key::{ConditionKey, UnknownConditionKey};
pub use principal::{PrincipalArn, PrincipalError};
pub use request::{AccessRequest, Action, AttestedRegisters, Transport};
pub use statement::{Effect, PolicyFault, Statement};

use json::Json;
use pattern::Variables;

/// Bytes in a key policy: AWS KMS quotas, "Key policy document size".
pub const MAX_POLICY: usize = 32_768;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// 2008-10-17, also when no version is written: `${…}` is text.
    Old,
    /// 2012-10-17.
    Current,
}

/// A key policy.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyPolicy {
    version: Version,
    id: Option<String>,
    statements: Vec<Statement>,
}

/// Why a text is not a key policy: what AWS calls MalformedPolicyDocumentException.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    statement: Option<usize>,
    fault: PolicyFault,
}

impl PolicyError {
    /// The statement at fault, counted from 0; none if it is the document.
    #[must_use]
    pub const fn statement(&self) -> Option<usize> {
        self.statement
    }

    /// What is wrong.
    #[must_use]
    pub const fn fault(&self) -> &PolicyFault {
        &self.fault
    }

    const fn document(fault: PolicyFault) -> Self {
        Self { statement: None, fault }
    }
}

impl std::fmt::Display for PolicyError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.statement {
            Some(index) => write!(formatter, "statement {}: {}", index.saturating_add(1), self.fault),
            None => self.fault.fmt(formatter),
        }
    }
}

impl std::error::Error for PolicyError {}

impl KeyPolicy {
    /// Reads a policy document.
    ///
    /// # Errors
    /// [`PolicyError`] with the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY {
            return Err(PolicyError::document(PolicyFault::TooLong { length: text.len() }));
        }
        let json = Json::parse(text)
            .map_err(|error| PolicyError::document(PolicyFault::Json { message: error.to_string() }))?;
        let wrong = |element| PolicyError::document(PolicyFault::WrongType { element });
        let Json::Object(members) = json else { return Err(wrong("policy document")) };
        let (mut version, mut id, mut body) = (Version::Old, None, None);
        for (name, value) in members {
            match (name.as_str(), value) {
                ("Version", Json::Text(text)) => {
                    version = match text.as_str() {
                        "2012-10-17" => Version::Current,
                        "2008-10-17" => Version::Old,
                        _ => return Err(PolicyError::document(PolicyFault::Version { text })),
                    }
                }
                ("Version", _) => return Err(wrong("Version")),
                ("Id", Json::Text(text)) => id = Some(text),
                ("Id", _) => return Err(wrong("Id")),
                ("Statement", Json::List(items)) if !items.is_empty() => body = Some(items),
                ("Statement", single @ Json::Object(_)) => body = Some(vec![single]),
                ("Statement", _) => return Err(wrong("Statement")),
                _ => return Err(PolicyError::document(PolicyFault::UnknownElement { name })),
            }
        }
        let body = body.ok_or(PolicyError::document(PolicyFault::Missing { element: "Statement" }))?;
        let variables = match version {
            Version::Old => Variables::Literal,
            Version::Current => Variables::Active,
        };
        let statements = body
            .iter()
            .enumerate()
            .map(|(index, json)| {
                Statement::parse(json, variables)
                    .map_err(|fault| PolicyError { statement: Some(index), fault })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { version, id, statements })
    }

    /// The statements, in order.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    pub(crate) const fn of_statements(statements: Vec<Statement>) -> Self {
        Self { version: Version::Current, id: None, statements }
    }

    pub(crate) fn replace_statements(&self, statements: Vec<Statement>) -> Self {
        Self { version: self.version, id: self.id.clone(), statements }
    }

    /// The policy as JSON without white space.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.as_json().write(&mut out);
        out
    }

    /// The policy as JSON for people.
    #[must_use]
    pub fn to_indented_json(&self) -> String {
        let mut out = String::new();
        self.as_json().write_indented(&mut out, 0);
        out.push('\n');
        out
    }

    fn as_json(&self) -> Json {
        let version = match self.version {
            Version::Old => "2008-10-17",
            Version::Current => "2012-10-17",
        };
        let mut members = vec![("Version".to_owned(), Json::text(version))];
        if let Some(id) = &self.id {
            members.push(("Id".to_owned(), Json::text(id)));
        }
        let statements = self.statements.iter().map(Statement::to_json).collect();
        members.push(("Statement".to_owned(), Json::List(statements)));
        Json::Object(members)
    }

    /// Judges a request: an explicit Deny wins, then an Allow, and what no statement allows is denied.
    pub fn evaluate(&self, request: &AccessRequest) -> Decision {
        let first = |effect: Effect| {
            self.statements
                .iter()
                .enumerate()
                .find(|(_, statement)| statement.effect() == effect && statement.applies(request))
                .map(|(index, statement)| DecidingStatement {
                    index,
                    sid: statement.sid().map(str::to_owned),
                })
        };
        if let Some(statement) = first(Effect::Deny) {
            return Decision { verdict: Verdict::DeniedExplicitly, statement: Some(statement) };
        }
        match first(Effect::Allow) {
            Some(statement) => Decision { verdict: Verdict::Allowed, statement: Some(statement) },
            None => Decision { verdict: Verdict::DeniedByDefault, statement: None },
        }
    }
}

/// What a policy says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A statement allows it and none denies it.
    Allowed,
    /// A statement denies it.
    DeniedExplicitly,
    /// No statement applies.
    DeniedByDefault,
}

/// A verdict and the statement that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    verdict: Verdict,
    statement: Option<DecidingStatement>,
}

impl Decision {
    /// The verdict.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The first statement that decided; none where the default did.
    #[must_use]
    pub const fn statement(&self) -> Option<&DecidingStatement> {
        self.statement.as_ref()
    }
}

/// Which statement decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidingStatement {
    index: usize,
    sid: Option<String>,
}

impl DecidingStatement {
    /// Its place in the policy, from 0.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Its `Sid`, if it has one.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }
}

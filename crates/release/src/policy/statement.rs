//! Statements and what is wrong with them.

use super::condition::{Condition, Operator};
use super::json::Json;
use super::pattern::{ArnPattern, Pattern, Variables, Wildcards};
use super::principal::{Entry, PrincipalArn, Principals, one_or_list};
use super::request::{AccessRequest, Action, Facts};

/// What a statement does to a request that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Lets it pass if nothing denies it.
    Allow,
    /// Refuses it, whatever else is said.
    Deny,
}

/// What is wrong with a policy or statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyFault {
    /// More bytes than AWS KMS takes.
    #[error("{length} bytes; a key policy has at most 32768")]
    TooLong {
        /// Bytes of the document.
        length: usize,
    },
    /// Not JSON, or JSON with a member twice.
    #[error("not a JSON document: {message}")]
    Json {
        /// What the reader says, with line and column.
        message: String,
    },
    /// A member that the policy language does not have.
    #[error("unknown element {name:?}")]
    UnknownElement {
        /// Its name.
        name: String,
    },
    /// An element that must be there.
    #[error("the element {element} is missing")]
    Missing {
        /// Its name.
        element: &'static str,
    },
    /// An element that may not stand beside another.
    #[error("{element} and Not{element} cannot both be there")]
    Both {
        /// The name without "Not".
        element: &'static str,
    },
    /// An element whose value has the wrong type, or is empty.
    #[error("the element {element} has a value of a type that it cannot have, or none")]
    WrongType {
        /// Its name.
        element: &'static str,
    },
    /// A version that does not exist.
    #[error("the version {text:?} is neither 2012-10-17 nor 2008-10-17")]
    Version {
        /// What is there.
        text: String,
    },
    /// An effect that does not exist.
    #[error("the effect {text:?} is neither Allow nor Deny")]
    Effect {
        /// What is there.
        text: String,
    },
    /// Somebody who cannot be named like this.
    #[error("{kind} principal {name:?} is not a form that names somebody")]
    Principal {
        /// The kind, such as `AWS`.
        kind: String,
        /// The name.
        name: String,
    },
    /// `NotPrincipal` with `Allow`, which would let in the whole world but one.
    #[error("NotPrincipal may stand with Deny only")]
    NotPrincipalAllows,
    /// An action that is not `SERVICE:NAME` or `*`.
    #[error("{text:?} is not an action")]
    Action {
        /// What is there.
        text: String,
    },
    /// A resource that is neither `*` nor an ARN.
    #[error("{text:?} is neither * nor an ARN")]
    Resource {
        /// What is there.
        text: String,
    },
    /// An operator that does not exist.
    #[error("unknown condition operator {name:?}")]
    UnknownOperator {
        /// Its name.
        name: String,
    },
    /// A condition key that AWS does not document.
    #[error("unknown condition key {name:?}")]
    UnknownConditionKey {
        /// Its name.
        name: String,
    },
    /// A key that holds a set of values, asked for as if it held one.
    #[error("{key} holds a set of values: ForAnyValue: or ForAllValues: must say how many of them count")]
    SetOperatorNeeded {
        /// The condition key.
        key: String,
    },
    /// A value that the operator cannot read.
    #[error("{operator} cannot compare with {value:?}")]
    Value {
        /// The operator as written.
        operator: String,
        /// The value.
        value: String,
    },
}

/// Whether an element lists what it means or what it does not mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    These,
    AllBut,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ActionPattern {
    pub(super) written: String,
    pattern: Pattern,
}

impl ActionPattern {
    fn parse(text: &str) -> Result<Self, PolicyFault> {
        let refused = || PolicyFault::Action { text: text.to_owned() };
        let valid = text == "*"
            || text.split_once(':').is_some_and(|(service, name)| {
                let word = |word: &str, extra: &[u8]| {
                    !word.is_empty()
                        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
                };
                word(service, b"-") && word(name, b"*?")
            });
        if !valid {
            return Err(refused());
        }
        let pattern = Pattern::parse(text, Wildcards::Active, Variables::Literal).map_err(|_| refused())?;
        Ok(Self { written: text.to_owned(), pattern })
    }

    pub(super) fn matches(&self, action: Action) -> bool {
        self.pattern.matches_ignoring_case(action.as_str(), &Facts::default())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ResourcePattern {
    /// `*`: in a key policy, the key it belongs to.
    Any,
    Arn {
        written: String,
        pattern: ArnPattern,
    },
}

impl ResourcePattern {
    fn parse(text: &str, variables: Variables) -> Result<Self, PolicyFault> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let pattern = ArnPattern::parse(text, variables)
            .map_err(|_| PolicyFault::Resource { text: text.to_owned() })?;
        Ok(Self::Arn { written: text.to_owned(), pattern })
    }

    fn written(&self) -> &str {
        match self {
            Self::Any => "*",
            Self::Arn { written, .. } => written,
        }
    }

    fn matches(&self, resource: &str, facts: &Facts) -> bool {
        match self {
            Self::Any => true,
            Self::Arn { pattern, .. } => pattern.matches(resource, facts),
        }
    }
}

/// One statement of a key policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub(super) sid: Option<String>,
    pub(super) effect: Effect,
    pub(super) principal_sense: Sense,
    pub(super) principals: Principals,
    pub(super) action_sense: Sense,
    pub(super) actions: Vec<ActionPattern>,
    pub(super) resource_sense: Sense,
    pub(super) resources: Vec<ResourcePattern>,
    pub(super) conditions: Vec<Condition>,
}

impl Statement {
    /// An Allow statement for one principal, on the key that the policy belongs to; conditions are operator, key and value.
    pub(crate) fn allow_if(
        sid: &str,
        principal: &PrincipalArn,
        action: &str,
        conditions: &[(&str, String, String)],
    ) -> Result<Self, PolicyFault> {
        Ok(Self {
            sid: Some(sid.to_owned()),
            effect: Effect::Allow,
            principal_sense: Sense::These,
            principals: Principals::only(principal),
            action_sense: Sense::These,
            actions: vec![ActionPattern::parse(action)?],
            resource_sense: Sense::These,
            resources: vec![ResourcePattern::Any],
            conditions: conditions
                .iter()
                .map(|(operator, key, value)| {
                    Condition::new(operator, key, vec![value.clone()], Variables::Active)
                })
                .collect::<Result<_, _>>()?,
        })
    }

    /// All values that conditions of this statement name for a key, whatever their operators.
    pub(crate) fn condition_values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.conditions
            .iter()
            .filter(move |condition| condition.key.as_str().eq_ignore_ascii_case(key))
            .flat_map(|condition| condition.values.iter().map(String::as_str))
    }

    /// Whether two statements say the same, whatever they are called and in whatever order.
    pub(crate) fn same_rule(&self, other: &Self) -> bool {
        let contains = |all: &[Condition], some: &[Condition]| some.iter().all(|one| all.contains(one));
        Self { sid: None, conditions: Vec::new(), ..self.clone() }
            == Self { sid: None, conditions: Vec::new(), ..other.clone() }
            && contains(&self.conditions, &other.conditions)
            && contains(&other.conditions, &self.conditions)
    }

    /// Whether nobody but this principal can be meant.
    pub(crate) fn is_only_for(&self, principal: &PrincipalArn) -> bool {
        self.principal_sense == Sense::These && self.principals == Principals::only(principal)
    }

    /// Who is meant, in words.
    pub(crate) fn whom(&self) -> String {
        let names: Vec<String> = self
            .principals
            .entries
            .iter()
            .map(|entry| match entry {
                Entry::Everyone => "everybody".to_owned(),
                Entry::Account { account, .. } => {
                    format!("whomever the administrators of account {account} choose")
                }
                Entry::Arn(arn) => arn.to_string(),
                Entry::Elsewhere { kind, name } => format!("{kind} {name}"),
            })
            .collect();
        match self.principal_sense {
            Sense::These => names.join(", "),
            Sense::AllBut => format!("everybody but {}", names.join(", ")),
        }
    }

    /// What this statement does not ask for and `wanted` does, a sentence part each. Empty: it allows nothing that `wanted` does not.
    pub(crate) fn lacks(&self, wanted: &Self) -> Vec<String> {
        let mut lacks = Vec::new();
        if self.principal_sense != wanted.principal_sense || self.principals != wanted.principals {
            lacks.push(format!("is not for {} alone", wanted.whom()));
        }
        for condition in &wanted.conditions {
            if self.conditions.contains(condition) {
                continue;
            }
            let key = &condition.key;
            let lack = match self.conditions.iter().find(|other| other.key == *key) {
                None => format!("does not ask for {key}"),
                Some(other) if other.operator != condition.operator => {
                    format!(
                        "asks for {key} with {}, not with {}",
                        other.operator.written(),
                        condition.operator.written()
                    )
                }
                Some(other) if other.values.len() > 1 => {
                    format!("accepts {} values of {key}", other.values.len())
                }
                Some(_) => format!("asks for another value of {key}"),
            };
            lacks.push(lack);
        }
        lacks
    }

    pub(super) fn parse(json: &Json, variables: Variables) -> Result<Self, PolicyFault> {
        let Json::Object(members) = json else { return Err(PolicyFault::WrongType { element: "Statement" }) };
        for (name, _) in members {
            if ![
                "Sid",
                "Effect",
                "Principal",
                "NotPrincipal",
                "Action",
                "NotAction",
                "Resource",
                "NotResource",
                "Condition",
            ]
            .contains(&name.as_str())
            {
                return Err(PolicyFault::UnknownElement { name: name.clone() });
            }
        }
        let find = |name: &str| members.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        let either = |element: &'static str, not: &'static str| match (find(element), find(not)) {
            (Some(value), None) => Ok((Sense::These, value)),
            (None, Some(value)) => Ok((Sense::AllBut, value)),
            (Some(_), Some(_)) => Err(PolicyFault::Both { element }),
            (None, None) => Err(PolicyFault::Missing { element }),
        };

        let sid = match find("Sid") {
            None => None,
            Some(Json::Text(sid)) => Some(sid.clone()),
            Some(_) => return Err(PolicyFault::WrongType { element: "Sid" }),
        };
        let effect = match find("Effect") {
            None => return Err(PolicyFault::Missing { element: "Effect" }),
            Some(Json::Text(text)) => match text.as_str() {
                "Allow" => Effect::Allow,
                "Deny" => Effect::Deny,
                _ => return Err(PolicyFault::Effect { text: text.clone() }),
            },
            Some(_) => return Err(PolicyFault::WrongType { element: "Effect" }),
        };
        let (principal_sense, principals) = either("Principal", "NotPrincipal")?;
        let principals = Principals::parse(principals)?;
        if principal_sense == Sense::AllBut && effect == Effect::Allow {
            return Err(PolicyFault::NotPrincipalAllows);
        }
        let (action_sense, actions) = either("Action", "NotAction")?;
        let actions =
            texts(actions, "Action")?.into_iter().map(ActionPattern::parse).collect::<Result<Vec<_>, _>>()?;
        let (resource_sense, resources) = either("Resource", "NotResource")?;
        let resources = texts(resources, "Resource")?
            .into_iter()
            .map(|text| ResourcePattern::parse(text, variables))
            .collect::<Result<Vec<_>, _>>()?;
        let conditions = find("Condition").map_or(Ok(Vec::new()), |json| conditions(json, variables))?;
        Ok(Self {
            sid,
            effect,
            principal_sense,
            principals,
            action_sense,
            actions,
            resource_sense,
            resources,
            conditions,
        })
    }

    /// The statement's name, if it has one.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// What it does.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    pub(crate) fn covers_action(&self, action: Action) -> bool {
        self.actions.iter().any(|pattern| pattern.matches(action)) == (self.action_sense == Sense::These)
    }

    /// Whether the statement applies to the request.
    pub(super) fn applies(&self, request: &AccessRequest) -> bool {
        let principal = match (self.principal_sense, self.effect) {
            (Sense::These, Effect::Allow) => self.principals.allow(request.caller()),
            (Sense::These, Effect::Deny) => self.principals.deny(request.caller()),
            (Sense::AllBut, _) => !self.principals.spare(request.caller()),
        };
        let resource =
            self.resources.iter().any(|pattern| pattern.matches(request.key().as_str(), request.facts()))
                == (self.resource_sense == Sense::These);
        principal
            && resource
            && self.covers_action(request.action())
            && self.conditions.iter().all(|condition| condition.holds(request.facts(), self.effect))
    }

    pub(super) fn to_json(&self) -> Json {
        let name = |sense: Sense, element: &str| match sense {
            Sense::These => element.to_owned(),
            Sense::AllBut => format!("Not{element}"),
        };
        let mut members = Vec::new();
        if let Some(sid) = &self.sid {
            members.push(("Sid".to_owned(), Json::text(sid)));
        }
        let effect = if self.effect == Effect::Allow { "Allow" } else { "Deny" };
        members.push(("Effect".to_owned(), Json::text(effect)));
        members.push((name(self.principal_sense, "Principal"), self.principals.to_json()));
        let actions = self.actions.iter().map(|action| Json::text(&action.written)).collect();
        members.push((name(self.action_sense, "Action"), one_or_list(actions)));
        let resources = self.resources.iter().map(|resource| Json::text(resource.written())).collect();
        members.push((name(self.resource_sense, "Resource"), one_or_list(resources)));
        if !self.conditions.is_empty() {
            let mut operators: Vec<(String, Vec<(String, Json)>)> = Vec::new();
            for condition in &self.conditions {
                let (operator, pair) =
                    (condition.operator.written(), (condition.key.to_string(), condition.values_json()));
                match operators.iter_mut().find(|(known, _)| *known == operator) {
                    Some((_, keys)) => keys.push(pair),
                    None => operators.push((operator, vec![pair])),
                }
            }
            let block =
                operators.into_iter().map(|(operator, keys)| (operator, Json::Object(keys))).collect();
            members.push(("Condition".to_owned(), Json::Object(block)));
        }
        Json::Object(members)
    }
}

fn texts<'a>(json: &'a Json, element: &'static str) -> Result<Vec<&'a str>, PolicyFault> {
    let wrong = PolicyFault::WrongType { element };
    match json {
        Json::Text(text) => Ok(vec![text]),
        Json::List(items) if !items.is_empty() => items
            .iter()
            .map(|item| match item {
                Json::Text(text) => Ok(text.as_str()),
                _ => Err(wrong.clone()),
            })
            .collect(),
        _ => Err(wrong),
    }
}

fn conditions(json: &Json, variables: Variables) -> Result<Vec<Condition>, PolicyFault> {
    let wrong = || PolicyFault::WrongType { element: "Condition" };
    let Json::Object(operators) = json else { return Err(wrong()) };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let Json::Object(keys) = keys else { return Err(wrong()) };
        // Also where it has no keys.
        if Operator::parse(operator).is_none() {
            return Err(PolicyFault::UnknownOperator { name: operator.clone() });
        }
        for (key, values) in keys {
            conditions.push(Condition::parse(operator, key, values, variables)?);
        }
    }
    Ok(conditions)
}

//! Who asks, and whom a statement means.

use std::fmt;
use std::str::FromStr;

use super::json::Json;
use super::statement::PolicyFault;

/// What an ARN in IAM or STS names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Root,
    User,
    Role,
    Session { role: String },
    FederatedUser,
}

/// The ARN of somebody who can ask: an account's root, a user, a role, a session of a role, a federated user.
///
/// ```
/// use entente_release::policy::PrincipalArn;
///
/// let host: PrincipalArn = "arn:aws:iam::111122223333:role/entente-host".parse()?;
/// assert_eq!(host.account(), "111122223333");
/// assert!("arn:aws:iam::111122223333:role/*".parse::<PrincipalArn>().is_err());
/// # Ok::<(), entente_release::policy::PrincipalError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrincipalArn {
    text: String,
    partition: String,
    account: String,
    kind: Kind,
}

/// Why a text is no [`PrincipalArn`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the ARN of an account root, user, role, role session or federated user")]
pub struct PrincipalError {
    text: String,
}

impl PrincipalError {
    /// What was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl PrincipalArn {
    /// The root of an account in the partition `aws`: twelve decimal digits.
    ///
    /// # Errors
    /// [`PrincipalError`] if the account is not twelve digits.
    pub fn root_of(account: &str) -> Result<Self, PrincipalError> {
        format!("arn:aws:iam::{account}:root").parse()
    }

    /// The ARN as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The account's twelve digits.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Whether this is the account itself: its root user, and in an Allow statement everybody to whom the account's own policies give the
    /// permission.
    #[must_use]
    pub fn is_account_root(&self) -> bool {
        self.kind == Kind::Root
    }

    /// Value of `aws:PrincipalType`.
    pub(super) const fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Root => "Account",
            Kind::User => "User",
            Kind::Role | Kind::Session { .. } => "AssumedRole",
            Kind::FederatedUser => "FederatedUser",
        }
    }

    /// Value of `aws:PrincipalArn`: for a session the ARN of its role.
    pub(super) fn principal_arn(&self) -> String {
        match &self.kind {
            Kind::Session { role } => format!("arn:{}:iam::{}:role/{role}", self.partition, self.account),
            _ => self.text.clone(),
        }
    }

    /// Value of `aws:username`, which only users have.
    pub(super) fn user_name(&self) -> Option<&str> {
        (self.kind == Kind::User).then(|| last_segment(&self.text))
    }

    /// Whether a statement that names `self` means `caller`: the same, or a session of this role.
    fn covers(&self, caller: &Self) -> bool {
        if self == caller {
            return true;
        }
        match (&self.kind, &caller.kind) {
            // A session's ARN has the role's name without its path; names are unique in an account.
            (Kind::Role, Kind::Session { role }) => {
                self.partition == caller.partition
                    && self.account == caller.account
                    && last_segment(&self.text) == role
            }
            _ => false,
        }
    }
}

fn last_segment(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

/// Twelve decimal digits.
fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// IAM names and paths: letters, digits and `+=,.@_-`, divided by slashes.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 577
        && text.split('/').all(|segment| {
            !segment.is_empty()
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte))
        })
}

impl FromStr for PrincipalArn {
    type Err = PrincipalError;

    fn from_str(text: &str) -> Result<Self, PrincipalError> {
        let error = || PrincipalError { text: text.chars().take(200).collect() };
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let [arn, partition, service, region, account, resource] = parts.as_slice() else {
            return Err(error());
        };
        if *arn != "arn" || !["aws", "aws-cn", "aws-us-gov"].contains(partition) || !region.is_empty() {
            return Err(error());
        }
        if !is_account(account) {
            return Err(error());
        }
        let (head, name) = resource.split_once('/').unwrap_or((resource, ""));
        let kind = match (*service, head) {
            ("iam", "root") if *resource == "root" => Kind::Root,
            ("iam", "user") if is_name(name) => Kind::User,
            ("iam", "role") if is_name(name) => Kind::Role,
            ("sts", "federated-user") if is_name(name) => Kind::FederatedUser,
            ("sts", "assumed-role") => match name.split_once('/') {
                Some((role, session)) if is_name(role) && is_name(session) && !session.contains('/') => {
                    Kind::Session { role: role.to_owned() }
                }
                _ => return Err(error()),
            },
            _ => return Err(error()),
        };
        Ok(Self {
            text: text.to_owned(),
            partition: (*partition).to_owned(),
            account: (*account).to_owned(),
            kind,
        })
    }
}

impl fmt::Display for PrincipalArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for PrincipalArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// One entry of a `Principal` element.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    Everyone,
    Account {
        partition: String,
        account: String,
    },
    Arn(PrincipalArn),
    /// An AWS service, a federation provider or a CloudFront user: nobody who can hold an access key here.
    Elsewhere {
        kind: String,
        name: String,
    },
}

/// A `Principal` or `NotPrincipal` element, without order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Principals {
    pub(super) entries: Vec<Entry>,
}

impl Principals {
    pub(super) fn only(principal: &PrincipalArn) -> Self {
        Self { entries: vec![entry_of(principal.clone())] }
    }

    pub(super) fn parse(json: &Json) -> Result<Self, PolicyFault> {
        let mut entries = Vec::new();
        match json {
            Json::Text(text) if text == "*" => entries.push(Entry::Everyone),
            Json::Object(members) if !members.is_empty() => {
                for (kind, names) in members {
                    let names = match names {
                        Json::Text(name) => vec![name.as_str()],
                        Json::List(items) if !items.is_empty() => items
                            .iter()
                            .map(|item| match item {
                                Json::Text(name) => Ok(name.as_str()),
                                _ => Err(PolicyFault::WrongType { element: "Principal" }),
                            })
                            .collect::<Result<_, _>>()?,
                        _ => return Err(PolicyFault::WrongType { element: "Principal" }),
                    };
                    for name in names {
                        entries.push(Self::entry(kind, name)?);
                    }
                }
            }
            _ => return Err(PolicyFault::WrongType { element: "Principal" }),
        }
        entries.sort();
        entries.dedup();
        Ok(Self { entries })
    }

    fn entry(kind: &str, name: &str) -> Result<Entry, PolicyFault> {
        let refused = || PolicyFault::Principal { kind: kind.to_owned(), name: name.to_owned() };
        match kind {
            "AWS" if name == "*" => Ok(Entry::Everyone),
            "AWS" if is_account(name) => {
                Ok(Entry::Account { partition: "aws".to_owned(), account: name.to_owned() })
            }
            "AWS" => name.parse().map(entry_of).map_err(|PrincipalError { .. }| refused()),
            "Service" | "Federated" | "CanonicalUser" if !name.is_empty() && !name.contains(['*', '?']) => {
                Ok(Entry::Elsewhere { kind: kind.to_owned(), name: name.to_owned() })
            }
            _ => Err(refused()),
        }
    }

    /// For `Principal` in an Allow statement. An account means its root user only: that it also delegates to the account's own policies has no
    /// effect in a service that has none.
    pub(super) fn allow(&self, caller: &PrincipalArn) -> bool {
        self.entries.iter().any(|entry| match entry {
            Entry::Everyone => true,
            Entry::Account { account, .. } => caller.is_account_root() && caller.account() == account,
            Entry::Arn(arn) => arn.covers(caller),
            Entry::Elsewhere { .. } => false,
        })
    }

    /// For `Principal` in a Deny statement: an account means everybody in it.
    pub(super) fn deny(&self, caller: &PrincipalArn) -> bool {
        self.entries.iter().any(|entry| match entry {
            Entry::Everyone => true,
            Entry::Account { account, .. } => caller.account() == account,
            Entry::Arn(arn) => arn.covers(caller),
            Entry::Elsewhere { .. } => false,
        })
    }

    /// For `NotPrincipal` in a Deny statement: whether the caller is spared. AWS judges the account, the role and the session one after
    /// the other, so each of them must be listed.
    pub(super) fn spare(&self, caller: &PrincipalArn) -> bool {
        let account = self.entries.iter().any(|entry| match entry {
            Entry::Everyone => true,
            Entry::Account { account, .. } => account == caller.account(),
            _ => false,
        });
        let listed = |wanted: &dyn Fn(&PrincipalArn) -> bool| {
            self.entries.iter().any(|entry| match entry {
                Entry::Everyone => true,
                Entry::Arn(arn) => wanted(arn),
                _ => false,
            })
        };
        account
            && (caller.is_account_root()
                || (listed(&|arn| arn == caller)
                    && (!matches!(caller.kind, Kind::Session { .. })
                        || listed(&|arn| arn.kind == Kind::Role && arn.covers(caller)))))
    }

    pub(super) fn to_json(&self) -> Json {
        let mut kinds: Vec<(String, Vec<Json>)> = Vec::new();
        for entry in &self.entries {
            let (kind, name) = match entry {
                Entry::Everyone => ("AWS", "*".to_owned()),
                Entry::Account { partition, account } => {
                    ("AWS", format!("arn:{partition}:iam::{account}:root"))
                }
                Entry::Arn(arn) => ("AWS", arn.as_str().to_owned()),
                Entry::Elsewhere { kind, name } => (kind.as_str(), name.clone()),
            };
            match kinds.iter_mut().find(|(known, _)| known == kind) {
                Some((_, names)) => names.push(Json::Text(name)),
                None => kinds.push((kind.to_owned(), vec![Json::Text(name)])),
            }
        }
        Json::Object(kinds.into_iter().map(|(kind, names)| (kind, one_or_list(names))).collect())
    }
}

fn entry_of(arn: PrincipalArn) -> Entry {
    if arn.is_account_root() {
        Entry::Account { partition: arn.partition, account: arn.account }
    } else {
        Entry::Arn(arn)
    }
}

/// A list of one is written as its member.
pub(super) fn one_or_list(mut items: Vec<Json>) -> Json {
    match (items.pop(), items.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            items.push(last);
            Json::List(items)
        }
        (None, _) => Json::List(items),
    }
}

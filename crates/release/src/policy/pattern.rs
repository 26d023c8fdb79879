//! Strings in policies: wildcards, and variables that stand for facts about the request.

use super::condition_key::ConditionKey;
use super::request::Facts;

/// Whether `*` and `?` mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wildcards {
    Active,
    Literal,
}

/// Whether `${…}` means something: in policies of version 2012-10-17 it does, in older ones it is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variables {
    Active,
    Literal,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(String),
    AnyRun,
    AnyOne,
    Variable { key: ConditionKey, default: Option<String> },
}

/// A string of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Token>);

/// `${` without `}`, or a name between them that is not a condition key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadVariable;

/// One position of a pattern whose variables are filled in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Char(char),
    AnyRun,
    AnyOne,
}

impl Pattern {
    pub(super) fn parse(text: &str, wildcards: Wildcards, variables: Variables) -> Result<Self, BadVariable> {
        let mut tokens = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if variables == Variables::Active
                && let Some(after) = rest.strip_prefix("${")
            {
                let (body, after) = split_variable(after).ok_or(BadVariable)?;
                match body {
                    // IAM user guide, "Special characters".
                    "*" | "?" | "$" => literal.push_str(body),
                    _ => {
                        flush(&mut tokens, &mut literal);
                        tokens.push(variable(body)?);
                    }
                }
                rest = after;
                continue;
            }
            match next {
                '*' if wildcards == Wildcards::Active => {
                    flush(&mut tokens, &mut literal);
                    tokens.push(Token::AnyRun);
                }
                '?' if wildcards == Wildcards::Active => {
                    flush(&mut tokens, &mut literal);
                    tokens.push(Token::AnyOne);
                }
                other => literal.push(other),
            }
            rest = rest.get(next.len_utf8()..).unwrap_or("");
        }
        flush(&mut tokens, &mut literal);
        Ok(Self(tokens))
    }

    /// Fills in the variables. None if one has no value, or several, in this request: then the string equals nothing (IAM user guide, "Policy
    /// variables with no value"). A value is text, whatever characters it has: a `*` in it is an asterisk.
    fn resolve(&self, facts: &Facts) -> Option<Vec<Unit>> {
        let mut units = Vec::new();
        for token in &self.0 {
            match token {
                Token::Literal(text) => units.extend(text.chars().map(Unit::Char)),
                Token::AnyRun => units.push(Unit::AnyRun),
                Token::AnyOne => units.push(Unit::AnyOne),
                Token::Variable { key, default } => {
                    let value = match (facts.values(key), default) {
                        ([value], _) => value,
                        ([], Some(default)) => default,
                        _ => return None,
                    };
                    units.extend(value.chars().map(Unit::Char));
                }
            }
        }
        Some(units)
    }

    /// Whether the whole of `value` matches.
    pub(super) fn matches(&self, value: &str, facts: &Facts) -> bool {
        self.resolve(facts).is_some_and(|units| glob(&units, value, |a, b| a == b))
    }

    /// As [`Pattern::matches`], without regard to the case of ASCII letters.
    pub(super) fn matches_ignoring_case(&self, value: &str, facts: &Facts) -> bool {
        self.resolve(facts).is_some_and(|units| glob(&units, value, |a, b| a.eq_ignore_ascii_case(&b)))
    }
}

fn flush(tokens: &mut Vec<Token>, literal: &mut String) {
    if !literal.is_empty() {
        tokens.push(Token::Literal(std::mem::take(literal)));
    }
}

/// Splits after the `}` that ends a variable; one inside a quoted default does not.
fn split_variable(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (at, character) in text.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            '}' if !quoted => return Some((text.get(..at)?, text.get(at.checked_add(1)?..)?)),
            _ => {}
        }
    }
    None
}

/// `KEY` or `KEY, 'DEFAULT'`.
fn variable(body: &str) -> Result<Token, BadVariable> {
    let (name, default) = match body.split_once(',') {
        None => (body, None),
        Some((name, default)) => {
            let quoted = default.trim().strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            let text = quoted.filter(|text| !text.contains('\'')).ok_or(BadVariable)?;
            (name, Some(text.to_owned()))
        }
    };
    let key = ConditionKey::parse(name.trim()).map_err(|_| BadVariable)?;
    Ok(Token::Variable { key, default })
}

/// Matches with at most `units × value` steps: after a mismatch only the last run of anything is made longer.
fn glob(units: &[Unit], value: &str, same: impl Fn(char, char) -> bool) -> bool {
    let (mut unit, mut rest) = (0_usize, value);
    let mut retry: Option<(usize, &str)> = None;
    loop {
        let next = rest.chars().next();
        let advanced = match (units.get(unit), next) {
            (Some(Unit::AnyRun), _) => {
                unit = unit.saturating_add(1);
                retry = Some((unit, rest));
                continue;
            }
            (None, None) => return true,
            (Some(Unit::AnyOne), Some(_)) => true,
            (Some(Unit::Char(wanted)), Some(found)) => same(*wanted, found),
            _ => false,
        };
        match (advanced, next) {
            (true, Some(found)) => {
                unit = unit.saturating_add(1);
                rest = rest.get(found.len_utf8()..).unwrap_or("");
            }
            _ => {
                let Some((after_run, from)) = retry else { return false };
                let Some(skipped) = from.chars().next() else { return false };
                let longer = from.get(skipped.len_utf8()..).unwrap_or("");
                retry = Some((after_run, longer));
                (unit, rest) = (after_run, longer);
            }
        }
    }
}

/// A pattern for ARNs: six parts, each matched for itself, so that no wildcard reaches over a colon between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ArnPattern([Pattern; 6]);

/// Not `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`, or a bad variable in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadArn;

impl ArnPattern {
    pub(super) fn parse(text: &str, variables: Variables) -> Result<Self, BadArn> {
        let parts = split_arn(text, variables).ok_or(BadArn)?;
        if parts.first() != Some(&"arn") {
            return Err(BadArn);
        }
        let parsed: Vec<Pattern> = parts
            .iter()
            .map(|part| Pattern::parse(part, Wildcards::Active, variables))
            .collect::<Result<_, _>>()
            .map_err(|BadVariable| BadArn)?;
        parsed.try_into().map(Self).map_err(|_| BadArn)
    }

    pub(super) fn matches(&self, value: &str, facts: &Facts) -> bool {
        let parts: Vec<&str> = value.splitn(6, ':').collect();
        parts.len() == 6 && self.0.iter().zip(parts).all(|(pattern, part)| pattern.matches(part, facts))
    }
}

/// Splits at the first five colons that are not inside a variable.
fn split_arn(text: &str, variables: Variables) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0_usize, 0_usize);
    while parts.len() < 5 {
        let rest = text.get(at..)?;
        if variables == Variables::Active
            && let Some(after) = rest.strip_prefix("${")
        {
            let (_, after) = split_variable(after)?;
            at = text.len().checked_sub(after.len())?;
            continue;
        }
        let next = rest.chars().next()?;
        if next == ':' {
            parts.push(text.get(start..at)?);
            start = at.checked_add(1)?;
        }
        at = at.checked_add(next.len_utf8())?;
    }
    parts.push(text.get(start..)?);
    Some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn like(pattern: &str, value: &str) -> bool {
        Pattern::parse(pattern, Wildcards::Active, Variables::Active)
            .unwrap()
            .matches(value, &Facts::default())
    }

    /// The rule itself, exponential.
    fn brute(pattern: &[char], value: &[char]) -> bool {
        match pattern.split_first() {
            None => value.is_empty(),
            Some(('*', rest)) => (0..=value.len()).any(|skip| brute(rest, &value[skip..])),
            Some(('?', rest)) => value.split_first().is_some_and(|(_, value)| brute(rest, value)),
            Some((c, rest)) => {
                value.split_first().is_some_and(|(first, value)| first == c && brute(rest, value))
            }
        }
    }

    proptest! {
        #[test]
        fn wildcards_mean_what_the_rule_says(pattern in "[ab*?]{0,8}", value in "[ab]{0,8}") {
            let (p, v): (Vec<char>, Vec<char>) = (pattern.chars().collect(), value.chars().collect());
            prop_assert_eq!(like(&pattern, &value), brute(&p, &v));
        }

        #[test]
        fn any_text_parses_or_is_refused(text in "\\PC{0,40}") {
            let _ = Pattern::parse(&text, Wildcards::Active, Variables::Active);
            let _ = ArnPattern::parse(&text, Variables::Active);
            prop_assert!(Pattern::parse(&text, Wildcards::Literal, Variables::Literal).unwrap().matches(&text, &Facts::default()));
        }
    }

    #[test]
    fn many_runs_take_no_exponential_time() {
        assert!(!like(&format!("{}b", "*a".repeat(200)), &"a".repeat(4000)));
    }

    #[test]
    fn special_characters_can_be_written_as_themselves() {
        assert!(like("a${*}b${?}${$}", "a*b?$"));
        assert!(!like("a${*}b", "axb"));
    }

    #[test]
    fn a_variable_must_name_a_condition_key() {
        for text in
            ["${", "${aws:username", "${nothing}", "${aws:username, default}", "${}", "${aws:username,'a'b'}"]
        {
            assert_eq!(
                Pattern::parse(text, Wildcards::Active, Variables::Active),
                Err(BadVariable),
                "{text}"
            );
            assert!(Pattern::parse(text, Wildcards::Active, Variables::Literal).is_ok());
        }
        assert!(like("${aws:username, 'no}body'}", "no}body"));
    }

    #[test]
    fn arn_parts_are_matched_apart() {
        let facts = Facts::default();
        let pattern = ArnPattern::parse("arn:aws:iam::*:role/*", Variables::Active).unwrap();
        assert!(pattern.matches("arn:aws:iam::111122223333:role/a/b:c", &facts));
        assert!(!pattern.matches("arn:aws:iam::1:2:role/a", &facts));
        assert!(
            !ArnPattern::parse("arn:aws:*:role/a", Variables::Active)
                .is_ok_and(|p| p.matches("arn:aws:iam::1:role/a", &facts))
        );
        assert_eq!(ArnPattern::parse("*", Variables::Active), Err(BadArn));
        assert_eq!(ArnPattern::parse("x:aws:iam::1:role/a", Variables::Active), Err(BadArn));
        assert!(
            ArnPattern::parse("arn:aws:iam::${aws:PrincipalAccount}:role/${aws:username}", Variables::Active)
                .is_ok()
        );
    }
}

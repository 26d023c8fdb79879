//! Condition elements: operators, and what makes each of them true (IAM user guide, "Condition operators" and "Set operators").

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::condition_key::ConditionKey;
use super::json::Json;
use super::pattern::{ArnPattern, Pattern, Variables, Wildcards};
use super::principal::one_or_list;
use super::request::Facts;
use super::statement::{Effect, PolicyFault};

/// How a condition deals with a set of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    /// No prefix: for keys with one value.
    Single,
    /// `ForAllValues:`, true of no values.
    All,
    /// `ForAnyValue:`, false of no values.
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: PartialOrd>(self, value: &T, operand: &T) -> bool {
        match self {
            Self::Equal => value == operand,
            Self::Less => value < operand,
            Self::LessOrEqual => value <= operand,
            Self::Greater => value > operand,
            Self::GreaterOrEqual => value >= operand,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Text,
    TextIgnoringCase,
    TextLike,
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    Address,
    Arn,
    Null,
}

/// The operators by name: what they compare, and whether they are a "Not".
const OPERATORS: &[(&str, Comparison, bool)] = &[
    ("StringEquals", Comparison::Text, false),
    ("StringNotEquals", Comparison::Text, true),
    ("StringEqualsIgnoreCase", Comparison::TextIgnoringCase, false),
    ("StringNotEqualsIgnoreCase", Comparison::TextIgnoringCase, true),
    ("StringLike", Comparison::TextLike, false),
    ("StringNotLike", Comparison::TextLike, true),
    ("NumericEquals", Comparison::Number(Order::Equal), false),
    ("NumericNotEquals", Comparison::Number(Order::Equal), true),
    ("NumericLessThan", Comparison::Number(Order::Less), false),
    ("NumericLessThanEquals", Comparison::Number(Order::LessOrEqual), false),
    ("NumericGreaterThan", Comparison::Number(Order::Greater), false),
    ("NumericGreaterThanEquals", Comparison::Number(Order::GreaterOrEqual), false),
    ("DateEquals", Comparison::Date(Order::Equal), false),
    ("DateNotEquals", Comparison::Date(Order::Equal), true),
    ("DateLessThan", Comparison::Date(Order::Less), false),
    ("DateLessThanEquals", Comparison::Date(Order::LessOrEqual), false),
    ("DateGreaterThan", Comparison::Date(Order::Greater), false),
    ("DateGreaterThanEquals", Comparison::Date(Order::GreaterOrEqual), false),
    ("Bool", Comparison::Bool, false),
    ("BinaryEquals", Comparison::Binary, false),
    ("IpAddress", Comparison::Address, false),
    ("NotIpAddress", Comparison::Address, true),
    ("ArnEquals", Comparison::Arn, false),
    ("ArnNotEquals", Comparison::Arn, true),
    ("ArnLike", Comparison::Arn, false),
    ("ArnNotLike", Comparison::Arn, true),
    ("Null", Comparison::Null, false),
];

/// `[ForAllValues:|ForAnyValue:]NAME[IfExists]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) name: &'static str,
    comparison: Comparison,
    pub(super) negated: bool,
    pub(super) quantifier: Quantifier,
    pub(super) if_exists: bool,
}

impl Operator {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (quantifier, rest) = if let Some(rest) = text.strip_prefix("ForAllValues:") {
            (Quantifier::All, rest)
        } else if let Some(rest) = text.strip_prefix("ForAnyValue:") {
            (Quantifier::Any, rest)
        } else {
            (Quantifier::Single, text)
        };
        let (base, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |base| (base, true));
        let (name, comparison, negated) = *OPERATORS.iter().find(|(name, ..)| *name == base)?;
        let plain = quantifier == Quantifier::Single && !if_exists;
        (comparison != Comparison::Null || plain).then_some(Self {
            name,
            comparison,
            negated,
            quantifier,
            if_exists,
        })
    }

    pub(super) fn written(&self) -> String {
        let prefix = match self.quantifier {
            Quantifier::Single => "",
            Quantifier::All => "ForAllValues:",
            Quantifier::Any => "ForAnyValue:",
        };
        format!("{prefix}{}{}", self.name, if self.if_exists { "IfExists" } else { "" })
    }
}

/// An address range (RFC 4632, RFC 4291).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(prefix.parse().ok()?))
            }
            Some(_) => return None,
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        (prefix <= bits).then_some(Self { address, prefix })
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(self.prefix)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// The values of a condition, read as its operator needs them.
#[derive(Clone, Debug, PartialEq)]
enum Operands {
    Text(Vec<Pattern>),
    Number(Vec<f64>),
    /// Milliseconds since 1970.
    Date(Vec<i64>),
    Bool(Vec<bool>),
    Binary(Vec<Vec<u8>>),
    Address(Vec<Network>),
    Arn(Vec<ArnPattern>),
}

/// One condition: an operator, a key, and values of which one is enough.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) operator: Operator,
    pub(super) key: ConditionKey,
    pub(super) values: Vec<String>,
    operands: Operands,
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.operator == other.operator && self.key == other.key && self.values == other.values
    }
}

impl Condition {
    pub(super) fn parse(
        operator: &str,
        key: &str,
        values: &Json,
        variables: Variables,
    ) -> Result<Self, PolicyFault> {
        let values = match values {
            Json::List(items) if !items.is_empty() => items.iter().map(scalar).collect::<Option<Vec<_>>>(),
            single => scalar(single).map(|value| vec![value]),
        };
        let values = values.ok_or(PolicyFault::WrongType { element: "Condition" })?;
        Self::new(operator, key, values, variables)
    }

    pub(super) fn new(
        operator: &str,
        key: &str,
        values: Vec<String>,
        variables: Variables,
    ) -> Result<Self, PolicyFault> {
        let parsed = Operator::parse(operator)
            .ok_or_else(|| PolicyFault::UnknownOperator { name: operator.to_owned() })?;
        let key = ConditionKey::parse(key)
            .map_err(|_| PolicyFault::UnknownConditionKey { name: key.to_owned() })?;
        if key.is_multivalued()
            && parsed.quantifier == Quantifier::Single
            && parsed.comparison != Comparison::Null
        {
            return Err(PolicyFault::SetOperatorNeeded { key: key.to_string() });
        }
        let operands = operands(parsed.comparison, &values, variables)
            .map_err(|value| PolicyFault::Value { operator: operator.to_owned(), value: value.to_owned() })?;
        Ok(Self { operator: parsed, key, values, operands })
    }

    /// Whether the condition holds. Where AWS does not define the answer, one that makes a statement do less harm is given: `effect` says which.
    pub(super) fn holds(&self, facts: &Facts, effect: Effect) -> bool {
        let values = facts.values(&self.key);
        if let (Comparison::Null, Operands::Bool(operands)) = (self.operator.comparison, &self.operands) {
            return operands.contains(&values.is_empty());
        }
        let one = |value: &String| self.matches(value, facts) != self.operator.negated;
        match self.operator.quantifier {
            // `IfExists` has no effect beside a set operator.
            Quantifier::All => values.iter().all(one),
            Quantifier::Any => values.iter().any(one),
            Quantifier::Single if values.is_empty() => self.operator.if_exists || self.operator.negated,
            Quantifier::Single => match effect {
                Effect::Allow => values.iter().all(one),
                Effect::Deny => values.iter().any(one),
            },
        }
    }

    /// Whether `value` is as one of the operands asks, before a "Not".
    fn matches(&self, value: &str, facts: &Facts) -> bool {
        match (&self.operands, self.operator.comparison) {
            (Operands::Text(patterns), Comparison::TextIgnoringCase) => {
                patterns.iter().any(|pattern| pattern.matches_ignoring_case(value, facts))
            }
            (Operands::Text(patterns), _) => patterns.iter().any(|pattern| pattern.matches(value, facts)),
            (Operands::Number(operands), Comparison::Number(order)) => {
                number(value).is_some_and(|value| operands.iter().any(|operand| order.holds(&value, operand)))
            }
            (Operands::Date(operands), Comparison::Date(order)) => {
                date(value).is_some_and(|value| operands.iter().any(|operand| order.holds(&value, operand)))
            }
            (Operands::Bool(operands), _) => boolean(value).is_some_and(|value| operands.contains(&value)),
            (Operands::Binary(operands), _) => {
                STANDARD.decode(value).is_ok_and(|value| operands.contains(&value))
            }
            (Operands::Address(networks), _) => value
                .parse()
                .is_ok_and(|address: IpAddr| networks.iter().any(|network| network.contains(address))),
            (Operands::Arn(patterns), _) => patterns.iter().any(|pattern| pattern.matches(value, facts)),
            (Operands::Number(_) | Operands::Date(_), _) => false,
        }
    }

    pub(super) fn values_json(&self) -> Json {
        one_or_list(self.values.iter().map(Json::text).collect())
    }
}

/// Reads the values, or says which cannot be read.
fn operands(comparison: Comparison, values: &[String], variables: Variables) -> Result<Operands, &str> {
    fn each<T>(values: &[String], read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, &str> {
        values.iter().map(|value| read(value).ok_or(value.as_str())).collect()
    }
    Ok(match comparison {
        Comparison::Text | Comparison::TextIgnoringCase => {
            Operands::Text(each(values, |value| Pattern::parse(value, Wildcards::Literal, variables).ok())?)
        }
        Comparison::TextLike => {
            Operands::Text(each(values, |value| Pattern::parse(value, Wildcards::Active, variables).ok())?)
        }
        Comparison::Number(_) => Operands::Number(each(values, number)?),
        Comparison::Date(_) => Operands::Date(each(values, date)?),
        Comparison::Bool | Comparison::Null => Operands::Bool(each(values, boolean)?),
        Comparison::Binary => Operands::Binary(each(values, |value| STANDARD.decode(value).ok())?),
        Comparison::Address => Operands::Address(each(values, Network::parse)?),
        Comparison::Arn => Operands::Arn(each(values, |value| ArnPattern::parse(value, variables).ok())?),
    })
}

/// AWS takes numbers and booleans with or without quotation marks.
fn scalar(json: &Json) -> Option<String> {
    match json {
        Json::Text(text) | Json::Number(text) => Some(text.clone()),
        Json::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// A decimal number, with a sign or a fraction.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { text.parse().ok().filter(|value: &f64| value.is_finite()) } else { None }
}

/// Milliseconds since 1970 of a time in a W3C form of ISO 8601 (`2026-01-31`, `2026-01-31T12:00Z`, `…:00Z`, `…:00.5+02:00`) or in seconds since
/// 1970. `2026` alone could be either and is neither.
fn date(text: &str) -> Option<i64> {
    if text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<i64>().ok()?.checked_mul(1000);
    }
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let field = |from: usize, to: usize, text: &str| -> Option<i16> {
        let digits = text.get(from..to)?;
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    let (year, month) = (field(0, 4, day)?, i8::try_from(field(5, 7, day)?).ok()?);
    let separators = day.get(4..5)? == "-" && (day.len() == 7 || day.get(7..8)? == "-");
    let day_of_month = match (day.len(), time) {
        (7, None) => 1,
        (10, _) => i8::try_from(field(8, 10, day)?).ok()?,
        _ => return None,
    };
    if !separators {
        return None;
    }
    let date = jiff::civil::Date::new(year, month, day_of_month).ok()?;
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
    let Some(time) = time else { return Some(midnight) };

    let (clock, offset_minutes) = match time.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => {
            let at = time.len().checked_sub(6)?;
            let (clock, offset) = (time.get(..at)?, time.get(at..)?);
            let (hours, minutes) = (field(1, 3, offset)?, field(4, 6, offset)?);
            if offset.get(3..4)? != ":" || hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = i64::from(hours).checked_mul(60)?.checked_add(i64::from(minutes))?;
            match offset.get(..1)? {
                "+" => (clock, minutes),
                "-" => (clock, minutes.checked_neg()?),
                _ => return None,
            }
        }
    };
    let (hour, minute) = (field(0, 2, clock)?, field(3, 5, clock)?);
    if clock.get(2..3)? != ":" || hour > 23 || minute > 59 {
        return None;
    }
    let mut millis = i64::from(hour).checked_mul(60)?.checked_add(i64::from(minute))?.checked_mul(60_000)?;
    if clock.len() > 5 {
        let second = field(6, 8, clock)?;
        if clock.get(5..6)? != ":" || second > 59 {
            return None;
        }
        millis = millis.checked_add(i64::from(second).checked_mul(1000)?)?;
        if clock.len() > 8 {
            let fraction = clock.get(8..)?.strip_prefix('.')?;
            if fraction.is_empty()
                || fraction.len() > 9
                || !fraction.bytes().all(|byte| byte.is_ascii_digit())
            {
                return None;
            }
            let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
            millis = millis.checked_add(thousandths.parse().ok()?)?;
        }
    }
    midnight.checked_add(millis)?.checked_sub(offset_minutes.checked_mul(60_000)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_all_forms() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01", 0),
            ("1970-02", 31 * 86_400_000),
            ("1970-01-01T00:01Z", 60_000),
            ("1970-01-01T02:00:00.5+02:00", 500),
            ("1969-12-31T23:00:00-01:00", 0),
            ("2026-01-01T00:00:00.123456Z", 1_767_225_600_123),
            ("1767225600", 1_767_225_600_000),
        ] {
            assert_eq!(date(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-30",
            "2026-01-01T24:00Z",
            "2026-01-01T00:60Z",
            "2026-01-01T00:00",
            "2026-01-01T00:00:00",
            "2026-01-01 00:00:00Z",
            "2026-1-1",
            "2026-01T00:00Z",
            "+26-01-01",
            "2026-01-01T00:00:00.Z",
            "${aws:CurrentTime}",
            "99999999999999999999",
            "2026-01-01Té0:00Z",
            "T",
            "2026-01-01T",
            "2026-01-01T+02:00",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_and_networks() {
        assert_eq!(number("-1.5"), Some(-1.5));
        for text in ["", "-", "1e3", "inf", "NaN", "+1", "1.2.3", ".5", "0x10"] {
            assert_eq!(number(text), None, "{text}");
        }
        let inside = |network: &str, address: &str| {
            Network::parse(network).unwrap().contains(address.parse().unwrap())
        };
        assert!(inside("203.0.113.0/24", "203.0.113.77"));
        assert!(inside("203.0.113.5/24", "203.0.113.77"));
        assert!(!inside("203.0.113.0/25", "203.0.113.200"));
        assert!(inside("0.0.0.0/0", "255.1.2.3"));
        assert!(!inside("0.0.0.0/0", "2001:db8::1"));
        assert!(inside("2001:db8::/32", "2001:db8:1::1"));
        assert!(inside("127.0.0.1", "::ffff:127.0.0.1"));
        for text in
            ["", "203.0.113.0/33", "203.0.113.0/", "203.0.113/24", "::/129", "1.2.3.4/+8", "1.2.3.4/-1"]
        {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn operators_by_name() {
        for text in [
            "StringEquals",
            "ForAllValues:StringLikeIfExists",
            "ForAnyValue:ArnNotLike",
            "BoolIfExists",
            "Null",
        ] {
            assert_eq!(Operator::parse(text).unwrap().written(), text);
        }
        for text in [
            "stringequals",
            "StringMatches",
            "NullIfExists",
            "ForAnyValue:Null",
            "ForAllValues:",
            "IfExists",
            "ForAll:Bool",
            "",
        ] {
            assert_eq!(Operator::parse(text), None, "{text}");
        }
    }
}

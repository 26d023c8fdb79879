//! Exact amounts: whole numbers of a currency's smallest unit.

use crate::currency::Currency;

/// An amount in the smallest units of its lot's currency.
pub(crate) type Minor = i128;

/// How decimals of one scale become amounts of one currency.
#[derive(Clone, Copy)]
pub(crate) enum Conversion {
    /// The scales are equal.
    Same,
    /// The column has fewer decimals than the currency: multiply.
    Times(i128),
    /// The column has more decimals than the currency: divide, and nothing may remain.
    Over(i128),
}

/// Why a decimal is no amount of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AmountFault {
    /// It has decimals that the currency cannot pay.
    TooFine,
    /// It has more digits than an amount can have.
    TooLarge,
}

impl Conversion {
    /// From decimals of `scale` to `currency`.
    pub(crate) fn new(scale: u8, currency: Currency) -> Self {
        let decimals = currency.decimals();
        // Both scales are at most 38, and 10^38 fits an i128.
        match scale.cmp(&decimals) {
            core::cmp::Ordering::Equal => Self::Same,
            core::cmp::Ordering::Less => Self::Times(power(decimals - scale)),
            core::cmp::Ordering::Greater => Self::Over(power(scale - decimals)),
        }
    }

    /// `value` in smallest units.
    pub(crate) fn apply(self, value: i128) -> Result<Minor, AmountFault> {
        match self {
            Self::Same => Ok(value),
            Self::Times(factor) => value.checked_mul(factor).ok_or(AmountFault::TooLarge),
            Self::Over(divisor) => {
                // Dividing i128 is a function call of some 30 ns; nearly every amount fits an i64.
                if let (Ok(value), Ok(divisor)) = (i64::try_from(value), i64::try_from(divisor)) {
                    return if value % divisor == 0 {
                        Ok((value / divisor).into())
                    } else {
                        Err(AmountFault::TooFine)
                    };
                }
                if value % divisor == 0 { Ok(value / divisor) } else { Err(AmountFault::TooFine) }
            }
        }
    }
}

/// 10^`exponent`; saturates where that does not fit, which no scale of a decimal reaches.
fn power(exponent: u8) -> i128 {
    10_i128.saturating_pow(exponent.into())
}

/// Reads an amount of `currency` as people write it in an agreement: digits, perhaps a point and digits.
pub(crate) fn parse(text: &str, currency: Currency) -> Option<Minor> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let decimals = usize::from(currency.decimals());
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let clean = !whole.is_empty()
        && digits(whole)
        && digits(fraction)
        && (whole == "0" || !whole.starts_with('0'))
        && (text.contains('.') != fraction.is_empty());
    if !clean || fraction.len() > decimals {
        return None;
    }
    format!("{whole}{fraction:0<decimals$}").parse().ok()
}

/// Writes an amount that is not negative, with all decimals of its currency.
pub(crate) fn format(amount: Minor, currency: Currency) -> String {
    let decimals = usize::from(currency.decimals());
    let digits = format!("{amount:0>width$}", width = decimals + 1);
    match digits.split_at_checked(digits.len() - decimals) {
        Some((whole, fraction)) if decimals > 0 => format!("{whole}.{fraction}"),
        _ => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    #[test]
    fn amounts_are_read_and_written_exactly() {
        for (text, code, minor, shown) in [
            ("0", "EUR", 0, "0.00"),
            ("0.05", "EUR", 5, "0.05"),
            ("12.5", "EUR", 1250, "12.50"),
            ("12", "JPY", 12, "12"),
            ("1.234", "KWD", 1234, "1.234"),
            (
                "100000000000000000000000000000.01",
                "USD",
                10_000_000_000_000_000_000_000_000_000_001,
                "100000000000000000000000000000.01",
            ),
        ] {
            assert_eq!(parse(text, currency(code)), Some(minor), "{text}");
            assert_eq!(format(minor, currency(code)), shown);
        }
        for text in ["", ".", ".5", "5.", "-1", "+1", "01", "1.005", "1e3", "1,5", " 1", "1.2.3", "²"] {
            assert_eq!(parse(text, currency("EUR")), None, "{text}");
        }
        assert_eq!(parse("1.0", currency("JPY")), None);
        assert_eq!(parse(&"9".repeat(40), currency("EUR")), None);
        assert_eq!(format(i128::MAX, currency("CLF")).len(), 40);
    }

    #[test]
    fn scales_are_normalised() {
        let eur = currency("EUR");
        assert_eq!(Conversion::new(2, eur).apply(125), Ok(125));
        assert_eq!(Conversion::new(0, eur).apply(125), Ok(12_500));
        assert_eq!(Conversion::new(4, eur).apply(12_500), Ok(125));
        assert_eq!(Conversion::new(4, eur).apply(12_501), Err(AmountFault::TooFine));
        assert_eq!(Conversion::new(0, eur).apply(i128::MAX), Err(AmountFault::TooLarge));
        assert_eq!(
            Conversion::new(38, currency("JPY")).apply(3 * 10_i128.pow(37) * 3),
            Err(AmountFault::TooFine)
        );
        assert_eq!(Conversion::new(38, currency("JPY")).apply(10_i128.pow(38)), Ok(1));
    }
}

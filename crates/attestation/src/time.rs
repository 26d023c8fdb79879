//! Points in time, in milliseconds, and their RFC 3339 form.

use core::{fmt, time::Duration};

const MILLIS_PER_DAY: u64 = 86_400_000;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted, as attestation documents count.
///
/// This crate never asks a clock: the present is always an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The time that many milliseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The time that many seconds after 1970-01-01T00:00:00Z; saturates.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// This much later; saturates at the end of time.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This much earlier; saturates at 1970.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; `None` if it is before it.
    #[must_use]
    pub fn duration_since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_millis)
    }

    /// Reads `YYYY-MM-DDThh:mm:ssZ` with at most three fractional digits (RFC 3339, section 5.6, `Z` and capitals only,
    /// years 1970 to 9999, no leap second).
    ///
    /// # Errors
    /// [`TimeError`] for everything else, including offsets such as `+00:00`.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimeError> {
        let bytes = text.as_bytes();
        let rest = bytes.strip_suffix(b"Z").ok_or(TimeError::Form)?;
        let (whole, fraction) = match rest.get(19) {
            None => (rest, &[][..]),
            Some(b'.') => (&rest[..19], &rest[20..]),
            Some(_) => return Err(TimeError::Form),
        };
        if whole.len() != 19 || (rest.len() > 19 && !(1..=3).contains(&fraction.len())) {
            return Err(TimeError::Form);
        }
        for (at, separator) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
            if whole[at] != separator {
                return Err(TimeError::Form);
            }
        }
        let year = digits(&whole[0..4])?;
        let month = digits(&whole[5..7])?;
        let day = digits(&whole[8..10])?;
        let hour = digits(&whole[11..13])?;
        let minute = digits(&whole[14..16])?;
        let second = digits(&whole[17..19])?;
        let mut millis = digits(fraction)?;
        for _ in fraction.len()..3 {
            millis *= 10;
        }
        Self::from_civil(year, month, day, hour, minute, second)
            .map(|time| Self(time.0 + millis))
            .ok_or(TimeError::Range)
    }

    /// The time of these calendar fields in UTC (proleptic Gregorian); `None` if a field is out of its range or the
    /// year is outside 1970 to 9999.
    pub(crate) fn from_civil(
        year: u64,
        month: u64,
        day: u64,
        hour: u64,
        minute: u64,
        second: u64,
    ) -> Option<Self> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let month_days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        if !(1970..=9999).contains(&year)
            || !(1..=month_days).contains(&day)
            || hour > 23
            || minute > 59
            || second > 59
        {
            return None;
        }
        // Days from civil (H. Hinnant), with the year beginning in March: every term is positive from 1970 on.
        let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let day_of_year = (153 * m + 2) / 5 + day - 1;
        let era_days = y * 365 + y / 4 - y / 100 + y / 400 + day_of_year;
        let days = era_days - 719_468;
        Some(Self(days * MILLIS_PER_DAY + (hour * 3600 + minute * 60 + second) * 1000))
    }
}

impl fmt::Display for UnixTime {
    /// RFC 3339 in `Z`: whole seconds if there are no milliseconds, else three fractional digits. Years above 9999 are
    /// shown with all their digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0 / MILLIS_PER_DAY;
        let in_day = self.0 % MILLIS_PER_DAY;
        // Civil from days (H. Hinnant).
        let z = days + 719_468;
        let era = z / 146_097;
        let doe = z % 146_097;
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + u64::from(month <= 2);
        let (hour, minute, second) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match in_day % 1000 {
            0 => f.write_str("Z"),
            millis => write!(f, ".{millis:03}Z"),
        }
    }
}

/// Why a text is not a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not of the form `YYYY-MM-DDThh:mm:ss[.mmm]Z`.
    #[error("not of the form YYYY-MM-DDThh:mm:ssZ")]
    Form,
    /// A field is out of its range, such as month 13 or February 30, or the year is before 1970.
    #[error("no such date or time of day")]
    Range,
}

fn digits(text: &[u8]) -> Result<u64, TimeError> {
    text.iter().try_fold(0, |value, digit| {
        if digit.is_ascii_digit() { Ok(value * 10 + u64::from(digit - b'0')) } else { Err(TimeError::Form) }
    })
}

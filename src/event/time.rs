//! Points in time: UTC milliseconds since 1970, the one form in which times are kept, compared and stored.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(i64);

/// Plausible range of times, 2000-01-01 to 2200-01-01. Times outside are unset fields or mistakes, not webinars.
const EARLIEST: i64 = 946_684_800_000;
const LATEST: i64 = 7_258_118_400_000;

impl Millis {
    /// The time this many milliseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn new(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// This time plus `span`, saturating.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This time minus `span`, saturating.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Time elapsed since `earlier`; zero if this time is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Absolute distance between the two times.
    #[must_use]
    pub fn distance(self, other: Self) -> Duration {
        Duration::from_millis(self.0.abs_diff(other.0))
    }

    /// A platform's time in milliseconds. `None` if it is implausible: zero and other unset values.
    #[must_use]
    pub fn from_plausible_ms(ms: i64) -> Option<Self> {
        (EARLIEST..LATEST).contains(&ms).then_some(Self(ms))
    }

    /// As [`from_plausible_ms`](Self::from_plausible_ms), from seconds.
    #[must_use]
    pub fn from_plausible_seconds(seconds: i64) -> Option<Self> {
        Self::from_plausible_ms(seconds.checked_mul(1_000)?)
    }

    /// Parses RFC 3339 with `Z` or an offset. A time without either is read in `zone` (an IANA name); without a valid
    /// zone it is `None`: guessing UTC would move a webinar by hours.
    #[must_use]
    pub fn parse(text: &str, zone: Option<&str>) -> Option<Self> {
        let text = text.trim();
        if text.len() > 64 {
            return None;
        }
        if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
            return Self::from_plausible_ms(timestamp.as_millisecond());
        }
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        let zoned = civil.in_tz(zone?).ok()?;
        Self::from_plausible_ms(zoned.timestamp().as_millisecond())
    }
}

/// RFC 3339 in UTC with `Z`, the only form HubSpot is known to take without a shift; milliseconds only if there are
/// some.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => timestamp.fmt(f),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_of_a_time_with_an_offset_gives_utc() {
        let time = Millis::parse("2026-03-05T13:00:00-05:00", None).expect("a time");
        assert_eq!(time.to_string(), "2026-03-05T18:00:00Z");
    }

    #[test]
    fn parse_of_a_time_without_an_offset_needs_a_zone() {
        assert_eq!(Millis::parse("2026-07-05T13:00:00", None), None);
        let time = Millis::parse("2026-07-05T13:00:00", Some("Europe/Berlin")).expect("a time");
        assert_eq!(time.to_string(), "2026-07-05T11:00:00Z");
        assert_eq!(Millis::parse("2026-07-05T13:00:00", Some("Nowhere/Land")), None);
    }

    #[test]
    fn implausible_times_are_none() {
        for text in [
            "",
            "soon",
            "0000-00-00T00:00:00Z",
            "1970-01-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "9999-01-01T00:00:00Z",
        ] {
            assert_eq!(Millis::parse(text, Some("UTC")), None, "{text}");
        }
        assert_eq!(Millis::from_plausible_ms(0), None);
        for seconds in [0, -1, 1_750_000_000_000, i64::MAX, i64::MIN] {
            assert_eq!(Millis::from_plausible_seconds(seconds), None, "{seconds}");
        }
        let time = Millis::from_plausible_seconds(1_750_000_000);
        assert_eq!(time, Some(Millis::new(1_750_000_000_000)));
    }
}

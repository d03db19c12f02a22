//! What an answer's headers tell of the limits.

use std::time::Duration;

use crate::net::HttpResponse;

use super::settings::RateLimit;

/// Told intervals beyond a minute are mistakes, or mean something else: HubSpot's windows have ten seconds or one, and
/// the day's calls are told apart. Taken at its word, one such header could keep an account silent for a day.
const MAX_INTERVAL: Duration = Duration::from_mins(1);

/// The limits as HubSpot tells them; each number only where it does.
///
/// `X-HubSpot-RateLimit-Max`, `-Remaining`, `-Interval-Milliseconds`; `-Daily` and `-Daily-Remaining`, which OAuth
/// calls lack (<https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimitHeaders {
    /// Calls that the window allows.
    pub max: Option<u32>,
    /// Calls that are left in the window.
    pub remaining: Option<u32>,
    /// The window.
    pub interval: Option<Duration>,
    /// Calls that the day allows.
    pub daily: Option<u64>,
    /// Calls that are left of the day.
    pub daily_remaining: Option<u64>,
}

impl RateLimitHeaders {
    /// Reads an answer's headers; what is no number is not told.
    #[must_use]
    pub fn from_response(answer: &HttpResponse) -> Self {
        let number = |name| answer.header(name).and_then(|text| text.trim().parse::<u64>().ok());
        let small = |name| number(name).and_then(|value| u32::try_from(value).ok());
        Self {
            max: small("x-hubspot-ratelimit-max"),
            remaining: small("x-hubspot-ratelimit-remaining"),
            interval: number("x-hubspot-ratelimit-interval-milliseconds")
                .map(Duration::from_millis),
            daily: number("x-hubspot-ratelimit-daily"),
            daily_remaining: number("x-hubspot-ratelimit-daily-remaining"),
        }
    }

    /// The window's limit, if it is told whole and can be one: a limit of nothing would stop us for ever.
    pub(super) fn limit(&self) -> Option<RateLimit> {
        let (requests, window) = (self.max?, self.interval?);
        (requests > 0 && !window.is_zero() && window <= MAX_INTERVAL)
            .then_some(RateLimit { requests, window })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headers: &[(&str, &str)]) -> RateLimitHeaders {
        let named = |(name, value): &(&str, &str)| {
            (format!("x-hubspot-ratelimit-{name}"), (*value).to_owned())
        };
        RateLimitHeaders::from_response(&HttpResponse {
            headers: headers.iter().map(named).collect(),
            ..HttpResponse::default()
        })
    }

    #[test]
    fn each_number_is_told_where_hubspot_tells_it() {
        let rates = told(&[
            ("max", "190"),
            ("remaining", " 7 "),
            ("interval-milliseconds", "10000"),
            ("daily", "5000000000"),
            ("daily-remaining", "12"),
        ]);
        assert_eq!((rates.max, rates.remaining), (Some(190), Some(7)));
        assert_eq!(rates.interval, Some(Duration::from_secs(10)));
        assert_eq!((rates.daily, rates.daily_remaining), (Some(5_000_000_000), Some(12)));
        let odd = told(&[("max", "4294967296"), ("remaining", "-1"), ("daily", "many")]);
        assert_eq!(odd, RateLimitHeaders::default());
    }

    #[test]
    fn a_limit_is_whole_and_lets_something_through_within_a_minute() {
        let minute = "60000";
        let limit =
            |max, interval| told(&[("max", max), ("interval-milliseconds", interval)]).limit();
        let whole = RateLimit { requests: 1, window: Duration::from_mins(1) };
        assert_eq!(limit("1", minute), Some(whole));
        for (max, interval) in
            [("0", minute), ("1", "0"), ("1", "60001"), ("1", "86400000"), ("", minute), ("1", "")]
        {
            assert_eq!(limit(max, interval), None, "{max} in {interval}");
        }
    }
}

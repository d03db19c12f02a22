//! The limits that the headers of HubSpot's responses report.

use std::time::Duration;

use crate::net::{HttpResponse, RateLimit};

/// Longest believable interval: HubSpot's windows have ten seconds or one, and it reports the day's calls apart. A
/// longer one is a mistake: trusted, one such header could stop an account for a day.
const MAX_INTERVAL: Duration = Duration::from_mins(1);

/// The limits as HubSpot reports them; a number is none if it is not reported.
///
/// `X-HubSpot-RateLimit-Max`, `-Remaining`, `-Interval-Milliseconds`; `-Daily-Remaining`, which OAuth calls lack
/// (<https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimitHeaders {
    /// The window's limit.
    pub limit: Option<RateLimit>,
    /// Calls that are left in the window.
    pub remaining: Option<u32>,
    /// Calls that are left of the day.
    pub daily_remaining: Option<u64>,
}

impl RateLimitHeaders {
    /// Reads a response's headers; a header that is no number is absent.
    #[must_use]
    pub fn from_response(response: &HttpResponse) -> Self {
        let number = |name| response.header(name).and_then(|text| text.trim().parse::<u64>().ok());
        let small = |name| number(name).and_then(|value| u32::try_from(value).ok());
        let interval = number("x-hubspot-ratelimit-interval-milliseconds");
        Self {
            limit: limit(small("x-hubspot-ratelimit-max"), interval),
            remaining: small("x-hubspot-ratelimit-remaining"),
            daily_remaining: number("x-hubspot-ratelimit-daily-remaining"),
        }
    }
}

/// The window's limit, if it is reported whole and can be one: a limit of 0 would stop all calls for ever.
fn limit(max: Option<u32>, interval_ms: Option<u64>) -> Option<RateLimit> {
    let (requests, window) = (max?, Duration::from_millis(interval_ms?));
    (requests > 0 && !window.is_zero() && window <= MAX_INTERVAL)
        .then_some(RateLimit { requests, window })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(headers: &[(&str, &str)]) -> RateLimitHeaders {
        let named = |(name, value): &(&str, &str)| {
            (format!("x-hubspot-ratelimit-{name}"), (*value).to_owned())
        };
        RateLimitHeaders::from_response(&HttpResponse {
            headers: headers.iter().map(named).collect(),
            ..HttpResponse::default()
        })
    }

    #[test]
    fn from_response_any_headers_reads_the_numbers_alone() {
        let rates = parse(&[
            ("max", "190"),
            ("remaining", " 7 "),
            ("interval-milliseconds", "10000"),
            ("daily", "6000000000"),
            ("daily-remaining", "5000000000"),
        ]);
        let limit = RateLimit { requests: 190, window: Duration::from_secs(10) };
        assert_eq!((rates.limit, rates.remaining), (Some(limit), Some(7)));
        assert_eq!(rates.daily_remaining, Some(5_000_000_000));
        let odd = parse(&[("max", "4294967296"), ("remaining", "-1"), ("daily-remaining", "many")]);
        assert_eq!(odd, RateLimitHeaders::default());
    }

    #[test]
    fn limit_reported_in_part_or_out_of_bounds_is_none() {
        let minute = "60000";
        let limit =
            |max, interval| parse(&[("max", max), ("interval-milliseconds", interval)]).limit;
        let whole = RateLimit { requests: 1, window: Duration::from_mins(1) };
        assert_eq!(limit("1", minute), Some(whole));
        for (max, interval) in [
            ("0", minute),
            ("1", "0"),
            ("1", "60001"),
            ("1", "86400000"),
            ("1", "18446744073709551615"),
            ("", minute),
            ("1", ""),
        ] {
            assert_eq!(limit(max, interval), None, "{max} in {interval}");
        }
    }
}

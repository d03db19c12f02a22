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
    /// Calls that the window allows.
    pub max: Option<u32>,
    /// Calls that are left in the window.
    pub remaining: Option<u32>,
    /// Length of the window.
    pub interval: Option<Duration>,
    /// Calls that are left of the day.
    pub daily_remaining: Option<u64>,
}

impl RateLimitHeaders {
    /// Reads a response's headers; a header that is no number is absent.
    #[must_use]
    pub fn from_response(response: &HttpResponse) -> Self {
        let number = |name| response.header(name).and_then(|text| text.trim().parse::<u64>().ok());
        let small = |name| number(name).and_then(|value| u32::try_from(value).ok());
        Self {
            max: small("x-hubspot-ratelimit-max"),
            remaining: small("x-hubspot-ratelimit-remaining"),
            interval: number("x-hubspot-ratelimit-interval-milliseconds")
                .map(Duration::from_millis),
            daily_remaining: number("x-hubspot-ratelimit-daily-remaining"),
        }
    }

    /// The window's limit, if it is reported whole and can be one: a limit of 0 would stop all calls for ever.
    #[must_use]
    pub fn limit(&self) -> Option<RateLimit> {
        let (requests, window) = (self.max?, self.interval?);
        (requests > 0 && !window.is_zero() && window <= MAX_INTERVAL)
            .then_some(RateLimit { requests, window })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::net::{Permit, RateLimiter};

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
        assert_eq!((rates.max, rates.remaining), (Some(190), Some(7)));
        assert_eq!(rates.interval, Some(Duration::from_secs(10)));
        assert_eq!(rates.daily_remaining, Some(5_000_000_000));
        let odd = parse(&[("max", "4294967296"), ("remaining", "-1"), ("daily-remaining", "many")]);
        assert_eq!(odd, RateLimitHeaders::default());
    }

    #[test]
    fn limit_reported_in_part_or_out_of_bounds_is_none() {
        let minute = "60000";
        let limit =
            |max, interval| parse(&[("max", max), ("interval-milliseconds", interval)]).limit();
        let whole = RateLimit { requests: 1, window: Duration::from_mins(1) };
        assert_eq!(limit("1", minute), Some(whole));
        for (max, interval) in
            [("0", minute), ("1", "0"), ("1", "60001"), ("1", "86400000"), ("", minute), ("1", "")]
        {
            assert_eq!(limit(max, interval), None, "{max} in {interval}");
        }
    }

    #[test]
    fn limit_impossible_limits_change_nothing() {
        const WINDOW: Duration = Duration::from_secs(10);
        let mut now = Instant::now();
        let mut limiter = RateLimiter::for_shared_limit(RateLimit { requests: 4, window: WINDOW });
        let first = limiter.try_acquire(now).expect("nothing is used");
        limiter.complete(first, now);
        now += 2 * WINDOW;
        let permit = limiter.try_acquire(now).expect("the window has passed");
        for (max, interval) in
            [(0, WINDOW), (9, Duration::ZERO), (1, Duration::from_millis(u64::MAX))]
        {
            let headers = RateLimitHeaders {
                max: Some(max),
                remaining: Some(0),
                interval: Some(interval),
                ..RateLimitHeaders::default()
            };
            limiter.observe(&permit, headers.limit(), headers.remaining, now);
        }
        limiter.complete(permit, now);
        let permits: Vec<Permit> = std::iter::from_fn(|| limiter.try_acquire(now).ok()).collect();
        assert_eq!(permits.len(), 3);
        for permit in permits {
            limiter.cancel(permit);
        }
    }
}

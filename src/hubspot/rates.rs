//! What an answer's headers tell of the limits.

use std::time::Duration;

use crate::net::Response;

use super::settings::RateLimit;

/// Told intervals beyond a day are mistakes: no limit of HubSpot's is longer.
const LONGEST: Duration = Duration::from_hours(24);

/// The limits as HubSpot tells them; each number only where it does.
///
/// `X-HubSpot-RateLimit-Max`, `-Remaining`, `-Interval-Milliseconds`; `-Daily` and `-Daily-Remaining`, which OAuth
/// calls lack (<https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines>).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
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

impl Rates {
    /// Reads an answer's headers; what is no number is not told.
    #[must_use]
    pub fn read(answer: &Response) -> Self {
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
        (requests > 0 && !window.is_zero() && window <= LONGEST)
            .then_some(RateLimit { requests, window })
    }
}

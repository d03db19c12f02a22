//! Judges the responses of a platform's API, without I/O.

use std::time::Duration;

use serde_json::value::RawValue;

use crate::event::Millis;
use crate::event::backoff::{Backoff, Jitter};
use crate::net::{HttpResponse, TransportError};

/// Longest wait that a platform may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);
/// Wait after a 429 without `Retry-After`: most platforms count by the minute.
const RATE_LIMITED_WAIT: Duration = Duration::from_mins(1);
/// Wait while credentials are refused, or while only the platform's owner can help.
pub(super) const REFUSAL_WAIT: Duration = Duration::from_mins(5);
/// Longest wait of that kind for one webinar.
const MAX_LONG_BACKOFF: Duration = Duration::from_hours(6);
/// Waits after failures that pass by themselves.
const SHORT_BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(5), max: Duration::from_mins(5), jitter: Jitter::Half };
/// Requests after which a webinar that is not found counts as missing: some twenty minutes. A platform may not know yet
/// a webinar that its own webhook announced (Webex: within ten minutes in 99.5 % of cases, by its webhook guide,
/// <https://developer.webex.com/admin/docs/api/guides/webhooks>).
const NOT_FOUND_TRIES: u32 = 11;
/// Requests after which a fetch that the platform rejects is given up.
const REJECTED_TRIES: u32 = 5;

/// A response in JSON.
#[derive(Debug)]
pub(super) struct PlatformAnswer {
    /// Body.
    pub(super) body: Box<RawValue>,
    /// Time of the response by the platform's clock.
    pub(super) date: Option<Millis>,
}

/// Why a request is not answered.
#[derive(Debug)]
pub(super) enum PlatformError {
    /// The platform does not have it, or does not have it yet.
    NotFound,
    /// The credentials may not read it.
    Forbidden,
    /// The failure passes by itself.
    RetryLater(TemporaryFailure),
    /// The request is wrong, and stays wrong when repeated.
    Rejected(String),
}

/// A failure that passes by itself.
#[derive(Debug, Clone)]
pub(super) struct TemporaryFailure {
    /// Reason, for operators; it holds nothing of the response's body.
    pub(super) reason: String,
    /// Time to wait, if the response states it or the platform's documentation implies it.
    pub(super) wait: Option<Duration>,
    /// Requests that fail.
    pub(super) scope: FailureScope,
}

/// Requests that a failure affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureScope {
    /// This one.
    Request,
    /// Every request.
    Platform,
    /// Every request with these credentials, which the platform refuses.
    Credentials,
}

/// Judges the result of a call.
pub(super) fn judge(
    result: Result<HttpResponse, TransportError>,
) -> Result<PlatformAnswer, PlatformError> {
    let later = |reason, wait, scope| {
        Err(PlatformError::RetryLater(TemporaryFailure { reason, wait, scope }))
    };
    let response = match result {
        Ok(response) => response,
        Err(error @ TransportError::TooLarge(_)) => {
            return Err(PlatformError::Rejected(error.to_string()));
        }
        Err(error) => return later(error.with_causes(), None, FailureScope::Platform),
    };
    let answered = format!("it answered {}", response.status);
    match response.status {
        200..=299 => parse_answer(response).map_or_else(
            || later(format!("{answered} with what is not JSON"), None, FailureScope::Request),
            Ok,
        ),
        401 => later(
            "it refuses the credentials".to_owned(),
            Some(REFUSAL_WAIT),
            FailureScope::Credentials,
        ),
        403 => Err(PlatformError::Forbidden),
        404 | 410 => Err(PlatformError::NotFound),
        408 | 425 | 500..=599 => later(answered, retry_after(&response), FailureScope::Platform),
        429 => {
            let wait = retry_after(&response).unwrap_or(RATE_LIMITED_WAIT);
            later(answered, Some(wait), FailureScope::Platform)
        }
        // A redirect is not followed: it could lead our credentials anywhere.
        300..=399 => later(answered, Some(REFUSAL_WAIT), FailureScope::Platform),
        _ => Err(PlatformError::Rejected(answered)),
    }
}

fn parse_answer(response: HttpResponse) -> Option<PlatformAnswer> {
    let date = response.header("date").and_then(parse_http_date);
    let body = RawValue::from_string(String::from_utf8(response.body).ok()?).ok()?;
    Some(PlatformAnswer { body, date })
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
fn parse_http_date(text: &str) -> Option<Millis> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Millis::from_plausible_ms(time.as_millisecond())
}

/// The wait after the latest of `failures` in a row that pass by themselves, where the platform asks for none. `random`
/// is the source of the jitter.
pub(super) fn short_backoff(failures: u32, random: u32) -> Duration {
    SHORT_BACKOFF.delay(failures, random)
}

/// The wait for a fetch that has been open for that time and needs an operator. It doubles, up to hours: there may be
/// thousands of such fetches, and a platform's quota counts them all.
pub(super) fn long_backoff(open_for: Duration) -> Duration {
    open_for.clamp(REFUSAL_WAIT, MAX_LONG_BACKOFF)
}

/// Whether a webinar that was not found in this many requests is missing for good.
pub(super) fn is_missing_for_good(tries: u32) -> bool {
    tries >= NOT_FOUND_TRIES
}

/// Whether a fetch that was rejected in this many requests is given up.
pub(super) fn is_rejected_for_good(tries: u32) -> bool {
    tries >= REJECTED_TRIES
}

/// The wait that a response asks for, within bounds.
fn retry_after(response: &HttpResponse) -> Option<Duration> {
    response.retry_after().map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge_response(
        status: u16,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<PlatformAnswer, PlatformError> {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let body = body.as_bytes().to_vec();
        judge(Ok(HttpResponse { status, headers: headers.collect(), body }))
    }

    fn failure(result: Result<PlatformAnswer, PlatformError>) -> TemporaryFailure {
        let Err(PlatformError::RetryLater(failure)) = result else { panic!("{result:?}") };
        failure
    }

    #[test]
    fn judge_any_status_means_one_thing() {
        let answer = judge_response(200, &[], " {} ").expect("JSON");
        assert_eq!(answer.body.get(), "{}");
        assert!(matches!(judge_response(403, &[], ""), Err(PlatformError::Forbidden)));
        for status in [404, 410] {
            let result = judge_response(status, &[], "{}");
            assert!(matches!(result, Err(PlatformError::NotFound)), "{status}");
        }
        for status in [400, 405, 422] {
            let result = judge_response(status, &[], "{}");
            assert!(matches!(result, Err(PlatformError::Rejected(_))), "{status}");
        }
        for (status, scope) in [
            (302, FailureScope::Platform),
            (401, FailureScope::Credentials),
            (408, FailureScope::Platform),
            (429, FailureScope::Platform),
            (500, FailureScope::Platform),
            (503, FailureScope::Platform),
            (524, FailureScope::Platform),
            (200, FailureScope::Request),
        ] {
            let result = judge_response(status, &[], "<html>");
            assert_eq!(failure(result).scope, scope, "{status}");
        }
        for body in ["", "{", "{} {}"] {
            assert_eq!(failure(judge_response(200, &[], body)).scope, FailureScope::Request);
        }
        let no_text =
            HttpResponse { status: 200, body: vec![b'"', 0xff, b'"'], ..HttpResponse::default() };
        assert_eq!(failure(judge(Ok(no_text))).scope, FailureScope::Request);
    }

    #[test]
    fn judge_retry_after_is_bounded() {
        let wait_after =
            |after: &str| failure(judge_response(429, &[("retry-after", after)], "")).wait;
        assert_eq!(wait_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait_after("999999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(wait_after("soon"), Some(RATE_LIMITED_WAIT));
        assert_eq!(failure(judge_response(503, &[], "")).wait, None);
        assert_eq!(failure(judge(Err(TransportError::Timeout))).wait, None);
        let too_long = judge(Err(TransportError::TooLarge(5)));
        assert!(matches!(too_long, Err(PlatformError::Rejected(_))));
    }

    #[test]
    fn parse_http_date_reads_plausible_times_only() {
        assert_eq!(
            parse_http_date("Thu, 01 Oct 2026 10:00:00 GMT"),
            Some(Millis::new(1_790_848_800_000))
        );
        assert_eq!(parse_http_date("now"), None);
        assert_eq!(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT"), None);
    }

    #[test]
    fn short_backoff_more_failures_doubles_up_to_five_minutes() {
        let longest: Vec<u64> = (1..=8).map(|n| short_backoff(n, u32::MAX).as_secs()).collect();
        assert_eq!(longest, [5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(short_backoff(1, 0), Duration::from_millis(2_500));
        // A missing webinar is requested for longer than a platform may take to know it, whatever the jitter.
        let waits =
            |random| (1..NOT_FOUND_TRIES).map(|n| short_backoff(n, random)).sum::<Duration>();
        assert!(waits(0) > Duration::from_mins(12), "{:?}", waits(0));
        assert!(waits(u32::MAX) < Duration::from_mins(26), "{:?}", waits(u32::MAX));
        assert_eq!(short_backoff(u32::MAX, 0), SHORT_BACKOFF.max / 2);
    }
}

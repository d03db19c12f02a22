//! Judges the responses of a platform's API, without I/O.

use std::time::Duration;

use crate::event::backoff::{Backoff, Jitter};
use crate::net::{HttpResponse, TransportError};

/// Longest wait that a platform may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);
/// Wait after a 429 without `Retry-After`: most platforms count by the minute.
const RATE_LIMITED_WAIT: Duration = Duration::from_mins(1);
/// Wait while credentials are refused, or while only the platform's owner can help.
const REFUSAL_WAIT: Duration = Duration::from_mins(5);
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

/// The meaning of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FetchVerdict {
    /// The body holds what was requested.
    Answered,
    /// The platform does not have it, or does not have it yet.
    NotFound,
    /// The credentials may not read it.
    Forbidden,
    /// The credentials were refused.
    Unauthorized,
    /// The failure passes by itself.
    RetryLater(TemporaryFailure),
    /// The request is wrong, and stays wrong when repeated.
    Rejected(String),
}

/// A failure that passes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TemporaryFailure {
    /// Reason, for operators; it holds nothing of the response's body.
    pub(super) reason: String,
    /// Time to wait, if the response states it or the platform's documentation implies it.
    pub(super) wait: Option<Duration>,
    /// Whether every other request would fail too.
    pub(super) affects_all: bool,
}

/// Judges the result of a call.
pub(super) fn judge(result: &Result<HttpResponse, TransportError>) -> FetchVerdict {
    let response = match result {
        Ok(response) => response,
        Err(error @ TransportError::TooLarge(_)) => {
            return FetchVerdict::Rejected(error.to_string());
        }
        Err(error) => {
            return FetchVerdict::RetryLater(TemporaryFailure {
                reason: error.with_causes(),
                wait: None,
                affects_all: true,
            });
        }
    };
    let status = response.status;
    let later = |wait, affects_all| {
        FetchVerdict::RetryLater(TemporaryFailure {
            reason: format!("it answered {status}"),
            wait,
            affects_all,
        })
    };
    match status {
        200..=299 if is_json(&response.body) => FetchVerdict::Answered,
        200..=299 => FetchVerdict::RetryLater(TemporaryFailure {
            reason: format!("it answered {status} with what is not JSON"),
            wait: None,
            affects_all: false,
        }),
        401 => FetchVerdict::Unauthorized,
        403 => FetchVerdict::Forbidden,
        404 | 410 => FetchVerdict::NotFound,
        408 | 425 | 500..=599 => later(retry_after(response), true),
        429 => later(Some(retry_after(response).unwrap_or(RATE_LIMITED_WAIT)), true),
        // A redirect is not followed: it could lead our credentials anywhere.
        300..=399 => later(Some(REFUSAL_WAIT), true),
        _ => FetchVerdict::Rejected(format!("it answered {status}")),
    }
}

/// The wait after the latest of `failures` in a row that pass by themselves, where the platform asks for none. `random`
/// is the source of the jitter.
pub(super) fn short_backoff(failures: u32, random: u32) -> Duration {
    SHORT_BACKOFF.delay(failures, random)
}

/// The wait after refused credentials.
pub(super) fn refusal_wait() -> Duration {
    REFUSAL_WAIT
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

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<&serde_json::value::RawValue>(body).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge_response(status: u16, headers: &[(&str, &str)], body: &str) -> FetchVerdict {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let body = body.as_bytes().to_vec();
        judge(&Ok(HttpResponse { status, headers: headers.collect(), body }))
    }

    fn wait(verdict: &FetchVerdict) -> Option<Duration> {
        let FetchVerdict::RetryLater(failure) = verdict else { panic!("{verdict:?}") };
        failure.wait
    }

    #[test]
    fn judge_any_status_means_one_thing() {
        assert_eq!(judge_response(200, &[], "{}"), FetchVerdict::Answered);
        assert_eq!(judge_response(401, &[], ""), FetchVerdict::Unauthorized);
        assert_eq!(judge_response(403, &[], ""), FetchVerdict::Forbidden);
        for status in [404, 410] {
            assert_eq!(judge_response(status, &[], "{}"), FetchVerdict::NotFound, "{status}");
        }
        for status in [400, 405, 422] {
            assert!(
                matches!(judge_response(status, &[], "{}"), FetchVerdict::Rejected(_)),
                "{status}"
            );
        }
        for status in [302, 408, 429, 500, 503, 524] {
            let verdict = judge_response(status, &[], "<html>");
            assert!(
                matches!(
                    verdict,
                    FetchVerdict::RetryLater(TemporaryFailure { affects_all: true, .. })
                ),
                "{status}"
            );
        }
        let page = judge_response(200, &[], "<html>");
        assert!(
            matches!(page, FetchVerdict::RetryLater(TemporaryFailure { affects_all: false, .. })),
            "{page:?}"
        );
        for body in ["", "{", "{} {}"] {
            assert!(
                matches!(judge_response(200, &[], body), FetchVerdict::RetryLater(_)),
                "{body}"
            );
        }
    }

    #[test]
    fn judge_retry_after_is_bounded() {
        let wait_after = |after: &str| wait(&judge_response(429, &[("retry-after", after)], ""));
        assert_eq!(wait_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait_after("999999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(wait_after("soon"), Some(RATE_LIMITED_WAIT));
        assert_eq!(wait(&judge_response(503, &[], "")), None);
        assert_eq!(wait(&judge(&Err(TransportError::Timeout))), None);
        assert!(matches!(judge(&Err(TransportError::TooLarge(5))), FetchVerdict::Rejected(_)));
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

//! What an answer of a platform's API means. Pure.

use std::time::Duration;

use crate::net::{HttpResponse, TransportError};

/// The longest that a platform's word for waiting is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);
/// What is waited where a platform says "too many" and not for how long: most count by the minute.
const RATE_LIMITED_WAIT: Duration = Duration::from_mins(1);
/// What is waited while credentials are refused, or something that the platform's owner must put right.
const REFUSAL_WAIT: Duration = Duration::from_mins(5);
/// The longest of it for one question.
const MAX_LONG_BACKOFF: Duration = Duration::from_hours(6);
/// The first wait after a failure that passes by itself; it doubles.
const FIRST_BACKOFF: Duration = Duration::from_secs(5);
/// The longest of these.
const MAX_SHORT_BACKOFF: Duration = Duration::from_mins(5);
/// A platform may not know yet what its own webhook told (Webex: within ten minutes in 99.5 % of cases, its webhook guide,
/// <https://developer.webex.com/admin/docs/api/guides/webhooks>): so often it is asked again, which takes some twenty minutes.
const NOT_FOUND_TRIES: u32 = 11;
/// So often a question is asked that the platform says is wrong.
const REJECTED_TRIES: u32 = 5;

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FetchVerdict {
    /// Here it is.
    Answered,
    /// The platform does not have it, or not yet.
    NotFound,
    /// We may not see it.
    Forbidden,
    /// The token is good no more.
    Unauthorized,
    /// It passes.
    RetryLater(TemporaryFailure),
    /// The question is wrong; asked again it will be, too.
    Rejected(String),
}

/// Something that passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TemporaryFailure {
    /// For operators; holds nothing of the answer's body.
    pub(super) reason: String,
    /// How long to wait, where the platform says or is known to mean.
    pub(super) wait: Option<Duration>,
    /// Whether every other question would fail alike.
    pub(super) affects_all: bool,
}

/// What came back.
pub(super) fn judge(answer: &Result<HttpResponse, TransportError>) -> FetchVerdict {
    let response = match answer {
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
    let later = |wait, of_all| {
        FetchVerdict::RetryLater(TemporaryFailure {
            reason: format!("it answered {status}"),
            wait,
            affects_all: of_all,
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

/// How long after the latest of `failures` in a row something that passes is tried again, where the platform does not say.
pub(super) fn short_backoff(failures: u32, random: u32) -> Duration {
    let longest = FIRST_BACKOFF.saturating_mul(1 << failures.min(16)).min(MAX_SHORT_BACKOFF);
    // From half of it on, so that what failed together does not come back together, and nothing at once.
    let half = longest / 2;
    half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// How long refused credentials are left alone.
pub(super) fn refusal_wait() -> Duration {
    REFUSAL_WAIT
}

/// How long a question is left alone that somebody must put right, and that has been open so long already. It doubles, up to
/// hours: there may be thousands of them, and a platform's quota counts them all.
pub(super) fn long_backoff(open: Duration) -> Duration {
    open.clamp(REFUSAL_WAIT, MAX_LONG_BACKOFF)
}

/// Whether what is not there after so many tries is not there for good.
pub(super) fn is_missing_for_good(tries: u32) -> bool {
    tries >= NOT_FOUND_TRIES
}

/// Whether a question that was wrong so often is given up.
pub(super) fn is_rejected_for_good(tries: u32) -> bool {
    tries >= REJECTED_TRIES
}

/// RFC 9110, 10.2.3, in its form of seconds.
fn retry_after(response: &HttpResponse) -> Option<Duration> {
    let seconds: u64 = response.header("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<&serde_json::value::RawValue>(body).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, headers: &[(&str, &str)], body: &str) -> FetchVerdict {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let body = body.as_bytes().to_vec();
        judge(&Ok(HttpResponse { status, headers: headers.collect(), body }))
    }

    fn wait(verdict: &FetchVerdict) -> Option<Duration> {
        let FetchVerdict::RetryLater(trouble) = verdict else { panic!("{verdict:?}") };
        trouble.wait
    }

    #[test]
    fn each_status_means_one_thing() {
        assert_eq!(answered(200, &[], "{}"), FetchVerdict::Answered);
        assert_eq!(answered(401, &[], ""), FetchVerdict::Unauthorized);
        assert_eq!(answered(403, &[], ""), FetchVerdict::Forbidden);
        for status in [404, 410] {
            assert_eq!(answered(status, &[], "{}"), FetchVerdict::NotFound, "{status}");
        }
        for status in [400, 405, 422] {
            assert!(matches!(answered(status, &[], "{}"), FetchVerdict::Rejected(_)), "{status}");
        }
        for status in [302, 408, 429, 500, 503, 524] {
            let verdict = answered(status, &[], "<html>");
            assert!(
                matches!(
                    verdict,
                    FetchVerdict::RetryLater(TemporaryFailure { affects_all: true, .. })
                ),
                "{status}"
            );
        }
        let page = answered(200, &[], "<html>");
        assert!(
            matches!(page, FetchVerdict::RetryLater(TemporaryFailure { affects_all: false, .. })),
            "{page:?}"
        );
        for body in ["", "{", "{} {}"] {
            assert!(matches!(answered(200, &[], body), FetchVerdict::RetryLater(_)), "{body}");
        }
    }

    #[test]
    fn a_platforms_word_for_waiting_is_believed_within_bounds() {
        let told = |after: &str| wait(&answered(429, &[("retry-after", after)], ""));
        assert_eq!(told("7"), Some(Duration::from_secs(7)));
        assert_eq!(told("999999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(told("soon"), Some(RATE_LIMITED_WAIT));
        assert_eq!(wait(&answered(503, &[], "")), None);
        assert_eq!(wait(&judge(&Err(TransportError::Timeout))), None);
        assert!(matches!(judge(&Err(TransportError::TooLarge(5))), FetchVerdict::Rejected(_)));
    }

    #[test]
    fn waits_double_up_to_five_minutes() {
        let longest: Vec<u64> = (0..8).map(|n| short_backoff(n, u32::MAX).as_secs()).collect();
        assert_eq!(longest, [5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(short_backoff(0, 0), Duration::from_millis(2_500));
        // What is not there is asked about for longer than a platform may take to know it, however the waits fall.
        let waits =
            |random| (0..NOT_FOUND_TRIES - 1).map(|n| short_backoff(n, random)).sum::<Duration>();
        assert!(waits(0) > Duration::from_mins(12), "{:?}", waits(0));
        assert!(waits(u32::MAX) < Duration::from_mins(26), "{:?}", waits(u32::MAX));
        assert_eq!(short_backoff(u32::MAX, 0), MAX_SHORT_BACKOFF / 2);
    }
}

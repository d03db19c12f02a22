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
/// A failure that passes by itself has passed by then; after that the webinar waits longer and longer.
const PASSES_WITHIN: Duration = Duration::from_hours(1);
/// Waits after failures that pass by themselves.
const SHORT_BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(5), max: Duration::from_mins(5), jitter: Jitter::Half };
/// Requests after which a webinar that is not found counts as missing: some twenty minutes. A platform may not know yet
/// a webinar that its own webhook announced (Webex: within ten minutes in 99.5 % of cases, by its webhook guide,
/// <https://developer.webex.com/admin/docs/api/guides/webhooks>).
const NOT_FOUND_TRIES: u32 = 11;

/// How long after the last webhook about it a webinar that is not found counts as not known yet: the shortest time that
/// [`NOT_FOUND_TRIES`] take.
pub(super) const NOT_KNOWN_YET: Duration = Duration::from_mins(12);

/// A response in JSON, or that there is none.
#[derive(Debug)]
pub(super) struct PlatformAnswer {
    /// Body; none if the platform does not have what was asked for, or does not have it yet.
    pub(super) body: Option<Box<RawValue>>,
    /// When the platform made the response, by its clock.
    pub(super) date: Option<Millis>,
}

/// Why a request is not answered.
#[derive(Debug)]
pub(super) enum PlatformError {
    /// The credentials may not read it.
    Forbidden,
    /// No request is answered now, whatever it asks.
    Held(SourceFailure),
    /// The request failed. Whether others fail alike decides whose failure it is.
    Failed(RequestFailure),
}

/// A failure that any request of the source shares.
#[derive(Debug, Clone)]
pub(super) struct SourceFailure {
    /// Reason, for operators; it holds nothing of the response's body.
    pub(super) reason: String,
    /// Time to wait, if the response states it or the platform's documentation implies it.
    pub(super) wait: Option<Duration>,
}

/// A failed request.
#[derive(Debug, Clone)]
pub(super) struct RequestFailure {
    /// Reason, for operators; it holds nothing of the response's body.
    pub(super) reason: String,
    /// Time to wait, if the response states it.
    pub(super) wait: Option<Duration>,
    /// Whether it passes.
    pub(super) kind: FailureKind,
}

/// How long a failure lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// It passes by itself.
    Passing,
    /// It lasts until somebody changes something.
    Lasting,
    /// As [`Self::Lasting`]; other credentials may help.
    Credentials,
    /// The platform limits the calls of all.
    RateLimit,
}

impl RequestFailure {
    /// A failure that lasts until somebody changes something.
    pub(super) fn lasting(reason: String) -> Self {
        Self { reason, wait: None, kind: FailureKind::Lasting }
    }

    /// The wait of a webinar that has failed since then, `failures` times with this one, while others are answered.
    pub(super) fn backoff(&self, failures: u32, open_for: Duration, random: u32) -> Duration {
        let is_passing = self.kind == FailureKind::Passing && open_for < PASSES_WITHIN;
        self.wait.unwrap_or_else(|| {
            if is_passing { short_backoff(failures, random) } else { long_backoff(open_for) }
        })
    }

    /// The wait of a source of which that many requests in a row have failed.
    pub(super) fn source_wait(&self, failures: u32, random: u32) -> Duration {
        self.wait.unwrap_or_else(|| match self.kind {
            FailureKind::Passing => short_backoff(failures, random),
            FailureKind::Lasting | FailureKind::Credentials => REFUSAL_WAIT,
            FailureKind::RateLimit => RATE_LIMITED_WAIT,
        })
    }
}

/// Judges the result of a call.
pub(super) fn judge(
    result: Result<HttpResponse, TransportError>,
) -> Result<PlatformAnswer, PlatformError> {
    let failed =
        |reason, wait, kind| Err(PlatformError::Failed(RequestFailure { reason, wait, kind }));
    let response = match result {
        Ok(response) => response,
        Err(error @ TransportError::TooLarge(_)) => {
            return failed(error.to_string(), None, FailureKind::Lasting);
        }
        Err(error) => return failed(error.with_causes(), None, FailureKind::Passing),
    };
    let answered = format!("it answered {}", response.status);
    let date = response.generated_at();
    match response.status {
        200..=299 => parse_body(response).map_or_else(
            || failed(format!("{answered} with what is not JSON"), None, FailureKind::Lasting),
            |body| Ok(PlatformAnswer { body: Some(body), date }),
        ),
        401 => failed("it refuses the credentials".to_owned(), None, FailureKind::Credentials),
        403 => Err(PlatformError::Forbidden),
        404 | 410 => Ok(PlatformAnswer { body: None, date }),
        408 | 425 | 500..=599 => failed(answered, retry_after(&response), FailureKind::Passing),
        429 => failed(answered, retry_after(&response), FailureKind::RateLimit),
        // A redirect, too: it is not followed, since it could lead our credentials anywhere.
        _ => failed(answered, None, FailureKind::Lasting),
    }
}

fn parse_body(response: HttpResponse) -> Option<Box<RawValue>> {
    let body = String::from_utf8(response.body).ok()?;
    // Some senders put a byte order mark before a text.
    let json = match body.strip_prefix('\u{feff}') {
        Some(json) => json.to_owned(),
        None => body,
    };
    RawValue::from_string(json).ok()
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

    fn failure(result: Result<PlatformAnswer, PlatformError>) -> RequestFailure {
        let Err(PlatformError::Failed(failure)) = result else { panic!("{result:?}") };
        failure
    }

    #[test]
    fn judge_any_status_means_one_thing() {
        let answer = judge_response(200, &[], " {} ").expect("JSON");
        assert_eq!(answer.body.expect("it is there").get(), "{}");
        assert!(matches!(judge_response(403, &[], ""), Err(PlatformError::Forbidden)));
        for status in [404, 410] {
            let date = [("date", "Thu, 01 Oct 2026 10:00:00 GMT")];
            let answer = judge_response(status, &date, "{}").expect("an answer");
            assert!(answer.body.is_none(), "{status}");
            assert_eq!(answer.date, Some(Millis::new(1_790_848_800_000)), "{status}");
        }
        for (status, kind) in [
            (302, FailureKind::Lasting),
            (400, FailureKind::Lasting),
            (401, FailureKind::Credentials),
            (402, FailureKind::Lasting),
            (406, FailureKind::Lasting),
            (422, FailureKind::Lasting),
            (451, FailureKind::Lasting),
            (408, FailureKind::Passing),
            (429, FailureKind::RateLimit),
            (500, FailureKind::Passing),
            (503, FailureKind::Passing),
            (524, FailureKind::Passing),
            (200, FailureKind::Lasting),
        ] {
            let result = judge_response(status, &[], "<html>");
            assert_eq!(failure(result).kind, kind, "{status}");
        }
        for body in ["", "{", "{} {}"] {
            assert_eq!(failure(judge_response(200, &[], body)).kind, FailureKind::Lasting);
        }
        let no_text =
            HttpResponse { status: 200, body: vec![b'"', 0xff, b'"'], ..HttpResponse::default() };
        assert_eq!(failure(judge(Ok(no_text))).kind, FailureKind::Lasting);
    }

    #[test]
    fn backoff_of_a_webinar_follows_the_kind_of_its_failure() {
        let minutes = |open_for: u64, status| {
            let failure = failure(judge_response(status, &[], "{}"));
            failure.backoff(20, Duration::from_mins(open_for), u32::MAX).as_secs() / 60
        };
        for status in [400, 402, 406, 422, 451] {
            let waits = [0, 5, 10, 20, 320, 640, 9_000].map(|open_for| minutes(open_for, status));
            assert_eq!(waits, [5, 5, 10, 20, 320, 360, 360], "{status}");
        }
        assert_eq!([0, 59, 60, 600].map(|open_for| minutes(open_for, 500)), [5, 5, 60, 360]);
    }

    #[test]
    fn judge_retry_after_is_bounded() {
        let wait_after =
            |after: &str| failure(judge_response(429, &[("retry-after", after)], "")).wait;
        assert_eq!(wait_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait_after("999999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(wait_after("soon"), None);
        let limited = failure(judge_response(429, &[], ""));
        assert_eq!(limited.source_wait(1, 0), RATE_LIMITED_WAIT);
        assert_eq!(failure(judge_response(503, &[], "")).wait, None);
        assert_eq!(failure(judge(Err(TransportError::Timeout))).wait, None);
        let too_long = judge(Err(TransportError::TooLarge(5)));
        assert_eq!(failure(too_long).kind, FailureKind::Lasting);
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

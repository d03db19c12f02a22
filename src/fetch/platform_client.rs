//! One call of a platform's API: credentials, pace, bounds.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::{info, warn};
use url::Url;

use super::pace::Turns;
use super::token::{AuthHeader, PlatformTokens, TokenError};
use super::verdict::{self, FetchVerdict, TemporaryFailure, judge};
use crate::event::{Millis, SourceName};
use crate::net::{Http, HttpMethod, HttpRequest, HttpResponse, TransportError};
use crate::providers::PlatformAccess;
use crate::telemetry::Metrics;

/// For everything of one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest answer, in bytes: a webinar with hundreds of occurrences has tens of kilobytes.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// Calls one source's platform.
pub(super) struct PlatformClient {
    http: MeteredHttp,
    tokens: PlatformTokens,
    headers: Vec<(&'static str, String)>,
    rate_limiter: Turns,
    hold: Mutex<Option<Hold>>,
    /// What is in the way of all, as it was told to operators; none while nothing is.
    trouble: Mutex<Option<String>>,
    /// Calls in a row that something in the way of all has failed.
    failures: AtomicU32,
    /// A webinar was found.
    has_seen_webinar: AtomicBool,
    random: fn() -> u32,
}

/// The way to a source's platform, on which every call is counted.
#[derive(Clone)]
pub(super) struct MeteredHttp {
    source: SourceName,
    http: Arc<dyn Http>,
    metrics: Metrics,
}

impl MeteredHttp {
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let answer = self.http.send(request).await;
        self.metrics.platform_request(&self.source, &status_label(&answer));
        answer
    }
}

/// Something that is in the way of all calls.
#[derive(Clone)]
struct Hold {
    until: Instant,
    reason: String,
}

/// What came of a call.
pub(super) enum PlatformReply {
    /// An answer in JSON, and when it was given by the platform's clock.
    Answered { body: Box<RawValue>, date: Option<Millis> },
    /// The platform does not have it, or not yet.
    NotFound,
    /// We may not see it.
    Forbidden,
    /// It passes.
    RetryLater(TemporaryFailure),
    /// The question is wrong.
    Rejected(String),
}

/// What came of a call, before credentials that end are thought of.
enum Attempt {
    Reply(PlatformReply),
    /// This value of the credentials' header was refused.
    Unauthorized(SecretString),
}

impl PlatformClient {
    pub(super) fn new(
        source: SourceName,
        access: PlatformAccess,
        http: Arc<dyn Http>,
        metrics: Metrics,
        random: fn() -> u32,
    ) -> Self {
        let PlatformAccess { credentials, headers, rate_limit: pace } = access;
        let line = MeteredHttp { source, http, metrics };
        Self {
            tokens: PlatformTokens::new(credentials, line.clone()),
            http: line,
            headers,
            rate_limiter: Turns::new(pace),
            hold: Mutex::default(),
            trouble: Mutex::default(),
            failures: AtomicU32::default(),
            has_seen_webinar: AtomicBool::default(),
            random,
        }
    }

    /// The platform told of a webinar that was asked about.
    pub(super) fn record_webinar_seen(&self) {
        self.has_seen_webinar.store(true, Ordering::Relaxed);
    }

    /// Whether the platform, asked as we ask, has told of any webinar since the start. Credentials of another account of the
    /// platform find nothing, and that it knows nothing of ours must not call off whatever is asked about.
    pub(super) fn has_seen_webinar(&self) -> bool {
        self.has_seen_webinar.load(Ordering::Relaxed)
    }

    /// For how long no call is of use, because something is in the way of all.
    pub(super) fn hold_time(&self) -> Duration {
        self.hold()
            .map_or(Duration::ZERO, |hold| hold.until.saturating_duration_since(Instant::now()))
    }

    fn hold(&self) -> Option<Hold> {
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        hold.clone().filter(|hold| Instant::now() < hold.until)
    }

    /// Asks one question.
    ///
    /// # Cancel safety
    /// A cancelled call may have been answered; it may be made again.
    pub(super) async fn get(&self, url: Url) -> PlatformReply {
        let mut once = self.call(&url).await;
        if let Attempt::Unauthorized(refused) = &once
            && self.tokens.may_replace(refused).await
        {
            once = self.call(&url).await;
        }
        match once {
            Attempt::Reply(reply) => reply,
            Attempt::Unauthorized(_) => {
                self.hold_all("it refuses the credentials".to_owned(), verdict::refusal_wait())
            }
        }
    }

    async fn call(&self, url: &Url) -> Attempt {
        if let Some(Hold { until, reason: why }) = self.hold() {
            let wait = Some(until.saturating_duration_since(Instant::now()));
            return Attempt::Reply(PlatformReply::RetryLater(TemporaryFailure {
                reason: why,
                wait,
                affects_all: true,
            }));
        }
        let AuthHeader { header, value } = match self.tokens.auth_header().await {
            Ok(proof) => proof,
            Err(TokenError { reason: why, wait }) => {
                return Attempt::Reply(self.record_failure(why, wait));
            }
        };
        let mut headers: Vec<(Cow<'static, str>, SecretString)> =
            vec![(header.into(), value.clone())];
        let more = self.headers.iter();
        headers.extend(more.map(|(name, value)| ((*name).into(), value.clone().into())));
        let request = HttpRequest {
            method: HttpMethod::Get,
            url: url.clone(),
            headers,
            body: Vec::new(),
            timeout: CALL_TIMEOUT,
            max_response_bytes: MAX_RESPONSE_BYTES,
        };
        let turn = self.rate_limiter.turn().await;
        let answer = self.http.send(request).await;
        drop(turn);
        let reply = match (judge(&answer), answer) {
            (FetchVerdict::Unauthorized, _) => return Attempt::Unauthorized(value),
            (FetchVerdict::Answered, Ok(response)) => Self::parse_answer(response),
            (FetchVerdict::Answered, Err(error)) => PlatformReply::Rejected(error.to_string()),
            (FetchVerdict::NotFound, _) => PlatformReply::NotFound,
            (FetchVerdict::Forbidden, _) => PlatformReply::Forbidden,
            (
                FetchVerdict::RetryLater(TemporaryFailure { reason: why, wait, affects_all: true }),
                _,
            ) => {
                return Attempt::Reply(self.record_failure(why, wait));
            }
            (FetchVerdict::RetryLater(trouble), _) => PlatformReply::RetryLater(trouble),
            (FetchVerdict::Rejected(why), _) => PlatformReply::Rejected(why),
        };
        self.failures.store(0, Ordering::Relaxed);
        if self.trouble().take().is_some() {
            info!(source.name = %self.http.source, "the platform answers again");
        }
        Attempt::Reply(reply)
    }

    /// It fails in a way that passes: after that wait, or after one that doubles with each failure.
    fn record_failure(&self, why: String, wait: Option<Duration>) -> PlatformReply {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        let wait = wait.unwrap_or_else(|| verdict::short_backoff(failures, (self.random)()));
        self.hold_all(why, wait)
    }

    fn parse_answer(response: HttpResponse) -> PlatformReply {
        let date = response.header("date").and_then(parse_http_date);
        let text = String::from_utf8(response.body).ok();
        match text.and_then(|text| RawValue::from_string(text).ok()) {
            Some(body) => PlatformReply::Answered { body, date },
            // It was found to be JSON, which is UTF-8.
            None => PlatformReply::Rejected("the answer is not JSON".to_owned()),
        }
    }

    fn hold_all(&self, why: String, wait: Duration) -> PlatformReply {
        self.hold_calls(wait, &why);
        if self.trouble().replace(why.clone()).as_ref() != Some(&why) {
            warn!(source.name = %self.http.source, why, "the platform cannot be asked; it is tried again, and nothing is lost");
        }
        PlatformReply::RetryLater(TemporaryFailure {
            reason: why,
            wait: Some(wait),
            affects_all: true,
        })
    }

    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No call is made for so long.
    pub(super) fn hold_calls(&self, wait: Duration, why: &str) {
        let hold = Hold { until: Instant::now() + wait, reason: why.to_owned() };
        let mut present = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        if present.as_ref().is_none_or(|present| present.until < hold.until) {
            *present = Some(hold);
        }
    }
}

/// As a metric's label: the status, or how no answer came.
fn status_label(answer: &Result<HttpResponse, TransportError>) -> String {
    match answer {
        Ok(response) => response.status.to_string(),
        Err(TransportError::Connect(_)) => "connect".to_owned(),
        Err(TransportError::Timeout) => "timeout".to_owned(),
        Err(TransportError::Reset(_) | TransportError::TooLarge(_)) => "reset".to_owned(),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
fn parse_http_date(text: &str) -> Option<Millis> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Millis::from_plausible_ms(time.as_millisecond())
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::event::ProviderId;
    use crate::providers::{ApiCredentials, ApiRateLimit};
    use crate::secret::Secret;

    /// An overloaded platform.
    struct Overloaded;

    #[async_trait]
    impl Http for Overloaded {
        async fn send(&self, _request: HttpRequest) -> Result<HttpResponse, TransportError> {
            Ok(HttpResponse { status: 503, ..HttpResponse::default() })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_platform_that_sells_no_token_is_left_alone_for_longer_and_longer() {
        let url: Url = "https://platform.example/token".parse().expect("a URL");
        let secret = Secret::Text("hush".into());
        let credentials = ApiCredentials::ClientCredentials {
            token_url: url.clone(),
            client_id: "app".into(),
            client_secret: secret,
            form: vec![("grant_type", "client_credentials".to_owned())],
        };
        let pace = ApiRateLimit { requests: 100, window: Duration::from_secs(1) };
        let access = PlatformAccess { credentials, headers: Vec::new(), rate_limit: pace };
        let source = SourceName::parse("acme").expect("valid");
        let metrics = Metrics::new(&[], &[(source.clone(), ProviderId::new("zoom"))]);
        let http = Arc::new(Overloaded);
        let client = PlatformClient::new(source, access, http, metrics.clone(), || u32::MAX);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let reply = client.get(url.clone()).await;
            assert!(matches!(
                reply,
                PlatformReply::RetryLater(TemporaryFailure { affects_all: true, .. })
            ));
            waits.push(client.hold_time().as_secs());
            tokio::time::sleep(client.hold_time()).await;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300]);
        let counted = r#"bridge_platform_requests_total{source="acme",status="503"} 7"#;
        assert!(metrics.render().contains(counted), "every call is counted");
    }

    #[test]
    fn the_date_of_an_answer_is_the_platforms() {
        assert_eq!(
            parse_http_date("Thu, 01 Oct 2026 10:00:00 GMT"),
            Some(Millis::new(1_790_848_800_000))
        );
        assert_eq!(parse_http_date("now"), None);
        assert_eq!(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT"), None);
    }
}

//! One request of a platform's API: credentials, rate limit, bounds.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::{info, warn};
use url::Url;

use super::metered_http::MeteredHttp;
use super::platform_tokens::{AuthHeader, PlatformTokens, TokenError};
use super::verdict::{self, FetchVerdict, TemporaryFailure, judge};
use crate::event::{Millis, SourceName};
use crate::net::{
    Http, HttpMethod, HttpRequest, HttpResponse, RateLimit, RateLimiter, WaitingRateLimiter,
};
use crate::providers::{ApiRateLimit, PlatformAccess};
use crate::telemetry::Metrics;

/// Timeout of one whole call.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest response, in bytes: a webinar with hundreds of occurrences has tens of kilobytes.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// Calls one source's platform.
pub(super) struct PlatformClient {
    source: SourceName,
    http: MeteredHttp,
    tokens: PlatformTokens,
    headers: Vec<(&'static str, String)>,
    rate_limiter: WaitingRateLimiter,
    hold: Mutex<Option<Hold>>,
    /// The failure of all calls that operators were warned of; none while calls succeed.
    reported_failure: Mutex<Option<String>>,
    /// Number of calls in a row with a failure that any other call would share.
    failures: AtomicU32,
    has_seen_webinar: AtomicBool,
    random: fn() -> u32,
}

/// A time in which no call is made, since any would fail.
#[derive(Clone)]
struct Hold {
    until: Instant,
    reason: String,
}

/// The result of a request.
pub(super) enum PlatformReply {
    /// A response in JSON, and its time by the platform's clock.
    Answered { body: Box<RawValue>, date: Option<Millis> },
    /// The platform does not have it, or does not have it yet.
    NotFound,
    /// The credentials may not read it.
    Forbidden,
    /// The failure passes by itself.
    RetryLater(TemporaryFailure),
    /// The request is wrong.
    Rejected(String),
}

/// The result of one call, which may be repeated with other credentials.
enum Attempt {
    Reply(PlatformReply),
    /// The platform refused this header.
    Unauthorized(AuthHeader),
}

impl PlatformClient {
    pub(super) fn new(
        source: SourceName,
        access: PlatformAccess,
        http: Arc<dyn Http>,
        metrics: Metrics,
        random: fn() -> u32,
    ) -> Self {
        let PlatformAccess { credentials, headers, rate_limit } = access;
        let ApiRateLimit { requests, window } = rate_limit;
        let http = MeteredHttp::new(source.clone(), http, metrics);
        let rate_limiter = RateLimiter::for_own_limit(RateLimit { requests, window });
        Self {
            source,
            tokens: PlatformTokens::new(credentials, http.clone()),
            http,
            headers,
            rate_limiter: WaitingRateLimiter::new(rate_limiter),
            hold: Mutex::default(),
            reported_failure: Mutex::default(),
            failures: AtomicU32::default(),
            has_seen_webinar: AtomicBool::default(),
            random,
        }
    }

    /// Records that the platform answered with a webinar.
    pub(super) fn record_webinar_seen(&self) {
        self.has_seen_webinar.store(true, Ordering::Relaxed);
    }

    /// Whether the platform has answered with any webinar since the start. Credentials of another account of the
    /// platform find nothing, and must not cancel every webinar that is fetched.
    pub(super) fn has_seen_webinar(&self) -> bool {
        self.has_seen_webinar.load(Ordering::Relaxed)
    }

    /// Time until calls are made again; zero if they are not held.
    pub(super) fn hold_time(&self) -> Duration {
        self.hold()
            .map_or(Duration::ZERO, |hold| hold.until.saturating_duration_since(Instant::now()))
    }

    fn hold(&self) -> Option<Hold> {
        let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        hold.clone().filter(|hold| Instant::now() < hold.until)
    }

    /// Requests one resource. A refused token is replaced once.
    ///
    /// # Cancel safety
    /// A cancelled call may have been answered; it may be made again.
    pub(super) async fn get(&self, url: Url) -> PlatformReply {
        let mut attempt = self.call(&url).await;
        if let Attempt::Unauthorized(refused) = &attempt
            && self.tokens.may_replace(refused).await
        {
            attempt = self.call(&url).await;
        }
        match attempt {
            Attempt::Reply(reply) => reply,
            Attempt::Unauthorized(_) => {
                self.hold_all("it refuses the credentials".to_owned(), verdict::refusal_wait())
            }
        }
    }

    async fn call(&self, url: &Url) -> Attempt {
        if let Some(Hold { until, reason }) = self.hold() {
            let wait = Some(until.saturating_duration_since(Instant::now()));
            let failure = TemporaryFailure { reason, wait, affects_all: true };
            return Attempt::Reply(PlatformReply::RetryLater(failure));
        }
        let auth = match self.tokens.auth_header().await {
            Ok(auth) => auth,
            Err(TokenError { reason, wait }) => {
                return Attempt::Reply(self.record_failure(reason, wait));
            }
        };
        let mut headers: Vec<(Cow<'static, str>, SecretString)> =
            vec![(auth.name.into(), auth.value())];
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
        let mut permit = self.rate_limiter.acquire().await;
        permit.begin();
        let result = self.http.send(request).await;
        drop(permit);
        let reply = match (judge(&result), result) {
            (FetchVerdict::Unauthorized, _) => return Attempt::Unauthorized(auth),
            (FetchVerdict::Answered, Ok(response)) => Self::parse_answer(response),
            (FetchVerdict::Answered, Err(error)) => PlatformReply::Rejected(error.to_string()),
            (FetchVerdict::NotFound, _) => PlatformReply::NotFound,
            (FetchVerdict::Forbidden, _) => PlatformReply::Forbidden,
            (FetchVerdict::RetryLater(failure), _) if failure.affects_all => {
                return Attempt::Reply(self.record_failure(failure.reason, failure.wait));
            }
            (FetchVerdict::RetryLater(failure), _) => PlatformReply::RetryLater(failure),
            (FetchVerdict::Rejected(reason), _) => PlatformReply::Rejected(reason),
        };
        self.failures.store(0, Ordering::Relaxed);
        if self.reported_failure().take().is_some() {
            info!(source.name = %self.source, "the platform answers again");
        }
        Attempt::Reply(reply)
    }

    /// Records a failure that any other call would share. Calls are held for that wait, or for one that doubles with
    /// each failure.
    fn record_failure(&self, reason: String, wait: Option<Duration>) -> PlatformReply {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let wait = wait.unwrap_or_else(|| verdict::short_backoff(failures, (self.random)()));
        self.hold_all(reason, wait)
    }

    fn parse_answer(response: HttpResponse) -> PlatformReply {
        let date = response.header("date").and_then(parse_http_date);
        let text = String::from_utf8(response.body).ok();
        match text.and_then(|text| RawValue::from_string(text).ok()) {
            Some(body) => PlatformReply::Answered { body, date },
            // The verdict found JSON, which is UTF-8.
            None => PlatformReply::Rejected("the answer is not JSON".to_owned()),
        }
    }

    /// Holds all calls, and warns operators once for each reason.
    fn hold_all(&self, reason: String, wait: Duration) -> PlatformReply {
        self.hold_calls(wait, &reason);
        if self.reported_failure().replace(reason.clone()).as_ref() != Some(&reason) {
            warn!(source.name = %self.source, reason, "the platform cannot be asked; requests are repeated, and nothing is lost");
        }
        PlatformReply::RetryLater(TemporaryFailure { reason, wait: Some(wait), affects_all: true })
    }

    fn reported_failure(&self) -> MutexGuard<'_, Option<String>> {
        self.reported_failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds all calls for that time. A longer hold stays.
    pub(super) fn hold_calls(&self, wait: Duration, reason: &str) {
        let hold = Hold { until: Instant::now() + wait, reason: reason.to_owned() };
        let mut present = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        if present.as_ref().is_none_or(|present| present.until < hold.until) {
            *present = Some(hold);
        }
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
    use crate::net::TransportError;
    use crate::providers::ApiCredentials;
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
    async fn get_failing_token_endpoint_is_held_for_doubling_times() {
        let url: Url = "https://platform.example/token".parse().expect("a URL");
        let secret = Secret::Text("hush".into());
        let credentials = ApiCredentials::ClientCredentials {
            token_url: url.clone(),
            client_id: "app".into(),
            client_secret: secret,
            form: vec![("grant_type", "client_credentials".to_owned())],
        };
        let rate_limit = ApiRateLimit { requests: 100, window: Duration::from_secs(1) };
        let access = PlatformAccess { credentials, headers: Vec::new(), rate_limit };
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
        let counter = r#"bridge_platform_requests_total{source="acme",status="503"} 7"#;
        assert!(metrics.render().contains(counter), "every call is counted");
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
}

//! One request of a platform's API: credentials, rate limit, bounds.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;
use tracing::{info, warn};
use url::Url;

use super::metered_http::MeteredHttp;
use super::platform_tokens::{AuthHeader, PlatformTokens};
use super::verdict::{self, FailureScope, PlatformAnswer, PlatformError, TemporaryFailure, judge};
use crate::event::SourceName;
use crate::net::{Http, HttpMethod, HttpRequest, RateLimit, RateLimiter, WaitingRateLimiter};
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
    state: Mutex<ClientState>,
    random: fn() -> u32,
}

#[derive(Default)]
struct ClientState {
    hold: Option<Hold>,
    /// The failure of all calls that operators were warned of; none while calls succeed.
    reported_failure: Option<String>,
    /// Number of calls in a row with a failure that any other call would share.
    failures: u32,
    has_seen_webinar: bool,
}

/// A time in which no call is made, since any would fail.
#[derive(Clone)]
struct Hold {
    until: Instant,
    reason: String,
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
        let http = MeteredHttp { source: source.clone(), http, metrics };
        let rate_limiter = RateLimiter::for_own_limit(RateLimit { requests, window });
        Self {
            source,
            tokens: PlatformTokens::new(credentials, http.clone()),
            http,
            headers,
            rate_limiter: WaitingRateLimiter::new(rate_limiter),
            state: Mutex::default(),
            random,
        }
    }

    fn state(&self) -> MutexGuard<'_, ClientState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the platform answered with a webinar.
    pub(super) fn record_webinar_seen(&self) {
        self.state().has_seen_webinar = true;
    }

    /// Whether the platform has answered with any webinar since the start. Credentials of another account of the
    /// platform find nothing, and must not cancel every webinar that is fetched.
    pub(super) fn has_seen_webinar(&self) -> bool {
        self.state().has_seen_webinar
    }

    /// Time until calls are made again; zero if they are not held.
    pub(super) fn hold_time(&self) -> Duration {
        self.hold()
            .map_or(Duration::ZERO, |hold| hold.until.saturating_duration_since(Instant::now()))
    }

    fn hold(&self) -> Option<Hold> {
        self.state().hold.clone().filter(|hold| Instant::now() < hold.until)
    }

    /// Requests one resource. A refused token is replaced once.
    ///
    /// # Errors
    /// [`PlatformError`] when the platform does not return it.
    ///
    /// # Cancel safety
    /// A cancelled call may have been answered; it may be made again.
    pub(super) async fn get(&self, url: Url) -> Result<PlatformAnswer, PlatformError> {
        let auth = self.auth_header().await?;
        let mut result = self.call(&url, &auth).await;
        if let Err(PlatformError::RetryLater(failure)) = &result
            && failure.scope == FailureScope::Credentials
            && self.tokens.may_replace(&auth).await
        {
            let auth = self.auth_header().await?;
            result = self.call(&url, &auth).await;
        }
        match result {
            Err(PlatformError::RetryLater(failure)) if failure.scope != FailureScope::Request => {
                Err(self.record_failure(failure))
            }
            result => {
                self.record_success();
                result
            }
        }
    }

    /// The credentials of a call, unless calls are held.
    async fn auth_header(&self) -> Result<AuthHeader, PlatformError> {
        if let Some(Hold { until, reason }) = self.hold() {
            let wait = Some(until.saturating_duration_since(Instant::now()));
            let scope = FailureScope::Platform;
            return Err(PlatformError::RetryLater(TemporaryFailure { reason, wait, scope }));
        }
        self.tokens.auth_header().await.map_err(|failure| self.record_failure(failure))
    }

    async fn call(&self, url: &Url, auth: &AuthHeader) -> Result<PlatformAnswer, PlatformError> {
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
        judge(self.http.send(request).await)
    }

    fn record_success(&self) {
        let mut state = self.state();
        state.failures = 0;
        if state.reported_failure.take().is_some() {
            info!(source.name = %self.source, "the platform answers again");
        }
    }

    /// Records a failure that any other call would share. Calls are held for its wait, or for one that doubles with
    /// each failure; operators are warned once for each reason.
    fn record_failure(&self, failure: TemporaryFailure) -> PlatformError {
        let TemporaryFailure { reason, wait, scope } = failure;
        let mut state = self.state();
        if scope == FailureScope::Platform {
            state.failures = state.failures.saturating_add(1);
        }
        let wait = wait.unwrap_or_else(|| verdict::short_backoff(state.failures, (self.random)()));
        let reported = state.reported_failure.replace(reason.clone());
        drop(state);
        self.hold_calls(wait, &reason);
        if reported.as_ref() != Some(&reason) {
            warn!(source.name = %self.source, reason, "the platform cannot be asked; requests are repeated, and nothing is lost");
        }
        PlatformError::RetryLater(TemporaryFailure { reason, wait: Some(wait), scope })
    }

    /// Holds all calls for that time. A longer hold stays.
    pub(super) fn hold_calls(&self, wait: Duration, reason: &str) {
        let hold = Hold { until: Instant::now() + wait, reason: reason.to_owned() };
        let mut state = self.state();
        if state.hold.as_ref().is_none_or(|present| present.until < hold.until) {
            state.hold = Some(hold);
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::event::ProviderId;
    use crate::net::{HttpResponse, TransportError};
    use crate::providers::PlatformCredentials;
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
        let credentials = PlatformCredentials::ClientCredentials {
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
            let Err(PlatformError::RetryLater(failure)) = client.get(url.clone()).await else {
                panic!("it is overloaded")
            };
            assert_eq!(failure.scope, FailureScope::Platform);
            waits.push(client.hold_time().as_secs());
            tokio::time::sleep(client.hold_time()).await;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300]);
        let counter = r#"bridge_platform_requests_total{source="acme",status="503"} 7"#;
        assert!(metrics.render().contains(counter), "every call is counted");
    }
}

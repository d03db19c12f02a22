//! One request of a platform's API: credentials, rate limit, bounds.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::{info, warn};
use url::Url;

use super::metered_http::MeteredHttp;
use super::platform_tokens::{AuthHeader, PlatformTokens};
use super::verdict::{
    self, FailureKind, PlatformAnswer, PlatformError, RequestFailure, SourceFailure, judge,
};
use crate::clock::Clock;
use crate::event::{Millis, SourceName, WebinarId};
use crate::ledger::FetchBlame;
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
    clock: Arc<dyn Clock>,
    random: fn() -> u32,
}

#[derive(Default)]
struct ClientState {
    hold: Option<Hold>,
    /// The failure of all calls that operators were warned of; none while calls succeed.
    reported_failure: Option<String>,
    /// Number of failures in a row that any other webinar would share.
    failures: u32,
    /// The webinar that failed first since the last answer.
    suspect: Option<WebinarId>,
    /// When the platform last answered about a webinar.
    answered_at: Option<Millis>,
}

/// An answer, with the time of its request.
#[derive(Debug)]
pub(super) struct TimedAnswer {
    /// Body; none if the platform does not have what was asked for, or does not have it yet.
    pub(super) body: Option<Box<RawValue>>,
    /// When it was asked, by our clock.
    pub(super) asked_at: Millis,
    /// When it was asked, by the platform's clock.
    pub(super) platform_asked_at: Millis,
}

/// When a request was made by the platform's clock, which its `Date` tells.
///
/// `Date` has seconds only (RFC 9110, 5.6.7) and is of some moment between the request and the answer. While it lies within
/// a second of those, our time is as right and more exact. Else the request is as long before `Date` as it can be.
fn platform_time(asked_at: Millis, answered_at: Millis, date: Option<Millis>) -> Millis {
    const SECOND: Duration = Duration::from_secs(1);
    let Some(date) = date else { return asked_at };
    let is_ours = date.plus(SECOND) >= asked_at.minus(SECOND) && date <= answered_at.plus(SECOND);
    if is_ours { asked_at } else { date.minus(answered_at.since(asked_at)) }
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
        clock: Arc<dyn Clock>,
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
            clock,
            random,
        }
    }

    fn state(&self) -> MutexGuard<'_, ClientState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the platform answered about a webinar.
    pub(super) fn record_answer(&self) {
        let mut state = self.state();
        state.answered_at = Some(self.clock.now());
        state.suspect = None;
        state.failures = 0;
        if state.reported_failure.take().is_some() {
            info!(source.name = %self.source, "the platform answers again");
        }
    }

    /// Whether the platform has answered about any webinar within that time.
    pub(super) fn has_seen_webinar_within(&self, span: Duration) -> bool {
        let answered_at = self.state().answered_at;
        answered_at.is_some_and(|at| self.clock.now().since(at) <= span)
    }

    /// Whether every request fails, as far as is known. Then one webinar at a time is enough to ask about.
    pub(super) fn is_failing(&self) -> bool {
        self.state().failures > 0
    }

    /// Decides whose failure it is that a webinar, which has failed `failing_since`, could not be fetched. What fails
    /// while others are answered is the webinar's own. What fails for a second webinar without an answer between is the
    /// source's: all calls are held then, and the wait of the failure is that of the hold.
    pub(super) fn record_failure(
        &self,
        webinar: &WebinarId,
        failing_since: Option<Millis>,
        failure: &mut RequestFailure,
    ) -> FetchBlame {
        let state = &mut *self.state();
        let is_own = failing_since.zip(state.answered_at).is_some_and(|(since, at)| at > since);
        let suspect = state.suspect.get_or_insert_with(|| webinar.clone());
        if is_own || (*suspect == *webinar && state.failures == 0) {
            return FetchBlame::Webinar;
        }
        let wait = failure.source_wait(state.failures.saturating_add(1), (self.random)());
        let held = SourceFailure { reason: failure.reason.clone(), wait: Some(wait) };
        failure.wait = self.hold_source(state, held).wait;
        FetchBlame::Source
    }

    /// Time until calls are made again; zero if they are not held.
    pub(super) fn hold_time(&self) -> Duration {
        self.present_hold()
            .map_or(Duration::ZERO, |hold| hold.until.saturating_duration_since(Instant::now()))
    }

    fn present_hold(&self) -> Option<Hold> {
        self.state().hold.clone().filter(|hold| Instant::now() < hold.until)
    }

    /// Requests one resource. A refused token is replaced once.
    ///
    /// # Errors
    /// [`PlatformError`] when the platform does not return it.
    ///
    /// # Cancel safety
    /// A cancelled call may have been answered; it may be made again.
    pub(super) async fn get(&self, url: Url) -> Result<TimedAnswer, PlatformError> {
        let auth = self.auth_header().await?;
        let mut result = self.call(&url, &auth).await;
        if let Err(PlatformError::Failed(failure)) = &result
            && failure.kind == FailureKind::Credentials
            && self.tokens.may_replace(&auth).await
        {
            let auth = self.auth_header().await?;
            result = self.call(&url, &auth).await;
        }
        match result {
            Err(PlatformError::Failed(failure)) if failure.kind == FailureKind::RateLimit => {
                let wait = Some(failure.source_wait(1, 0));
                Err(self.hold(SourceFailure { reason: failure.reason, wait }))
            }
            result => result,
        }
    }

    /// The credentials of a call, unless calls are held.
    async fn auth_header(&self) -> Result<AuthHeader, PlatformError> {
        if let Some(Hold { until, reason }) = self.present_hold() {
            let wait = Some(until.saturating_duration_since(Instant::now()));
            return Err(PlatformError::Held(SourceFailure { reason, wait }));
        }
        self.tokens.auth_header().await.map_err(|failure| self.hold(failure))
    }

    async fn call(&self, url: &Url, auth: &AuthHeader) -> Result<TimedAnswer, PlatformError> {
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
        let asked_at = self.clock.dated_now();
        let result = self.http.send(request).await;
        let answered_at = self.clock.dated_now();
        // Here is every time that the platform's own clock shows (`Date`), beside ours.
        let PlatformAnswer { body, date } = judge(result)?;
        let platform_asked_at = platform_time(asked_at, answered_at, date);
        Ok(TimedAnswer { body, asked_at, platform_asked_at })
    }

    /// Records a failure that any other call would share.
    fn hold(&self, failure: SourceFailure) -> PlatformError {
        PlatformError::Held(self.hold_source(&mut self.state(), failure))
    }

    /// Holds all calls for the failure's wait, or for one that doubles with each failure. Operators are warned once for
    /// each reason.
    fn hold_source(&self, state: &mut ClientState, failure: SourceFailure) -> SourceFailure {
        let SourceFailure { reason, wait } = failure;
        state.failures = state.failures.saturating_add(1);
        let wait = wait.unwrap_or_else(|| verdict::short_backoff(state.failures, (self.random)()));
        state.hold_for(wait, &reason);
        if state.reported_failure.as_ref() != Some(&reason) {
            warn!(source.name = %self.source, reason, "the platform cannot be asked; requests are repeated, and nothing is lost");
            state.reported_failure = Some(reason.clone());
        }
        SourceFailure { reason, wait: Some(wait) }
    }

    /// Holds all calls for that time. A longer hold stays.
    pub(super) fn hold_calls(&self, wait: Duration, reason: &str) {
        self.state().hold_for(wait, reason);
    }
}

impl ClientState {
    fn hold_for(&mut self, wait: Duration, reason: &str) {
        let hold = Hold { until: Instant::now() + wait, reason: reason.to_owned() };
        if self.hold.as_ref().is_none_or(|present| present.until < hold.until) {
            self.hold = Some(hold);
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

    /// M11.
    #[test]
    fn platform_time_is_ours_unless_the_clocks_differ_by_more_than_a_second() {
        let ms = Millis::new;
        let at = |asked: i64, answered: i64, date: Option<i64>| {
            platform_time(ms(asked), ms(answered), date.map(ms)).get()
        };
        assert_eq!(at(5_300, 5_400, None), 5_300);
        for date in [4_000, 5_000, 6_000] {
            assert_eq!(at(5_300, 5_400, Some(date)), 5_300, "{date}");
        }
        assert_eq!(at(5_300, 9_400, Some(10_000)), 5_300, "a slow answer");
        // Their clock is an hour behind, or ahead.
        assert_eq!(at(3_605_300, 3_605_400, Some(5_000)), 4_900);
        assert_eq!(at(5_300, 5_400, Some(3_605_000)), 3_604_900);
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
        let clock = Arc::new(crate::clock::VirtualClock::starting_at(Millis::new(0)));
        let client = PlatformClient::new(source, access, http, clock, metrics.clone(), || u32::MAX);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let Err(PlatformError::Held(_)) = client.get(url.clone()).await else {
                panic!("it is overloaded")
            };
            waits.push(client.hold_time().as_secs());
            tokio::time::sleep(client.hold_time()).await;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300]);
        let counter = r#"bridge_platform_requests_total{source="acme",status="503"} 7"#;
        assert!(metrics.render().contains(counter), "every call is counted");
    }
}

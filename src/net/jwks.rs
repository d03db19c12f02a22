//! A JSON Web Key Set (RFC 7517) that another party publishes and changes, kept fresh.
//!
//! Promises: the last good set stays until another good one comes, however long refreshing fails; callers that meet an
//! unknown key may request a refresh, and cause at most one call a minute. Relies on TLS for the origin of the keys; a
//! redirect is not followed. A crash loses the set, which is fetched again at the start.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use super::http::{Http, HttpMethod, HttpRequest, TransportError};

/// Longest set, in bytes: those of identity providers have some thousand.
const MAX_SET_BYTES: usize = 64 * 1024;
/// Time for one call. Webhooks wait for the first.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between calls that succeed: a withdrawn key is accepted for no longer.
const REFRESH_INTERVAL: Duration = Duration::from_mins(10);
/// Least time between calls that unknown keys cause, and between calls that fail.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_mins(1);
/// Time between calls while there is no set, so that no token can be verified.
const RETRY_WITHOUT_SET: Duration = Duration::from_secs(5);

/// A published key set, which [`JwksCache::run`] keeps fresh.
pub struct JwksCache {
    url: Url,
    http: Arc<dyn Http>,
    state: Mutex<RefreshState>,
    refresh_requested: Notify,
}

#[derive(Default)]
struct RefreshState {
    set: Option<Arc<[u8]>>,
    /// Whether a call is under way or requested.
    is_fetching: bool,
    /// End of the last call.
    fetched_at: Option<Instant>,
    is_failing: bool,
}

/// Why a call gave no set.
#[derive(Debug, thiserror::Error)]
enum JwksError {
    #[error("it cannot be reached: {}", .0.with_causes())]
    Transport(#[from] TransportError),
    #[error("it is answered with status {0}")]
    Status(u16),
    #[error("the answer is no key set")]
    Shape,
}

impl JwksCache {
    /// Creates a cache without a set.
    #[must_use]
    pub fn new(url: Url, http: Arc<dyn Http>) -> Arc<Self> {
        // The first call is about to begin.
        let state = RefreshState { is_fetching: true, ..RefreshState::default() };
        Arc::new(Self { url, http, state: Mutex::new(state), refresh_requested: Notify::new() })
    }

    /// The last good set, as it was published; none if there never was one.
    #[must_use]
    pub fn current(&self) -> Option<Arc<[u8]>> {
        self.state().set.clone()
    }

    /// Requests a refresh because the set lacks a key. Whether the key may be there soon: a call is under way, or
    /// follows from this request.
    pub fn request_refresh(&self) -> bool {
        let mut state = self.state();
        if !state.is_fetching {
            state.is_fetching =
                state.fetched_at.is_none_or(|ended| ended.elapsed() >= MIN_REFRESH_INTERVAL);
            if state.is_fetching {
                self.refresh_requested.notify_one();
            }
        }
        state.is_fetching
    }

    /// Keeps the set fresh until `stop` is cancelled.
    ///
    /// # Cancel safety
    /// A dropped run leaves the set as it is.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        while let Some(()) = stop.run_until_cancelled(self.refresh_once()).await {}
    }

    /// Makes one call and waits until the next is due.
    async fn refresh_once(&self) {
        self.state().is_fetching = true;
        let result = self.fetch().await;
        let pause = self.record(result);
        // A requested refresh and the end of the pause both lead to the next call.
        drop(timeout(pause, self.refresh_requested.notified()).await);
    }

    /// Records the result of a call. Returns the time until the next.
    fn record(&self, result: Result<Arc<[u8]>, JwksError>) -> Duration {
        let host = self.url.host_str().unwrap_or_default();
        let mut state = self.state();
        (state.is_fetching, state.fetched_at) = (false, Some(Instant::now()));
        match result {
            Ok(set) => {
                if std::mem::take(&mut state.is_failing) {
                    info!(jwks.host = host, "the published key set is available again");
                }
                state.set = Some(set);
                REFRESH_INTERVAL
            }
            Err(error) => {
                if !std::mem::replace(&mut state.is_failing, true) {
                    warn!(jwks.host = host, %error, "the published key set cannot be fetched; it is tried again");
                }
                if state.set.is_some() { MIN_REFRESH_INTERVAL } else { RETRY_WITHOUT_SET }
            }
        }
    }

    async fn fetch(&self) -> Result<Arc<[u8]>, JwksError> {
        let request = HttpRequest {
            method: HttpMethod::Get,
            url: self.url.clone(),
            headers: vec![("accept".into(), "application/json".into())],
            body: Vec::new(),
            timeout: CALL_TIMEOUT,
            max_response_bytes: MAX_SET_BYTES,
        };
        let response = self.http.send(request).await?;
        if response.status != 200 {
            return Err(JwksError::Status(response.status));
        }
        if !is_key_set(&response.body) {
            return Err(JwksError::Shape);
        }
        Ok(response.body.into())
    }

    fn state(&self) -> MutexGuard<'_, RefreshState> {
        // No holder can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the body is a set with at least one key: a proxy's page must not replace a good set.
fn is_key_set(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Set<'a> {
        #[serde(borrow)]
        keys: Vec<&'a RawValue>,
    }
    let is_key = |key: &&RawValue| key.get().starts_with('{');
    serde_json::from_slice::<Set<'_>>(body).is_ok_and(|set| set.keys.iter().any(is_key))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use async_trait::async_trait;

    use super::*;
    use crate::net::HttpResponse;

    const SET: &str = r#"{"keys":[{"kid":"1"}]}"#;
    const NEXT: &str = r#"{"keys":[{"kid":"1"},{"kid":"2"}]}"#;

    /// Answers with the published responses in turn, and then with none.
    #[derive(Default)]
    struct Publisher(Mutex<(VecDeque<(u16, &'static str)>, usize)>);

    impl Publisher {
        fn publish(&self, status: u16, body: &'static str) {
            self.0.lock().expect("not poisoned").0.push_back((status, body));
        }

        fn calls(&self) -> usize {
            self.0.lock().expect("not poisoned").1
        }
    }

    #[async_trait]
    impl Http for Publisher {
        async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
            assert_eq!(
                (request.method, request.url.as_str()),
                (HttpMethod::Get, "https://id.example/jwks")
            );
            assert_eq!(request.max_response_bytes, 64 * 1024);
            let mut state = self.0.lock().expect("not poisoned");
            state.1 += 1;
            let (status, body) = state.0.pop_front().ok_or(TransportError::Timeout)?;
            Ok(HttpResponse { status, headers: Vec::new(), body: body.into() })
        }
    }

    struct KeyServer {
        publisher: Arc<Publisher>,
        set: Arc<JwksCache>,
    }

    impl KeyServer {
        fn open(first: &[(u16, &'static str)]) -> Self {
            let publisher = Arc::new(Publisher::default());
            for (status, body) in first {
                publisher.publish(*status, body);
            }
            let url = "https://id.example/jwks".parse().expect("a URL");
            let set = JwksCache::new(url, Arc::clone(&publisher) as _);
            tokio::spawn(Arc::clone(&set).run(CancellationToken::new()));
            Self { publisher, set }
        }

        /// Lets time pass, so that due calls are made.
        async fn pass(&self, time: Duration) {
            tokio::time::sleep(time).await;
        }

        fn current(&self) -> Option<String> {
            self.set.current().map(|set| String::from_utf8_lossy(&set).into_owned())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn run_working_publisher_fetches_at_the_start_and_at_intervals() {
        let server = KeyServer::open(&[(200, SET), (200, NEXT)]);
        assert_eq!(server.current(), None);
        assert!(server.set.request_refresh(), "a call is under way");
        server.pass(Duration::from_millis(1)).await;
        assert_eq!((server.current().as_deref(), server.publisher.calls()), (Some(SET), 1));
        server.pass(REFRESH_INTERVAL).await;
        assert_eq!((server.current().as_deref(), server.publisher.calls()), (Some(NEXT), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn request_refresh_unknown_keys_cause_one_call_a_minute() {
        let server = KeyServer::open(&[(200, SET), (200, NEXT), (200, NEXT)]);
        server.pass(Duration::from_secs(59)).await;
        assert!(!server.set.request_refresh(), "the last call ended less than a minute ago");
        server.pass(Duration::from_secs(2)).await;
        assert!(server.set.request_refresh());
        assert!(server.set.request_refresh(), "a call is under way");
        server.pass(Duration::from_millis(1)).await;
        assert_eq!((server.current().as_deref(), server.publisher.calls()), (Some(NEXT), 2));
        for _ in 0..100 {
            assert!(!server.set.request_refresh());
        }
        server.pass(MIN_REFRESH_INTERVAL).await;
        assert_eq!(server.publisher.calls(), 2, "a request that was not granted is not kept");
        assert!(server.set.request_refresh());
    }

    #[tokio::test(start_paused = true)]
    async fn run_failing_publisher_keeps_the_last_good_set() {
        let none = [r#"{"keys":[]}"#, r#"{"keys":[1]}"#];
        let none = none.map(|set| (200, set));
        let server = KeyServer::open(&[(200, SET), (500, NEXT), (200, "<html>"), none[0], none[1]]);
        server.pass(Duration::from_secs(1)).await;
        server.pass(REFRESH_INTERVAL).await;
        assert_eq!((server.current().as_deref(), server.publisher.calls()), (Some(SET), 2));
        server.pass(4 * MIN_REFRESH_INTERVAL).await;
        assert_eq!((server.current().as_deref(), server.publisher.calls()), (Some(SET), 6));
        server.publisher.publish(200, NEXT);
        server.pass(MIN_REFRESH_INTERVAL).await;
        assert_eq!(server.current().as_deref(), Some(NEXT));
    }

    #[tokio::test(start_paused = true)]
    async fn run_without_a_set_retries_sooner() {
        let server = KeyServer::open(&[(302, SET), (404, "")]);
        server.pass(Duration::from_secs(1)).await;
        assert_eq!((server.current(), server.publisher.calls()), (None, 1));
        server.publisher.publish(200, SET);
        server.pass(2 * RETRY_WITHOUT_SET).await;
        assert_eq!((server.current().as_deref(), server.publisher.calls()), (Some(SET), 3));
    }
}

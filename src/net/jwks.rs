//! Public keys that somebody else publishes and changes: a JSON Web Key Set (RFC 7517), kept fresh.
//!
//! Promises: the last set that was good stays until a better one comes, however long that fails; whoever meets a key that is
//! not in it may ask for a new one, but causes no more than one call a minute. Relies on TLS for whose keys they are; a
//! redirect is not followed. A crash loses the set, which is asked for again at the start.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use super::{Http, HttpMethod, HttpRequest};

/// Longest set, in bytes: identity providers' have some thousand.
const MAX_SET_BYTES: usize = 64 * 1024;
/// For one call. Webhooks wait for the first.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Between calls while all is well: a key that was withdrawn is believed for no longer.
const REFRESH_INTERVAL: Duration = Duration::from_mins(10);
/// Least time between two calls that unknown keys caused.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_mins(1);
/// Between calls while there is no set at all, so that nobody can be believed.
const RETRY_WITHOUT_SET: Duration = Duration::from_secs(5);

/// A published key set, to be kept fresh by [`KeySet::run`].
pub struct JwksCache {
    url: Url,
    http: Arc<dyn Http>,
    state: Mutex<RefreshState>,
    refresh_requested: Notify,
}

#[derive(Default)]
struct RefreshState {
    set: Option<Arc<[u8]>>,
    /// A call is under way, or was asked for.
    is_fetching: bool,
    /// When the last call ended.
    fetched_at: Option<Instant>,
    is_failing: bool,
}

/// Why a call brought no set.
#[derive(Debug, thiserror::Error)]
enum JwksError {
    #[error("it cannot be reached: {}", .0.with_causes())]
    Transport(#[from] super::TransportError),
    #[error("it is answered with status {0}")]
    Status(u16),
    #[error("what is there is no key set")]
    Shape,
}

impl JwksCache {
    /// A set that was not asked for yet.
    #[must_use]
    pub fn new(url: Url, http: Arc<dyn Http>) -> Arc<Self> {
        // From the beginning on it is as if it were asked for: the first call is not far.
        let state = RefreshState { is_fetching: true, ..RefreshState::default() };
        Arc::new(Self { url, http, state: Mutex::new(state), refresh_requested: Notify::new() })
    }

    /// The last good set, as it is published; none if there never was one.
    #[must_use]
    pub fn current(&self) -> Option<Arc<[u8]>> {
        self.state().set.clone()
    }

    /// Tells that a key is wanted which the set does not have. Whether it may be there soon: the set is being asked for, or
    /// will be because of this.
    pub fn request_refresh(&self) -> bool {
        let mut state = self.state();
        if !state.is_fetching {
            state.is_fetching =
                state.fetched_at.is_none_or(|asked| asked.elapsed() >= MIN_REFRESH_INTERVAL);
            if state.is_fetching {
                self.refresh_requested.notify_one();
            }
        }
        state.is_fetching
    }

    /// Keeps the set fresh until told to stop.
    ///
    /// # Cancel safety
    /// Dropped, it leaves the set as it is.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        while let Some(()) = stop.run_until_cancelled(self.refresh_once()).await {}
    }

    /// One call, and the wait for the next.
    async fn refresh_once(&self) {
        self.state().is_fetching = true;
        let told = self.fetch().await;
        let pause = self.record(told);
        // Whether it is wanted or the time is up, it is asked for.
        drop(timeout(pause, self.refresh_requested.notified()).await);
    }

    fn record(&self, told: Result<Arc<[u8]>, JwksError>) -> Duration {
        let host = self.url.host_str().unwrap_or_default();
        let mut state = self.state();
        (state.is_fetching, state.fetched_at) = (false, Some(Instant::now()));
        match told {
            Ok(set) => {
                if std::mem::take(&mut state.is_failing) {
                    info!(jwks.host = host, "the published keys are there again");
                }
                state.set = Some(set);
                REFRESH_INTERVAL
            }
            Err(error) => {
                if !std::mem::replace(&mut state.is_failing, true) {
                    warn!(jwks.host = host, %error, "the published keys cannot be had; it is tried again");
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
        let answer = self.http.send(request).await?;
        if answer.status != 200 {
            return Err(JwksError::Status(answer.status));
        }
        if !is_key_set(&answer.body) {
            return Err(JwksError::Shape);
        }
        Ok(answer.body.into())
    }

    fn state(&self) -> MutexGuard<'_, RefreshState> {
        // Nothing that holds it can leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is a set with at least one key: a page of a proxy's must not take the place of a good one.
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
    use crate::net::{HttpResponse, TransportError};

    const SET: &str = r#"{"keys":[{"kid":"1"}]}"#;
    const NEXT: &str = r#"{"keys":[{"kid":"1"},{"kid":"2"}]}"#;

    /// Answers as it is told, and then no more.
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

    struct Stage {
        publisher: Arc<Publisher>,
        set: Arc<JwksCache>,
    }

    impl Stage {
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

        /// Lets time pass; what is due in it is done.
        async fn pass(&self, time: Duration) {
            tokio::time::sleep(time).await;
        }

        fn current(&self) -> Option<String> {
            self.set.current().map(|set| String::from_utf8_lossy(&set).into_owned())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_for_at_the_start_and_again_and_again() {
        let stage = Stage::open(&[(200, SET), (200, NEXT)]);
        assert_eq!(stage.current(), None);
        assert!(stage.set.request_refresh(), "it is on its way");
        stage.pass(Duration::from_millis(1)).await;
        assert_eq!((stage.current().as_deref(), stage.publisher.calls()), (Some(SET), 1));
        stage.pass(REFRESH_INTERVAL).await;
        assert_eq!((stage.current().as_deref(), stage.publisher.calls()), (Some(NEXT), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_key_has_it_asked_for_once_a_minute() {
        let stage = Stage::open(&[(200, SET), (200, NEXT), (200, NEXT)]);
        stage.pass(Duration::from_secs(59)).await;
        assert!(!stage.set.request_refresh(), "it was asked for less than a minute ago");
        stage.pass(Duration::from_secs(2)).await;
        assert!(stage.set.request_refresh());
        assert!(stage.set.request_refresh(), "it is on its way");
        stage.pass(Duration::from_millis(1)).await;
        assert_eq!((stage.current().as_deref(), stage.publisher.calls()), (Some(NEXT), 2));
        for _ in 0..100 {
            assert!(!stage.set.request_refresh());
        }
        stage.pass(MIN_REFRESH_INTERVAL).await;
        assert_eq!(stage.publisher.calls(), 2, "what was not granted is not kept");
        assert!(stage.set.request_refresh());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_good_set_stays() {
        let none = [r#"{"keys":[]}"#, r#"{"keys":[1]}"#];
        let none = none.map(|set| (200, set));
        let stage = Stage::open(&[(200, SET), (500, NEXT), (200, "<html>"), none[0], none[1]]);
        stage.pass(Duration::from_secs(1)).await;
        stage.pass(REFRESH_INTERVAL).await;
        assert_eq!((stage.current().as_deref(), stage.publisher.calls()), (Some(SET), 2));
        stage.pass(4 * MIN_REFRESH_INTERVAL).await;
        assert_eq!((stage.current().as_deref(), stage.publisher.calls()), (Some(SET), 6));
        stage.publisher.publish(200, NEXT);
        stage.pass(MIN_REFRESH_INTERVAL).await;
        assert_eq!(stage.current().as_deref(), Some(NEXT));
    }

    #[tokio::test(start_paused = true)]
    async fn without_any_it_is_asked_for_sooner() {
        let stage = Stage::open(&[(302, SET), (404, "")]);
        stage.pass(Duration::from_secs(1)).await;
        assert_eq!((stage.current(), stage.publisher.calls()), (None, 1));
        stage.publisher.publish(200, SET);
        stage.pass(2 * RETRY_WITHOUT_SET).await;
        assert_eq!((stage.current().as_deref(), stage.publisher.calls()), (Some(SET), 3));
    }
}

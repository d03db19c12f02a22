//! An emulated platform's API behind a real listener: it checks credentials, enforces a limit of calls, and gives the
//! answers that were set.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::server::EmulatedServer;
use crate::clock::Clock;
use crate::http::simple_server::{SimpleHandler, SimpleRequest, SimpleResponse};
use crate::providers::DemoApi;

/// Lifetime of the emulated platform's tokens, in seconds.
const TOKEN_LIFE: u64 = 3_600;

/// An emulated API with an address; `{api}` in a demo's settings is its base URL.
pub type PlatformServer = EmulatedServer<PlatformHandler>;

/// The API behind the listener.
pub struct PlatformHandler {
    api: DemoApi,
    state: Mutex<PlatformState>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct PlatformState {
    answers: BTreeMap<String, Value>,
    statuses: BTreeMap<String, u16>,
    delays: BTreeMap<String, Duration>,
    /// Number of tokens issued; only the last is valid.
    tokens: u32,
    limit: Option<(usize, Duration)>,
    taken: Vec<Instant>,
    calls: Vec<PlatformCall>,
}

/// A call to the emulated API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformCall {
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Status of the answer.
    pub status: u16,
}

impl PlatformServer {
    /// Listens on a free port of loopback until it is closed. Without answers set it replies 404.
    ///
    /// # Errors
    /// The listener cannot be opened.
    pub fn open(api: DemoApi, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        Self::serve(PlatformHandler { api, state: Mutex::default(), clock })
    }

    /// Sets the answer to `GET` of this path and query.
    pub fn answer(&self, path: &str, body: Value) {
        let mut state = self.handler.state();
        state.statuses.remove(path);
        state.answers.insert(path.to_owned(), body);
    }

    /// Sets an error status for this path and query.
    pub fn fail(&self, path: &str, status: u16) {
        self.handler.state().statuses.insert(path.to_owned(), status);
    }

    /// Sets how long the answer to this path and query takes to arrive; it shows the state at the time of the request.
    pub fn delay(&self, path: &str, delay: Duration) {
        self.handler.state().delays.insert(path.to_owned(), delay);
    }

    /// Limits the calls within any window of this length; further calls get 429.
    pub fn limit(&self, calls: usize, window: Duration) {
        self.handler.state().limit = Some((calls, window));
    }

    /// Revokes the last token.
    pub fn revoke(&self) {
        self.handler.state().tokens += 1;
    }

    /// All calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<PlatformCall> {
        self.handler.state().calls.clone()
    }
}

impl PlatformHandler {
    fn state(&self) -> MutexGuard<'_, PlatformState> {
        // A panic of a test leaves the state consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PlatformState {
    fn reply(&mut self, api: DemoApi, request: &SimpleRequest, target: &str) -> (u16, Value) {
        let (method, path) = (request.method.as_str(), request.path.as_str());
        let authorization = request.header("authorization");
        if let (DemoApi::Client(id, secret), "POST", "/oauth/token") = (api, method, path) {
            let expected = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
            if authorization != Some(expected.as_str()) {
                return (401, json!({ "error": "invalid_client" }));
            }
            self.tokens += 1;
            let granted = json!({
                "access_token": format!("platform-token-{}", self.tokens),
                "token_type": "bearer",
                "expires_in": TOKEN_LIFE,
            });
            return (200, granted);
        }
        let allowed = match api {
            DemoApi::None => false,
            DemoApi::Header(name, value) => request.header(name) == Some(value),
            DemoApi::Client(..) => {
                let expected = format!("Bearer platform-token-{}", self.tokens);
                self.tokens > 0 && authorization == Some(expected.as_str())
            }
        };
        if !allowed {
            return (401, json!({ "message": "Unauthorized" }));
        }
        if let Some((calls, window)) = self.limit {
            let now = Instant::now();
            self.taken.retain(|taken| now.duration_since(*taken) < window);
            if self.taken.len() >= calls {
                return (429, json!({ "message": "Too many requests" }));
            }
            self.taken.push(now);
        }
        if let Some(status) = self.statuses.get(target) {
            return (*status, json!({ "message": "This path was set to fail" }));
        }
        match (method, self.answers.get(target)) {
            ("GET", Some(answer)) => (200, answer.clone()),
            _ => (404, json!({ "message": "Not found" })),
        }
    }
}

#[async_trait]
impl SimpleHandler for PlatformHandler {
    async fn handle(&self, request: SimpleRequest) -> SimpleResponse {
        let SimpleRequest { method, path, query, .. } = &request;
        let target = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
        let (status, body, delay) = {
            let mut state = self.state();
            let (status, body) = state.reply(self.api, &request, &target);
            let delay = state.delays.get(&target).copied().unwrap_or_default();
            state.calls.push(PlatformCall { method: method.clone(), path: target, status });
            (status, body, delay)
        };
        tokio::time::sleep(delay).await;
        let mut response = SimpleResponse::json(status, &body);
        // RFC 9110, 5.6.7.
        let now = jiff::Timestamp::from_millisecond(self.clock.now().get()).unwrap_or_default();
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        response.headers.push(("date".to_owned(), date));
        response
    }
}

//! An emulated platform's API behind a real listener: it checks credentials, enforces a limit of calls, and gives the
//! answers that were set.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::http::simple_server::{self, SimpleHandler, SimpleRequest, SimpleResponse};
use crate::providers::DemoApi;

/// Lifetime of the emulated platform's tokens, in seconds.
const TOKEN_LIFE: u64 = 3_600;

/// An emulated API with an address.
#[derive(Clone)]
pub struct PlatformServer {
    state: Arc<Mutex<PlatformState>>,
    clock: Arc<dyn Clock>,
    address: SocketAddr,
    stop: CancellationToken,
}

struct PlatformState {
    api: DemoApi,
    answers: BTreeMap<String, Value>,
    statuses: BTreeMap<String, u16>,
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
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let knowing_nothing = PlatformState {
            api,
            answers: BTreeMap::new(),
            statuses: BTreeMap::new(),
            tokens: 0,
            limit: None,
            taken: Vec::new(),
            calls: Vec::new(),
        };
        let stage = Self {
            state: Arc::new(Mutex::new(knowing_nothing)),
            clock,
            address: listener.local_addr()?,
            stop: CancellationToken::new(),
        };
        let (answer, stop) = (Arc::new(stage.clone()), stage.stop.clone());
        tokio::spawn(async move {
            if let Err(error) = simple_server::serve(listener, answer, stop).await {
                tracing::error!(%error, "the emulated platform failed");
            }
        });
        Ok(stage)
    }

    /// The base URL: scheme, host and port; `{api}` in a demo's settings.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the answer to `GET` of this path and query.
    pub fn answer(&self, path: &str, body: Value) {
        let mut state = self.state();
        state.statuses.remove(path);
        state.answers.insert(path.to_owned(), body);
    }

    /// Sets an error status for this path and query.
    pub fn fail(&self, path: &str, status: u16) {
        self.state().statuses.insert(path.to_owned(), status);
    }

    /// Limits the calls within any window of this length; further calls get 429.
    pub fn limit(&self, calls: usize, window: Duration) {
        self.state().limit = Some((calls, window));
    }

    /// Revokes the last token.
    pub fn revoke(&self) {
        self.state().tokens += 1;
    }

    /// All calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<PlatformCall> {
        self.state().calls.clone()
    }

    /// Closes the listener.
    pub fn close(&self) {
        self.stop.cancel();
    }

    fn state(&self) -> MutexGuard<'_, PlatformState> {
        // A panic of a test leaves the state consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PlatformState {
    fn reply(&mut self, exchange: &SimpleRequest) -> (u16, Value) {
        let SimpleRequest { method, path, query, headers, .. } = exchange;
        let header = |name: &str| {
            let found = headers.iter().find(|(present, _)| present == name);
            found.map(|(_, value)| value.as_str())
        };
        if let (DemoApi::Client(id, secret), "POST", "/oauth/token") =
            (self.api, method.as_str(), path.as_str())
        {
            let right = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
            if header("authorization") != Some(right.as_str()) {
                return (401, json!({ "error": "invalid_client" }));
            }
            self.tokens += 1;
            let token = format!("platform-token-{}", self.tokens);
            let life = TOKEN_LIFE;
            return (
                200,
                json!({ "access_token": token, "token_type": "bearer", "expires_in": life }),
            );
        }
        let allowed = match self.api {
            DemoApi::None => false,
            DemoApi::Header(name, value) => header(name) == Some(value),
            DemoApi::Client(..) => {
                let right = format!("Bearer platform-token-{}", self.tokens);
                self.tokens > 0 && header("authorization") == Some(right.as_str())
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
        let target = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
        if let Some(status) = self.statuses.get(&target) {
            return (*status, json!({ "message": "This path was set to fail" }));
        }
        match (method.as_str(), self.answers.get(&target)) {
            ("GET", Some(answer)) => (200, answer.clone()),
            _ => (404, json!({ "message": "Not found" })),
        }
    }
}

#[async_trait]
impl SimpleHandler for PlatformServer {
    async fn handle(&self, exchange: SimpleRequest) -> SimpleResponse {
        let (status, body) = {
            let mut state = self.state();
            let (status, body) = state.reply(&exchange);
            let SimpleRequest { method, path, query, .. } = exchange;
            let path = if query.is_empty() { path } else { format!("{path}?{query}") };
            state.calls.push(PlatformCall { method, path, status });
            (status, body)
        };
        // RFC 9110, 5.6.7.
        let now = jiff::Timestamp::from_millisecond(self.clock.now().get()).unwrap_or_default();
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("date".to_owned(), date),
        ];
        SimpleResponse { status, headers, body: body.to_string().into_bytes(), fault: None }
    }
}

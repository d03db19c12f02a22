//! An emulated HubSpot behind a real listener.
//!
//! Beside HubSpot's own paths it has controls for a person who tries things out: `POST /sandbox/fail/STATUS` makes
//! every upsert fail with that status until `POST /sandbox/heal`, and `GET /sandbox/events` shows the account's events.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::emulator::{Emulator, EmulatorFault, EmulatorRequest, EmulatorSettings, TransportFault};
use crate::clock::Clock;
use crate::http::simple_server::{
    self, ResponseFault, SimpleHandler, SimpleRequest, SimpleResponse,
};

/// How long the server holds an answer that never comes: longer than any client waits.
const HANG_TIME: Duration = Duration::from_mins(10);

/// An emulated HubSpot account with an address.
#[derive(Clone)]
pub struct HubSpotServer {
    emulator: Arc<Mutex<Emulator>>,
    clock: Arc<dyn Clock>,
    address: SocketAddr,
    stop: CancellationToken,
}

impl HubSpotServer {
    /// Listens on a free port of loopback until it is closed.
    ///
    /// # Errors
    /// The listener cannot be opened.
    pub fn open(settings: EmulatorSettings, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let stage = Self {
            emulator: Arc::new(Mutex::new(Emulator::new(settings))),
            clock,
            address: listener.local_addr()?,
            stop: CancellationToken::new(),
        };
        let (answer, stop) = (Arc::new(stage.clone()), stage.stop.clone());
        tokio::spawn(async move {
            if let Err(error) = simple_server::serve(listener, answer, stop).await {
                tracing::error!(%error, "the emulated HubSpot failed");
            }
        });
        Ok(stage)
    }

    /// The base URL: scheme, host and port.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The account itself, for inspection and for faults.
    pub fn emulator(&self) -> MutexGuard<'_, Emulator> {
        // A panic of a test leaves the account consistent.
        self.emulator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn control(&self, method: &str, order: &str) -> SimpleResponse {
        let failure = order.strip_prefix("fail/").and_then(|status| status.parse().ok());
        let (status, body) = match (method, order, failure) {
            ("POST", "heal", _) => {
                self.emulator().clear_faults();
                (200, json!({ "faults": "none" }))
            }
            ("POST", _, Some(status @ 400..=599)) => {
                self.emulator()
                    .inject_standing(EmulatorFault::Status { status, retry_after: None });
                (200, json!({ "faults": format!("every upsert is answered {status}") }))
            }
            ("GET", "events", _) => (200, self.events()),
            _ => (404, json!({ "error": "try POST fail/503, POST heal, or GET events" })),
        };
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        SimpleResponse { status, headers, body: body.to_string().into_bytes(), fault: None }
    }

    fn events(&self) -> Value {
        let emulator = self.emulator();
        let shown = emulator.events().iter().map(|((_, id), event)| {
            json!({
                "externalEventId": id,
                "objectId": event.object_id,
                "eventName": event.name,
                "startDateTime": event.start.map(|at| at.to_string()),
                "endDateTime": event.end.map(|at| at.to_string()),
                "eventCancelled": event.cancelled,
                "eventCompleted": event.completed,
            })
        });
        shown.collect()
    }

    /// Closes the listener.
    pub fn close(&self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl SimpleHandler for HubSpotServer {
    async fn handle(&self, exchange: SimpleRequest) -> SimpleResponse {
        let SimpleRequest { method, path, query, headers, body } = exchange;
        if let Some(order) = path.strip_prefix("/sandbox/") {
            return self.control(&method, order);
        }
        let request = EmulatorRequest { method, path, query, headers, body };
        let reply = self.emulator().handle(self.clock.now(), &request);
        SimpleResponse {
            status: reply.status,
            headers: reply.headers,
            body: reply.body,
            fault: reply.fault.map(|fault| match fault {
                TransportFault::Hang => ResponseFault::Hang(HANG_TIME),
                TransportFault::Reset => ResponseFault::Reset,
                TransportFault::Truncate => ResponseFault::Truncate,
            }),
        }
    }
}

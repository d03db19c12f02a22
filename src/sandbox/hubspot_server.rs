//! An emulated HubSpot behind a real listener.
//!
//! Beside HubSpot's own paths it has controls for a person who tries things out: `POST /sandbox/fail/STATUS` makes
//! every upsert fail with that status and `POST /sandbox/ignore-batches` makes batches do nothing, until
//! `POST /sandbox/heal`; `GET /sandbox/events` shows the account's events.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::json;

use super::emulator::{EmulatorFault, EmulatorSettings, HubspotEmulator, StoredEvent};
use super::server::EmulatedServer;
use crate::clock::Clock;
use crate::http::simple_server::{SimpleHandler, SimpleRequest, SimpleResponse};

/// An emulated HubSpot account with an address.
pub type HubSpotServer = EmulatedServer<HubspotHandler>;

/// The account behind the listener.
pub struct HubspotHandler {
    emulator: Mutex<HubspotEmulator>,
    clock: Arc<dyn Clock>,
}

impl HubSpotServer {
    /// Listens on a free port of loopback until it is closed.
    ///
    /// # Errors
    /// The listener cannot be opened.
    pub fn open(settings: EmulatorSettings, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let emulator = Mutex::new(HubspotEmulator::new(settings));
        Self::serve(HubspotHandler { emulator, clock })
    }

    /// The account itself, for inspection and for faults.
    pub fn emulator(&self) -> MutexGuard<'_, HubspotEmulator> {
        self.handler.emulator()
    }
}

impl HubspotHandler {
    fn emulator(&self) -> MutexGuard<'_, HubspotEmulator> {
        // A panic of a test leaves the account consistent.
        self.emulator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn control(&self, method: &str, order: &str) -> SimpleResponse {
        let failure = order.strip_prefix("fail/").and_then(|status| status.parse().ok());
        let mut emulator = self.emulator();
        let (status, body) = match (method, order, failure) {
            ("POST", "heal", _) => {
                emulator.clear_faults();
                (200, json!({ "faults": "none" }))
            }
            ("POST", _, Some(status @ 400..=599)) => {
                emulator.inject_standing(EmulatorFault::Status { status, retry_after: None });
                (200, json!({ "faults": format!("every upsert is answered {status}") }))
            }
            ("POST", "ignore-batches", _) => {
                emulator.inject_standing(EmulatorFault::NoResults("COMPLETE"));
                (200, json!({ "faults": "every batch is answered 200 and does nothing" }))
            }
            ("GET", "events", _) => {
                (200, emulator.events().values().map(StoredEvent::read_response).collect())
            }
            _ => (
                404,
                json!({ "error": "try POST fail/503, POST ignore-batches, POST heal, or GET events" }),
            ),
        };
        SimpleResponse::json(status, &body)
    }
}

#[async_trait]
impl SimpleHandler for HubspotHandler {
    async fn handle(&self, request: SimpleRequest) -> SimpleResponse {
        match request.path.strip_prefix("/sandbox/") {
            Some(order) => self.control(&request.method, order),
            None => self.emulator().handle(self.clock.now(), &request),
        }
    }
}

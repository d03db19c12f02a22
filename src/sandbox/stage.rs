//! An emulated HubSpot behind a real listener.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::emulator::{Emulator, EmulatorRequest, EmulatorSettings, TransportFault};
use crate::clock::Clock;
use crate::receive::exchange::{self, Answer, Exchange, ExchangeReply, Fault};

/// How long an answer that never comes is held: longer than any client waits.
const NEVER: Duration = Duration::from_mins(10);

/// An emulated HubSpot account that can be called at an address.
#[derive(Clone)]
pub struct HubSpotStage {
    emulator: Arc<Mutex<Emulator>>,
    clock: Arc<dyn Clock>,
    address: SocketAddr,
    stop: CancellationToken,
}

impl HubSpotStage {
    /// Listens on a free port of loopback until it is stopped.
    ///
    /// # Errors
    /// When it cannot listen.
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
            if let Err(error) = exchange::serve(listener, answer, stop).await {
                tracing::error!(%error, "the emulated HubSpot failed");
            }
        });
        Ok(stage)
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The account itself, to look at and to make fail.
    pub fn emulator(&self) -> MutexGuard<'_, Emulator> {
        // A test that panics while it looks leaves the account as it is.
        self.emulator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the listener.
    pub fn close(&self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl Answer for HubSpotStage {
    async fn answer(&self, exchange: Exchange) -> ExchangeReply {
        let Exchange { method, path, query, headers, body } = exchange;
        let request = EmulatorRequest { method, path, query, headers, body };
        let reply = self.emulator().handle(self.clock.now(), &request);
        ExchangeReply {
            status: reply.status,
            headers: reply.headers,
            body: reply.body,
            fault: reply.fault.map(|fault| match fault {
                TransportFault::Hang => Fault::Hang(NEVER),
                TransportFault::Reset => Fault::Reset,
                TransportFault::Truncate => Fault::Truncate,
            }),
        }
    }
}

//! A listener on loopback for an emulated service.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::http::simple_server::{self, SimpleHandler};

/// An emulated service with an address.
pub struct EmulatedServer<H> {
    pub(super) handler: Arc<H>,
    address: SocketAddr,
    stop: CancellationToken,
}

impl<H: SimpleHandler> EmulatedServer<H> {
    /// Listens on a free port of loopback until it is closed.
    pub(super) fn serve(handler: H) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let (handler, stop) = (Arc::new(handler), CancellationToken::new());
        let serving = simple_server::serve(listener, Arc::clone(&handler) as _, stop.clone());
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "an emulated service failed");
            }
        });
        Ok(Self { handler, address, stop })
    }

    /// The base URL: scheme, host and port.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Closes the listener.
    pub fn close(&self) {
        self.stop.cancel();
    }
}

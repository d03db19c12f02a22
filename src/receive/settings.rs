//! Settings of the public listener.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::clock::Clock;
use crate::http::BodyLimits;
use crate::intake::Source;
use crate::ledger::Intake;
use crate::telemetry::Metrics;

/// Public keys that a platform publishes and changes. The implementation keeps them fresh.
pub trait PublishedKeys: Send + Sync {
    /// The last valid key set in its published form; none before the first.
    fn current(&self) -> Option<Arc<[u8]>>;

    /// Requests a refresh, since a sender used a key that is not in the set. Returns whether the key may arrive soon,
    /// so that the sender should try again.
    fn request_refresh(&self) -> bool;
}

/// The limits of one request, and of all together.
#[derive(Debug, Clone, Copy)]
pub struct WebhookLimits {
    /// How long a connection's first head may take.
    pub head_timeout: Duration,
    /// The limits of a body.
    pub body: BodyLimits,
    /// How long the ledger may take; Zoom gives up after 3 s in all.
    pub accept_timeout: Duration,
    /// Bytes that the bodies of all connections may take together.
    pub body_memory: usize,
}

impl WebhookLimits {
    /// The limits of the service, with bodies of at most that many bytes.
    #[must_use]
    pub fn new(max_body: usize) -> Self {
        Self {
            head_timeout: Duration::from_secs(5),
            body: BodyLimits {
                max_size: max_body,
                timeout: Duration::from_secs(10),
                max_excess_size: 16 * 1024 * 1024,
                excess_timeout: Duration::from_secs(2),
            },
            accept_timeout: Duration::from_millis(2_500),
            body_memory: 64 * 1024 * 1024,
        }
    }
}

/// Settings of the public listener.
pub struct WebhookSettings {
    /// The sources.
    pub sources: Vec<Arc<Source>>,
    /// Published keys by their URL ([`crate::providers::SignatureScheme::published_keys`]).
    pub keys: BTreeMap<Url, Arc<dyn PublishedKeys>>,
    /// The ledger's way in, which stores the receipts.
    pub ledger: Arc<dyn Intake>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The metrics.
    pub metrics: Metrics,
    /// The limits.
    pub limits: WebhookLimits,
}

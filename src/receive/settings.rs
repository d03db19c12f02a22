//! What the public listener is told to serve.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::clock::Clock;
use crate::intake::Source;
use crate::ledger::Ledger;
use crate::telemetry::Metrics;

/// Public keys that somebody else publishes and changes. Whoever injects them keeps them fresh.
pub trait PublishedKeys: Send + Sync {
    /// The last good set, as it is published; none if there never was one.
    fn current(&self) -> Option<Arc<[u8]>>;

    /// Tells that a key is wanted which the set does not have. Whether it may be there soon, so that who showed it should
    /// come again.
    fn request_refresh(&self) -> bool;
}

/// Bounds of what one request, and all together, may cost.
#[derive(Debug, Clone, Copy)]
pub struct WebhookLimits {
    /// How long a connection's first head may take.
    pub head_timeout: Duration,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// Of a body that is too large, how many bytes are read and thrown away, so that the sender sees the answer ...
    pub max_excess_bytes: usize,
    /// ... and for how long.
    pub excess_timeout: Duration,
    /// How long the ledger may take; Zoom gives up after 3 s in all.
    pub accept_timeout: Duration,
    /// Bytes that the bodies of all connections may take together.
    pub body_memory: usize,
}

impl Default for WebhookLimits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            max_excess_bytes: 16 * 1024 * 1024,
            excess_timeout: Duration::from_secs(2),
            accept_timeout: Duration::from_millis(2_500),
            body_memory: 64 * 1024 * 1024,
        }
    }
}

/// What the public listener is to serve.
pub struct WebhookSettings {
    /// The sources.
    pub sources: Vec<Arc<Source>>,
    /// What the sources' providers verify with, by where it is published ([`crate::providers::Provider::published_keys`]).
    pub keys: BTreeMap<Url, Arc<dyn PublishedKeys>>,
    /// Where receipts go.
    pub ledger: Arc<dyn Ledger>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where it is counted.
    pub metrics: Metrics,
    /// Longest body, in bytes.
    pub max_body: usize,
    /// Everything else that is bounded.
    pub limits: WebhookLimits,
}

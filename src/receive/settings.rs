//! What the public listener is told to serve.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::clock::Clock;
use crate::event::SourceName;
use crate::ledger::Ledger;
use crate::providers::Provider;
use crate::secret::Secret;
use crate::telemetry::Metrics;

/// A source as the public listener needs it.
#[derive(Clone)]
pub struct Endpoint {
    /// Its name, which is in its URL.
    pub name: SourceName,
    /// Its platform's code.
    pub provider: Arc<dyn Provider>,
    /// What its webhooks are verified with; more than one while rotating, none where the platform needs none.
    pub secrets: Vec<Secret>,
    /// What must follow the name in the URL.
    pub path_token: Option<Secret>,
    /// How far a signed timestamp may be from now.
    pub tolerance: Duration,
    /// The platform's accounts it may speak for; all if none.
    pub platform_accounts: Option<BTreeSet<String>>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, provider, secrets, path_token, tolerance, platform_accounts } = self;
        f.debug_struct("Endpoint")
            .field("name", name)
            .field("provider", &provider.id())
            .field("secrets", secrets)
            .field("path_token", path_token)
            .field("tolerance", tolerance)
            .field("platform_accounts", platform_accounts)
            .finish()
    }
}

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
    pub endpoints: Vec<Endpoint>,
    /// What the sources' providers verify with, by where it is published ([`Provider::published_keys`]).
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

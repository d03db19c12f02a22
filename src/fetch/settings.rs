//! Parts of a fetch worker.

use std::sync::Arc;

use crate::clock::Clock;
use crate::intake::Source;
use crate::ledger::FetchLedger;
use crate::net::Http;
use crate::telemetry::Metrics;

/// Parts of a [`FetchWorker`](super::FetchWorker).
pub struct Settings {
    /// Source whose platform is called.
    pub source: Arc<Source>,
    /// Queue of fetches, and store of their answers.
    pub ledger: Arc<dyn FetchLedger>,
    /// Sender of the calls.
    pub http: Arc<dyn Http>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Counters of the calls and of their content.
    pub metrics: Metrics,
    /// Source of randomness for backoff jitter.
    pub random: fn() -> u32,
}

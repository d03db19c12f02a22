//! The state that every request to the private listener shares.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::access::ApiAccess;
use super::readiness::Readiness;
use crate::clock::Clock;
use crate::event::{AccountName, SourceName};
use crate::ledger::OpsLedger;
use crate::providers::Provider;
use crate::replay::Replayer;
use crate::telemetry::Metrics;

/// What the private listener serves from.
#[derive(Clone)]
pub struct OpsState {
    /// The ledger.
    pub ledger: Arc<dyn OpsLedger>,
    /// Maps receipts again.
    pub replayer: Replayer,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The metrics.
    pub metrics: Metrics,
    /// The configured HubSpot accounts.
    pub accounts: Vec<AccountName>,
    /// The providers of the configured sources.
    pub sources: BTreeMap<SourceName, Arc<dyn Provider>>,
    /// The life of the process, as `/readyz` reports it.
    pub readiness: Readiness,
    /// The start of the process, by the monotonic clock.
    pub started_at: Instant,
    /// Who may use the API.
    pub access: ApiAccess,
}

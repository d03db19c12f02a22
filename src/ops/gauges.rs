//! Gauges that are set at every scrape.

use std::time::Duration;

use tokio::time::timeout;

use super::state::OpsState;
use crate::ledger::{EventStateCounts, StoreSizes};
use crate::telemetry::EventCounts;

/// How long reading what a gauge shows may take; after that the gauge stays as it was.
const STORE_READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Sets the gauges from the ledger. A gauge stays as it was if the ledger does not answer.
pub(super) async fn update_gauges(ops: &OpsState) {
    for (account, counts) in ops.ledger.event_counts() {
        let EventStateCounts { pending, in_flight, delivered, incomplete, filtered, dead } = counts;
        let counts = EventCounts { pending, in_flight, delivered, incomplete, filtered, dead };
        ops.metrics.set_events(&account, counts);
    }
    for account in &ops.accounts {
        match timeout(STORE_READ_TIMEOUT, ops.ledger.account_status(account)).await {
            Ok(Ok(status)) => {
                ops.metrics.set_paused(account, status.paused.map(|pause| pause.reason));
                ops.metrics.set_daily_remaining(account, status.daily_remaining);
            }
            Ok(Err(error)) => tracing::debug!(%error, "the account's status is unknown"),
            Err(_) => tracing::debug!("the account's status is unknown: it took too long"),
        }
        match timeout(STORE_READ_TIMEOUT, ops.ledger.oldest_pending(account)).await {
            Ok(Ok(since)) => {
                let age = since.map(|since| ops.clock.now().since(since));
                ops.metrics.set_oldest_pending(account, age);
            }
            Ok(Err(error)) => tracing::debug!(%error, "the oldest pending event is unknown"),
            Err(_) => tracing::debug!("the oldest pending event is unknown: it took too long"),
        }
    }
    for (source, status) in ops.ledger.fetch_statuses() {
        // What was wanted of a platform that cannot be asked any more waits for nothing.
        let waits = ops.fetchable_sources.contains_key(&source);
        ops.metrics.set_fetch_pending(&source, if waits { status.pending } else { 0 });
    }
    let StoreSizes { store, free, wal } = ops.ledger.store_sizes();
    ops.metrics.set_store_sizes(store, free, wal);
}

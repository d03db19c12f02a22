//! Gauges that are set at every scrape.

use std::time::Duration;

use tokio::time::timeout;

use super::state::OpsState;
use crate::ledger::{LedgerError, StoreSizes};

/// Time for reading the figure of a gauge; after that the gauge keeps its value.
const STORE_READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Sets the gauges from the ledger. A gauge stays as it was if the ledger does not answer.
pub(super) async fn update_gauges(ops: &OpsState) {
    let counts = read("the event counts", ops.ledger.event_counts()).await;
    for (account, counts) in counts.into_iter().flatten() {
        ops.metrics.set_events(&account, counts);
    }
    for account in &ops.accounts {
        if let Some(status) = read("a status", ops.ledger.account_status(account)).await {
            ops.metrics.set_paused(account, status.paused.map(|pause| pause.reason));
            ops.metrics.set_daily_remaining(account, status.daily_remaining);
        }
        let oldest = read("the oldest pending event", ops.ledger.oldest_pending(account)).await;
        if let Some(since) = oldest {
            let age = since.map(|since| ops.clock.now().since(since));
            ops.metrics.set_oldest_pending(account, age);
        }
    }
    let statuses = read("the fetches", ops.ledger.fetch_statuses()).await;
    for (source, status) in statuses.into_iter().flatten() {
        // Fetches from a platform without an API any more do not count as waiting.
        let waits = ops.fetchable_sources.contains_key(&source);
        ops.metrics.set_fetch_pending(&source, if waits { status.pending } else { 0 });
    }
    let sizes = read("the store's sizes", ops.ledger.store_sizes()).await;
    if let Some(StoreSizes { store, free, wal }) = sizes {
        ops.metrics.set_store_sizes(store, free, wal);
    }
}

/// Reads one figure of the ledger, if it is there in time.
async fn read<T>(figure: &str, reading: impl Future<Output = Result<T, LedgerError>>) -> Option<T> {
    match timeout(STORE_READ_TIMEOUT, reading).await {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            tracing::debug!(figure, %error, "the ledger could not be read for a gauge");
            None
        }
        Err(_) => {
            tracing::debug!(figure, "the ledger took too long for a gauge");
            None
        }
    }
}

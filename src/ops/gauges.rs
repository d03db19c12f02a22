//! Gauges that are set at every scrape.

use std::time::Duration;

use super::figure::read_figure;
use super::state::OpsState;
use crate::ledger::{FetchStatus, StoreSizes};

/// Time for reading the figure of a gauge; after that the gauge keeps its value.
const LIMIT: Duration = Duration::from_secs(1);

/// Sets the gauges from the ledger. A gauge stays as it was if the ledger does not answer.
pub(super) async fn update_gauges(ops: &OpsState) {
    let counts = read_figure("the event counts", LIMIT, ops.ledger.event_counts()).await;
    for (account, counts) in counts.into_iter().flatten() {
        ops.metrics.set_events(&account, counts);
    }
    for account in &ops.accounts {
        if let Some(status) =
            read_figure("a status", LIMIT, ops.ledger.account_status(account)).await
        {
            ops.metrics.set_paused(account, status.paused.map(|pause| pause.reason));
            ops.metrics.set_batches_ignored(account, status.batches_ignored.is_some());
            ops.metrics.set_daily_remaining(account, status.daily_remaining);
        }
        let oldest =
            read_figure("the oldest pending event", LIMIT, ops.ledger.oldest_pending(account))
                .await;
        if let Some(since) = oldest {
            let age = since.map(|since| ops.clock.now().since(since));
            ops.metrics.set_oldest_pending(account, age);
        }
    }
    let trust = ops.clock.trust();
    ops.metrics.set_clock_skew(trust.and_then(|trust| trust.skew_seconds(ops.clock.now())));
    let statuses = read_figure("the fetches", LIMIT, ops.ledger.fetch_statuses()).await;
    for (source, status) in statuses.into_iter().flatten() {
        // Fetches from a platform without an API any more do not count as waiting.
        let waits = ops.sources.get(&source).is_some_and(|provider| provider.api().is_some());
        let status = if waits { status } else { FetchStatus::default() };
        ops.metrics.set_fetches(&source, status.pending, status.dead);
    }
    let sizes = read_figure("the store's sizes", LIMIT, ops.ledger.store_sizes()).await;
    if let Some(StoreSizes { store, free, wal }) = sizes {
        ops.metrics.set_store_sizes(store, free, wal);
    }
}

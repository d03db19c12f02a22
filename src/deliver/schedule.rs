//! Work that only time makes due: completion timers and housekeeping.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::ledger::{Retention, Timers};

/// The most timers in one transaction, so that webhooks are accepted in between.
const TIMERS_PER_RUN: usize = 200;
/// The longest pause between two runs: a timer that is set meanwhile is late by this at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// The shortest pause: a busy minute must not become a busy loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// Between two rounds of housekeeping.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_mins(10);

/// Until `stop`: completes events whose timer has run out, and makes events pending for their second sending.
pub async fn run_timers(ledger: Arc<dyn Timers>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let mut wait = Duration::ZERO;
    while stop.run_until_cancelled(sleep(wait)).await.is_some() {
        wait = match ledger.run_timers(TIMERS_PER_RUN).await {
            Ok(due) => {
                if due.done > 0 {
                    tracing::debug!(events = due.done, "timers ran out");
                }
                let next = due.next_due.map_or(LONGEST_PAUSE, |next| next.since(clock.now()));
                next.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
            }
            Err(error) => {
                tracing::warn!(%error, "the timers could not be run");
                LONGEST_PAUSE
            }
        };
    }
}

/// Deletes receipts and events that are older than their retention, until `stop`.
pub async fn run_housekeeping(ledger: Arc<dyn Timers>, keep: Retention, stop: CancellationToken) {
    let mut wait = SHORTEST_PAUSE;
    while stop.run_until_cancelled(sleep(wait)).await.is_some() {
        wait = match ledger.prune(keep).await {
            Ok(true) => SHORTEST_PAUSE,
            Ok(false) => HOUSEKEEPING_INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "old receipts and events could not be deleted");
                HOUSEKEEPING_INTERVAL
            }
        };
    }
}

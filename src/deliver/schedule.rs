//! What the passing of time alone makes due.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::ledger::{Retention, Timers};

/// Timers looked at in one piece, so that webhooks get their turn between.
const TIMERS_PER_RUN: usize = 200;
/// The longest time between two looks at the timers: a timer set meanwhile is late by so much at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// The shortest: a busy minute must not become a busy loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// Between two rounds of housekeeping.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_mins(10);

/// Completes events whose timer runs out and sends others a second time, until told to stop.
pub async fn run_timers(ledger: Arc<dyn Timers>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let mut wait = Duration::ZERO;
    while sleep(wait, &stop).await {
        wait = match ledger.run_timers(TIMERS_PER_RUN).await {
            Ok(due) => {
                if due.done > 0 {
                    tracing::debug!(events = due.done, "timers ran out");
                }
                let next = due.next_due.map_or(LONGEST_PAUSE, |next| next.since(clock.now()));
                next.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
            }
            Err(error) => {
                tracing::warn!(%error, "timers could not be looked at");
                LONGEST_PAUSE
            }
        };
    }
}

/// Deletes what was kept long enough, until told to stop.
pub async fn run_housekeeping(ledger: Arc<dyn Timers>, keep: Retention, stop: CancellationToken) {
    let mut wait = SHORTEST_PAUSE;
    while sleep(wait, &stop).await {
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

/// Sleeps; false when told to stop.
async fn sleep(wait: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = stop.cancelled() => false,
        () = tokio::time::sleep(wait) => true,
    }
}

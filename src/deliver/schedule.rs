//! What the passing of time alone makes due.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::ledger::{Ledger, Retention};

/// Timers looked at in one piece, so that webhooks get their turn between.
const TIMERS: usize = 200;
/// The longest time between two looks at the timers: a timer set meanwhile is late by so much at most.
const LOOK: Duration = Duration::from_secs(15);
/// The shortest: a busy minute must not become a busy loop.
const BREATH: Duration = Duration::from_millis(100);
/// Between two rounds of housekeeping.
const HOUSEKEEPING: Duration = Duration::from_mins(10);

/// Completes events whose timer runs out and sends others a second time, until told to stop.
pub async fn advance(ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let mut wait = Duration::ZERO;
    while sleep(wait, &stop).await {
        wait = match ledger.advance(TIMERS).await {
            Ok(due) => {
                if due.done > 0 {
                    tracing::debug!(events = due.done, "timers ran out");
                }
                let next = due.next.map_or(LOOK, |next| next.since(clock.now()));
                next.clamp(BREATH, LOOK)
            }
            Err(error) => {
                tracing::warn!(%error, "timers could not be looked at");
                LOOK
            }
        };
    }
}

/// Deletes what was kept long enough, until told to stop.
pub async fn housekeep(ledger: Arc<dyn Ledger>, keep: Retention, stop: CancellationToken) {
    let mut wait = BREATH;
    while sleep(wait, &stop).await {
        wait = match ledger.prune(keep).await {
            Ok(true) => BREATH,
            Ok(false) => HOUSEKEEPING,
            Err(error) => {
                tracing::warn!(%error, "old receipts and events could not be deleted");
                HOUSEKEEPING
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

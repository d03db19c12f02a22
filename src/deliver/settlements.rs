//! Recording the outcomes of a batch in the ledger.

use std::time::Duration;

use super::worker::AccountWorker;
use crate::ledger::{ClaimedEvent, DeliveryOutcome, EventVersion, Lease, SettleResult, Settlement};

/// Between attempts to record outcomes in a ledger that is unavailable.
pub(super) const RECORD_RETRY: Duration = Duration::from_millis(500);

pub(super) fn alike(events: Vec<ClaimedEvent>, outcome: &DeliveryOutcome) -> Vec<Settlement> {
    let settle = |claimed: ClaimedEvent| Settlement {
        event: claimed.event_version(),
        outcome: outcome.clone(),
    };
    events.into_iter().map(settle).collect()
}

pub(super) fn versions(events: &[ClaimedEvent]) -> Vec<EventVersion> {
    events.iter().map(ClaimedEvent::event_version).collect()
}

/// What changed and changed back before it was sent needs no call.
pub(super) async fn settle_unchanged(
    lane: &AccountWorker,
    lease: &Lease,
    unchanged: Vec<ClaimedEvent>,
) {
    record(lane, lease, alike(unchanged, &DeliveryOutcome::AlreadyConfirmed)).await;
}

/// What HubSpot said is not forgotten because the ledger is busy: it is recorded when the ledger can. A ledger that
/// never can keeps a stop waiting, for as long as the process has for it; what is not recorded by then was noted when it
/// departed, so that the next start takes it for ambiguous and sends it again.
///
/// Once the lease is lost nothing is recorded any more: the process that has it takes the events for ambiguous.
pub(super) async fn record(lane: &AccountWorker, lease: &Lease, settled: Vec<Settlement>) {
    if settled.is_empty() {
        return;
    }
    loop {
        match lane.ledger.settle(lease, settled.clone()).await {
            Ok(SettleResult::Settled) => return,
            Ok(SettleResult::LeaseLost) => return lane.lose_lease(lease),
            Err(error) => {
                tracing::warn!(%error, hubspot.account = %lane.account, "outcomes could not be recorded yet");
                tokio::time::sleep(RECORD_RETRY).await;
            }
        }
    }
}

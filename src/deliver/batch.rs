//! Sends one batch to HubSpot part by part, and settles its events in the ledger.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::account::{DeliveryAccount, RECORD_RETRY};
use super::assess::bisect::{Bisection, Way};
use super::assess::probes::RefusedEvent;
use super::assess::{Assessment, EventOutcome, Report, alike, assess, release};
use super::single;
use crate::event::{StatusChange, StatusUpdate};
use crate::hubspot::{BatchItem, CallPermit};
use crate::ledger::{ClaimedEvent, DeliveryOutcome, EventVersion, Lease, RecordResult, Settlement};
use tokio::time::Instant;

/// The events of a batch that are not settled yet. Dropping it releases them, so that no batch leaves a claim,
/// however it ends.
struct Unsettled<'a> {
    account: &'a DeliveryAccount,
    lease: Lease,
    parts: Bisection,
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        for part in self.parts.take_rest() {
            self.account.ledger.release(&self.lease, &versions(&part.events));
        }
    }
}

/// Sends the parts of a batch until each of its events is settled, or an answer ends it and the rest is released.
///
/// # Cancel safety
/// Dropping it releases its events. A call under way may still take effect; the same state is sent again.
pub async fn deliver(
    account: Arc<DeliveryAccount>,
    lease: Lease,
    parts: Bisection,
    permit: CallPermit,
    stop: CancellationToken,
) {
    let mut permit = Some(permit);
    let mut unsettled = Unsettled { account: &account, lease, parts };
    while let Some(part) = unsettled.parts.next_part() {
        let permit = match permit.take() {
            Some(permit) => permit,
            None => match account.wait_for_permit(&stop).await {
                Some(permit) => permit,
                None => break,
            },
        };
        // The attempt is durable before the call: if the process ends now, it is unknown whether the call takes effect.
        // A lease that is lost from here on does no harm: its next holder takes the attempt for ambiguous and sends the
        // events again, now and once more later, so that a late effect of this call does not last.
        match account.ledger.begin_attempt(&unsettled.lease, &versions(&part.events)).await {
            Ok(RecordResult::Recorded) => {}
            Ok(RecordResult::LeaseLost) => {
                account.lose_lease(&unsettled.lease);
                return;
            }
            Err(error) => {
                tracing::warn!(%error, hubspot.account = %account.name, "the attempt could not be recorded, so no call is made");
                // Others may call meanwhile.
                drop(permit);
                tokio::time::sleep(RECORD_RETRY).await;
                return;
            }
        }
        // Nothing is awaited between this check and the call: no event goes to another account, and no half leaves once
        // an operator has paused the account.
        if !account.may_send() {
            break;
        }
        let answer = match (part.way, part.events.as_slice()) {
            (Way::Single, [event]) => {
                let is_missing = account.evidence().missing_results.is_missing(event.id);
                let read_first = part.outcome_unknown || is_missing;
                match single::send(&account, permit, event, read_first, &stop).await {
                    Some(answer) => answer,
                    None => break,
                }
            }
            (Way::Batch | Way::Again | Way::Single, events) => {
                let answer = account.hubspot.upsert(permit, &batch_items(events)).await;
                account.metrics.batch_sent(&account.name, events.len());
                answer
            }
        };
        let waits = account.evidence().probes.has_accused();
        let _in_order = if waits || answer.outcome.is_single_refusal() {
            Some(account.refusals_in_order.lock().await)
        } else {
            None
        };
        let part = unsettled.parts.take_part();
        let status = account.status();
        let random = (account.settings.random)();
        let assessment = assess(&mut account.evidence(), answer, part, &status, random);
        if unsettled.carry_out(assessment).await.is_break() {
            break;
        }
    }
    let rest = unsettled.parts.take_rest();
    let outcomes = release(rest);
    account.settle(&unsettled.lease, settlements(outcomes)).await;
}

/// Settles events that changed and changed back before they were sent, which needs no call.
pub async fn settle_unchanged(
    account: &DeliveryAccount,
    lease: &Lease,
    unchanged: Vec<ClaimedEvent>,
) {
    let outcomes = alike(unchanged, &DeliveryOutcome::AlreadyConfirmed);
    account.settle(lease, settlements(outcomes)).await;
}

fn batch_items(events: &[ClaimedEvent]) -> Vec<BatchItem<'_>> {
    events
        .iter()
        .map(|event| BatchItem {
            external_event_id: event.key.external_event_id.as_str(),
            input: &event.input,
        })
        .collect()
}

fn versions(events: &[ClaimedEvent]) -> Vec<EventVersion> {
    events.iter().map(ClaimedEvent::event_version).collect()
}

fn settlements(outcomes: Vec<EventOutcome>) -> Vec<Settlement> {
    let settlement = |EventOutcome { event, outcome }: EventOutcome| Settlement {
        event: event.event_version(),
        outcome,
    };
    outcomes.into_iter().map(settlement).collect()
}

impl Unsettled<'_> {
    /// Events that were refused are dead letters after all: HubSpot takes others.
    async fn uphold(&self, upheld: Vec<RefusedEvent>) {
        let Some((_, refusal)) = upheld.last() else { return };
        let account = self.account;
        tracing::warn!(
            hubspot.account = %account.name,
            events = upheld.len(),
            hubspot.category = refusal.category,
            hubspot.message = refusal.message,
            "HubSpot takes another event, so it refused these for what they are; they are dead letters until they change"
        );
        for (_, refusal) in &upheld {
            account.metrics.event_dead(&account.name, &refusal.category);
        }
        let settlement = |(event, refusal)| Settlement {
            event,
            outcome: DeliveryOutcome::RefusalUpheld(refusal),
        };
        account.settle(&self.lease, upheld.into_iter().map(settlement).collect()).await;
    }

    /// Carries out an assessment. Its status holds before its events are free, so that none is claimed against an older
    /// status.
    async fn carry_out(&mut self, assessment: Assessment) -> ControlFlow<()> {
        let Assessment {
            status,
            outcomes,
            revoked,
            upheld,
            confirmed,
            next,
            suspects,
            ignores_batches,
            report,
        } = assessment;
        let account = self.account;
        let flow = self.parts.advance(confirmed, next);
        // Before the pause ends, so that they are not sent again.
        self.uphold(upheld).await;
        if let Some(change) = status {
            let is_recovery = matches!(change, StatusChange::Recovered { .. });
            let update = account.update_status(change).await;
            if let Some(update) = update.filter(|_| is_recovery) {
                log_recovery(account, &update);
            }
        }
        if let Some(ignores_batches) = ignores_batches {
            record_ignored_batches(account, ignores_batches).await;
        }
        log_report(account, &report);
        if !suspects.is_empty() {
            let failures = account.status().failures;
            let mut evidence = account.evidence();
            evidence.poison_events.record_suspects(&suspects, failures, Instant::now());
        }
        for outcome in &outcomes {
            count_outcome(account, outcome);
        }
        let outcome = DeliveryOutcome::RefusalRevoked;
        let revoked =
            revoked.into_iter().map(|event| Settlement { event, outcome: outcome.clone() });
        account
            .settle(&self.lease, settlements(outcomes).into_iter().chain(revoked).collect())
            .await;
        flow
    }
}

/// Counts a confirmed event, and counts and logs a refused one.
fn count_outcome(account: &DeliveryAccount, EventOutcome { event, outcome }: &EventOutcome) {
    match outcome {
        // A witness was confirmed and counted before.
        DeliveryOutcome::Confirmed { .. } if event.is_witness => {}
        DeliveryOutcome::Confirmed { .. } => {
            let age = account.clock.now().since(event.pending_since);
            account.metrics.event_delivered(&account.name, age);
        }
        DeliveryOutcome::Refused(refusal) => {
            tracing::warn!(
                hubspot.account = %account.name,
                event.external_id = %event.key.external_event_id,
                hubspot.status = refusal.status,
                hubspot.category = refusal.category,
                hubspot.correlation_id = refusal.correlation_id,
                hubspot.message = refusal.message,
                "HubSpot refused an event; it is a dead letter until it changes"
            );
            account.metrics.event_dead(&account.name, &refusal.category);
        }
        DeliveryOutcome::AlreadyConfirmed
        | DeliveryOutcome::RefusalRevoked
        | DeliveryOutcome::RefusalUpheld(_)
        | DeliveryOutcome::NotApplied
        | DeliveryOutcome::Ambiguous
        | DeliveryOutcome::RetryCounted { .. }
        | DeliveryOutcome::RetryUncounted { .. } => {}
    }
}

/// Records whether the account ignores batches, and logs it once.
async fn record_ignored_batches(account: &DeliveryAccount, ignores: bool) {
    let change = if ignores { StatusChange::BatchesIgnored } else { StatusChange::BatchesWork };
    let Some(StatusUpdate { before, after }) = account.update_status(change).await else { return };
    match (before.batches_ignored.is_some(), after.batches_ignored.is_some()) {
        (false, true) => tracing::warn!(
            hubspot.account = %account.name,
            "HubSpot answers batches with success and does nothing with them, and takes single events: events go one by \
             one, and a batch is tried again now and then"
        ),
        (true, false) => tracing::info!(
            hubspot.account = %account.name,
            "HubSpot takes batches again"
        ),
        (true, true) | (false, false) => {}
    }
}

fn log_recovery(account: &DeliveryAccount, StatusUpdate { before, after }: &StatusUpdate) {
    if before.failures > after.failures || before.paused != after.paused {
        tracing::info!(hubspot.account = %account.name, "the HubSpot account accepts events again");
    }
}

fn log_report(account: &DeliveryAccount, report: &Report) {
    match report {
        Report::Nothing => {}
        Report::Answered { counts, confirmed_nothing } => {
            tracing::info!(
                events.confirmed = counts.confirmed,
                events.refused = counts.refused,
                events.unconfirmed = counts.unconfirmed,
                "HubSpot answered a batch"
            );
            if let Some(detail) = confirmed_nothing {
                tracing::warn!(
                    hubspot.account = %account.name,
                    detail,
                    "HubSpot answers and confirms nothing; the events stay pending and are sent again later"
                );
            }
        }
        Report::RefusesEverything(refusal) => tracing::warn!(
            hubspot.account = %account.name,
            hubspot.category = refusal.category,
            hubspot.correlation_id = refusal.correlation_id,
            hubspot.message = refusal.message,
            "the HubSpot account refuses everything for this reason; no event is blamed, they stay pending"
        ),
        Report::Failed(error) => account.log_error(error),
    }
}

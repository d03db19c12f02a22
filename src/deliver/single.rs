//! Sends one event by itself: where batches confirm nothing, single writes may, and reading shows what HubSpot holds.

use std::ops::ControlFlow;

use tokio_util::sync::CancellationToken;

use super::account::DeliveryAccount;
use crate::hubspot::{
    AccountError, AccountErrorKind, ApiReport, BatchItem, CallPermit, ItemVerdict, RemoteEvent,
    Unconfirmed, Verdict,
};
use crate::ledger::ClaimedEvent;

/// The result of reading an event.
enum ReadResult {
    /// HubSpot holds this very event.
    AsSent { object_id: Option<String> },
    /// HubSpot does not hold it so.
    Otherwise,
    /// Events cannot be read: the permission is missing, or the path. That is not the account's failure.
    Unreadable,
    /// The call failed, as any other call may.
    Failed(ApiReport<Verdict>),
}

/// Sends one event by itself, reading it before if `read_first`. Without a permit for every call that is needed, or once
/// nothing may be sent any more, there is no answer: nothing was sent.
///
/// # Cancel safety
/// HubSpot may have carried out a cancelled call, or may do so later.
pub(super) async fn send(
    account: &DeliveryAccount,
    permit: CallPermit,
    event: &ClaimedEvent,
    read_first: bool,
    stop: &CancellationToken,
) -> Option<ApiReport<Verdict>> {
    let mut permit = permit;
    if read_first {
        match read(account, permit, event, RemoteEvent::equals).await {
            ReadResult::AsSent { object_id } => {
                // HubSpot did work on a batch, and did not say so.
                account.evidence().silent_batches.record_work();
                return Some(without_timing(ItemVerdict::Confirmed { object_id }));
            }
            ReadResult::Failed(failed) => return Some(failed),
            ReadResult::Otherwise | ReadResult::Unreadable => {}
        }
        permit = account.wait_for_permit(stop).await?;
        if !account.may_send() {
            return None;
        }
    }
    let item =
        BatchItem { external_event_id: event.key.external_event_id.as_str(), input: &event.input };
    let answer = account.hubspot.put_event(permit, &item).await;
    match read_back(account, event, &answer.outcome, stop).await {
        ControlFlow::Continue(()) => Some(answer),
        ControlFlow::Break(item) => {
            Some(ApiReport { outcome: Verdict::Items(vec![item]), ..answer })
        }
    }
}

/// Reads an event back whose answer does not show it, the first that an answer shows, and every hundredth of those.
/// Breaks with what the reading shows, if that is another verdict.
async fn read_back(
    account: &DeliveryAccount,
    event: &ClaimedEvent,
    verdict: &Verdict,
    stop: &CancellationToken,
) -> ControlFlow<ItemVerdict> {
    let Verdict::Items(items) = verdict else { return ControlFlow::Continue(()) };
    let is_confirmed = match items.as_slice() {
        [ItemVerdict::Confirmed { .. }] => true,
        [ItemVerdict::Unconfirmed { reason: Unconfirmed::NoResult, .. }] => false,
        _ => return ControlFlow::Continue(()),
    };
    if is_confirmed && !account.evidence().silent_batches.is_read_back_due() {
        account.evidence().silent_batches.record_single(false);
        return ControlFlow::Continue(());
    }
    let Some(permit) = account.wait_for_permit(stop).await else {
        return ControlFlow::Continue(());
    };
    match read(account, permit, event, RemoteEvent::shows).await {
        ReadResult::AsSent { object_id } => {
            account.evidence().silent_batches.record_single(true);
            ControlFlow::Break(ItemVerdict::Confirmed { object_id })
        }
        ReadResult::Otherwise => ControlFlow::Break(ItemVerdict::Unconfirmed {
            reason: Unconfirmed::NoResult,
            detail: "HubSpot took the single event and does not show it as it was sent".to_owned(),
        }),
        ReadResult::Unreadable => {
            // Asking again after each event would show no more.
            account.evidence().silent_batches.record_single(true);
            ControlFlow::Continue(())
        }
        ReadResult::Failed(_) => ControlFlow::Continue(()),
    }
}

/// Reads an event; `is_as_sent` decides whether HubSpot shows this input.
async fn read(
    account: &DeliveryAccount,
    permit: CallPermit,
    event: &ClaimedEvent,
    is_as_sent: fn(&RemoteEvent, &[u8]) -> bool,
) -> ReadResult {
    let ApiReport { outcome, daily_remaining, timing } =
        account.hubspot.read_event(permit, &event.key).await;
    match outcome {
        Ok(shown) => match shown.filter(|shown| is_as_sent(shown, &event.input)) {
            Some(shown) => ReadResult::AsSent { object_id: shown.object_id() },
            None => ReadResult::Otherwise,
        },
        Err(error) if is_unreadable(&error) => ReadResult::Unreadable,
        Err(error) => ReadResult::Failed(ApiReport {
            outcome: Verdict::Account(error),
            daily_remaining,
            timing,
        }),
    }
}

/// Whether the failure is the read's alone: the credential lacks the scope for it, or its path does not exist.
fn is_unreadable(error: &AccountError) -> bool {
    matches!(error.kind, AccountErrorKind::Forbidden | AccountErrorKind::NotFound)
}

fn without_timing(item: ItemVerdict) -> ApiReport<Verdict> {
    ApiReport { outcome: Verdict::Items(vec![item]), daily_remaining: None, timing: None }
}

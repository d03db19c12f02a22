//! Asking whose account the credentials open, and acting on it.

use std::sync::Arc;

use super::ownership::{CheckResult, IdentityAnswer, compare};
use super::status;
use super::worker::AccountWorker;
use crate::hubspot::Permit;
use crate::ledger::{AccountStatus, EventState, LedgerError, RedriveRequest};

/// Asks HubSpot, before the first batch and whenever the credentials have changed.
///
/// # Cancel safety
/// Dropped, nothing is known, and nothing is sent until the next start.
pub async fn check(lane: Arc<AccountWorker>, slot: Permit) {
    let mut asking = CheckGuard { lane: &lane, result: None };
    // They may have changed since the lane looked.
    lane.check_state().begin(lane.api_calls.fingerprint());
    let (told, daily_remaining) = lane.api_calls.get_account(slot).await;
    let seen = match told {
        IdentityAnswer::Identified(identity) => Some(identity),
        IdentityAnswer::Undisclosed => {
            tracing::warn!(
                hubspot.account = %lane.account,
                "HubSpot does not tell whose account this is (GET /account-info/v3/details); a change of the app or the \
                 portal will not be noticed, and would create every event a second time"
            );
            None
        }
        IdentityAnswer::Failed(trouble) => {
            // What is wrong now is this; whose the credentials are is not known any more.
            let (now, random) = (lane.clock.now(), (lane.settings.random)());
            let told = trouble.clone();
            let amend = move |before: &AccountStatus| {
                let unknown = AccountStatus {
                    stranger: None,
                    daily_remaining: daily_remaining.or(before.daily_remaining),
                    ..before.clone()
                };
                status::failed_call(&unknown, &told, now, random)
            };
            lane.update_status(Box::new(amend)).await;
            lane.log_account_error(&trouble);
            return;
        }
    };
    let status = lane.ledger.account_status(&lane.account);
    let finding = compare(status.identity.as_ref(), seen);
    let now = lane.clock.now();
    let is_new = match &finding {
        CheckResult::Confirmed(seen) => status.stranger.is_some() || *seen != status.identity,
        CheckResult::Changed { remembered, seen } => {
            tracing::error!(
                hubspot.account = %lane.account,
                %remembered,
                %seen,
                "the credentials open another HubSpot account, or are another app's: nothing is sent"
            );
            true
        }
    };
    let amend = {
        let finding = finding.clone();
        move |before: &AccountStatus| {
            let after = match finding {
                CheckResult::Confirmed(seen) => status::identity_confirmed(before, seen),
                CheckResult::Changed { remembered, seen } => {
                    status::identity_changed(before, &remembered, seen, now)
                }
            };
            AccountStatus { daily_remaining: daily_remaining.or(after.daily_remaining), ..after }
        }
    };
    lane.update_status(Box::new(amend)).await;
    if is_new && let CheckResult::Confirmed(Some(identity)) = &finding {
        tracing::info!(hubspot.account = %lane.account, %identity, "events go to this HubSpot account");
    }
    asking.result = Some(finding);
}

/// A question under way. In whatever way it ends, the lane knows that it has.
struct CheckGuard<'a> {
    lane: &'a AccountWorker,
    result: Option<CheckResult>,
}

impl Drop for CheckGuard<'_> {
    fn drop(&mut self) {
        self.lane.check_state().finish(self.result.as_ref());
    }
}

/// The account has become another, as an operator has confirmed: what is not over is sent to it. A crash on the way
/// begins anew, which sends the same state again.
///
/// # Errors
/// [`LedgerError`] when that could not be noted; to be tried again.
pub async fn resync(lane: &AccountWorker) -> Result<(), LedgerError> {
    // What is pending, too: were it equal to what the account before confirmed last, it would not be sent.
    for state in [EventState::Pending, EventState::Delivered] {
        let not_over = state == EventState::Delivered;
        let account = Some(lane.account.clone());
        let mut ask = RedriveRequest { account, state, not_over, after: None };
        loop {
            let piece = lane.ledger.redrive_all(ask.clone()).await?;
            if piece.next.is_none() {
                break;
            }
            ask.after = piece.next;
        }
    }
    let settled = |before: &AccountStatus| AccountStatus { moved: false, ..before.clone() };
    lane.update_status(Box::new(settled)).await;
    tracing::info!(hubspot.account = %lane.account, "the new HubSpot account is sent all that is not over");
    Ok(())
}

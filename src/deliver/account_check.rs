//! Asking whose account the credentials open, and acting on it.

use std::sync::Arc;

use super::ownership::{CheckResult, IdentityAnswer, compare};
use super::status;
use super::worker::AccountWorker;
use crate::event::{Identity, StatusChange};
use crate::hubspot::Permit;
use crate::ledger::{EventState, LedgerError, RedriveRequest};

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
            let failure = status::failed_call(&trouble, (lane.settings.random)());
            let change = StatusChange::IdentityCheckFailed { failure, daily_remaining };
            lane.update_status(change).await;
            lane.log_account_error(&trouble);
            return;
        }
    };
    let status = lane.status();
    let finding = compare(status.identity.as_ref(), seen);
    let is_new = match &finding {
        CheckResult::Confirmed(seen) => {
            status.unconfirmed_identity.is_some() || *seen != status.identity
        }
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
    let change = match finding.clone() {
        CheckResult::Confirmed(identity) => {
            StatusChange::IdentityConfirmed { identity, daily_remaining }
        }
        CheckResult::Changed { remembered, seen } => {
            let detail = describe_change(&remembered, &seen);
            StatusChange::IdentityChanged { seen, detail, daily_remaining }
        }
    };
    lane.update_status(change).await;
    if is_new && let CheckResult::Confirmed(Some(identity)) = &finding {
        tracing::info!(hubspot.account = %lane.account, %identity, "events go to this HubSpot account");
    }
    asking.result = Some(finding);
}

/// The detail of the pause, for operators.
pub(super) fn describe_change(remembered: &Identity, seen: &Identity) -> String {
    format!(
        "the account was {remembered} and is {seen}: nothing is sent, since every event would be there a second time. \
         Put the old credentials back, or resume the account (POST /api/v1/accounts/NAME/resume) to go on with the new \
         one, which is then sent all that is not over"
    )
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
    lane.update_status(StatusChange::Resynced).await;
    tracing::info!(hubspot.account = %lane.account, "the new HubSpot account is sent all that is not over");
    Ok(())
}

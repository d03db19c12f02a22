//! Asking whose account the credentials open, and acting on it.

use std::sync::Arc;

use super::identity::{Finding, Told, compare};
use super::lane::Lane;
use super::standing;
use crate::hubspot::Slot;
use crate::ledger::{EventState, LedgerError, RedriveAsk, Standing};

/// Asks HubSpot, before the first batch and whenever the credentials have changed.
///
/// # Cancel safety
/// Dropped, nothing is known, and nothing is sent until the next start.
pub async fn ask(lane: Arc<Lane>, slot: Slot) {
    let mut asking = Asking { lane: &lane, finding: None };
    // They may have changed since the lane looked.
    lane.asked().begins(lane.calls.fingerprint());
    let (told, daily_remaining) = lane.calls.details(slot).await;
    let seen = match told {
        Told::Account(identity) => Some(identity),
        Told::Nothing => {
            tracing::warn!(
                hubspot.account = %lane.account,
                "HubSpot does not tell whose account this is (GET /account-info/v3/details); a change of the app or the \
                 portal will not be noticed, and would create every event a second time"
            );
            None
        }
        Told::Trouble(trouble) => {
            // What is wrong now is this; whose the credentials are is not known any more.
            let (now, random) = (lane.clock.now(), (lane.settings.random)());
            let told = trouble.clone();
            let amend = move |before: &Standing| {
                let unknown = Standing {
                    stranger: None,
                    daily_remaining: daily_remaining.or(before.daily_remaining),
                    ..before.clone()
                };
                standing::troubled(&unknown, &told, now, random)
            };
            lane.amend_standing(Box::new(amend)).await;
            lane.report(&trouble);
            return;
        }
    };
    let standing = lane.ledger.standing(&lane.account);
    let finding = compare(standing.identity.as_ref(), seen);
    let now = lane.clock.now();
    let is_new = match &finding {
        Finding::Ours(seen) => standing.stranger.is_some() || *seen != standing.identity,
        Finding::Another { remembered, seen } => {
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
        move |before: &Standing| {
            let after = match finding {
                Finding::Ours(seen) => standing::at_home(before, seen),
                Finding::Another { remembered, seen } => {
                    standing::elsewhere(before, &remembered, seen, now)
                }
            };
            Standing { daily_remaining: daily_remaining.or(after.daily_remaining), ..after }
        }
    };
    lane.amend_standing(Box::new(amend)).await;
    if is_new && let Finding::Ours(Some(identity)) = &finding {
        tracing::info!(hubspot.account = %lane.account, %identity, "events go to this HubSpot account");
    }
    asking.finding = Some(finding);
}

/// A question under way. In whatever way it ends, the lane knows that it has.
struct Asking<'a> {
    lane: &'a Lane,
    finding: Option<Finding>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.lane.asked().ends(self.finding.as_ref());
    }
}

/// The account has become another, as an operator has confirmed: what is not over is sent to it. A crash on the way
/// begins anew, which sends the same state again.
///
/// # Errors
/// [`LedgerError`] when that could not be noted; to be tried again.
pub async fn move_in(lane: &Lane) -> Result<(), LedgerError> {
    // What is pending, too: were it equal to what the account before confirmed last, it would not be sent.
    for state in [EventState::Pending, EventState::Delivered] {
        let not_over = state == EventState::Delivered;
        let account = Some(lane.account.clone());
        let mut ask = RedriveAsk { account, state, not_over, after: None };
        loop {
            let piece = lane.ledger.redrive_all(ask.clone()).await?;
            if piece.next.is_none() {
                break;
            }
            ask.after = piece.next;
        }
    }
    let settled = |before: &Standing| Standing { moved: false, ..before.clone() };
    lane.amend_standing(Box::new(settled)).await;
    tracing::info!(hubspot.account = %lane.account, "the new HubSpot account is sent all that is not over");
    Ok(())
}

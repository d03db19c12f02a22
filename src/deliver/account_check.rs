//! Checks which account the credentials open, and acts on the result.

use std::sync::Arc;

use super::account::DeliveryAccount;
use super::assess::failure;
use super::ownership::{Ownership, changed_identity, read_identity};
use crate::event::{Identity, StatusChange};
use crate::hubspot::{ApiReport, CallPermit};
use crate::ledger::{EventState, LedgerError, RedriveRequest};

/// Asks HubSpot for the account, before the first batch and whenever the credentials have changed. After a start with the
/// credentials of an earlier check nothing waits for it.
///
/// # Cancel safety
/// Dropping it leaves the account unchecked: it is checked after the next start.
pub async fn check(account: Arc<DeliveryAccount>, permit: CallPermit) {
    let failed = Ownership::Unchecked { new_credentials: false };
    let mut guard = CheckGuard { account: &account, result: failed };
    // The credentials may have changed since the worker looked.
    let credentials = account.hubspot.fingerprint();
    account.check_state().begin(credentials);
    if let Some(trust) = account.clock.trust() {
        trust.hubspot_is_asked();
    }
    let ApiReport { outcome, daily_remaining, .. } = account.hubspot.fetch_portal_id(permit).await;
    let seen = match read_identity(outcome, account.hubspot.client_id()) {
        Ok(Some(identity)) => Some(identity),
        Ok(None) => {
            tracing::warn!(
                hubspot.account = %account.name,
                "HubSpot does not say whose account this is (GET /account-info/v3/details); a change of the app or the \
                 portal will not be noticed, and would create every event a second time"
            );
            None
        }
        Err(error) => {
            let failure = failure::from_error(&error, (account.settings.random)());
            if account.ownership(credentials, &account.status()) == Ownership::Confirmed {
                tracing::warn!(
                    hubspot.account = %account.name,
                    hubspot.error = error.kind.as_str(),
                    detail = failure.error,
                    "HubSpot fails to say whose account this is (GET /account-info/v3/details); the credentials are \
                     those of the last check, so events are sent meanwhile"
                );
                let change = StatusChange::IdentityUnchecked { failure, daily_remaining };
                account.update_status(change).await;
                return;
            }
            let change = StatusChange::IdentityCheckFailed { failure, daily_remaining };
            account.update_status(change).await;
            account.log_error(&error);
            return;
        }
    };
    let status = account.status();
    if let Some((remembered, seen)) = changed_identity(status.identity.as_ref(), seen.as_ref()) {
        tracing::error!(
            hubspot.account = %account.name,
            %remembered,
            %seen,
            "the credentials open another HubSpot account, or are another app's: nothing is sent"
        );
        let (seen, detail) = (seen.clone(), describe_change(remembered, seen));
        let change = StatusChange::IdentityChanged { seen, detail, daily_remaining };
        account.update_status(change).await;
        guard.result = Ownership::Changed;
        return;
    }
    // Credentials that were replaced during the call may not be those that it was made with.
    let is_same = account.hubspot.fingerprint() == credentials;
    let credentials = account.hubspot.credentials_digest(credentials).filter(|_| is_same);
    let identity = seen.clone();
    let change = StatusChange::IdentityConfirmed { identity, credentials, daily_remaining };
    account.update_status(change).await;
    if let Some(identity) = &seen
        && (status.unconfirmed_identity.is_some() || status.identity.as_ref() != Some(identity))
    {
        tracing::info!(hubspot.account = %account.name, %identity, "events go to this HubSpot account");
    }
    guard.result = Ownership::Confirmed;
}

/// The detail of the pause, for operators.
fn describe_change(remembered: &Identity, seen: &Identity) -> String {
    format!(
        "the account was {remembered} and is {seen}: nothing is sent, since every event would be there a second time. \
         Put the old credentials back, or resume the account (POST /api/v1/accounts/NAME/resume) to go on with the new \
         one, which is then sent all that is not over"
    )
}

/// Drop guard: records the result of the check, even on cancellation.
struct CheckGuard<'a> {
    account: &'a DeliveryAccount,
    result: Ownership,
}

impl Drop for CheckGuard<'_> {
    fn drop(&mut self) {
        self.account.check_state().finish(self.result);
    }
}

/// Makes every event pending whose webinar is not over: an operator confirmed that the credentials open another
/// account. After a crash on the way it starts again, which sends the same state again.
///
/// # Errors
/// [`LedgerError`] when not every event was made pending. The caller tries again.
pub async fn resync(account: &DeliveryAccount) -> Result<(), LedgerError> {
    // Pending events too: one that equals the state that the previous account confirmed would not be sent.
    for state in [EventState::Pending, EventState::Delivered] {
        let not_over = state == EventState::Delivered;
        let mut request =
            RedriveRequest { account: Some(account.name.clone()), state, not_over, after: None };
        loop {
            let progress = account.ledger.redrive_all(request.clone()).await?;
            if progress.next.is_none() {
                break;
            }
            request.after = progress.next;
        }
    }
    account.update_status(StatusChange::Resynced).await;
    tracing::info!(hubspot.account = %account.name, "the new HubSpot account is sent all that is not over");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_identity_names_both_accounts_and_the_remedy() {
        let token = Identity { portal_id: 1, client_id: None };
        let app = Identity { portal_id: 2, client_id: Some("app".into()) };
        let detail = describe_change(&token, &app);
        for words in ["portal 1 by an access token", "portal 2 by OAuth app app", "/resume"] {
            assert!(detail.contains(words), "{detail}");
        }
    }
}

//! The plan for a new receipt: how it is stored, and which webinars its changes join.

use crate::event::{Change, MergeError, MissingExternalAccount, Policy};
use crate::ledger::{NewReceipt, ReceiptContent, ReceiptOutcome, WebinarKey};

/// Why a readable receipt cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeRefused {
    /// A change cannot join its webinar.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A change names no account.
    #[error(transparent)]
    NoAccount(#[from] MissingExternalAccount),
    /// The receipt's source is not in the configuration.
    #[error("its source is not in the configuration")]
    UnknownSource,
    /// Another webinar has an event of that id.
    #[error("the event id {0} belongs to another webinar")]
    ForeignEvent(String),
}

/// The plan for a receipt that is not known yet.
#[derive(Debug)]
pub enum AcceptPlan<'a> {
    /// It is stored with that outcome and reason, and nothing is merged.
    Store(ReceiptOutcome, Option<String>),
    /// It is stored as accepted, and each change is merged into its webinar. If one is refused, nothing of the receipt
    /// may be left, and it is stored as [`quarantined`].
    Merge(Vec<(WebinarKey, &'a Change)>),
}

/// Plans a receipt of a source with that policy.
#[must_use]
pub fn plan_receipt<'a>(receipt: &'a NewReceipt, policy: Option<&Policy>) -> AcceptPlan<'a> {
    match &receipt.content {
        ReceiptContent::Ignored => AcceptPlan::Store(ReceiptOutcome::Ignored, None),
        ReceiptContent::Quarantined(reason) => {
            AcceptPlan::Store(ReceiptOutcome::Quarantined, Some(reason.clone()))
        }
        ReceiptContent::Changes(changes) => {
            targets(changes, policy).map_or_else(|refused| quarantined(&refused), AcceptPlan::Merge)
        }
    }
}

fn targets<'a>(
    changes: &'a [Change],
    policy: Option<&Policy>,
) -> Result<Vec<(WebinarKey, &'a Change)>, MergeRefused> {
    let policy = policy.ok_or(MergeRefused::UnknownSource)?;
    let key = |change: &Change| WebinarKey::new(policy, change.account.as_ref(), &change.webinar);
    changes.iter().map(|change| Ok((key(change)?, change))).collect()
}

/// The plan for a receipt that cannot be merged: it is stored whole, for replaying.
#[must_use]
pub fn quarantined<'a>(refused: &MergeRefused) -> AcceptPlan<'a> {
    AcceptPlan::Store(ReceiptOutcome::Quarantined, Some(refused.to_string()))
}

#[cfg(test)]
mod tests;

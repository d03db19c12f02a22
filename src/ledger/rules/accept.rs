//! What a receipt asks the ledger to store and to merge.

use super::super::{NewReceipt, ReceiptContent, ReceiptOutcome};
use crate::event::{
    Change, ExternalAccountId, MergeError, MissingExternalAccount, Policy, Webinar,
};

/// Why a readable receipt cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeRefused {
    /// A change cannot join its webinar.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A change names no account.
    #[error(transparent)]
    NoAccount(#[from] MissingExternalAccount),
    /// Nothing is known of the receipt's source.
    #[error("its source is not in the configuration")]
    UnknownSource,
    /// Another webinar has an event of that id.
    #[error("the event id {0} belongs to another webinar")]
    ForeignEvent(String),
}

/// What is done with a receipt that is not known yet.
#[derive(Debug)]
pub enum AcceptPlan<'a> {
    /// It is stored with that outcome and reason, and nothing is merged.
    Store(ReceiptOutcome, Option<String>),
    /// It is stored as accepted, and each change is merged into a webinar of that account. If one is refused, nothing of
    /// it may be left, and it is stored as [`quarantined`].
    Merge(&'a Policy, Vec<(&'a Change, &'a ExternalAccountId)>),
}

/// Plans what is done with a receipt of a source with that policy.
#[must_use]
pub fn plan_receipt<'a>(receipt: &'a NewReceipt, policy: Option<&'a Policy>) -> AcceptPlan<'a> {
    match &receipt.content {
        ReceiptContent::Ignored => AcceptPlan::Store(ReceiptOutcome::Ignored, None),
        ReceiptContent::Quarantined(reason) => {
            AcceptPlan::Store(ReceiptOutcome::Quarantined, Some(reason.clone()))
        }
        ReceiptContent::Changes(changes) => match targets(changes, policy) {
            Ok((policy, targets)) => AcceptPlan::Merge(policy, targets),
            Err(refused) => quarantined(&refused),
        },
    }
}

/// The plan for a receipt that cannot be merged: it is stored whole, for replaying.
#[must_use]
pub fn quarantined<'a>(refused: &MergeRefused) -> AcceptPlan<'a> {
    AcceptPlan::Store(ReceiptOutcome::Quarantined, Some(refused.to_string()))
}

type Targets<'a> = (&'a Policy, Vec<(&'a Change, &'a ExternalAccountId)>);

fn targets<'a>(
    changes: &'a [Change],
    policy: Option<&'a Policy>,
) -> Result<Targets<'a>, MergeRefused> {
    let policy = policy.ok_or(MergeRefused::UnknownSource)?;
    let target = |change: &'a Change| Ok((change, policy.external_account(change)?));
    let targets: Result<Vec<_>, MergeRefused> = changes.iter().map(target).collect();
    Ok((policy, targets?))
}

/// The webinar once a change of the receipt joined it.
///
/// # Errors
/// [`MergeRefused::Merge`] when the change cannot belong to it.
pub fn merge_change(
    webinar: Option<Webinar>,
    receipt: &NewReceipt,
    change: &Change,
) -> Result<Webinar, MergeRefused> {
    let mut webinar = webinar.unwrap_or_default();
    webinar.merge(change, &receipt.provenance(change))?;
    Ok(webinar)
}

//! The plan for a new receipt: how it is stored, which webinars its changes join, and whether it is a duplicate.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::event::{
    Change, MergeError, Millis, MissingExternalAccount, Policy, ReceiptId, SourceName,
};
use crate::ledger::{DuplicateRule, NewReceipt, ReceiptContent, ReceiptOutcome, WebinarKey};

/// What a signed time of whole seconds does not tell apart.
const SIGNED_SECOND: Duration = Duration::from_secs(1);

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
    /// The webinar is another source's, which shares no events with this one.
    #[error(
        "the webinar belongs to source.{0}, which reported it first; if both report the same webinars, set \
         shares_events_with; if this source has another name now, set formerly"
    )]
    ForeignWebinar(SourceName),
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

impl AcceptPlan<'_> {
    /// The webinars that the receipt's changes join.
    pub fn webinars(&self) -> impl Iterator<Item = &WebinarKey> {
        let targets = match self {
            Self::Store(..) => &[][..],
            Self::Merge(targets) => targets,
        };
        targets.iter().map(|(key, _)| key)
    }
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

/// The receipt that has the key of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownReceipt {
    /// The ledger's number of the receipt.
    pub number: i64,
    /// Its id.
    pub id: ReceiptId,
    /// Its outcome.
    pub outcome: ReceiptOutcome,
    /// When it arrived.
    pub received_at: Millis,
}

impl KnownReceipt {
    /// Whether it had no content, so that a new receipt brings it up to date instead of joining it.
    #[must_use]
    pub fn is_revived(&self) -> bool {
        self.outcome != ReceiptOutcome::Accepted
    }
}

/// Whether a receipt with a known key is a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repetition {
    /// It is.
    Duplicate,
    /// It is if the known receipt is the last one of every webinar that it speaks of.
    UnlessLast,
    /// It is if all fetches that it requests are requested already.
    UnlessRequested,
    /// It is none: the known receipt had no content, and is brought up to date.
    Revival,
}

/// Judges a planned receipt whose key is known.
#[must_use]
pub fn judge_repetition(
    receipt: &NewReceipt,
    plan: &AcceptPlan<'_>,
    known: &KnownReceipt,
) -> Repetition {
    use ReceiptOutcome::{Accepted, Duplicate, Ignored, Quarantined};
    let outcome = match plan {
        AcceptPlan::Store(outcome, _) => *outcome,
        AcceptPlan::Merge(_) => Accepted,
    };
    match (known.outcome, outcome) {
        (Ignored, Quarantined | Accepted) | (Quarantined, Accepted) => Repetition::Revival,
        (Accepted, Accepted) => match receipt.duplicates {
            DuplicateRule::OpenRequests => Repetition::UnlessRequested,
            DuplicateRule::LastOfWebinar => Repetition::UnlessLast,
            DuplicateRule::SignedTime
                if receipt.received_at <= known.received_at.plus(SIGNED_SECOND)
                    && is_undated(receipt) =>
            {
                Repetition::UnlessLast
            }
            DuplicateRule::SignedTime | DuplicateRule::Delivery | DuplicateRule::Lasting => {
                Repetition::Duplicate
            }
        },
        (Ignored, Ignored)
        | (Quarantined | Accepted, Ignored | Quarantined)
        | (Duplicate, _)
        | (_, Duplicate) => Repetition::Duplicate,
    }
}

/// Whether the fetches of a receipt with that outcome are requested.
#[must_use]
pub fn requests_fetches(receipt: &NewReceipt, outcome: ReceiptOutcome) -> bool {
    match outcome {
        ReceiptOutcome::Duplicate => receipt.duplicates == DuplicateRule::OpenRequests,
        ReceiptOutcome::Accepted | ReceiptOutcome::Ignored | ReceiptOutcome::Quarantined => true,
    }
}

/// Whether a receipt has changes without a time of their own, which are ordered by its arrival.
fn is_undated(receipt: &NewReceipt) -> bool {
    match &receipt.content {
        ReceiptContent::Changes(changes) => changes.iter().any(|one| one.occurred_at.is_none()),
        ReceiptContent::Ignored | ReceiptContent::Quarantined(_) => false,
    }
}

/// The key of an accepted receipt from when another one with its key is accepted: a key belongs to the newest.
#[must_use]
pub fn superseded_key(key: &[u8; 32], number: i64) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"superseded ")
        .chain_update(number.to_be_bytes())
        .chain_update(key)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests;

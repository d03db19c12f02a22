//! The plan for a rebuilt webinar: whether it may replace the stored one, and what becomes of its events.

use sha2::{Digest, Sha256};

use super::accept::MergeRefused;
use super::ownership::check_ownership;
use crate::event::{ReceiptId, SourceName, Webinar};
use crate::ledger::{Policies, RebuildRequest, RebuiltWebinar, WebinarKey, WebinarState};

/// A checksum of the receipts that built a webinar, in their order: if it is the same, so are the receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptChecksum([u8; 32]);

impl ReceiptChecksum {
    /// The checksum of these receipts.
    #[must_use]
    pub fn from_receipts(receipts: &[ReceiptId]) -> Self {
        let mut hash = Sha256::new();
        for receipt in receipts {
            hash.update(receipt.as_bytes());
        }
        Self(hash.finalize().into())
    }
}

/// Whether every webinar that the replayed receipt built is among those to rebuild.
#[must_use]
pub fn covers_all_webinars(request: &RebuildRequest, built: &[WebinarKey]) -> bool {
    built.iter().all(|key| request.webinars.iter().any(|webinar| webinar.before.key == *key))
}

/// Checks that the replayed receipt's source may contribute to a webinar of a rebuild.
///
/// # Errors
/// [`MergeRefused::ForeignWebinar`] if the webinar is another source's.
pub fn check_rebuild(
    policies: &Policies,
    source: &SourceName,
    rebuilt: &RebuiltWebinar,
) -> Result<(), MergeRefused> {
    if rebuilt.contributes {
        check_ownership(policies, source, &rebuilt.before.webinar)
    } else {
        Ok(())
    }
}

/// The plan for one webinar of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebinarPlan {
    /// Another change came since it was read: nothing of the rebuild may be kept.
    Stale,
    /// It was not there and still is not.
    Nothing,
    /// It stays as it is, but for whether the receipt contributes to it.
    Link,
    /// The rebuilt state is stored, and its events are reconciled with it.
    Replace,
    /// The rebuilt, empty state is stored, and its events are deleted where they may be.
    Empty,
}

/// Plans a webinar of a rebuild. `now` is its stored state; it has a row if `exists`.
#[must_use]
pub fn plan_webinar(rebuilt: &RebuiltWebinar, now: &WebinarState, exists: bool) -> WebinarPlan {
    let RebuiltWebinar { before, webinar, .. } = rebuilt;
    let is_changed = *webinar != before.webinar;
    match (is_changed, exists) {
        _ if now != before => WebinarPlan::Stale,
        (false, false) => WebinarPlan::Nothing,
        (false, true) => WebinarPlan::Link,
        (true, _) if *webinar == Webinar::default() => WebinarPlan::Empty,
        (true, _) => WebinarPlan::Replace,
    }
}

#[cfg(test)]
mod tests;

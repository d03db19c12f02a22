//! Webinars built again from all their retained receipts, which are read a page at a time.

use std::collections::BTreeSet;

use super::mapping::{ChangesByWebinar, Mapped};
use super::{MAX_ATTEMPTS, ReplayError, Replayer};
use crate::event::freeze::without_frozen;
use crate::event::webinar::WebinarRebuild;
use crate::event::{Change, ReceiptId, Webinar};
use crate::ledger::{RebuiltWebinar, ReceiptRecord, WebinarKey, WebinarState};

/// Receipts of a webinar that yield no changes of it today. Their old changes stay.
#[derive(Default, PartialEq, Eq)]
struct Unmapped {
    /// Whether there are such receipts.
    any: bool,
    /// Those that the webinar still has values of; the values of the others lost long ago.
    retained: BTreeSet<ReceiptId>,
}

impl Unmapped {
    /// Starts to build a webinar again from its mapped receipts and the replayed one.
    fn start_rebuild(&self, before: &WebinarState, replayed: ReceiptId) -> WebinarRebuild {
        let mapped = before.retained.difference(&self.retained).copied().chain([replayed]);
        before.webinar.begin_rebuild(&mapped.collect(), before.has_expired_receipts || self.any)
    }
}

impl Replayer {
    /// Builds again the webinars that the receipt contributed to, or contributes to today.
    pub(super) async fn rebuild_webinars(
        &self,
        receipt: &ReceiptRecord,
        changes: &ChangesByWebinar,
    ) -> Result<Vec<RebuiltWebinar>, ReplayError> {
        let mut states = self.ledger.webinars_of(receipt.summary.id).await?;
        let known: BTreeSet<WebinarKey> = states.iter().map(|state| state.key.clone()).collect();
        for key in changes.keys().filter(|key| !known.contains(*key)) {
            states.push(self.ledger.webinar_state(key).await?);
        }
        let mut webinars = Vec::with_capacity(states.len());
        for before in states {
            let own = changes.get(&before.key).map_or(&[][..], Vec::as_slice);
            let webinar = self.rebuild_webinar(&before, receipt, own).await?;
            webinars.push(RebuiltWebinar { before, webinar, contributes: !own.is_empty() });
        }
        Ok(webinars)
    }

    /// Builds one webinar again. `own` are the changes of the replayed receipt.
    async fn rebuild_webinar(
        &self,
        before: &WebinarState,
        replayed: &ReceiptRecord,
        own: &[(usize, Change)],
    ) -> Result<Webinar, ReplayError> {
        // The unmapped receipts must be known before the first merge. Mostly there are none, so one pass is enough.
        let mut expected = Unmapped::default();
        for _ in 0..MAX_ATTEMPTS {
            let id = replayed.summary.id;
            let mut rebuild = expected.start_rebuild(before, id);
            let unmapped = self.merge_others(before, id, &mut rebuild).await?;
            if unmapped == expected {
                merge(&mut rebuild, before, replayed, own)?;
                return Ok(rebuild.finish());
            }
            expected = unmapped;
        }
        // The receipts changed during each attempt.
        Err(ReplayError::Busy)
    }

    /// Merges today's changes of all receipts of the webinar except the replayed one; returns the unmapped receipts.
    async fn merge_others(
        &self,
        before: &WebinarState,
        replayed: ReceiptId,
        rebuild: &mut WebinarRebuild,
    ) -> Result<Unmapped, ReplayError> {
        let mut unmapped = Unmapped::default();
        let mut after = None;
        loop {
            let page = self.ledger.receipts_of(&before.key, after).await?;
            for receipt in page.items {
                let summary = &receipt.summary;
                if summary.id == replayed {
                    continue;
                }
                if let Some(changes) = self.current_changes(&before.key, &receipt) {
                    merge(rebuild, before, &receipt, &changes)?;
                } else {
                    unmapped.any = true;
                    unmapped.retained.extend(before.retained.get(&summary.id));
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(unmapped);
            }
        }
    }

    /// Today's changes of the webinar from one receipt. None if the source or the body is gone, if the receipt no
    /// longer maps, or if it is about other webinars now: replaying one receipt loses nothing of another.
    fn current_changes(
        &self,
        key: &WebinarKey,
        receipt: &ReceiptRecord,
    ) -> Option<Vec<(usize, Change)>> {
        let source = self.sources.get(&receipt.summary.source)?;
        if source.provider.id() != receipt.summary.provider {
            return None;
        }
        let mapped = Mapped::from_stored(source, receipt, receipt.body.as_deref()?);
        let (_, mut changes) = mapped.content.ok()?;
        changes.remove(key)
    }
}

/// Merges changes of one receipt.
fn merge(
    rebuild: &mut WebinarRebuild,
    before: &WebinarState,
    receipt: &ReceiptRecord,
    changes: &[(usize, Change)],
) -> Result<(), ReplayError> {
    for (place, change) in changes {
        let change = without_frozen(change, &before.frozen);
        let merged = rebuild.merge(&change, &before.provenance(receipt, &change, *place));
        merged.map_err(|refused| ReplayError::NoLongerAccepted(refused.to_string()))?;
    }
    Ok(())
}

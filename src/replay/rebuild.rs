//! Webinars as all their retained receipts tell them today, read a page at a time.

use std::collections::BTreeSet;

use super::mapping::{ChangesByWebinar, Mapped};
use super::{MAX_ATTEMPTS, ReplayError, Replayer};
use crate::event::webinar::WebinarRebuild;
use crate::event::{Change, MergeError, ReceiptId, Webinar};
use crate::intake::StoredReceipt;
use crate::ledger::{
    ContributingReceipt, RebuiltWebinar, ReceiptSummary, WebinarKey, WebinarState,
};

/// What came of telling webinars anew.
pub(super) enum RebuildAttempt<T> {
    Done(T),
    /// The receipts were others again and again meanwhile.
    Stale,
    /// What is said today cannot belong together.
    Refused(MergeError),
}

/// The receipts of a webinar that say nothing of it today, and keep what they said.
#[derive(Default, PartialEq, Eq)]
struct Unmapped {
    /// Whether there are any.
    any: bool,
    /// Those that the webinar rests on: what the others said was lost already.
    retained: BTreeSet<ReceiptId>,
}

impl Unmapped {
    /// Begins to tell a webinar anew, by its other receipts and the replayed one.
    fn start_rebuild(&self, before: &WebinarState, replayed: ReceiptId) -> WebinarRebuild {
        let speakers = before.retained.difference(&self.retained).copied().chain([replayed]);
        before.webinar.begin_rebuild(&speakers.collect(), before.has_expired_receipts || self.any)
    }
}

impl Replayer {
    /// The webinars that the receipt built, or builds now, as all their receipts tell them today.
    pub(super) async fn rebuild_webinars(
        &self,
        receipt: &ReceiptSummary,
        sayings: &ChangesByWebinar,
    ) -> Result<RebuildAttempt<Vec<RebuiltWebinar>>, ReplayError> {
        let mut dossiers = self.ledger.webinars_of(receipt.id).await?;
        let known: BTreeSet<WebinarKey> = dossiers.iter().map(|d| d.key.clone()).collect();
        for key in sayings.keys().filter(|key| !known.contains(*key)) {
            dossiers.push(self.ledger.webinar_state(key).await?);
        }
        let mut webinars = Vec::with_capacity(dossiers.len());
        for before in dossiers {
            let own = sayings.get(&before.key).map_or(&[][..], Vec::as_slice);
            match self.rebuild_webinar(&before, receipt, own).await? {
                RebuildAttempt::Done(webinar) => {
                    webinars.push(RebuiltWebinar { before, webinar, contributes: !own.is_empty() });
                }
                RebuildAttempt::Stale => return Ok(RebuildAttempt::Stale),
                RebuildAttempt::Refused(why) => return Ok(RebuildAttempt::Refused(why)),
            }
        }
        Ok(RebuildAttempt::Done(webinars))
    }

    /// One webinar; `own` is what the replayed receipt says of it.
    async fn rebuild_webinar(
        &self,
        before: &WebinarState,
        replayed: &ReceiptSummary,
        own: &[Change],
    ) -> Result<RebuildAttempt<Webinar>, ReplayError> {
        // Who is silent must be known before the first speaks. Mostly nobody is, so that once is enough.
        let mut expected = Unmapped::default();
        for _ in 0..MAX_ATTEMPTS {
            let mut retelling = expected.start_rebuild(before, replayed.id);
            let silent = match self.join_other_receipts(before, replayed.id, &mut retelling).await?
            {
                Ok(silent) => silent,
                Err(refused) => return Ok(RebuildAttempt::Refused(refused)),
            };
            if silent != expected {
                expected = silent;
                continue;
            }
            let said = own
                .iter()
                .try_for_each(|change| retelling.merge(change, &replayed.provenance(change)));
            return Ok(match said {
                Ok(()) => RebuildAttempt::Done(retelling.finish()),
                Err(refused) => RebuildAttempt::Refused(refused),
            });
        }
        Ok(RebuildAttempt::Stale)
    }

    /// Joins what all receipts of the webinar but the replayed one say today; tells which are silent.
    async fn join_other_receipts(
        &self,
        before: &WebinarState,
        replayed: ReceiptId,
        retelling: &mut WebinarRebuild,
    ) -> Result<Result<Unmapped, MergeError>, ReplayError> {
        let mut silent = Unmapped::default();
        let mut after = None;
        loop {
            let page = self.ledger.receipts_of(&before.key, after).await?;
            for ContributingReceipt { receipt, headers, body } in page.items {
                if receipt.id == replayed {
                    continue;
                }
                let Some(changes) =
                    self.current_changes(&before.key, &receipt, &headers, body.as_deref())
                else {
                    silent.any = true;
                    silent.retained.extend(before.retained.get(&receipt.id));
                    continue;
                };
                for change in &changes {
                    if let Err(refused) = retelling.merge(change, &receipt.provenance(change)) {
                        return Ok(Err(refused));
                    }
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(Ok(silent));
            }
        }
    }

    /// What a receipt says of that webinar today. None if its source or its body is gone, if it cannot be mapped any
    /// more, or if it speaks of other webinars now: nothing that was accepted is lost by replaying another.
    fn current_changes(
        &self,
        key: &WebinarKey,
        receipt: &ReceiptSummary,
        headers: &Vec<(String, String)>,
        body: Option<&[u8]>,
    ) -> Option<Vec<Change>> {
        let source = self.sources.get(&receipt.source)?;
        if source.provider.id() != receipt.provider {
            return None;
        }
        match Mapped::from_stored(source, &StoredReceipt { receipt, headers, body: body? }) {
            Mapped::Changes(mut sayings, _) => sayings.remove(key),
            Mapped::Ignored | Mapped::Unmappable(_) => None,
        }
    }
}

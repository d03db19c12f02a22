//! Webinars as all their retained receipts tell them today, read a page at a time.

use std::collections::BTreeSet;

use super::mapping::{Sayings, Stored, Told};
use super::{ReplayError, Replayer, TRIES};
use crate::event::webinar::Retelling;
use crate::event::{Change, MergeError, ReceiptId, Webinar};
use crate::ledger::{Dossier, ReceiptSummary, Rewritten, Teller, WebinarKey};

/// What came of telling webinars anew.
pub(super) enum Retold<T> {
    Done(T),
    /// The receipts were others again and again meanwhile.
    Stale,
    /// What is said today cannot belong together.
    Refused(MergeError),
}

/// The receipts of a webinar that say nothing of it today, and keep what they said.
#[derive(Default, PartialEq, Eq)]
struct Silent {
    /// Whether there are any.
    any: bool,
    /// Those that the webinar rests on: what the others said was lost already.
    named: BTreeSet<ReceiptId>,
}

impl Silent {
    /// Begins to tell a webinar anew, by its other receipts and the replayed one.
    fn retelling(&self, before: &Dossier, replayed: ReceiptId) -> Retelling {
        let speakers = before.retained.difference(&self.named).copied().chain([replayed]);
        before.webinar.retelling(&speakers.collect(), before.based || self.any)
    }
}

impl Replayer {
    /// The webinars that the receipt built, or builds now, as all their receipts tell them today.
    pub(super) async fn rewritten(
        &self,
        receipt: &ReceiptSummary,
        sayings: &Sayings,
    ) -> Result<Retold<Vec<Rewritten>>, ReplayError> {
        let mut dossiers = self.ledger.dossiers_of(receipt.id).await?;
        let known: BTreeSet<WebinarKey> = dossiers.iter().map(|d| d.key.clone()).collect();
        for key in sayings.keys().filter(|key| !known.contains(*key)) {
            dossiers.push(self.ledger.dossier(key).await?);
        }
        let mut webinars = Vec::with_capacity(dossiers.len());
        for before in dossiers {
            let own = sayings.get(&before.key).map_or(&[][..], Vec::as_slice);
            match self.retold(&before, receipt, own).await? {
                Retold::Done(webinar) => {
                    webinars.push(Rewritten { before, webinar, built: !own.is_empty() });
                }
                Retold::Stale => return Ok(Retold::Stale),
                Retold::Refused(why) => return Ok(Retold::Refused(why)),
            }
        }
        Ok(Retold::Done(webinars))
    }

    /// One webinar; `own` is what the replayed receipt says of it.
    async fn retold(
        &self,
        before: &Dossier,
        replayed: &ReceiptSummary,
        own: &[Change],
    ) -> Result<Retold<Webinar>, ReplayError> {
        // Who is silent must be known before the first speaks. Mostly nobody is, so that once is enough.
        let mut expected = Silent::default();
        for _ in 0..TRIES {
            let mut retelling = expected.retelling(before, replayed.id);
            let silent = match self.tell_all(before, replayed.id, &mut retelling).await? {
                Ok(silent) => silent,
                Err(refused) => return Ok(Retold::Refused(refused)),
            };
            if silent != expected {
                expected = silent;
                continue;
            }
            let said =
                own.iter().try_for_each(|change| retelling.join(change, &replayed.says(change)));
            return Ok(match said {
                Ok(()) => Retold::Done(retelling.finish()),
                Err(refused) => Retold::Refused(refused),
            });
        }
        Ok(Retold::Stale)
    }

    /// Joins what all receipts of the webinar but the replayed one say today; tells which are silent.
    async fn tell_all(
        &self,
        before: &Dossier,
        replayed: ReceiptId,
        retelling: &mut Retelling,
    ) -> Result<Result<Silent, MergeError>, ReplayError> {
        let mut silent = Silent::default();
        let mut after = None;
        loop {
            let page = self.ledger.tellers(&before.key, after).await?;
            for Teller { receipt, headers, body } in page.items {
                if receipt.id == replayed {
                    continue;
                }
                let Some(changes) = self.today(&before.key, &receipt, &headers, body.as_deref())
                else {
                    silent.any = true;
                    silent.named.extend(before.retained.get(&receipt.id));
                    continue;
                };
                for change in &changes {
                    if let Err(refused) = retelling.join(change, &receipt.says(change)) {
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
    fn today(
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
        match source.tell(&Stored { receipt, headers, body: body? }) {
            Told::Sayings(mut sayings, _) => sayings.remove(key),
            Told::Nothing | Told::Unmappable(_) => None,
        }
    }
}

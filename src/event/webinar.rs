//! The state of one platform object, and the merging of changes into it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::change::{Change, OccurrenceChange, OccurrenceListing, RunChange, RunPhase, Shape};
use super::history::{History, Horizon};
use super::id::{OccurrenceId, ProviderId, ReceiptId, SourceName};
use super::register::{Origin, Precedence, Register, Stamp, retain, write};
use super::registers::Placement;
pub use super::registers::Registers;
use super::time::Millis;

mod provenance;
pub use provenance::{Provenance, ReceiptOrder};

/// Upper bound of occurrences per series, cancelled ones included. Zoom allows 60 at a time; a fabricated list must
/// fill neither the ledger nor the memory.
pub const OCCURRENCES_MAX: usize = 500;
/// Upper bound of runs per webinar; the oldest by the platform's clock are dropped. A daily webinar reaches it after
/// more than a year.
const RUNS_MAX: usize = 512;
/// Upper bound of full lists that are held beside the newest, of each kind. Older ones are written into the known
/// occurrences.
const LISTS_MAX: usize = 16;
/// Changes that arrive within this time of each other give the same events in any order.
const ORDER_WINDOW: Duration = Duration::from_hours(7 * 24);
/// How far a time in a body may be ahead of the receipt. A platform's clock that runs further ahead must not own a field
/// for ever.
const LARGEST_LEAD: Duration = Duration::from_hours(24);

/// The state of one webinar or series: registers, and facts that [`super::fold()`] resolves.
///
/// Changes with different times that arrive within a week give the same state in any order and with any repetition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Webinar {
    /// Platform; the first change sets it.
    pub provider: Option<ProviderId>,
    /// Sources that reported the webinar; each default comes from the first by name that has it.
    pub sources: BTreeSet<SourceName>,
    /// Shape of the platform object.
    pub shape: Option<Register<Shape>>,
    /// Earlier writes of the shape. A change of shape cancels the events of the old shape; the time of that
    /// cancellation decides whether it came before their end.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub earlier_shapes: History<Shape>,
    /// Whether the webinar was ever one event, so that HubSpot may hold that event.
    #[serde(default)]
    pub was_whole: bool,
    /// Whether any change showed the whole webinar.
    #[serde(default)]
    pub full_picture: bool,
    /// When the webinar was created, by the platform's clock; the earliest time that was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Millis>,
    /// When the newest receipt arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_received_at: Option<Millis>,
    /// When a body first showed the whole webinar: by the platform's clock, or when it arrived if the body has no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub described_at: Option<Millis>,
    /// Whether the body of the creation, or an answer of the platform's API, reported the webinar.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_introduced: bool,
    /// Fields of the webinar, or of the whole series.
    pub whole: Registers,
    /// Fields of the one event whose place the occurrences take, or that took theirs, with what HubSpot held of it. Only a
    /// fold has them.
    #[serde(skip)]
    pub replaced: Option<Box<Registers>>,
    /// Newest full list of occurrences: those that take place.
    pub full_list: Option<Register<BTreeSet<OccurrenceId>>>,
    /// Earlier full lists. An occurrence is cancelled as of the first list of an unbroken row of lists without it.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub earlier_lists: History<BTreeSet<OccurrenceId>>,
    /// Newest full list that the platform's API answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_list: Option<Register<BTreeSet<OccurrenceId>>>,
    /// Earlier ones. They count also for occurrences that become known later, by an older webhook.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub earlier_observed: History<BTreeSet<OccurrenceId>>,
    /// Full list of the platform's API that was asked for last, whatever its own time is. It makes times known again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_asked: Option<AskedList>,
    /// Newest change of the recurrence that came without a list.
    pub times_unknown: Option<Register<()>>,
    /// Fields of single occurrences.
    #[serde(default)]
    pub occurrences: BTreeMap<OccurrenceId, Registers>,
    /// Whether occurrences left the state, so that only their events are left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_frozen: bool,
    /// Runs whose webhooks name no occurrence.
    #[serde(default)]
    pub sessions: BTreeSet<WebinarRun>,
    /// Origin of every register above, by receipt.
    #[serde(default)]
    pub origins: BTreeMap<ReceiptId, Origin>,
}

/// A stored [`RunChange`], ordered by its stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "a stamp, a receipt and the fields of `RunChange`")]
pub struct WebinarRun {
    pub stamp: Stamp,
    pub phase: RunPhase,
    pub started_at: Option<Millis>,
    pub ended_at: Option<Millis>,
    pub receipt: ReceiptId,
}

/// When a full list was asked for, and its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AskedList {
    /// When the answer was received.
    pub asked_at: Millis,
    /// The answer's receipt.
    pub receipt: ReceiptId,
}

/// Reason why a change cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Another platform reported this webinar first; two platforms cannot share one HubSpot event.
    #[error("the webinar belongs to provider {0}")]
    OtherProvider(ProviderId),
    /// The series would have too many occurrences.
    #[error("more than {OCCURRENCES_MAX} occurrences")]
    TooManyOccurrences,
}

impl Webinar {
    /// Merges one change.
    ///
    /// # Errors
    /// The change does not belong to this webinar. The webinar is unchanged.
    pub fn merge(&mut self, change: &Change, provenance: &Provenance) -> Result<(), MergeError> {
        self.apply_change(change, provenance)?;
        self.prune_origins();
        Ok(())
    }

    /// Makes one source's reports another's, which took its place and is of that platform.
    pub fn inherit(&mut self, from: &SourceName, to: &SourceName, provider: &ProviderId) {
        if self.sources.remove(from) {
            self.sources.insert(to.clone());
        }
        for origin in self.origins.values_mut().filter(|origin| origin.source == *from) {
            origin.source = to.clone();
        }
        // As long as sources of the former platform speak of it too, it is that platform's.
        if self.sources.iter().all(|source| source == to) {
            self.provider = Some(provider.clone());
        }
    }

    /// Starts a rebuild without the writes of `receipts`. The writes of other receipts stay if `keep_others`; otherwise
    /// the rebuild starts empty.
    ///
    /// Merging the unchanged changes of `receipts` again restores the same state: they win and lose as before. So it
    /// does not matter which receipts are still readable.
    #[must_use]
    pub fn begin_rebuild(
        &self,
        receipts: &BTreeSet<ReceiptId>,
        keep_others: bool,
    ) -> WebinarRebuild {
        let mut webinar = if keep_others { self.clone() } else { Self::default() };
        webinar.has_frozen = self.has_frozen;
        webinar.retain_writes(|receipt| !receipts.contains(&receipt));
        WebinarRebuild { origins_after_prune: webinar.origins.len(), webinar }
    }

    /// Keeps only the writes of some receipts. `keep` sees the receipt of every write. `provider`, `sources`,
    /// `was_whole` and `full_picture` stay: the state does not record which receipt set them.
    fn retain_writes(&mut self, mut keep: impl FnMut(ReceiptId) -> bool) {
        let keep = &mut keep;
        self.earlier_shapes.retain(&mut self.shape, keep);
        self.whole.retain(keep);
        self.earlier_lists.retain(&mut self.full_list, keep);
        self.earlier_observed.retain(&mut self.observed_list, keep);
        self.last_asked.take_if(|list| !keep(list.receipt));
        retain(&mut self.times_unknown, keep);
        self.occurrences.retain(|_, own| {
            let was_only_named = own.is_empty();
            own.retain(keep);
            was_only_named || !own.is_empty()
        });
        self.sessions.retain(|run| keep(run.receipt));
    }

    /// The place of a receipt that arrived now, after all others of the webinar.
    #[must_use]
    pub fn next_order(&self, seq: u64, received_at: Millis) -> ReceiptOrder {
        let newest = || self.origins.values().map(|origin| origin.received_at).max();
        let at = received_at.max(self.last_received_at.or_else(newest).unwrap_or(received_at));
        ReceiptOrder { seq, at }
    }

    /// When something was reported: by the platform's clock, or when it arrived if the body has no time.
    ///
    /// A stamp may be later than that, since it orders what has no time after what came before it.
    #[must_use]
    pub fn told_at(&self, stamp: Stamp, receipt: ReceiptId) -> Millis {
        match self.origins.get(&receipt) {
            Some(Origin { reported_at: None, received_at, .. }) => *received_at,
            Some(_) | None => stamp.at,
        }
    }

    /// Whether another receipt wrote a present value at that time. If so, the first receipt with the same body decides
    /// on the order.
    #[must_use]
    pub fn has_write_at(&self, at: Millis, receipt: ReceiptId) -> bool {
        self.origins.iter().any(|(id, origin)| origin.reported_at == Some(at) && *id != receipt)
    }

    /// Removes the origins of receipts of which no write is left.
    fn prune_origins(&mut self) {
        let mut used = BTreeSet::new();
        self.retain_writes(|receipt| {
            used.insert(receipt);
            true
        });
        self.origins.retain(|receipt, _| used.contains(receipt));
    }

    fn apply_change(&mut self, change: &Change, provenance: &Provenance) -> Result<(), MergeError> {
        if let Some(provider) = &self.provider
            && *provider != provenance.origin.provider
        {
            return Err(MergeError::OtherProvider(provider.clone()));
        }
        let unknown = change
            .occurrences
            .iter()
            .filter(|occurrence| !self.occurrences.contains_key(&occurrence.id))
            .count();
        // What is cancelled as a whole needs no further parts.
        let too_many = self.occurrences.len() + unknown > OCCURRENCES_MAX;
        if too_many && change.whole.cancelled != Some(true) {
            return Err(MergeError::TooManyOccurrences);
        }
        self.provider.get_or_insert_with(|| provenance.origin.provider.clone());
        self.sources.insert(provenance.origin.source.clone());
        let Origin { reported_at, received_at, .. } = provenance.origin;
        let stamp = Stamp {
            precedence: if change.is_creation { Precedence::Creation } else { Precedence::Report },
            at: reported_at.map_or(provenance.order.at, |at| cut_to_receipt(at, received_at)),
            seq: provenance.order.seq,
            place: provenance.place,
        };
        // Taken out, since writing looks at them.
        let mut origins = std::mem::take(&mut self.origins);
        origins.insert(provenance.receipt, provenance.origin.clone());
        let horizon = Horizon::new(received_at.minus(ORDER_WINDOW), &origins);
        let place = Placement { stamp, receipt: provenance.receipt, horizon };
        self.write_change(change, too_many, place);
        self.origins = origins;
        // A platform's clock may be ahead of the receipt.
        let created_at = change.created_at.or_else(|| change.is_creation.then_some(stamp.at));
        let created_at = created_at.map(|at| at.min(received_at));
        if change.listing == OccurrenceListing::Observed {
            let asked = AskedList { asked_at: received_at, receipt: provenance.receipt };
            self.last_asked = self.last_asked.max(Some(asked));
        }
        self.created_at = self.created_at.into_iter().chain(created_at).min();
        // A cancellation, an end or a recovery alone makes no event, whatever else its body shows.
        let introduces = change.is_answer || change.is_creation;
        let is_whole = change.full_picture && (introduces || !change.kind.is_about_end());
        self.full_picture |= is_whole;
        // Not the stamp's time: it may be that of an earlier receipt, which a clock that was ahead dated.
        let described_at = is_whole.then(|| reported_at.map_or(received_at, |_| stamp.at));
        self.described_at = self.described_at.into_iter().chain(described_at).min();
        self.was_introduced |= introduces;
        self.last_received_at = self.last_received_at.max(Some(received_at));
        Ok(())
    }

    /// Writes a change, without its reports of unknown occurrences if there are `too_many`.
    fn write_change(&mut self, change: &Change, too_many: bool, place: Placement<'_>) {
        if let Some(shape) = change.shape {
            let new = place.register(shape);
            self.earlier_shapes.write(&mut self.shape, new, place.horizon);
            self.was_whole |= shape != Shape::Series;
        }
        self.whole.write(&change.whole, place);
        for OccurrenceChange { id, fields } in &change.occurrences {
            if !too_many || self.occurrences.contains_key(id) {
                self.occurrences.entry(id.clone()).or_default().write(fields, place);
            }
        }
        let listed = || change.occurrences.iter().map(|occurrence| occurrence.id.clone()).collect();
        match change.listing {
            OccurrenceListing::Partial => {}
            OccurrenceListing::Full => self.write_full_list(place.register(listed()), place),
            OccurrenceListing::Observed => {
                self.write_observed_list(place.register(listed()), place);
            }
            OccurrenceListing::Unknown => write(&mut self.times_unknown, place.register(())),
        }
        if let Some(session) = change.session {
            self.record_run(session, place.stamp, place.receipt);
        }
    }

    /// The occurrences of which more than the id is known.
    fn reported_occurrences(&mut self) -> impl Iterator<Item = (&OccurrenceId, &mut Registers)> {
        self.occurrences.iter_mut().filter(|(_, own)| !own.is_empty())
    }

    /// Holds a full list. One that is too old for late webhooks is written into the known occurrences.
    fn write_full_list(&mut self, new: Register<BTreeSet<OccurrenceId>>, place: Placement<'_>) {
        self.earlier_lists.write(&mut self.full_list, new, place.horizon);
        while let Some(old) = self.earlier_lists.pop_oldest(LISTS_MAX) {
            let Register { value, stamp, receipt } = old;
            for (id, own) in self.reported_occurrences() {
                let absent = Register { value: !value.contains(id), stamp, receipt };
                if own.is_touched_by(&absent) {
                    own.write_unlisted(absent);
                }
            }
        }
    }

    /// As [`Self::write_full_list`], of a list that the platform's API answered.
    fn write_observed_list(&mut self, new: Register<BTreeSet<OccurrenceId>>, place: Placement<'_>) {
        self.earlier_observed.write(&mut self.observed_list, new, place.horizon);
        while let Some(old) = self.earlier_observed.pop_oldest(LISTS_MAX) {
            let Register { value, stamp, receipt } = old;
            for (id, own) in self.reported_occurrences() {
                let absent = Register { value: !value.contains(id), stamp, receipt };
                if own.is_touched_by(&absent) {
                    own.write_absent(absent, Horizon::ALL_OLD);
                }
            }
        }
    }

    fn record_run(&mut self, session: RunChange, stamp: Stamp, receipt: ReceiptId) {
        let RunChange { phase, started_at, ended_at } = session;
        let known = self.sessions.iter().find(|run| run.stamp == stamp).copied();
        if let Some(known) = known {
            if known.receipt <= receipt {
                return;
            }
            self.sessions.remove(&known);
        }
        self.sessions.insert(WebinarRun { stamp, phase, started_at, ended_at, receipt });
        if self.sessions.len() > RUNS_MAX {
            self.sessions.pop_first();
        }
    }
}

/// The time of a change: as the body tells it, or when it arrived if that time is far in the future.
fn cut_to_receipt(reported: Millis, received: Millis) -> Millis {
    if reported > received.plus(LARGEST_LEAD) { received } else { reported }
}

/// A rebuild of a webinar's state ([`Webinar::begin_rebuild`]). It takes no more memory than a webinar, however many
/// changes are merged.
#[derive(Debug)]
pub struct WebinarRebuild {
    webinar: Webinar,
    /// Number of origins after unused ones were last removed.
    origins_after_prune: usize,
}

/// Upper bound of unused origins during a rebuild: to prune them after each change would read all registers each time.
const UNUSED_ORIGINS_MAX: usize = 1_024;

impl WebinarRebuild {
    /// Merges one change.
    ///
    /// # Errors
    /// The change does not belong to the webinar; the rebuild is of no use any more.
    pub fn merge(&mut self, change: &Change, provenance: &Provenance) -> Result<(), MergeError> {
        self.webinar.apply_change(change, provenance)?;
        if self.webinar.origins.len() > self.origins_after_prune + UNUSED_ORIGINS_MAX {
            self.webinar.prune_origins();
            self.origins_after_prune = self.webinar.origins.len();
        }
        Ok(())
    }

    /// Returns the rebuilt webinar.
    #[must_use]
    pub fn finish(mut self) -> Webinar {
        self.webinar.prune_origins();
        self.webinar
    }
}

#[cfg(test)]
mod tests;

//! Writes what HubSpot held of one event into its registers, where it wins over what is there.

use std::collections::BTreeSet;

use super::{Base, BaseFields, BasePosition};
use crate::event::change::EndTime;
use crate::event::history::Horizon;
use crate::event::id::ReceiptId;
use crate::event::register::{Precedence, Register, Stamp};
use crate::event::time::Millis;
use crate::event::webinar::{Registers, Webinar};

/// The stamp of a value where nothing else was written: earlier than every report.
pub(super) const EARLIEST: Stamp =
    Stamp { precedence: Precedence::Report, at: Millis::new(0), seq: 0, place: 0 };
/// The receipt of what HubSpot held. No receipt has this id, so the values have no origin.
pub(in crate::event) const HELD: ReceiptId = ReceiptId::from_bytes([0xff; 16]);

/// The full lists of occurrences.
pub(super) fn list_stamps(webinar: &Webinar) -> Vec<Stamp> {
    webinar.earlier_lists.iter().chain(&webinar.full_list).map(|list| list.stamp).collect()
}

/// The lists that the platform was asked for.
fn observed_stamps(webinar: &Webinar) -> Vec<Stamp> {
    let observed = webinar.earlier_observed.iter().chain(&webinar.observed_list);
    observed.map(|list| list.stamp).collect()
}

/// The writes of whether an event is cancelled.
pub(super) fn cancellation_stamps(own: &Registers) -> impl Iterator<Item = Stamp> {
    let cancelled = own.earlier_cancelled.iter().chain(&own.cancelled);
    let unlisted = own.earlier_unlisted.iter().chain(&own.unlisted);
    cancelled.chain(unlisted).map(|flag| flag.stamp)
}

/// The writes of whether an event is completed.
pub(super) fn completion_stamps(own: &Registers) -> impl Iterator<Item = Stamp> {
    own.earlier_completed.iter().chain(&own.completed).map(|flag| flag.stamp)
}

/// Right above a write.
pub(super) fn right_above(stamp: Stamp) -> Stamp {
    Stamp { place: stamp.place.saturating_add(1), ..stamp }
}

pub(super) fn register<T>(value: T, stamp: Stamp) -> Register<T> {
    Register { value, stamp, receipt: HELD }
}

/// Where an event's times come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// It has its own.
    Own,
    /// HubSpot gets none of those that are reported of an event without times.
    None,
    /// Those of a series that is one event, and whether it is completed, follow from the occurrences.
    OfOccurrences,
}

/// Writes elsewhere in the webinar that concern an event.
#[derive(Default)]
pub(super) struct Others<'a> {
    /// The registers of the series, where the event is an occurrence's.
    pub(super) whole: Option<&'a Registers>,
    /// Full lists, and of one event for a series what cancels its occurrences.
    pub(super) lists: Vec<Stamp>,
    /// The lists that the platform was asked for.
    pub(super) observed: Vec<Stamp>,
    /// HubSpot holds that the event of the whole is cancelled since its occurrences replaced it.
    pub(super) is_replaced: bool,
    /// HubSpot holds that the occurrence is cancelled, and that others are not: it was cancelled on its own.
    pub(super) is_cancelled_alone: bool,
    /// The ends of a program's sessions.
    pub(super) sessions: Vec<Stamp>,
    /// The last run that the base lies above: what HubSpot holds is newer than how it ended.
    pub(super) last_run: Option<Stamp>,
}

impl<'a> Others<'a> {
    /// What concerns the event of an occurrence, where those are the registers of the series.
    pub(super) fn of_occurrence(
        webinar: &Webinar,
        whole: &'a Registers,
        position: BasePosition,
    ) -> Self {
        let (lists, observed) = (list_stamps(webinar), observed_stamps(webinar));
        Self { whole: Some(whole), lists, observed, ..Self::of_runs(webinar, position) }
    }

    /// What concerns every event of the webinar: the runs that the base lies above.
    pub(super) fn of_runs(webinar: &Webinar, position: BasePosition) -> Self {
        let runs = webinar.sessions.iter().map(|run| run.stamp);
        Self { last_run: runs.filter(|stamp| position.beats(stamp)).max(), ..Self::default() }
    }
}

/// Writes into the registers of one event.
pub(super) struct BaseWriter<'a> {
    pub(super) position: BasePosition,
    pub(super) own: &'a mut Registers,
    pub(super) others: Others<'a>,
    pub(super) times: Times,
}

impl BaseWriter<'_> {
    /// Writes the fields that a base has, and of one newer than a copy those that it lacks.
    pub(super) fn write(self, base: &Base) {
        let Self { position, own, others, times } = self;
        let fields = &base.fields;
        let whole = others.whole;
        let put = Put { position };
        put.value(&mut own.name, whole.and_then(|w| w.name.as_ref()), fields.name.as_ref());
        let is_newer_than_copy = position.is_above_copy();
        let empty = is_newer_than_copy.then(String::new);
        let description = fields.description.as_ref().or(empty.as_ref());
        let of_whole = whole.and_then(|whole| whole.description.as_ref());
        put.value(&mut own.description, of_whole, description);
        if is_newer_than_copy {
            put.over_copy(own, whole, fields);
        }
        if fields.cancelled {
            // Whether a replaced event is cancelled follows from the shape of the webinar.
            if !others.is_replaced {
                put.cancellation(own, true, &others);
            }
        } else if is_newer_than_copy {
            put.cancellation(own, false, &others);
            put.presence(own, &others.observed);
        }
        if times == Times::OfOccurrences {
            return;
        }
        put.times(own, &others, fields);
        if fields.completed {
            put.completion(own, &others, fields, times);
        } else if is_newer_than_copy {
            put.opening(own, &others);
        }
    }
}

pub(super) struct Put {
    pub(super) position: BasePosition,
}

impl Put {
    /// Writes over a restored copy's values of the fields in which a base otherwise only fills gaps. The
    /// link goes where the present one is.
    fn over_copy(&self, own: &mut Registers, whole: Option<&Registers>, fields: &BaseFields) {
        let has_value = |field: &Option<Register<String>>, of_whole: Option<&Register<String>>| {
            let newest = [field.as_ref(), of_whole].into_iter().flatten().max_by_key(|r| r.stamp);
            newest.is_some_and(|newest| !newest.value.is_empty())
        };
        let of_whole = whole.and_then(|whole| whole.organizer.as_ref());
        if has_value(&own.organizer, of_whole) {
            self.value(&mut own.organizer, of_whole, fields.organizer.as_ref());
        }
        let of_whole = whole.and_then(|whole| whole.event_type.as_ref());
        if has_value(&own.event_type, of_whole) {
            self.value(&mut own.event_type, of_whole, fields.event_type.as_ref());
        }
        let empty = String::new();
        let registration = whole.and_then(|whole| whole.registration_url.as_ref());
        let has_registration = has_value(&own.registration_url, registration);
        if has_registration {
            let url = fields.url.as_ref().unwrap_or(&empty);
            self.value(&mut own.registration_url, registration, Some(url));
        }
        let join = whole.and_then(|whole| whole.join_url.as_ref());
        if has_value(&own.join_url, join) {
            // A registration link that was removed since may be the one that HubSpot holds.
            let links = [own.registration_url.as_ref(), registration].into_iter().flatten();
            let newest = links.map(|link| link.stamp).max();
            let is_removed = newest.is_some_and(|stamp| !self.position.beats(&stamp));
            let url = fields.url.as_ref().filter(|_| !has_registration && !is_removed);
            let removed = Some(&empty).filter(|_| fields.url.is_none());
            self.value(&mut own.join_url, join, url.or(removed));
        }
        let of_whole = whole.into_iter().flat_map(|whole| whole.custom.keys());
        let names: BTreeSet<String> = own.custom.keys().chain(of_whole).cloned().collect();
        for name in names {
            let of_whole = whole.and_then(|whole| whole.custom.get(&name));
            let mut field = own.custom.remove(&name);
            self.value(&mut field, of_whole, Some(fields.custom.get(&name).unwrap_or(&empty)));
            own.custom.extend(field.map(|field| (name, field)));
        }
    }

    /// Writes the start and the end. HubSpot shows both or none.
    pub(super) fn times(&self, own: &mut Registers, others: &Others<'_>, fields: &BaseFields) {
        self.value(&mut own.start, None, fields.start.as_ref());
        let length = fields.start.zip(fields.end).and_then(|(start, end)| {
            let length = u64::try_from(end.get().saturating_sub(start.get())).ok()?;
            Some(EndTime::After(length))
        });
        let of_whole = others.whole.and_then(|whole| whole.end.as_ref());
        // Of what is over it is the actual end. The planned length stands, should it be moved.
        let is_planned = !fields.completed || (own.end.is_none() && of_whole.is_none());
        self.value(&mut own.end, of_whole, length.as_ref().filter(|_| is_planned));
        // The newest end counts, planned or actual.
        let actual = own.actual_end.as_ref().map(|actual| actual.stamp);
        let actual = actual.filter(|stamp| self.position.beats(stamp)).max(others.last_run);
        if let (Some(end), Some(actual)) = (own.end.as_mut(), actual)
            && end.receipt == HELD
        {
            end.stamp = end.stamp.max(right_above(actual));
        }
    }

    /// Writes whether it is cancelled, right above all writes about that which the base lies above. Repeated since then,
    /// a cancellation is as old as here.
    pub(super) fn cancellation(
        &self,
        own: &mut Registers,
        is_cancelled: bool,
        others: &Others<'_>,
    ) {
        let is_below = |stamp: &Stamp| self.position.beats(stamp);
        let of_whole = others.whole.and_then(|whole| whole.cancelled.as_ref());
        let is_contradicted =
            of_whole.is_some_and(|whole| whole.value != is_cancelled && !is_below(&whole.stamp));
        if is_contradicted && !others.is_cancelled_alone {
            return;
        }
        let flags = cancellation_stamps(own).chain(of_whole.map(|of_whole| of_whole.stamp));
        let below = flags.chain(others.lists.iter().copied()).filter(is_below).max();
        let new = register(is_cancelled, below.map_or(EARLIEST, right_above));
        own.earlier_cancelled.write(&mut own.cancelled, new, Horizon::NONE_OLD);
    }

    /// Writes that it is not absent, right above all observations of that which the base lies above.
    pub(super) fn presence(&self, own: &mut Registers, observed: &[Stamp]) {
        let of_own = own.earlier_absent.iter().chain(&own.absent).map(|absent| absent.stamp);
        let all = of_own.chain(observed.iter().copied());
        if let Some(below) = all.filter(|stamp| self.position.beats(stamp)).max() {
            own.write_absent(register(false, right_above(below)), Horizon::NONE_OLD);
        }
    }

    /// Writes that it is completed, which holds for the start beside it.
    pub(super) fn completion(
        &self,
        own: &mut Registers,
        others: &Others<'_>,
        fields: &BaseFields,
        times: Times,
    ) {
        let start = own.start.as_ref();
        if (times == Times::Own && start.map(|start| start.value) != fields.start)
            || own.completed.as_ref().is_some_and(|present| !self.position.beats(&present.stamp))
        {
            return;
        }
        let of_whole = others.whole.and_then(|whole| whole.completed.as_ref());
        let of_whole = of_whole.map(|of_whole| of_whole.stamp);
        let of_whole = of_whole.filter(|stamp| self.position.beats(stamp));
        let stamp = own.completed.as_ref().map(|present| present.stamp).max(of_whole);
        let stamp = stamp.max(start.map(|start| start.stamp)).unwrap_or(EARLIEST);
        let above_run =
            |stamp: Stamp| others.last_run.map_or(stamp, |run| stamp.max(right_above(run)));
        own.completed = Some(register(true, above_run(stamp)));
        // It ended then, however often its plan is reported again.
        self.value(&mut own.actual_end, None, fields.end.as_ref());
        if let Some(end) = own.actual_end.as_mut().filter(|end| end.receipt == HELD) {
            end.stamp = above_run(end.stamp);
        }
    }

    /// Writes that it is not completed, right above all writes about that which the base lies above.
    pub(super) fn opening(&self, own: &mut Registers, others: &Others<'_>) {
        let of_whole = others.whole.into_iter().flat_map(completion_stamps);
        let all = completion_stamps(own).chain(of_whole).chain(others.sessions.iter().copied());
        let below = all.filter(|stamp| self.position.beats(stamp)).max();
        if let Some(below) = below.max(others.last_run) {
            let new = register(false, right_above(below));
            own.earlier_completed.write(&mut own.completed, new, Horizon::NONE_OLD);
        }
    }

    /// Writes a value where it wins over the present one. It takes the place of that write in the order.
    fn value<T: Clone>(
        &self,
        own: &mut Option<Register<T>>,
        whole: Option<&Register<T>>,
        value: Option<&T>,
    ) {
        let Some(value) = value else { return };
        if let Some(own) = own.as_mut().filter(|own| !self.position.beats(&own.stamp)) {
            // It is newer than what HubSpot held, and so than what that lies above.
            let below = whole.map(|whole| whole.stamp).filter(|stamp| self.position.beats(stamp));
            own.stamp = below.map_or(own.stamp, |below| own.stamp.max(below));
            return;
        }
        let present = own.as_ref().map(|own| own.stamp).max(whole.map(|whole| whole.stamp));
        if present.is_none_or(|present| self.position.beats(&present)) {
            *own = Some(register(value.clone(), present.unwrap_or(EARLIEST)));
        }
    }
}

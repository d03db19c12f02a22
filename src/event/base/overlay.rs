//! Writes what HubSpot held into the registers of a webinar, where it wins over what is there.

use std::borrow::Cow;

use super::{Base, BaseFields, BasePosition, EventBases};
use crate::event::change::{EndTime, Shape};
use crate::event::history::Horizon;
use crate::event::id::{ExternalEventId, ReceiptId, WebinarId};
use crate::event::policy::RecurringMode;
use crate::event::register::{Precedence, Register, Stamp};
use crate::event::time::Millis;
use crate::event::webinar::{Registers, Webinar};

/// The stamp of a value where nothing else was written: earlier than every report.
const EARLIEST: Stamp =
    Stamp { precedence: Precedence::Report, at: Millis::new(0), seq: 0, place: 0 };
/// The receipt of what HubSpot held. No receipt has this id, so the values have no origin.
pub(in crate::event) const HELD: ReceiptId = ReceiptId::from_bytes([0xff; 16]);

/// The webinar with what HubSpot held of its events. Only the fold sees it; it is never stored.
#[must_use]
pub fn overlay<'a>(
    webinar: &'a Webinar,
    id: &WebinarId,
    recurring: RecurringMode,
    bases: &EventBases,
) -> Cow<'a, Webinar> {
    if bases.known.values().all(|state| state.base().is_none()) {
        return Cow::Borrowed(webinar);
    }
    let mut overlaid = webinar.clone();
    let runs: Vec<Stamp> = webinar.sessions.iter().map(|run| run.stamp).collect();
    if let Some(base) = base_of(bases, &ExternalEventId::for_webinar(id)) {
        write_whole(&mut overlaid, recurring, base, last_run(&runs, base.position));
    }
    let whole = &overlaid.whole;
    let lists = list_stamps(webinar);
    for (occurrence, own) in &mut overlaid.occurrences {
        if let Some(base) = base_of(bases, &ExternalEventId::for_occurrence(id, occurrence)) {
            let last_run = last_run(&runs, base.position);
            let (position, whole) = (base.position, Some(whole));
            Writer { position, own, whole, others: &lists, last_run, has_times: true }.write(base);
        }
    }
    Cow::Owned(overlaid)
}

fn base_of<'a>(bases: &'a EventBases, event: &ExternalEventId) -> Option<&'a Base> {
    bases.known.get(event.as_str())?.base()
}

fn write_whole(
    webinar: &mut Webinar,
    recurring: RecurringMode,
    base: &Base,
    last_run: Option<Stamp>,
) {
    let position = base.position;
    // HubSpot holds times, so it had some since the writes that the base lies above.
    if let Some(Register { value: Shape::Timeless, stamp, .. }) = webinar.shape
        && base.fields.start.is_some()
        && position.beats(&stamp)
    {
        let single = register(Shape::Single, right_above(stamp));
        webinar.earlier_shapes.write(&mut webinar.shape, single, Horizon::NONE_OLD);
    }
    let has_times = webinar.shape.as_ref().is_none_or(|shape| shape.value != Shape::Timeless);
    let is_series = webinar.shape.as_ref().is_some_and(|shape| shape.value == Shape::Series);
    match (is_series, recurring) {
        // The event of a whole that is a series now holds nothing of its occurrences.
        (true, RecurringMode::Occurrence) => {
            let mut own = webinar.whole.clone();
            Writer { position, own: &mut own, whole: None, others: &[], last_run, has_times }
                .write(base);
            webinar.replaced = Some(Box::new(own));
            return;
        }
        // Its times, and whether it is completed, follow from the occurrences.
        (true, RecurringMode::Series) => {
            let fields =
                BaseFields { start: None, end: None, completed: false, ..base.fields.clone() };
            let base = Base { fields, ..base.clone() };
            let mut others = list_stamps(webinar);
            others.extend(webinar.occurrences.values().flat_map(cancellation_stamps));
            let own = &mut webinar.whole;
            Writer { position, own, whole: None, others: &others, last_run, has_times }
                .write(&base);
            return;
        }
        (false, RecurringMode::Occurrence | RecurringMode::Series) => {}
    }
    // HubSpot holds the id, so it is a single event.
    if webinar.shape.is_none() {
        webinar.shape = Some(register(Shape::Single, EARLIEST));
        webinar.was_whole = true;
    }
    let own = &mut webinar.whole;
    Writer { position, own, whole: None, others: &[], last_run, has_times }.write(base);
}

/// The last run that the base lies above: what HubSpot holds is newer than how it ended.
fn last_run(runs: &[Stamp], position: BasePosition) -> Option<Stamp> {
    runs.iter().copied().filter(|stamp| position.beats(stamp)).max()
}

/// The full lists of occurrences.
fn list_stamps(webinar: &Webinar) -> Vec<Stamp> {
    webinar.earlier_lists.iter().chain(&webinar.full_list).map(|list| list.stamp).collect()
}

/// The writes of whether an event is cancelled.
fn cancellation_stamps(own: &Registers) -> impl Iterator<Item = Stamp> {
    let cancelled = own.earlier_cancelled.iter().chain(&own.cancelled);
    let unlisted = own.earlier_unlisted.iter().chain(&own.unlisted);
    cancelled.chain(unlisted).map(|flag| flag.stamp)
}

/// Right above a write.
fn right_above(stamp: Stamp) -> Stamp {
    Stamp { place: stamp.place.saturating_add(1), ..stamp }
}

fn register<T>(value: T, stamp: Stamp) -> Register<T> {
    Register { value, stamp, receipt: HELD }
}

/// Writes into the registers of one event.
struct Writer<'a> {
    position: BasePosition,
    own: &'a mut Registers,
    /// The registers of the series, where these are an occurrence's.
    whole: Option<&'a Registers>,
    /// Other writes of whether it takes place: full lists, and of one event for a series its occurrences.
    others: &'a [Stamp],
    /// The last run that the base lies above.
    last_run: Option<Stamp>,
    /// The event has times: HubSpot gets none of those that are reported of one without.
    has_times: bool,
}

impl Writer<'_> {
    fn write(self, base: &Base) {
        let fields = &base.fields;
        let whole = self.whole;
        let put = Put { position: self.position };
        let own = self.own;
        put.value(&mut own.name, whole.and_then(|w| w.name.as_ref()), fields.name.as_ref());
        put.value(
            &mut own.description,
            whole.and_then(|w| w.description.as_ref()),
            fields.description.as_ref(),
        );
        if let BasePosition::AboveReceipt(_) = self.position {
            put.over_copy(own, whole, fields);
        }
        put.value(&mut own.start, None, fields.start.as_ref());
        let length = fields.start.zip(fields.end).and_then(|(start, end)| {
            let length = u64::try_from(end.get().saturating_sub(start.get())).ok()?;
            Some(EndTime::After(length))
        });
        put.value(&mut own.end, whole.and_then(|w| w.end.as_ref()), length.as_ref());
        // The newest end counts, planned or actual.
        let actual = own.actual_end.as_ref().map(|actual| actual.stamp);
        let actual = actual.filter(|stamp| put.position.beats(stamp)).max(self.last_run);
        if let (Some(end), Some(actual)) = (own.end.as_mut(), actual)
            && end.receipt == HELD
        {
            end.stamp = end.stamp.max(right_above(actual));
        }
        if fields.cancelled {
            put.cancellation(own, whole.and_then(|whole| whole.cancelled.as_ref()), self.others);
        }
        // Completed holds for the start beside it.
        let start = own.start.as_ref();
        if fields.completed
            && (!self.has_times || start.map(|start| start.value) == fields.start)
            && own.completed.as_ref().is_none_or(|present| put.position.beats(&present.stamp))
        {
            let of_whole = whole.and_then(|whole| whole.completed.as_ref());
            let of_whole = of_whole.map(|of_whole| of_whole.stamp);
            let of_whole = of_whole.filter(|stamp| put.position.beats(stamp));
            let stamp = own.completed.as_ref().map(|present| present.stamp).max(of_whole);
            let stamp = stamp.max(start.map(|start| start.stamp)).unwrap_or(EARLIEST);
            let stamp = self.last_run.map_or(stamp, |run| stamp.max(right_above(run)));
            own.completed = Some(register(true, stamp));
            // It ended then, however often its plan is reported again.
            put.value(&mut own.actual_end, None, fields.end.as_ref());
            if let (Some(end), Some(run)) = (own.actual_end.as_mut(), self.last_run)
                && end.receipt == HELD
            {
                end.stamp = end.stamp.max(right_above(run));
            }
        }
    }
}

struct Put {
    position: BasePosition,
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
        let of_whole = whole.and_then(|whole| whole.registration_url.as_ref());
        if has_value(&own.registration_url, of_whole) {
            self.value(&mut own.registration_url, of_whole, fields.url.as_ref());
        } else {
            let of_whole = whole.and_then(|whole| whole.join_url.as_ref());
            if has_value(&own.join_url, of_whole) {
                self.value(&mut own.join_url, of_whole, fields.url.as_ref());
            }
        }
        for (name, value) in &fields.custom {
            let of_whole = whole.and_then(|whole| whole.custom.get(name));
            let mut field = own.custom.remove(name);
            if field.is_some() || of_whole.is_some() {
                self.value(&mut field, of_whole, Some(value));
            }
            own.custom.extend(field.map(|field| (name.clone(), field)));
        }
    }

    /// Writes that it is cancelled, right above all writes about that which the base lies above. Repeated since then, it
    /// is as old as here.
    fn cancellation(
        &self,
        own: &mut Registers,
        of_whole: Option<&Register<bool>>,
        others: &[Stamp],
    ) {
        let is_below = |stamp: &Stamp| self.position.beats(stamp);
        if of_whole.is_some_and(|whole| !whole.value && !is_below(&whole.stamp)) {
            return;
        }
        let flags = cancellation_stamps(own).chain(of_whole.map(|of_whole| of_whole.stamp));
        let below = flags.chain(others.iter().copied()).filter(is_below).max();
        let new = register(true, below.map_or(EARLIEST, right_above));
        own.earlier_cancelled.write(&mut own.cancelled, new, Horizon::NONE_OLD);
    }

    /// Writes a value where it wins over the present one. It takes the place of that write in the order.
    fn value<T: Clone>(
        &self,
        own: &mut Option<Register<T>>,
        whole: Option<&Register<T>>,
        value: Option<&T>,
    ) {
        let Some(value) = value else { return };
        let present = own.as_ref().map(|own| own.stamp).max(whole.map(|whole| whole.stamp));
        if present.is_none_or(|present| self.position.beats(&present)) {
            *own = Some(register(value.clone(), present.unwrap_or(EARLIEST)));
        }
    }
}

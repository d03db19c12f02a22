//! Writes what HubSpot held into the registers of a webinar, where it wins over what is there.

use std::borrow::Cow;

use super::{Base, BaseFields, BasePosition, EventBases};
use crate::event::change::{EndTime, Shape};
use crate::event::id::{ExternalEventId, ReceiptId, WebinarId};
use crate::event::policy::RecurringMode;
use crate::event::register::{Precedence, Register, Stamp};
use crate::event::time::Millis;
use crate::event::webinar::{Registers, Webinar};

/// The stamp of a value where nothing else was written: earlier than every report.
const EARLIEST: Stamp =
    Stamp { precedence: Precedence::Report, at: Millis::new(0), seq: 0, place: 0 };
/// No receipt has this id, so the values have no origin.
const NO_RECEIPT: ReceiptId = ReceiptId::from_bytes([0; 16]);

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
    for (occurrence, own) in &mut overlaid.occurrences {
        if let Some(base) = base_of(bases, &ExternalEventId::for_occurrence(id, occurrence)) {
            let last_run = last_run(&runs, base.position);
            let (position, whole) = (base.position, Some(whole));
            Writer { position, own, whole, last_run, has_times: true }.write(base);
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
    let has_times = webinar.shape.as_ref().is_none_or(|shape| shape.value != Shape::Timeless);
    let is_series = webinar.shape.as_ref().is_some_and(|shape| shape.value == Shape::Series);
    match (is_series, recurring) {
        // The event of a whole that is a series now holds nothing of its occurrences.
        (true, RecurringMode::Occurrence) => return,
        // Its times, and whether it is completed, follow from the occurrences.
        (true, RecurringMode::Series) => {
            let fields =
                BaseFields { start: None, end: None, completed: false, ..base.fields.clone() };
            let base = Base { fields, ..base.clone() };
            let own = &mut webinar.whole;
            Writer { position, own, whole: None, last_run, has_times }.write(&base);
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
    Writer { position, own, whole: None, last_run, has_times }.write(base);
}

/// The last run that the base lies above: what HubSpot holds is newer than how it ended.
fn last_run(runs: &[Stamp], position: BasePosition) -> Option<Stamp> {
    runs.iter().copied().filter(|stamp| position.beats(stamp)).max()
}

/// Right above a write.
fn right_above(stamp: Stamp) -> Stamp {
    Stamp { place: stamp.place.saturating_add(1), ..stamp }
}

fn register<T>(value: T, stamp: Stamp) -> Register<T> {
    Register { value, stamp, receipt: NO_RECEIPT }
}

/// Writes into the registers of one event.
struct Writer<'a> {
    position: BasePosition,
    own: &'a mut Registers,
    /// The registers of the series, where these are an occurrence's.
    whole: Option<&'a Registers>,
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
            && end.receipt == NO_RECEIPT
        {
            end.stamp = end.stamp.max(right_above(actual));
        }
        if fields.cancelled {
            let of_whole = whole.and_then(|w| w.cancelled.as_ref());
            put.value(&mut own.cancelled, of_whole, Some(&true));
        }
        // Completed holds for the start beside it.
        let start = own.start.as_ref();
        if fields.completed
            && (!self.has_times || start.map(|start| start.value) == fields.start)
            && own.completed.as_ref().is_none_or(|present| put.position.beats(&present.stamp))
        {
            let stamp = own.completed.as_ref().map(|present| present.stamp);
            let stamp = stamp.max(start.map(|start| start.stamp)).unwrap_or(EARLIEST);
            let stamp = self.last_run.map_or(stamp, |run| stamp.max(right_above(run)));
            own.completed = Some(register(true, stamp));
            // It ended then, however often its plan is reported again.
            put.value(&mut own.actual_end, None, fields.end.as_ref());
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

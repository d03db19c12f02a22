//! Writes what HubSpot held into the registers of a webinar, where it wins over what is there.

use std::borrow::Cow;

use super::series_dates;
use super::writer::{
    BaseWriter, EARLIEST, Others, Put, Times, cancellation_stamps, completion_stamps, list_stamps,
    register, right_above,
};
use super::{Base, BasePosition, BaseState, EventBases};
use crate::event::change::Shape;
use crate::event::fold::lacks_occurrences;
use crate::event::history::Horizon;
use crate::event::id::{ExternalEventId, WebinarId};
use crate::event::policy::RecurringMode;
use crate::event::time::Millis;
use crate::event::webinar::{Registers, Webinar};

/// The webinar with what HubSpot held of its events. Only the fold sees it; it is never stored.
#[must_use]
pub fn overlay<'a>(
    webinar: &'a Webinar,
    id: &WebinarId,
    recurring: RecurringMode,
    bases: &EventBases,
) -> Cow<'a, Webinar> {
    let whole_event = ExternalEventId::for_webinar(id);
    // HubSpot holds the event of the whole, or may hold it: then occurrences take its place.
    let of_whole = bases.known.get(whole_event.as_str());
    let was_whole = recurring == RecurringMode::Occurrence
        && of_whole.is_some_and(|state| state.is_unread() || state.base().is_some());
    let has_bases = bases.known.values().any(|state| state.base().is_some());
    if !has_bases && (webinar.was_whole || !was_whole) {
        return Cow::Borrowed(webinar);
    }
    let mut overlaid = webinar.clone();
    overlaid.was_whole |= was_whole;
    let dates = || {
        let of =
            |occurrence| bases.known.get(ExternalEventId::for_occurrence(id, occurrence).as_str());
        webinar.occurrences.iter().map(move |(occurrence, own)| (own, of(occurrence)))
    };
    // An occurrence takes place, so the webinar is a series.
    for base in dates().filter_map(|(_, state)| state?.base()) {
        if is_live_over_copy(base) {
            let others = [Shape::Single, Shape::Timeless];
            change_shape(&mut overlaid, base.position, &others, Shape::Series);
        }
    }
    if let Some(base) = base_of(bases, &whole_event) {
        // It takes place and no occurrence is still to, so the webinar is a series no more.
        let is_past = |end: Option<Millis>| {
            end.zip(webinar.last_received_at).is_some_and(|(end, last)| end < last)
        };
        let is_no_more = |own, state: Option<&BaseState>| match state.and_then(BaseState::base) {
            Some(Base { fields, .. }) => {
                fields.cancelled || fields.completed || is_past(fields.end)
            }
            None => is_cancelled(own) || is_past(webinar.end_of(own)),
        };
        let has_occurrences = recurring == RecurringMode::Occurrence && !lacks_occurrences(webinar);
        if is_live_over_copy(base)
            && has_occurrences
            && dates().all(|(own, state)| is_no_more(own, state))
        {
            let shape = base.fields.start.map_or(Shape::Timeless, |_| Shape::Single);
            change_shape(&mut overlaid, base.position, &[Shape::Series], shape);
        }
        let is_replaced = base.fields.cancelled && is_replaced(webinar, base.position, dates());
        write_whole(&mut overlaid, webinar, recurring, (base, is_replaced));
    }
    let does_one_take_place = dates().any(|(own, state)| match state {
        Some(BaseState::Read(base)) => !base.fields.cancelled,
        Some(BaseState::NotNeeded) | None => !is_cancelled(own),
        Some(BaseState::Absent | BaseState::Unread { .. }) => false,
    });
    let whole = &mut overlaid.whole;
    for (occurrence, own) in &mut overlaid.occurrences {
        if let Some(base) = base_of(bases, &ExternalEventId::for_occurrence(id, occurrence)) {
            let position = base.position;
            // An occurrence takes place, so the series is there.
            if is_live_over_copy(base) {
                Put { position }.presence(whole, &[]);
            }
            let is_cancelled_alone = base.fields.cancelled && does_one_take_place;
            let others = Others::of_occurrence(webinar, whole, position);
            let others = Others { is_cancelled_alone, ..others };
            BaseWriter { position, own, others, times: Times::Own }.write(base);
        }
    }
    Cow::Owned(overlaid)
}

/// Whether HubSpot holds, newer than a restored copy, that the event takes place.
fn is_live_over_copy(base: &Base) -> bool {
    base.position.is_above_copy() && !base.fields.cancelled && !base.fields.completed
}

fn is_cancelled(own: &Registers) -> bool {
    own.cancelled.as_ref().is_some_and(|off| off.value)
}

/// Whether HubSpot holds the event of the whole as cancelled only since its occurrences replaced it: some of them take place
/// there, or as far as is known.
fn is_replaced<'a>(
    webinar: &Webinar,
    position: BasePosition,
    mut dates: impl Iterator<Item = (&'a Registers, Option<&'a BaseState>)>,
) -> bool {
    let shapes = webinar.earlier_shapes.iter().chain(&webinar.shape);
    let shape = shapes.rev().find(|shape| position.beats(&shape.stamp));
    let was_series =
        shape.is_some_and(|shape| shape.value == Shape::Series) && !is_cancelled(&webinar.whole);
    if webinar.occurrences.is_empty() {
        return was_series;
    }
    dates.any(|(own, state)| match state {
        Some(BaseState::Read(base)) => !base.fields.cancelled,
        Some(BaseState::Absent) => false,
        Some(BaseState::NotNeeded | BaseState::Unread { .. }) | None => {
            was_series && !is_cancelled(own)
        }
    })
}

/// Writes the webinar's shape right above one of those, where the base lies above that.
fn change_shape(overlaid: &mut Webinar, position: BasePosition, from: &[Shape], to: Shape) {
    if let Some(shape) = overlaid.shape.as_ref()
        && from.contains(&shape.value)
        && position.beats(&shape.stamp)
    {
        let new = register(to, right_above(shape.stamp));
        overlaid.earlier_shapes.write(&mut overlaid.shape, new, Horizon::NONE_OLD);
    }
}

fn base_of<'a>(bases: &'a EventBases, event: &ExternalEventId) -> Option<&'a Base> {
    bases.known.get(event.as_str())?.base()
}

/// Writes what HubSpot held of the event of the whole webinar.
fn write_whole(
    overlaid: &mut Webinar,
    webinar: &Webinar,
    recurring: RecurringMode,
    (base, is_replaced): (&Base, bool),
) {
    let position = base.position;
    // HubSpot holds times, so it had some since the writes that the base lies above.
    if base.fields.start.is_some() {
        change_shape(overlaid, position, &[Shape::Timeless], Shape::Single);
    } else if position.is_above_copy()
        && overlaid.whole.start.as_ref().is_some_and(|start| position.beats(&start.stamp))
    {
        change_shape(overlaid, position, &[Shape::Single], Shape::Timeless);
    }
    let stands_for_occurrences = overlaid.was_whole && lacks_occurrences(overlaid);
    let times = match overlaid.shape.as_ref().map(|shape| shape.value) {
        Some(Shape::Timeless) => Times::None,
        _ => Times::Own,
    };
    let is_series = overlaid.shape.as_ref().is_some_and(|shape| shape.value == Shape::Series);
    let others = Others::of_runs(webinar, position);
    // The event of the whole as it was before it became a series: it holds nothing of its occurrences.
    if is_series && (recurring == RecurringMode::Occurrence || stands_for_occurrences) {
        let mut own = overlaid.whole.clone();
        BaseWriter { position, own: &mut own, others, times }.write(base);
        overlaid.replaced = Some(Box::new(own));
        return;
    }
    if is_series {
        let mut lists = list_stamps(webinar);
        lists.extend(webinar.occurrences.values().flat_map(cancellation_stamps));
        let others = Others { lists, ..others };
        let own = &mut overlaid.whole;
        BaseWriter { position, own, others, times: Times::OfOccurrences }.write(base);
        series_dates::write(overlaid, webinar, base);
        return;
    }
    // HubSpot holds the id, so it is a single event.
    if overlaid.shape.is_none() {
        overlaid.shape = Some(register(Shape::Single, EARLIEST));
    }
    let sessions = webinar.occurrences.values().flat_map(completion_stamps).collect();
    let others = Others { is_replaced, sessions, ..others };
    let shape = overlaid.shape.as_ref().map(|shape| shape.value);
    if matches!(shape, Some(Shape::Program { .. })) || webinar.occurrences.is_empty() {
        BaseWriter { position, own: &mut overlaid.whole, others, times }.write(base);
        return;
    }
    // HubSpot's values of this event do not concern the dates of a former series.
    let mut own = overlaid.whole.clone();
    BaseWriter { position, own: &mut own, others, times }.write(base);
    overlaid.replaced = Some(Box::new(own));
}

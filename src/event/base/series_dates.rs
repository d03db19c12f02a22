//! The dates of a series that is one event, as HubSpot holds them.
//!
//! The event begins with the first date and ends with the last (M27). HubSpot shows only these two times. So the fold
//! gets two dates more: one that begins with the event, and one that ends with it. They lie among the others like
//! everything else that HubSpot held, and take part until a report names the real first or last date.

use std::time::Duration;

use super::writer::{Others, Put, Times, cancellation_stamps};
use super::{Base, BaseFields, BasePosition};
use crate::event::change::EndTime;
use crate::event::fold::LONGEST;
use crate::event::id::OccurrenceId;
use crate::event::time::Millis;
use crate::event::webinar::{Registers, Webinar};

/// The length of the last date where none is known. It decides only which run is that date's.
const ASSUMED_LENGTH: Duration = Duration::from_hours(1);

/// A date that HubSpot shows of a series.
struct ShownDate {
    start: Millis,
    end: Option<Millis>,
}

/// Writes the first and the last date that HubSpot shows. Older dates that they replace or that lie outside do not take
/// place any more.
pub(super) fn write(overlaid: &mut Webinar, webinar: &Webinar, base: &Base) {
    let Base { position, fields } = base;
    let Some(start) = fields.start else { return };
    let end = fields.end;
    let length = length(webinar);
    let end_of = |own: &Registers, begins: Millis| {
        let of_whole = webinar.whole.end.as_ref().filter(|end| is_length(end.value));
        let planned = match (own.end.as_ref(), of_whole) {
            (Some(own), Some(whole)) if whole.stamp > own.stamp => Some(whole),
            (own, whole) => own.or(whole),
        };
        planned.map_or(EndTime::After(length), |end| end.value).for_start(Some(begins))
    };
    let heard = || webinar.occurrences.values().filter(|own| is_newer(own, *position));
    let is_first_heard = heard().any(|own| starts(own).any(|begins| begins == start));
    // The last date that is known to have begun before the end, at most a day.
    let last_known = end.and_then(|end| {
        let begins_in_time = |begins: &Millis| *begins < end && end.since(*begins) <= LONGEST;
        let known = webinar.occurrences.values().flat_map(|own| {
            let before = own.earlier_start.iter().chain(&own.start);
            before.filter(|start| position.beats(&start.stamp)).map(move |start| (start.value, own))
        });
        known.filter(|(begins, _)| begins_in_time(begins)).max_by_key(|(begins, _)| *begins)
    });
    let is_last_heard = last_known.is_some_and(|(_, own)| is_newer(own, *position))
        || heard().any(|own| {
            starts(own).any(|begins| end.is_some_and(|end| end_of(own, begins) == Some(end)))
        });
    let last_start = last_known.map(|(begins, _)| begins);
    let last_start = last_start.or(end.map(|end| end.minus(Duration::from_millis(length))));
    let last_start = last_start.map(|last| last.max(start));
    let shown = match last_start.filter(|last| *last > start) {
        None if is_first_heard && (is_last_heard || end.is_none()) => [None, None],
        None => [Some(ShownDate { start, end }), None],
        Some(last) => [
            Some(ShownDate { start, end: None }).filter(|_| !is_first_heard),
            Some(ShownDate { start: last, end }).filter(|_| !is_last_heard),
        ],
    };
    let is_last_shown = shown.iter().flatten().any(|date| date.end.is_some());
    let last_start = last_start.filter(|_| is_last_shown);
    overlaid.occurrences.retain(|_, own| {
        let Some(begins) = own.start.as_ref().map(|start| start.value) else { return true };
        let is_early = begins < start || (begins == start && !is_first_heard);
        let is_late = last_start.is_some_and(|last| begins >= last)
            || end.is_some_and(|end| end_of(own, begins).is_some_and(|ends| ends > end));
        is_newer(own, *position) || !(is_early || is_late)
    });
    for (number, date) in (0_u8..).zip(shown) {
        if let Some(date) = date {
            let own = registers_of(&date, overlaid, webinar, *position, fields);
            overlaid.occurrences.insert(OccurrenceId::unnamed(number), own);
        }
    }
}

/// The registers of a shown date: its times, and what HubSpot holds of the event's flags.
fn registers_of(
    date: &ShownDate,
    overlaid: &Webinar,
    webinar: &Webinar,
    position: BasePosition,
    fields: &BaseFields,
) -> Registers {
    let mut own = Registers::default();
    let others = Others::of_occurrence(webinar, &overlaid.whole, position);
    let times = BaseFields { start: Some(date.start), end: date.end, ..BaseFields::default() };
    let put = Put { position };
    put.times(&mut own, &others, &times);
    let is_recovered = overlaid
        .whole
        .cancelled
        .as_ref()
        .is_some_and(|off| !off.value && !position.beats(&off.stamp));
    put.cancellation(&mut own, fields.cancelled && !is_recovered, &others);
    put.presence(&mut own, &others.observed);
    if fields.completed {
        put.completion(&mut own, &others, &times, Times::Own);
    } else if position.is_above_copy() && date.end.is_some() {
        // The event is open until the last date is over.
        put.opening(&mut own, &others);
    }
    own
}

/// Whether something of the occurrence's times, or whether it takes place, is newer than what HubSpot held.
fn is_newer(own: &Registers, position: BasePosition) -> bool {
    let start = own.start.as_ref().map(|start| start.stamp);
    let end = own.end.as_ref().map(|end| end.stamp);
    let absent = own.absent.as_ref().map(|absent| absent.stamp);
    let times = [start, end, absent].into_iter().flatten();
    times.chain(cancellation_stamps(own)).any(|stamp| !position.beats(&stamp))
}

/// When the occurrence begins and began before it was moved.
fn starts(own: &Registers) -> impl Iterator<Item = Millis> {
    own.earlier_start.iter().chain(&own.start).map(|start| start.value)
}

/// Whether it is a distance from the start, as the end of each date.
fn is_length(end: EndTime) -> bool {
    matches!(end, EndTime::After(_))
}

/// The length of a date: that of the series, else that of a known date. A fixed end of the series is that of no date.
fn length(webinar: &Webinar) -> u64 {
    let of_whole = webinar.whole.end.as_ref().map(|end| end.value);
    let of_whole = of_whole.filter(|end| is_length(*end));
    let lengths = of_whole.map(|end| (end, None)).into_iter().chain(
        webinar
            .occurrences
            .values()
            .filter_map(|own| Some((own.end.as_ref()?.value, own.start.as_ref()))),
    );
    let mut lengths = lengths.filter_map(|(end, start)| match (end, start) {
        (EndTime::After(length), _) => Some(length),
        (EndTime::At(end), Some(start)) => {
            u64::try_from(end.get().saturating_sub(start.value.get())).ok()
        }
        (EndTime::At(_), None) => None,
    });
    let assumed = u64::try_from(ASSUMED_LENGTH.as_millis()).unwrap_or(u64::MAX);
    lengths.next().unwrap_or(assumed)
}

//! A naive model of merging: what a person expects of a webinar, by the rules M1, M2, M4 to M9, M12, M13, M15 to M17,
//! M18, M21, M24 to M27. HubSpot holds nothing that the bridge did not send.
//!
//! It keeps every accepted change for ever and reads the whole list again each time. It has no bounds, no histories and
//! no registers, and shares nothing with the bridge but the vocabulary: changes, policies and inputs.
//!
//! * `said`: the accepted changes in the order of the rules;
//! * `off`: since when an event is cancelled; `over`: when it ended; `times`: when it takes place.

mod off;
mod over;
mod said;
mod times;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use webinar_bridge::event::{
    Change, CustomProperty, EventInput, ExternalAccountId, FoldedEvent, Gap, Millis, OccurrenceId,
    Policy, ReceiptId, RecurringMode, Shape, SourceName, WebinarFields, WebinarId,
};
use webinar_bridge::ledger::Policies;

use said::{Place, Said};

/// One accepted change of a webinar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Saying {
    pub(crate) receipt: ReceiptId,
    pub(crate) source: SourceName,
    pub(crate) received_at: Millis,
    /// Place in the order of M4, M5 and M7.
    place: Place,
    /// When it was said: by the platform's clock, else when it arrived. Compared with dates.
    said_at: Millis,
    change: Change,
}

/// Place of a receipt: the sequence number of the first receipt with its body, and the time of what has none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) seq: u64,
    pub(crate) at: Millis,
}

/// All accepted changes of a webinar.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    sayings: Vec<Saying>,
    /// Whether occurrences of long ago are passed by, as the ledger does it (M26).
    pub(crate) passes_by: bool,
}

/// An expected event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExpectedEvent {
    pub(crate) id: String,
    pub(crate) content: Result<EventInput, Vec<Gap>>,
    pub(crate) start: Option<Millis>,
    pub(crate) end: Option<Millis>,
    /// When its completion timer runs out, if that is to come.
    pub(crate) due_at: Option<Millis>,
}

impl From<&FoldedEvent> for ExpectedEvent {
    fn from(event: &FoldedEvent) -> Self {
        Self {
            id: event.id.as_str().to_owned(),
            content: event.content.clone(),
            start: event.start,
            end: event.end,
            due_at: event.due_at,
        }
    }
}

/// What was reported last of each field of the whole. A creation reports nothing, since what HubSpot holds lies above it
/// (M20).
#[derive(Debug, Clone, Default)]
pub(crate) struct LastReports {
    pub(crate) name: Option<LastReport<String>>,
    pub(crate) description: Option<LastReport<String>>,
    pub(crate) url: Option<LastReport<String>>,
    pub(crate) start: Option<LastReport<Millis>>,
    /// Whether the webinar is a single one: others have the starts of their occurrences, or none.
    pub(crate) is_single: bool,
}

/// What was reported last of a field.
#[derive(Debug, Clone)]
pub(crate) struct LastReport<T> {
    pub(crate) value: T,
    /// Its place among other times.
    pub(crate) at: Millis,
    /// When it arrived.
    pub(crate) received_at: Millis,
}

/// A time more than this ahead of the receipt is cut to it (M6).
const DAY: i64 = 24 * 3_600_000;

impl Life {
    /// The place of a receipt that arrives now (M7).
    pub(crate) fn next_order(&self, seq: u64, received_at: Millis) -> Order {
        let newest = self.sayings.iter().map(|saying| saying.received_at).max();
        Order { seq, at: received_at.max(newest.unwrap_or(received_at)) }
    }

    /// Hears a change; `nth` is its place in the receipt.
    pub(crate) fn hear(
        &mut self,
        (receipt, source, received_at): (ReceiptId, &SourceName, Millis),
        order: Order,
        (nth, change): (usize, &Change),
    ) {
        let own_time = change
            .occurred_at
            .map(|at| if at.get() - received_at.get() > DAY { received_at } else { at });
        let place = Place {
            is_report: !change.is_creation,
            at: own_time.unwrap_or(order.at),
            seq: order.seq,
            nth,
        };
        self.sayings.push(Saying {
            receipt,
            source: source.clone(),
            received_at,
            place,
            said_at: own_time.unwrap_or(received_at),
            change: change.clone(),
        });
    }

    /// The sources have other names now.
    pub(crate) fn rename_sources(&mut self, present: impl Fn(&SourceName) -> SourceName) {
        for saying in &mut self.sayings {
            saying.source = present(&saying.source);
        }
    }

    /// Forgets what this receipt said.
    pub(crate) fn forget(&mut self, receipt: ReceiptId) {
        self.sayings.retain(|saying| saying.receipt != receipt);
    }

    /// The source of what was received first.
    pub(crate) fn first_source(&self) -> Option<&SourceName> {
        self.sayings.iter().min_by_key(|saying| saying.received_at).map(|saying| &saying.source)
    }

    /// What was reported last of the whole.
    pub(crate) fn last_reports(&self) -> LastReports {
        let said = Said::new(&self.sayings, false);
        LastReports {
            name: said.last_report(|fields| fields.name.clone()),
            description: said.last_report(|fields| fields.description.clone()),
            url: said.last_report(|fields| fields.registration_url.clone()),
            start: said.last_report(|fields| fields.start),
            is_single: matches!(said.shape(), None | Some(Shape::Single)),
        }
    }

    /// Whether both lives consist of the same changes at the same places.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let sorted = |life: &Self| {
            let mut all = life.sayings.clone();
            all.sort_by_key(|saying| (saying.place, saying.receipt));
            all
        };
        sorted(self) == sorted(other)
    }

    /// The expected events, sorted by id. Those that HubSpot `holds` need no known times.
    pub(crate) fn events(
        &self,
        (account, id): (&ExternalAccountId, &WebinarId),
        policies: &Policies,
        holds: &BTreeSet<String>,
        now: Millis,
    ) -> Vec<ExpectedEvent> {
        let mut sources: Vec<&SourceName> = self.sayings.iter().map(|s| &s.source).collect();
        sources.sort();
        sources.dedup();
        // M29: each default is that of the first source by name that has one.
        let mut policies = sources.iter().filter_map(|source| policies.get(*source));
        let Some(mut policy) = policies.next().cloned() else { return Vec::new() };
        for other in policies {
            policy.organizer = policy.organizer.or_else(|| other.organizer.clone());
            policy.event_type = policy.event_type.or_else(|| other.event_type.clone());
            policy.complete_after_end = policy.complete_after_end.or(other.complete_after_end);
            for (key, property) in &other.custom_properties {
                policy.custom_properties.entry(key.clone()).or_insert_with(|| property.clone());
            }
        }
        let policy = &policy;
        let passes_by = self.passes_by && policy.recurring == RecurringMode::Occurrence;
        let said = Said::new(&self.sayings, passes_by);
        let event = |facts: Facts| {
            let is_held = holds.contains(&facts.id);
            facts.event(&said, account, (policy, is_held), now)
        };
        let facts = facts(&said, id.as_str(), policy.recurring);
        let mut events: Vec<ExpectedEvent> = facts.into_iter().map(event).collect();
        // The event of the whole stays until one that takes its place can be sent (M27).
        let is_replaced = policy.recurring == RecurringMode::Occurrence
            && said.shape() == Some(Shape::Series)
            && events.iter().any(|event| event.id != id.as_str());
        let can_none_be_sent =
            !events.iter().any(|event| event.id != id.as_str() && event.content.is_ok());
        if let Some(whole) = events.iter_mut().find(|event| event.id == id.as_str())
            && is_replaced
            && can_none_be_sent
        {
            *whole = event(as_before(&said, id.as_str(), Unknown::PartsStoodFor));
        }
        events.sort_by(|a, b| a.id.cmp(&b.id));
        events
    }
}

/// What is true of one event.
struct Facts {
    id: String,
    occurrence: Option<OccurrenceId>,
    is_off: bool,
    is_over: bool,
    /// It has begun, and nobody said that it ended.
    has_begun: bool,
    /// The start of what has begun.
    begun: Option<Millis>,
    start: Option<Millis>,
    end: Option<Millis>,
    /// What is not known of it.
    unknown: Option<Unknown>,
}

/// What is not known of an event.
#[derive(Clone, Copy)]
enum Unknown {
    Times,
    Parts,
    /// The parts of a series. The event stands for them where HubSpot holds it from before the webinar was one (M27).
    PartsStoodFor,
}

/// The events of a webinar of that shape (M27).
fn facts(said: &Said<'_>, id: &str, recurring: RecurringMode) -> Vec<Facts> {
    let is_series = said.shape() == Some(Shape::Series);
    let was_single =
        said.statements(|change| change.shape).iter().any(|s| s.value != Shape::Series);
    let has_parts = matches!(said.shape(), Some(Shape::Series | Shape::Single | Shape::Timeless));
    let part = |part: &OccurrenceId| {
        let concerning = said.passing_by(part);
        of_occurrence(concerning.as_ref().unwrap_or(said), id, part)
    };
    let parts = || said.occurrences().into_iter().map(part);
    // Until a part is known, the webinar stays the event that it was; what HubSpot does not hold of it waits.
    let lacks_parts = is_series && !said.occurrences().into_iter().any(|id| said.is_known(id));
    let mut facts = Vec::new();
    if has_parts && recurring == RecurringMode::Occurrence {
        facts.extend(parts());
    }
    if lacks_parts && was_single {
        facts.push(as_before(said, id, Unknown::PartsStoodFor));
    } else if is_series && recurring == RecurringMode::Series {
        facts.push(of_all(said, id, parts().collect()));
    } else if !is_series || was_single {
        facts.push(of_whole(said, id, is_series));
    } else if facts.is_empty() {
        facts.push(as_before(said, id, Unknown::Parts));
    }
    facts
}

/// The event of the whole as it was before the webinar became a series.
fn as_before(said: &Said<'_>, id: &str, unknown: Unknown) -> Facts {
    Facts { unknown: Some(unknown), ..of_whole(&said.before_series(), id, false) }
}

/// The event of the whole; the events of its occurrences may have `replaced` it.
fn of_whole(said: &Said<'_>, id: &str, replaced: bool) -> Facts {
    let times = times::of_whole(said);
    let end = over::end(said, None, &times);
    let off = off::since_of_whole(said, replaced);
    Facts {
        id: id.to_owned(),
        occurrence: None,
        is_off: off.is_some_and(|since| end.counts.is_none_or(|end| since.said_at <= end)),
        is_over: end.is_over,
        has_begun: end.has_begun,
        begun: times.start.filter(|_| end.has_begun),
        start: times.start,
        end: end.shown,
        unknown: None,
    }
}

fn of_occurrence(said: &Said<'_>, series: &str, id: &OccurrenceId) -> Facts {
    let times = times::of_occurrence(said, id);
    let end = over::end(said, Some(id), &times);
    let off = off::since_of_occurrence(said, id);
    Facts {
        id: format!("{series}-{}", id.as_str()),
        occurrence: Some(id.clone()),
        is_off: off.is_some_and(|since| end.counts.is_none_or(|end| since.said_at <= end)),
        is_over: end.is_over,
        has_begun: end.has_begun,
        begun: times.start.filter(|_| end.has_begun),
        start: times.start,
        end: end.shown,
        unknown: (!times.are_known).then_some(Unknown::Times),
    }
}

/// One event for the whole series: from the first start to the last end of what takes place, over after the last.
fn of_all(said: &Said<'_>, id: &str, parts: Vec<Facts>) -> Facts {
    let are_parts_known = !parts.is_empty();
    let are_all_off = parts.iter().all(|part| part.is_off);
    let is_off = if parts.is_empty() {
        said.statements(|change| change.whole.cancelled).last().is_some_and(|last| last.value)
    } else {
        are_all_off
    };
    let live: Vec<Facts> = parts.into_iter().filter(|part| are_all_off || !part.is_off).collect();
    let last = live.iter().max_by(|a, b| (a.start, &a.id).cmp(&(b.start, &b.id)));
    Facts {
        id: id.to_owned(),
        occurrence: None,
        is_off,
        is_over: last.is_some_and(|last| last.is_over),
        has_begun: last.is_some_and(|last| last.has_begun),
        begun: last.and_then(|last| last.begun),
        start: live.iter().filter_map(|part| part.start).min(),
        end: live.iter().filter_map(|part| part.end).max(),
        unknown: if are_parts_known {
            live.iter().find_map(|part| part.unknown)
        } else {
            Some(Unknown::Parts)
        },
    }
}

impl Facts {
    fn event(
        self,
        said: &Said<'_>,
        account: &ExternalAccountId,
        (policy, is_held): (&Policy, bool),
        now: Millis,
    ) -> ExpectedEvent {
        let id = self.occurrence.as_ref();
        let concerning = id.and_then(|id| said.passing_by(id));
        let said = concerning.as_ref().unwrap_or(said);
        let text = |of: fn(&WebinarFields) -> Option<&String>| {
            said.newest(id, |fields| of(fields).cloned()).filter(|text| !text.is_empty())
        };
        let name = text(|fields| fields.name.as_ref());
        let organizer =
            text(|fields| fields.organizer.as_ref()).or_else(|| policy.organizer.clone());
        // M18: an end that was lost is made up for a day later. What has begun without a planned end ends within a day (M17).
        let lost_end = self.has_begun.then_some(Duration::from_hours(24));
        let grace = policy.complete_after_end.or(lost_end);
        let timer = grace.filter(|_| !self.is_off && !self.is_over);
        let assumed = self.begun.map(|start| start.plus(Duration::from_hours(24)));
        let timer = timer.zip(self.end.or(assumed)).map(|(grace, end)| end.plus(grace));
        // What HubSpot holds keeps its times, and what is cancelled needs none that are sure.
        let can_do_without = self.start.is_some() && (is_held || self.is_off);
        let unknown = match self.unknown {
            Some(Unknown::Times) if !can_do_without => Some(Gap::Times),
            Some(Unknown::Parts) => Some(Gap::Occurrences),
            Some(Unknown::PartsStoodFor) if !is_held => Some(Gap::Occurrences),
            Some(Unknown::Times | Unknown::PartsStoodFor) | None => None,
        };
        let gaps: Vec<Gap> = [
            (!makes_event(said, self.start, self.end)).then_some(Gap::FullPicture),
            said.shape().is_none().then_some(Gap::Shape),
            name.is_none().then_some(Gap::Name),
            organizer.is_none().then_some(Gap::Organizer),
            unknown,
        ]
        .into_iter()
        .flatten()
        .collect();
        let content = match (name, organizer) {
            (Some(event_name), Some(event_organizer)) if gaps.is_empty() => Ok(EventInput {
                external_account_id: account.as_str().to_owned(),
                external_event_id: self.id.clone(),
                custom_properties: properties(said, id, policy, &event_name),
                event_name,
                event_organizer,
                event_type: policy
                    .event_type
                    .clone()
                    .or_else(|| text(|fields| fields.event_type.as_ref()))
                    .unwrap_or_else(|| "WEBINAR".to_owned()),
                event_description: text(|fields| fields.description.as_ref()),
                event_url: text(|fields| fields.registration_url.as_ref())
                    .or_else(|| text(|fields| fields.join_url.as_ref())),
                start_date_time: self.start,
                end_date_time: self.end,
                event_cancelled: self.is_off,
                event_completed: self.is_over || timer.is_some_and(|due| due <= now),
            }),
            _ => Err(gaps),
        };
        let due_at = timer.filter(|due| *due > now);
        ExpectedEvent { id: self.id, content, start: self.start, end: self.end, due_at }
    }
}

/// Whether an event that HubSpot does not hold is made of what was said (M21): a body shows the whole webinar, and says
/// more than that it ends; and what was over by then was introduced by its creation or an answer.
fn makes_event(said: &Said<'_>, start: Option<Millis>, end: Option<Millis>) -> bool {
    let shows_all = |change: &Change| {
        let introduces = change.is_answer || change.is_creation;
        change.full_picture && (introduces || !change.kind.is_about_end())
    };
    let shown = said.statements(|change| shows_all(change).then_some(()));
    let Some(first) = shown.iter().map(|shown| shown.said_at).min() else { return false };
    let over_at = end.or_else(|| start.map(|start| Millis::new(start.get() + DAY)));
    let is_introduced = said.any(|change| change.is_creation || change.is_answer);
    is_introduced || over_at.is_none_or(|over_at| over_at >= first)
}

/// The source's properties under those of the webinar; an empty one removes a property.
fn properties(
    said: &Said<'_>,
    id: Option<&OccurrenceId>,
    policy: &Policy,
    name: &str,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (key, property) in &policy.custom_properties {
        if let CustomProperty::Text(text) = property {
            all.insert(key.clone(), text.clone());
        }
    }
    for key in said.property_names() {
        match said.newest(id, |fields| fields.custom.get(&key).cloned()) {
            Some(text) if text.is_empty() => drop(all.remove(&key)),
            Some(text) => drop(all.insert(key, text)),
            None => {}
        }
    }
    for (key, property) in &policy.custom_properties {
        if let CustomProperty::Computed(expression) = property {
            assert_eq!(
                expression.text(),
                "size(event.name)",
                "the model knows no other expression"
            );
            all.insert(key.clone(), name.chars().count().to_string());
        }
    }
    all
}

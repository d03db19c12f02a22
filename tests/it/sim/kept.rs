//! Events of which the bridge lost what it knew while HubSpot holds them: their webinars were pruned, or the store was
//! replaced by an older copy.
//!
//! The oracle cannot know what such an event becomes as exactly as others: the bridge builds on what HubSpot shows. It knows
//! what M20 and M23 promise: HubSpot's values are not erased. A value that nobody said anything about since is as HubSpot
//! held it. Of what was pruned, empty and `false` say nothing: there an older word may return. Not so in a copy: HubSpot is
//! newer. And all are below what was reported since: a report that is newer than all that anybody heard before arrives at
//! HubSpot. A creation is no report: what HubSpot holds lies above it.

use std::collections::BTreeMap;

use webinar_bridge::event::{
    Change, EventKey, ExternalEventId, Millis, OccurrenceChange, OccurrenceListing, Shape,
    WebinarFields,
};
use webinar_bridge::sandbox::emulator::{StoredEvent, UpsertInput};

use super::oracle::Name;
use crate::expectation::{LastReport, LastReports};

/// The events by key.
#[derive(Debug, Clone, Default)]
pub(super) struct KeptEvents {
    events: BTreeMap<EventKey, Kept>,
    /// A copy was put into service: what HubSpot holds of every event is read before it is sent again.
    is_restored: bool,
}

#[derive(Debug, Clone)]
struct Kept {
    webinar: Name,
    /// It is the one event of a whole series.
    is_whole_series: bool,
    /// How HubSpot held the event when the bridge lost what it knew.
    held: UpsertInput,
    spoken: Spoken,
    before: Before,
}

/// What was known of a webinar when the bridge lost it.
#[derive(Debug, Clone)]
pub(super) struct Before {
    /// What had been reported of it.
    pub(super) reports: LastReports,
    /// A webinar that was created since is made under the bridge's eyes (M19).
    pub(super) since: Millis,
    /// When that was.
    pub(super) lost_at: Millis,
    /// An older copy took the place of the store.
    pub(super) is_copy: bool,
}

/// What was said since then.
#[derive(Debug, Default, Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is a field of the event")]
struct Spoken {
    name: bool,
    description: bool,
    url: bool,
    times: bool,
    cancelled: bool,
    completed: bool,
}

impl KeptEvents {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && !self.is_restored
    }

    /// Whether a copy took the place of the store.
    pub(super) fn is_restored(&self) -> bool {
        self.is_restored
    }

    /// A copy takes the place of the store.
    pub(super) fn restore(&mut self) {
        self.is_restored = true;
    }

    /// The bridge lost what it knew of an event.
    pub(super) fn lose(
        &mut self,
        key: EventKey,
        (webinar, is_whole_series): (Name, bool),
        before: Before,
        held: &StoredEvent,
    ) {
        let (held, spoken) = (held.input.clone(), Spoken::default());
        let kept = Kept { webinar, is_whole_series, held, spoken, before };
        self.events.insert(key, kept);
    }

    /// Whether the bridge lost what it knew of an event of this event's webinar.
    pub(super) fn concern_event(&self, key: &EventKey) -> bool {
        let is_near = |kept: &Kept| {
            let (hubspot, account, webinar) = &kept.webinar;
            *hubspot == key.hubspot
                && *account == key.external_account_id
                && key.external_event_id.as_str().starts_with(webinar.as_str())
        };
        self.events.values().any(is_near)
    }

    /// A change of the webinar is accepted, or mapped again.
    pub(super) fn hear(&mut self, webinar: &Name, change: &Change) {
        let (_, _, id) = webinar;
        for (key, kept) in self.events.iter_mut().filter(|(_, kept)| kept.webinar == *webinar) {
            let is_since = change.occurred_at.is_none_or(|at| at > kept.before.since);
            if change.is_creation && is_since {
                kept.spoken = Spoken::ALL;
                continue;
            }
            // What HubSpot holds lies above a creation that is reported again.
            if change.is_creation {
                kept.spoken.cancelled |= change.listing != OccurrenceListing::Partial;
                kept.spoken.times |= change.shape == Some(Shape::Timeless);
                continue;
            }
            kept.spoken.hear_fields(&change.whole);
            for OccurrenceChange { id: occurrence, fields } in &change.occurrences {
                if key.external_event_id.occurrence_of(id).as_ref() == Some(occurrence) {
                    kept.spoken.hear_fields(fields);
                }
                // The times of the one event follow from its occurrences, and so do its flags.
                if kept.is_whole_series {
                    kept.spoken.hear_dates(fields);
                }
            }
            let is_list = change.listing != OccurrenceListing::Partial;
            // A list says who takes place; another shape cancels the events of the one before.
            kept.spoken.cancelled |= is_list || change.shape.is_some();
            let is_list_of_dates = is_list && kept.is_whole_series;
            kept.spoken.completed |= change.session.is_some() || is_list_of_dates;
            kept.spoken.times |= is_list_of_dates;
            kept.spoken.times |= change.session.is_some() || change.shape.is_some();
        }
    }

    /// What HubSpot holds of the events now and must not. `reports` are those of the webinar of an event that follows from
    /// what the bridge knows now, and that HubSpot does not refuse.
    pub(super) fn violations(
        &self,
        stored: impl Fn(&EventKey) -> Option<StoredEvent>,
        reports: impl Fn(&EventKey, &Name) -> Option<LastReports>,
    ) -> Vec<String> {
        let mut violations = Vec::new();
        for (key, Kept { webinar, held, spoken, before, .. }) in &self.events {
            let id = key.external_event_id.as_str();
            let Some(StoredEvent { input: now, .. }) = stored(key) else {
                violations.push(format!("HubSpot lost {id}"));
                continue;
            };
            let lost = spoken.lost(held, &now, before.is_copy);
            if !lost.is_empty() {
                violations.push(format!("{id}: {lost:?} of {held:?} became {now:?}; {spoken:?}"));
            }
            let Some(mut since) = reports(key, webinar) else { continue };
            // The start of an occurrence is its own.
            let is_whole = ExternalEventId::for_webinar(&webinar.2) == key.external_event_id;
            since.is_single &= is_whole;
            let unheard = unheard(before, &since, &now);
            if !unheard.is_empty() {
                violations.push(format!("{id}: {unheard:?} is not as in {since:?}, but {now:?}"));
            }
        }
        violations
    }
}

/// The fields whose newest report came since, and is not what HubSpot holds.
fn unheard(before: &Before, since: &LastReports, now: &UpsertInput) -> Vec<&'static str> {
    let is_unlike = |old: &Option<LastReport<String>>,
                     new: &Option<LastReport<String>>,
                     now: Option<&String>| {
        let new = new.as_ref().filter(|new| before.is_news(old.as_ref(), new));
        new.is_some_and(|new| new.value != now.map_or("", String::as_str))
    };
    let old = &before.reports;
    let start = since.start.as_ref().filter(|_| since.is_single);
    let start = start.filter(|new| before.is_news(old.start.as_ref(), new));
    let checks = [
        (is_unlike(&old.name, &since.name, Some(&now.event_name)), "name"),
        (
            is_unlike(&old.description, &since.description, now.event_description.as_ref()),
            "description",
        ),
        (is_unlike(&old.url, &since.url, now.event_url.as_ref()), "url"),
        (start.is_some_and(|start| Some(start.value) != now.start_date_time), "start"),
    ];
    checks.into_iter().filter(|(is_unlike, _)| *is_unlike).map(|(_, field)| field).collect()
}

impl Before {
    /// Whether a report came since, and is newer than the last one before.
    fn is_news<T>(&self, old: Option<&LastReport<T>>, new: &LastReport<T>) -> bool {
        new.received_at > self.lost_at && old.is_none_or(|old| new.at > old.at)
    }
}

impl Spoken {
    const ALL: Self = Self {
        name: true,
        description: true,
        url: true,
        times: true,
        cancelled: true,
        completed: true,
    };

    fn hear_fields(&mut self, fields: &WebinarFields) {
        self.name |= fields.name.is_some();
        self.description |= fields.description.is_some();
        self.url |= fields.registration_url.is_some() || fields.join_url.is_some();
        let moves = fields.start.is_some() || fields.end.is_some() || fields.actual_end.is_some();
        self.times |= moves;
        // Both hold for a date.
        self.cancelled |= moves || fields.cancelled.is_some() || fields.absent.is_some();
        self.completed |= moves || fields.completed.is_some();
    }

    /// Of an occurrence of the one event.
    fn hear_dates(&mut self, fields: &WebinarFields) {
        let mut heard = Self::default();
        heard.hear_fields(fields);
        // An occurrence that is cancelled or takes place may be the first or the last one.
        let is_heard = heard.times || heard.cancelled || heard.completed;
        self.times |= is_heard;
        self.cancelled |= is_heard;
        self.completed |= is_heard;
    }

    /// The fields that HubSpot held, and that nobody spoke of, and that are not so any more. The organizer is what the
    /// platform or the source says (M20).
    fn lost(self, held: &UpsertInput, now: &UpsertInput, is_copy: bool) -> Vec<&'static str> {
        let is_text_lost = |before: &Option<String>, after: &Option<String>| {
            let before = before.as_deref().unwrap_or_default();
            (is_copy || !before.is_empty()) && before != after.as_deref().unwrap_or_default()
        };
        // Completed holds for the start beside it.
        let is_reopened = held.event_completed
            && !now.event_completed
            && held.start_date_time == now.start_date_time;
        let checks = [
            (self.name, held.event_name != now.event_name, "name"),
            (
                self.description,
                is_text_lost(&held.event_description, &now.event_description),
                "description",
            ),
            (
                self.url,
                if is_copy {
                    held.event_url != now.event_url
                } else {
                    held.event_url.is_some() && now.event_url.is_none()
                },
                "url",
            ),
            (
                self.times,
                held.start_date_time.is_some() && held.start_date_time != now.start_date_time,
                "start",
            ),
            (
                self.times,
                held.end_date_time.is_some() && held.end_date_time != now.end_date_time,
                "end",
            ),
            (
                self.cancelled,
                held.event_cancelled != now.event_cancelled && (is_copy || held.event_cancelled),
                "cancelled",
            ),
            (self.completed, is_reopened, "completed"),
        ];
        let lost = checks.into_iter().filter(|(spoken, lost, _)| !spoken && *lost);
        lost.map(|(_, _, field)| field).collect()
    }
}

//! The change that one webhook reports. Platform code makes changes; [`super::Webinar`] merges them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{ExternalAccountId, OccurrenceId, WebinarId};
use super::time::Millis;

/// A change of one webinar or series, as one webhook reports it. It affects only the fields that it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Account on the platform that owns the webinar; `None` if the body does not name it.
    pub account: Option<ExternalAccountId>,
    /// Platform id of the webinar or series.
    pub webinar: WebinarId,
    /// Kind of change.
    pub kind: ChangeKind,
    /// Whether the platform sends such a body once in the life of an id, when the webinar is created. Such a change
    /// comes before every other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_creation: bool,
    /// When the webinar was created, by the platform's clock, if the body tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Millis>,
    /// Time of the change by the platform's clock; `None` if the body has none.
    pub occurred_at: Option<Millis>,
    /// Whether the body shows the whole webinar (created, fetched, or name, type and times together).
    pub full_picture: bool,
    /// Whether it is an answer of the platform's API, and no webhook.
    #[serde(skip)]
    pub is_answer: bool,
    /// Shape of the platform object, if the body shows it.
    pub shape: Option<Shape>,
    /// Fields of the webinar, or of every occurrence of the series.
    pub whole: WebinarFields,
    /// Fields of single occurrences (or of the sessions of a [`Shape::Program`]).
    pub occurrences: Vec<OccurrenceChange>,
    /// Meaning of `occurrences` for the occurrences that it does not name.
    pub listing: OccurrenceListing,
    /// Start or end of a run, if the body does not name the run's occurrence.
    pub session: Option<RunChange>,
}

impl Change {
    /// A change without any field.
    #[must_use]
    pub fn new(webinar: WebinarId, kind: ChangeKind) -> Self {
        Self {
            account: None,
            webinar,
            kind,
            is_creation: false,
            created_at: None,
            occurred_at: None,
            full_picture: false,
            is_answer: false,
            shape: None,
            whole: WebinarFields::default(),
            occurrences: Vec::new(),
            listing: OccurrenceListing::Partial,
            session: None,
        }
    }
}

/// Kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The webinar was created.
    Created,
    /// A field changed.
    Updated,
    /// The webinar, or occurrences of it, were cancelled.
    Cancelled,
    /// A cancellation was reversed.
    Recovered,
    /// A run began.
    Started,
    /// A run ended.
    Completed,
}

impl ChangeKind {
    /// Whether the webinar is cancelled; `None` where the kind alone does not decide it.
    #[must_use]
    pub fn cancelled(self) -> Option<bool> {
        match self {
            Self::Created | Self::Recovered => Some(false),
            Self::Cancelled => Some(true),
            Self::Updated | Self::Started | Self::Completed => None,
        }
    }

    /// Whether it ends a webinar, or takes its end back: alone it makes no event.
    #[must_use]
    pub fn is_about_end(self) -> bool {
        match self {
            Self::Cancelled | Self::Recovered | Self::Completed => true,
            Self::Created | Self::Updated | Self::Started => false,
        }
    }
}

/// Shape of a platform object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// One dated webinar: one event.
    Single,
    /// Dated occurrences: one event each, or one for all ([`super::RecurringMode`]).
    Series,
    /// Repeated at no fixed time: one event without times.
    Timeless,
    /// One event made of sessions, which are stored as occurrences. It is completed after its last session.
    Program {
        /// The event has exactly one session, which completes the event when it ends.
        one_session: bool,
    },
}

/// Meaning of a list of occurrences for the occurrences that it does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OccurrenceListing {
    /// No meaning: the list is partial.
    Partial,
    /// They are cancelled: the list is complete.
    Full,
    /// They are absent, and those that it names are not: the platform's API answered with a complete list.
    Observed,
    /// The recurrence changed and the body has no list: the times of all occurrences are unknown.
    Unknown,
}

/// Fields of one occurrence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OccurrenceChange {
    /// Platform id of the occurrence.
    pub id: OccurrenceId,
    /// Fields that the body holds.
    pub fields: WebinarFields,
}

/// Fields of a change. `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WebinarFields {
    /// Title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organizer: Option<String>,
    /// Description; empty if it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Type in HubSpot's spelling: `WEBINAR`, `CONFERENCE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Registration link, made by [`super::text::clean_link`]; empty if it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_url: Option<String>,
    /// Join link, made by [`super::text::clean_link`]; empty if it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_url: Option<String>,
    /// Planned start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Millis>,
    /// Planned end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<EndTime>,
    /// Actual end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_end: Option<Millis>,
    /// Whether the webinar is cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<bool>,
    /// Whether the webinar is completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<bool>,
    /// Whether the platform's API does not have the webinar, or leaves the occurrence out. `false` takes back just that:
    /// it reverses no cancellation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<bool>,
    /// Custom properties by HubSpot's name; an empty value removes one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, String>,
}

impl WebinarFields {
    /// The planned end; reported together with a start, it is the distance between them, so that it follows a moved start.
    /// An end before that start is a mistake and does not count.
    #[must_use]
    pub fn planned_end(&self) -> Option<EndTime> {
        match (self.end?, self.start) {
            (EndTime::At(at), Some(start)) if at < start => None,
            (EndTime::At(at), Some(start)) => {
                u64::try_from(at.since(start).as_millis()).ok().map(EndTime::After)
            }
            (end, _) => Some(end),
        }
    }
}

/// End of a webinar, relative or absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndTime {
    /// Distance from the start in milliseconds; the end moves with the start.
    After(u64),
    /// Fixed time.
    At(Millis),
}

impl EndTime {
    /// An end that many minutes after the start. `None` for zero and for more than a year: those are unset fields or
    /// mistakes.
    #[must_use]
    pub fn after_minutes(minutes: i64) -> Option<Self> {
        const YEAR: i64 = 366 * 24 * 60;
        if !(1..=YEAR).contains(&minutes) {
            return None;
        }
        Some(Self::After(u64::try_from(minutes).ok()? * 60_000))
    }

    /// The time of the end, if the webinar begins at `start`.
    #[must_use]
    pub fn for_start(self, start: Option<Millis>) -> Option<Millis> {
        match self {
            Self::After(ms) => start.map(|start| start.plus(Duration::from_millis(ms))),
            Self::At(at) => Some(at),
        }
    }
}

/// Start or end of a run that names no occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RunChange {
    /// Phase of the run that the body reports.
    pub phase: RunPhase,
    /// Actual start of the run.
    pub started_at: Option<Millis>,
    /// Actual end of the run.
    pub ended_at: Option<Millis>,
}

/// Phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    /// The run began.
    Started,
    /// The run ended.
    Ended,
    /// The run ended, and it was a practice session.
    Practised,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_after_minutes_outside_a_minute_to_a_year_is_none() {
        let year = 366 * 24 * 60;
        for none in [i64::MIN, -1, 0, year + 1, i64::MAX] {
            assert_eq!(EndTime::after_minutes(none), None, "{none}");
        }
        assert_eq!(EndTime::after_minutes(1), Some(EndTime::After(60_000)));
        assert_eq!(EndTime::after_minutes(year), Some(EndTime::After(31_622_400_000)));
    }
}

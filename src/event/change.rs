//! What one webhook says about one webinar. Made by the platforms' code, merged by [`super::Webinar`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{ExternalAccountId, OccurrenceId, WebinarId};
use super::register::Rank;
use super::time::Millis;

/// What one webhook says of one webinar or series. It speaks only of what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The platform's account the webinar belongs to; none where the body does not tell.
    pub account: Option<ExternalAccountId>,
    /// The platform's id of the webinar, or of the series.
    pub webinar: WebinarId,
    /// What kind of change; decides between writes of equal time.
    pub kind: ChangeKind,
    /// The platform's own time of the change; none where the body has none.
    pub occurred_at: Option<Millis>,
    /// Whether the body shows the whole webinar (created, fetched, or name, type and times together).
    pub full_picture: bool,
    /// What the platform object is, if the body tells.
    pub shape: Option<Shape>,
    /// What is said of the webinar, or of every occurrence of the series.
    pub whole: WebinarFields,
    /// What is said of single occurrences (or of the sessions of a [`Shape::Program`]).
    pub occurrences: Vec<OccurrenceChange>,
    /// What the list of occurrences says of those that it does not name.
    pub listing: OccurrenceListing,
    /// A start or an end of a run that does not name its occurrence.
    pub session: Option<RunChange>,
}

impl Change {
    /// A change that says nothing yet.
    #[must_use]
    pub fn new(webinar: WebinarId, kind: ChangeKind) -> Self {
        Self {
            account: None,
            webinar,
            kind,
            occurred_at: None,
            full_picture: false,
            shape: None,
            whole: WebinarFields::default(),
            occurrences: Vec::new(),
            listing: OccurrenceListing::Partial,
            session: None,
        }
    }
}

/// What kind of change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The webinar came to be.
    Created,
    /// Something of it changed.
    Updated,
    /// It, or occurrences of it, were called off.
    Cancelled,
    /// The calling off was taken back.
    Recovered,
    /// A run of it began.
    Started,
    /// A run of it ended.
    Completed,
}

impl ChangeKind {
    /// The kind's place between writes of equal time.
    #[must_use]
    pub fn rank(self) -> Rank {
        match self {
            Self::Created => Rank::Created,
            Self::Updated | Self::Started => Rank::Updated,
            Self::Cancelled | Self::Recovered => Rank::Cancelled,
            Self::Completed => Rank::Completed,
        }
    }
}

/// What a platform object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// One dated webinar: one event.
    Single,
    /// Dated occurrences: an event each, or one for all ([`super::Recurring`]).
    Series,
    /// Held again and again at no fixed time: one event without times.
    Timeless,
    /// One event made of sessions (here called occurrences); over when its last session is.
    Program {
        /// The event has but one session, whose end ends it.
        one_session: bool,
    },
}

/// What a list of occurrences says of those that it does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OccurrenceListing {
    /// Nothing.
    Partial,
    /// That they are not to take place: the list is whole.
    Full,
    /// The recurrence changed and no list came along: the times of all are unknown.
    Unknown,
}

/// What is said of one occurrence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OccurrenceChange {
    /// Which.
    pub id: OccurrenceId,
    /// What.
    pub fields: WebinarFields,
}

/// The fields a change may speak of; none says nothing of its field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WebinarFields {
    /// The title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The host's name, if the platform tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organizer: Option<String>,
    /// The description; empty when it was taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The platform's own word for what it is, in HubSpot's manner: `WEBINAR`, `CONFERENCE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Where people register; empty when it was taken away. Made by [`super::text::link`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_url: Option<String>,
    /// Where people join; empty when it was taken away. Made by [`super::text::link`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_url: Option<String>,
    /// When it is to begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Millis>,
    /// When it is to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<EndTime>,
    /// When it really ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_end: Option<Millis>,
    /// Whether it was called off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<bool>,
    /// Whether it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<bool>,
    /// Further properties by HubSpot's name; an empty value takes one away.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, String>,
}

/// How the end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndTime {
    /// So long after the start, in milliseconds: it moves with the start.
    After(u64),
    /// At this time.
    At(Millis),
}

impl EndTime {
    /// An end so many minutes after the start. None for zero and for more than a year: those are unset fields or mistakes.
    #[must_use]
    pub fn after_minutes(minutes: i64) -> Option<Self> {
        const YEAR: i64 = 366 * 24 * 60;
        if !(1..=YEAR).contains(&minutes) {
            return None;
        }
        Some(Self::After(u64::try_from(minutes).ok()? * 60_000))
    }

    /// The time it means for a webinar that begins at `start`.
    #[must_use]
    pub fn for_start(self, start: Option<Millis>) -> Option<Millis> {
        match self {
            Self::After(ms) => start.map(|start| start.plus(Duration::from_millis(ms))),
            Self::At(at) => Some(at),
        }
    }
}

/// One run of a webinar, known by its times only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RunChange {
    /// Whether the run began or ended.
    pub phase: RunPhase,
    /// When the run really began.
    pub started_at: Option<Millis>,
    /// When the run really ended.
    pub ended_at: Option<Millis>,
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    /// It began.
    Started,
    /// It ended.
    Ended,
    /// It ended, and was only practice.
    Practised,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_a_minute_to_a_year() {
        let year = 366 * 24 * 60;
        for none in [i64::MIN, -1, 0, year + 1, i64::MAX] {
            assert_eq!(EndTime::after_minutes(none), None, "{none}");
        }
        assert_eq!(EndTime::after_minutes(1), Some(EndTime::After(60_000)));
        assert_eq!(EndTime::after_minutes(year), Some(EndTime::After(31_622_400_000)));
    }
}

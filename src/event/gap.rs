//! Reasons for which an event is not sent, or not whole.

use serde::{Deserialize, Serialize};

/// Why an event is not sent, or not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// No body that shows the whole webinar was ever seen: a first upsert would clear what HubSpot may already hold.
    FullPicture,
    /// Not known whether the id is one webinar or a series.
    Shape,
    /// No title.
    Name,
    /// No host's name, and the source has no `organizer`.
    Organizer,
    /// The occurrences, or their times, are not known.
    Times,
    /// Nothing is missing, but the source's `only` says that it is not to be sent.
    Filtered,
    /// The source's `only` cannot say of this event whether it is to be sent.
    FilterFailed,
    /// A computed property cannot be computed of this event, which is sent without it.
    PropertyFailed,
}

//! Reasons for which an event is not sent, or not whole.

use serde::{Deserialize, Serialize};

/// Reason for which an event is not sent, or not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// HubSpot may hold the event from before this ledger knew it, and is to be asked first.
    BaseUnread,
    /// No body showed the whole webinar: the first upsert would clear fields that HubSpot may hold.
    FullPicture,
    /// It is unknown whether the id is one webinar or a series.
    Shape,
    /// The title is missing.
    Name,
    /// The host's name is missing, and the source has no `organizer`.
    Organizer,
    /// The times are unknown: the recurrence changed without a list.
    Times,
    /// It is unknown which occurrences the series has.
    Occurrences,
    /// The event is complete, and the source's filter `only` refuses it.
    Filtered,
    /// The source's filter `only` fails on this event.
    FilterFailed,
    /// A computed property fails on this event, which is sent without it.
    PropertyFailed,
}

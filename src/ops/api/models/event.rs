//! Events, and sending them again.

use serde::{Deserialize, Serialize};

use crate::ledger::{EventState, EventSummary};

/// A page of `GET /events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventListModel {
    /// The events, newest first.
    pub events: Vec<EventSummary>,
    /// The cursor of the next page; none at the end.
    pub next: Option<String>,
}

/// `POST .../redrive` of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedriveModel {
    /// New state of the event.
    pub state: EventState,
}

/// `POST /events/redrive`: sending many events again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BulkRedriveModel {
    /// Number of events that are sent again.
    pub redriven: u64,
    /// Cursor at which to go on; none when all are done.
    pub next: Option<String>,
}

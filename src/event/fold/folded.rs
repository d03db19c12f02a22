//! The result of folding.

use crate::event::gap::Gap;
use crate::event::id::ExternalEventId;
use crate::event::input::EventInput;
use crate::event::time::Millis;

/// One event as it follows from the webinar now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedEvent {
    /// Its id in HubSpot.
    pub id: ExternalEventId,
    /// What HubSpot is to get, or why it gets nothing.
    pub content: Result<EventInput, Vec<Gap>>,
    /// What is wrong with what HubSpot gets: [`Gap::PropertyFailed`].
    pub warnings: Vec<Gap>,
    /// The title, if known; for showing what is incomplete.
    pub name: Option<String>,
    /// Its start, if known.
    pub start: Option<Millis>,
    /// Its end, if known.
    pub end: Option<Millis>,
    /// When the passing of time alone will complete it.
    pub due_at: Option<Millis>,
}

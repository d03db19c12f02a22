//! The result of folding.

use crate::event::base::BaseFields;
use crate::event::gap::Gap;
use crate::event::id::ExternalEventId;
use crate::event::input::EventInput;
use crate::event::time::Millis;

use super::ending::LONGEST;

/// The flags of an event, which HubSpot gets also of an event that a filter refuses now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventFlags {
    /// Whether it is cancelled.
    pub cancelled: bool,
    /// Whether it is completed.
    pub completed: bool,
}

/// One event derived from the webinar's present state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedEvent {
    /// Id in HubSpot.
    pub id: ExternalEventId,
    /// Input for HubSpot, or the reasons for sending none.
    pub content: Result<EventInput, Vec<Gap>>,
    /// Gaps of an input that is sent all the same: [`Gap::PropertyFailed`], and [`Gap::Occurrences`] where the event stands
    /// for occurrences that are not known, or there may be others than those that are.
    pub warnings: Vec<Gap>,
    /// Title, if known; incomplete events are shown with it.
    pub name: Option<String>,
    /// Of an event that the filter refuses, or that is cancelled while its occurrences are unknown, and that HubSpot was
    /// read to hold otherwise: what HubSpot holds, with the flags that follow.
    pub held_input: Option<EventInput>,
    /// Start, if known.
    pub start: Option<Millis>,
    /// End, if known.
    pub end: Option<Millis>,
    /// Whether it is cancelled.
    pub cancelled: bool,
    /// Time at which the completion timer runs out, unless it has completed the event.
    pub due_at: Option<Millis>,
    /// The end after which a timer completed it; none if none did.
    pub completed_after: Option<Millis>,
    /// Whether it is cancelled, and whether it is completed, also while there is no input.
    pub flags: EventFlags,
    /// What remains of what HubSpot held when it was read, if the configuration sets some of it now.
    pub remaining_base: Option<Box<BaseFields>>,
}

impl FoldedEvent {
    /// When the event is over by its planned times: a day after its start where no end is known.
    #[must_use]
    pub fn over_at(&self) -> Option<Millis> {
        self.end.or_else(|| self.start.map(|start| start.plus(LONGEST)))
    }
}

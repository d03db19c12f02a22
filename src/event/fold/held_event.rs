//! What HubSpot is known to hold of a webinar's events.

use std::collections::BTreeMap;

use crate::event::id::ExternalEventId;
use crate::event::time::Millis;

/// What HubSpot is known to hold of an event, as far as it decides what follows from the webinar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldEvent {
    /// HubSpot confirmed a state of the event.
    pub is_confirmed: bool,
    /// The end after which a timer completed the event, if that stays whatever the timer says now.
    pub completed_after: Option<Millis>,
}

/// The events of a webinar that HubSpot is known to hold.
pub type HeldEvents = BTreeMap<ExternalEventId, HeldEvent>;

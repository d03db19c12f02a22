//! What a source's configuration adds to what its platform says.

use std::collections::BTreeMap;
use std::time::Duration;

use super::id::{AccountName, ExternalAccountId, ProviderId};

/// The part of a source's configuration that shapes events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The HubSpot account its events go to.
    pub hubspot: AccountName,
    /// Its platform.
    pub provider: ProviderId,
    /// The organizer where the host's name is not known.
    pub organizer: Option<String>,
    /// The event type; goes before the platform's own word. `WEBINAR` when neither is there.
    pub event_type: Option<String>,
    /// Goes before the platform's own account id.
    pub external_account_id: Option<ExternalAccountId>,
    /// Whether a series is an event per occurrence or one event.
    pub recurring: Recurring,
    /// How long after its end an event counts as over where the platform never says so.
    pub complete_after_end: Option<Duration>,
    /// Properties that every event of the source carries.
    pub custom_properties: BTreeMap<String, String>,
}

/// What becomes of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recurring {
    /// One HubSpot event for each occurrence.
    #[default]
    Occurrence,
    /// One HubSpot event for all of them.
    Series,
}

//! What HubSpot held of an event before this ledger knew a full picture of it.
//!
//! An upsert clears every field that it leaves out. So an event that this ledger never had confirmed is read before its
//! first send, and what was read takes part in the fold as one more writer: its values lie above those of the creation
//! and below all others (M20), or, where HubSpot holds something else than a restored copy knows, above everything that
//! the copy holds (M23).

mod overlay;
mod series_dates;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fold::{EventFlags, HeldEvents};
use super::id::{ExternalAccountId, ExternalEventId};
use super::input::{DEFAULT_TYPE, EventInput};
use super::policy::Policy;
use super::register::{Precedence, Stamp};
use super::time::Millis;
pub use overlay::overlay;
pub(super) use writer::HELD;

/// The beginning of the names of HubSpot's own properties.
const HUBSPOT_PREFIX: &str = "hs_";

/// The fields of an event as HubSpot shows it. The base's position decides whether an absent, empty or false one counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "each is the field of the same name in `EventInput`")]
pub struct BaseFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organizer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Millis>,
    pub cancelled: bool,
    pub completed: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, String>,
}

impl BaseFields {
    /// The fields of an input that HubSpot holds.
    #[must_use]
    pub fn from_input(input: &EventInput) -> Self {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            name: text(&input.event_name),
            organizer: text(&input.event_organizer),
            event_type: text(&input.event_type),
            description: input.event_description.as_deref().and_then(text),
            url: input.event_url.as_deref().and_then(text),
            start: input.start_date_time,
            end: input.end_date_time,
            cancelled: input.event_cancelled,
            completed: input.event_completed,
            custom: input.custom_properties.clone(),
        }
        .cleaned()
    }

    /// The input that changes nothing of these fields but the flags. None where it changes nothing at all, or HubSpot
    /// holds no event that could be sent.
    #[must_use]
    pub fn with_flags(
        &self,
        account: &ExternalAccountId,
        id: &ExternalEventId,
        flags: EventFlags,
    ) -> Option<EventInput> {
        if (flags.cancelled, flags.completed) == (self.cancelled, self.completed) {
            return None;
        }
        Some(EventInput {
            external_account_id: account.as_str().to_owned(),
            external_event_id: id.as_str().to_owned(),
            event_name: self.name.clone()?,
            event_organizer: self.organizer.clone()?,
            event_type: self.event_type.clone().unwrap_or_else(|| DEFAULT_TYPE.to_owned()),
            event_description: self.description.clone(),
            event_url: self.url.clone(),
            start_date_time: self.start,
            end_date_time: self.end,
            event_cancelled: flags.cancelled,
            event_completed: flags.completed,
            custom_properties: self.custom.clone(),
        })
    }

    /// The fields of a stored input ([`EventInput::to_json`]). None if it cannot be read.
    #[must_use]
    pub fn from_stored_input(input: &[u8]) -> Option<Self> {
        let input: StoredInput = serde_json::from_slice(input).ok()?;
        let time = |text: Option<String>| text.and_then(|text| Millis::parse(&text, None));
        let custom = input.custom_properties.into_iter();
        let fields = Self {
            name: input.event_name,
            organizer: input.event_organizer,
            event_type: input.event_type,
            description: input.event_description,
            url: input.event_url,
            start: time(input.start_date_time),
            end: time(input.end_date_time),
            cancelled: input.event_cancelled,
            completed: input.event_completed,
            custom: custom.map(|property| (property.name, property.value)).collect(),
        };
        Some(fields.cleaned())
    }

    /// The fields without those that say nothing, and without HubSpot's own properties.
    #[must_use]
    pub fn cleaned(self) -> Self {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let has_value = |name: &String, value: &mut String| {
            !name.starts_with(HUBSPOT_PREFIX) && !value.is_empty()
        };
        let mut custom = self.custom;
        custom.retain(has_value);
        Self {
            name: filled(self.name),
            organizer: filled(self.organizer),
            event_type: filled(self.event_type),
            description: filled(self.description),
            url: filled(self.url),
            custom,
            ..self
        }
    }

    /// The fields without those that the configuration sets now: it set them before, too, and takes them back when it
    /// changes. None if it sets none of them.
    #[must_use]
    pub fn without_configured(&self, policy: &Policy) -> Option<Self> {
        let is_configured = |name: &String| policy.custom_properties.contains_key(name);
        let has_type = self.event_type.is_some() && policy.event_type.is_some();
        if !has_type && !self.custom.keys().any(is_configured) {
            return None;
        }
        let mut rest = self.clone();
        rest.custom.retain(|name, _| !is_configured(name));
        rest.event_type = rest.event_type.filter(|_| !has_type);
        Some(rest)
    }

    /// Whether HubSpot need not be sent this input, since it holds it already.
    #[must_use]
    pub fn shows(&self, input: &EventInput) -> bool {
        self.includes(&Self::from_input(input))
    }

    /// Whether these are the other's fields, and maybe more properties.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        let holds = |(name, value): (&String, &String)| self.custom.get(name) == Some(value);
        other.custom.iter().all(holds)
            && Self { custom: BTreeMap::new(), ..other.clone() }
                == Self { custom: BTreeMap::new(), ..self.clone() }
    }
}

/// The members of a stored input that are fields.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StoredInput {
    event_name: Option<String>,
    event_organizer: Option<String>,
    event_type: Option<String>,
    event_description: Option<String>,
    event_url: Option<String>,
    start_date_time: Option<String>,
    end_date_time: Option<String>,
    event_cancelled: bool,
    event_completed: bool,
    custom_properties: Vec<StoredProperty>,
}

#[derive(Deserialize)]
struct StoredProperty {
    name: String,
    value: String,
}

/// Where the values of a base lie among those of other writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BasePosition {
    /// Above the creation, and below everything else. Absent, empty and false say nothing (M20).
    AboveCreation,
    /// Above everything of the receipts up to this sequence number and above a creation that is reported again, and below
    /// everything else of later receipts. Absent, empty and false are as new as the other values (M23).
    AboveReceipt(u64),
}

impl BasePosition {
    /// Whether HubSpot is newer than all that a restored copy holds, so that absent, empty and false count, too.
    #[must_use]
    pub fn is_above_copy(self) -> bool {
        matches!(self, Self::AboveReceipt(_))
    }

    /// Whether a value of the base replaces a write with that stamp.
    #[must_use]
    pub fn beats(self, stamp: &Stamp) -> bool {
        match self {
            Self::AboveCreation => stamp.precedence == Precedence::Creation,
            Self::AboveReceipt(last) => {
                stamp.seq <= last || stamp.precedence == Precedence::Creation
            }
        }
    }
}

/// An event as HubSpot held it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// Where its values lie.
    pub position: BasePosition,
    /// Its values.
    pub fields: BaseFields,
}

/// What is known of an event that HubSpot may have held before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseState {
    /// The event was made under this ledger's eyes, or HubSpot confirmed it: nothing else can be there.
    #[default]
    NotNeeded,
    /// HubSpot is to be asked before the event is sent.
    Unread {
        /// Where the values will lie.
        position: BasePosition,
        /// The event is cancelled: it is asked about before others.
        is_urgent: bool,
        /// In a restored copy: what was known before. None if nothing was needed.
        earlier: Option<Box<Self>>,
    },
    /// HubSpot held no such event: there is nothing to keep.
    Absent,
    /// HubSpot held the event so.
    Read(Box<Base>),
}

impl BaseState {
    /// HubSpot is to be asked.
    #[must_use]
    pub const fn unread(position: BasePosition) -> Self {
        Self::Unread { position, is_urgent: false, earlier: None }
    }

    /// Whether HubSpot is to be asked before the event is sent.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        matches!(self, Self::Unread { .. })
    }

    /// What was read.
    #[must_use]
    pub fn base(&self) -> Option<&Base> {
        match self {
            Self::Read(base) => Some(base),
            Self::NotNeeded | Self::Unread { .. } | Self::Absent => None,
        }
    }
}

/// The bases of a webinar's events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventBases {
    /// The base of an event that the ledger does not have yet.
    pub of_new_event: BaseState,
    /// The bases of the events that the ledger has, by external id.
    pub known: BTreeMap<String, BaseState>,
    /// What HubSpot holds of them as far as this ledger sent it.
    pub held: HeldEvents,
}

impl EventBases {
    /// The base of an event.
    #[must_use]
    pub fn of(&self, event: &ExternalEventId) -> &BaseState {
        self.known.get(event.as_str()).unwrap_or(&self.of_new_event)
    }
}

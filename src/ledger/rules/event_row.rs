//! An event's row.

use crate::event::{BaseState, Gap, Millis};
use crate::ledger::{EventState, HubspotRefusal, InputHash};

/// The row of an event, without its inputs: those of hundreds of events may be many megabytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The state; a claimed event is pending.
    pub state: EventState,
    /// Rises with every change of the input, and when somebody asks for the event to be sent again.
    pub version: i64,
    /// The hash of the input; none while the event is incomplete or filtered.
    pub input_hash: Option<InputHash>,
    /// Why the event is not sent, while incomplete or filtered; else what is wrong with its input.
    pub gaps: Vec<Gap>,
    /// When the input changed last.
    pub changed_at: Millis,
    /// Since when the event has been pending, if it is.
    pub pending_since: Millis,
    /// The earliest next attempt, while it waits for a retry.
    pub not_before: Option<Millis>,
    /// Calls in a row that did not end with a confirmation and were counted.
    pub attempts: u32,
    /// Since when a call with the event has been under way.
    pub sending_since: Option<Millis>,
    /// When the event is sent a second time: an older call may take effect until then.
    pub resend_at: Option<Millis>,
    /// The input that HubSpot certainly holds; none while that is unknown.
    pub held_hash: Option<InputHash>,
    /// The input that HubSpot confirmed last.
    pub confirmed_hash: Option<InputHash>,
    /// When HubSpot last confirmed an input.
    pub confirmed_at: Option<Millis>,
    /// HubSpot's id of the record.
    pub object_id: Option<String>,
    /// Why HubSpot refused the event, while it is a dead letter.
    pub refused: Option<HubspotRefusal>,
    /// The last error since the last confirmation.
    pub last_error: Option<String>,
    /// Its occurrence left the webinar's state: the event stays as it is until something is reported of it alone.
    pub is_frozen: bool,
    /// What HubSpot held before, if anything was to be kept.
    pub base: BaseState,
}

/// A change of the stored input that HubSpot confirmed last. It is stored only where it differs from the event's
/// present input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfirmedInput {
    /// It stays as it is.
    Keep,
    /// The present input becomes it, before that is replaced.
    TakePresent,
    /// It is deleted: the event's input is the confirmed one.
    Clear,
    /// The input that was sent becomes it.
    TakeSent,
}

impl EventRow {
    /// The row of an event of which nothing is known before that time: its first version is still to come.
    pub(super) fn new(at: Millis) -> Self {
        Self {
            state: EventState::Pending,
            version: 0,
            input_hash: None,
            gaps: Vec::new(),
            changed_at: at,
            pending_since: at,
            not_before: None,
            attempts: 0,
            sending_since: None,
            resend_at: None,
            held_hash: None,
            confirmed_hash: None,
            confirmed_at: None,
            object_id: None,
            refused: None,
            last_error: None,
            is_frozen: false,
            base: BaseState::NotNeeded,
        }
    }

    /// The row with another input, or with other gaps. It is frozen no more.
    pub(super) fn with_content(
        self,
        state: EventState,
        input_hash: Option<InputHash>,
        gaps: Vec<Gap>,
        at: Millis,
    ) -> Self {
        let was_pending = self.state == EventState::Pending;
        Self {
            state,
            version: self.version + 1,
            input_hash,
            gaps,
            changed_at: at,
            pending_since: if was_pending { self.pending_since } else { at },
            not_before: None,
            attempts: 0,
            refused: None,
            is_frozen: false,
            ..self
        }
    }

    /// Whether HubSpot may know the event.
    #[must_use]
    pub fn may_be_known_to_hubspot(&self) -> bool {
        self.was_sent() || self.base.base().is_some()
    }

    /// Whether a state of the event was ever sent, or may have been.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        self.confirmed_hash.is_some()
            || self.attempts > 0
            || self.sending_since.is_some()
            || self.resend_at.is_some()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn hash(text: &str) -> InputHash {
        InputHash::from_input(text.as_bytes())
    }

    /// A pending event that was never sent, changed at 10 ms.
    pub(crate) fn pending(input: &str) -> EventRow {
        EventRow { version: 1, input_hash: Some(hash(input)), ..EventRow::new(Millis::new(10)) }
    }

    #[test]
    fn event_is_unknown_to_hubspot_until_something_was_sent() {
        let never = pending("one");
        assert!(!never.may_be_known_to_hubspot());
        for sent in [
            EventRow { confirmed_hash: Some(hash("one")), ..never.clone() },
            EventRow { attempts: 1, ..never.clone() },
            EventRow { sending_since: Some(Millis::new(0)), ..never.clone() },
            EventRow { resend_at: Some(Millis::new(0)), ..never.clone() },
        ] {
            assert!(sent.may_be_known_to_hubspot(), "{sent:?}");
        }
    }
}

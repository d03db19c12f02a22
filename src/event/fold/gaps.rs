//! What is missing for sending an event.

use super::held_event::HeldEvent;
use super::resolve::Resolved;
use super::view::{ASSUMED_LENGTH, EventView, OccurrenceKnowledge, non_empty};
use crate::event::base::{BaseFields, BaseState, EventBases};
use crate::event::gap::Gap;
use crate::event::policy::Policy;
use crate::event::time::Millis;
use crate::event::webinar::Webinar;

impl EventView<'_> {
    /// Whether nothing is sent until an occurrence is known.
    fn waits_for_occurrences(&self, held: Option<&HeldEvent>) -> bool {
        match self.occurrences {
            OccurrenceKnowledge::Known | OccurrenceKnowledge::Some => false,
            OccurrenceKnowledge::Unknown => true,
            OccurrenceKnowledge::StoodFor => !held.is_some_and(|held| held.is_confirmed),
        }
    }

    /// Whether the event is sent with the times that are known, although they may have changed: HubSpot holds it, or it
    /// is cancelled anyway.
    fn can_do_without_times(&self, held: Option<&HeldEvent>) -> bool {
        let is_confirmed = held.is_some_and(|held| held.is_confirmed);
        self.start.is_some() && (is_confirmed || self.is_cancelled())
    }

    /// The organizer: the platform's, else the source's, else the one that HubSpot held.
    pub(super) fn organizer_of(
        &self,
        policy: &Policy,
        base: Option<&BaseFields>,
    ) -> Option<String> {
        let own = non_empty(self.organizer).map(|organizer| organizer.value.clone());
        own.or_else(|| policy.organizer.clone())
            .or_else(|| base.and_then(|base| base.organizer.clone()))
    }

    /// What is missing for sending the event.
    pub(super) fn gaps(
        &self,
        webinar: &Webinar,
        state: &BaseState,
        policy: &Policy,
        held: Option<&HeldEvent>,
    ) -> Vec<Gap> {
        let is_whole = is_full_picture(webinar, state, self.start, self.end);
        let has_organizer =
            self.organizer_of(policy, state.base().map(|base| &base.fields)).is_some();
        let gaps = [
            state.is_unread().then_some(Gap::BaseUnread),
            (!is_whole).then_some(Gap::FullPicture),
            webinar.shape.is_none().then_some(Gap::Shape),
            non_empty(self.name).is_none().then_some(Gap::Name),
            (!has_organizer).then_some(Gap::Organizer),
            self.waits_for_occurrences(held).then_some(Gap::Occurrences),
            (!self.times_known && !self.can_do_without_times(held)).then_some(Gap::Times),
        ];
        gaps.into_iter().flatten().collect()
    }

    /// Whether nothing is missing for sending the event. What a restored copy holds of it can be sent once it is read.
    pub(super) fn can_be_sent(
        &self,
        webinar: &Webinar,
        bases: &EventBases,
        policy: &Policy,
    ) -> bool {
        let state = bases.of(&self.id);
        let is_of_copy = match state {
            BaseState::Unread { position, .. } => position.is_above_copy(),
            BaseState::NotNeeded | BaseState::Absent | BaseState::Read(_) => false,
        };
        let held = held_of(state, bases.held.get(&self.id));
        let gaps = self.gaps(webinar, state, policy, held.as_ref());
        is_of_copy || gaps.is_empty()
    }
}

/// What HubSpot holds of the event. Where it was read, HubSpot holds it.
pub(super) fn held_of(state: &BaseState, held: Option<&HeldEvent>) -> Option<HeldEvent> {
    let read = state.base();
    read.map(|_| HeldEvent { is_confirmed: true, ..held.cloned().unwrap_or_default() })
        .or_else(|| held.cloned())
}

/// Whether a first upsert would clear nothing: HubSpot's own values are known, or a body showed the whole webinar. Where
/// HubSpot holds nothing, a webinar that was over by then is made only of its creation, or of an answer of the platform's
/// API.
fn is_full_picture(
    webinar: &Webinar,
    base: &BaseState,
    start: Option<Resolved<Millis>>,
    end: Option<Resolved<Millis>>,
) -> bool {
    let after_start = start.map(|start| start.value.plus(ASSUMED_LENGTH));
    let end = end.map(|end| end.value).or(after_start);
    let was_over = end.zip(webinar.described_at).is_some_and(|(end, described)| end < described);
    match base {
        BaseState::Read(_) => true,
        BaseState::Absent | BaseState::Unread { .. } => {
            webinar.full_picture && (webinar.was_introduced || !was_over)
        }
        BaseState::NotNeeded => webinar.full_picture,
    }
}

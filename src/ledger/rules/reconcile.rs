//! Reconciling a webinar's events with its state.

use std::collections::BTreeMap;

use super::base::{base_of_known_event, confirmed_input_of_copy};
use super::event_row::{ConfirmedInput, EventRow};
use super::retention::is_timeless;
use super::stored_input::{CANCELLED, COMPLETED, replace_flags};
use crate::event::{
    Base, BaseState, EventBases, EventInput, ExternalEventId, FoldedEvent, Gap, HeldEvent,
    HeldEvents, Millis, RecurringMode, SourceName, Webinar,
};
use crate::ledger::{EventState, InputHash, Policies};

/// How a webinar's series becomes events: as the first of its sources by name has it, else as the reporting source.
#[must_use]
pub fn recurring_mode(
    policies: &Policies,
    webinar: &Webinar,
    source: &SourceName,
) -> RecurringMode {
    let first = webinar.sources.iter().chain([source]).find_map(|source| policies.get(source));
    first.map_or_else(RecurringMode::default, |policy| policy.recurring)
}

/// An event that the ledger has of a webinar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEvent {
    /// The ledger's number of the event.
    pub id: i64,
    /// The event.
    pub row: EventRow,
    /// A batch holds the event.
    pub is_claimed: bool,
    /// Its completion by a timer, if a timer completed it.
    pub timer: Option<TimerCompletion>,
}

/// A completion by a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerCompletion {
    /// The end after which the event was completed.
    pub end: Millis,
    /// HubSpot confirmed the event as completed after that end.
    pub is_confirmed: bool,
}

impl KnownEvent {
    /// The completion by a timer. HubSpot has confirmed it with the present input.
    fn completion(&self) -> Option<TimerCompletion> {
        let row = &self.row;
        let is_held = row.confirmed_hash.is_some() && row.confirmed_hash == row.input_hash;
        self.timer
            .map(|timer| TimerCompletion { is_confirmed: timer.is_confirmed || is_held, ..timer })
    }

    /// The end after which the event stays completed, whatever its timer is now (M18): HubSpot confirmed the completion,
    /// and the end is past, or the clock is doubted.
    fn completed_after(&self, now: Millis, is_clock_doubted: bool) -> Option<Millis> {
        let stays = |completion: &TimerCompletion| {
            completion.is_confirmed && (is_clock_doubted || completion.end <= now)
        };
        self.completion().filter(stays).map(|completion| completion.end)
    }
}

/// What HubSpot is known to hold of these events, by external id.
#[must_use]
pub fn held_events(
    known: &BTreeMap<String, KnownEvent>,
    now: Millis,
    is_clock_doubted: bool,
) -> HeldEvents {
    let held = |event: &KnownEvent| HeldEvent {
        is_confirmed: event.row.confirmed_hash.is_some(),
        completed_after: event.completed_after(now, is_clock_doubted),
    };
    let all =
        known.iter().map(|(id, event)| (ExternalEventId::from_stored(id.clone()), held(event)));
    all.filter(|(_, held)| *held != HeldEvent::default()).collect()
}

/// The events that a reconciliation may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconcileScope {
    /// All.
    All,
    /// Not those that are over and delivered: what was true then stays.
    NotOver,
}

/// Facts of an event that are stored for finding and showing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFacts {
    /// When its completion timer runs out.
    pub due_at: Option<Millis>,
    /// Its end, or a day after its start where none is known.
    pub ends_at: Option<Millis>,
    /// Its name, also while it is incomplete.
    pub name: Option<String>,
    /// Its completion by a timer, if a timer completed it.
    pub timer: Option<TimerCompletion>,
}

/// A change of a webinar's events.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one lives at a time, until it is stored")]
pub enum EventChange {
    /// A new event. If another webinar has one of that id, nothing of the reconciliation may be kept.
    Insert {
        /// The event's id in HubSpot.
        id: ExternalEventId,
        /// The event.
        row: Box<EventRow>,
        /// The input for HubSpot.
        input: Option<Vec<u8>>,
        /// The facts for finding and showing it.
        facts: EventFacts,
    },
    /// An event whose input and gaps are as before; the facts are stored where they differ.
    Touch {
        /// The ledger's number of the event.
        id: i64,
        /// The facts for finding and showing it.
        facts: EventFacts,
    },
    /// An event whose input or gaps changed.
    Update {
        /// The ledger's number of the event.
        id: i64,
        /// The event until now.
        before: Box<EventRow>,
        /// The event from now on.
        row: Box<EventRow>,
        /// The input for HubSpot from now on.
        input: Option<Vec<u8>>,
        /// The change of the confirmed input.
        confirmed_input: ConfirmedInput,
        /// The facts for finding and showing it.
        facts: EventFacts,
    },
    /// The event stays as it is.
    Keep,
}

/// The end of a webinar's reconciliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Events to delete: they no longer follow, and HubSpot cannot know them. An event that it may hold stays as it is.
    pub deleted: Vec<KnownEvent>,
    /// The webinar's last end, last timer or last change, whichever is latest. An event is over a day after its start
    /// where no end is known.
    pub last_at: Millis,
    /// Whether nothing says when one of its events takes place.
    pub is_timeless: bool,
}

/// A webinar's events, one after the other: together their inputs may be many megabytes.
#[derive(Debug)]
pub struct Reconciliation<'a> {
    known: BTreeMap<String, KnownEvent>,
    bases: &'a EventBases,
    at: Millis,
    now: Millis,
    scope: ReconcileScope,
    last_at: Millis,
    is_timeless: bool,
}

impl<'a> Reconciliation<'a> {
    /// Begins with the events that the ledger has of the webinar, by external id, and their [`bases`]. Changes are dated `at`; `now` decides
    /// which events are over.
    #[must_use]
    pub fn new(
        known: BTreeMap<String, KnownEvent>,
        bases: &'a EventBases,
        at: Millis,
        now: Millis,
        scope: ReconcileScope,
    ) -> Self {
        Self { known, bases, at, now, scope, last_at: at, is_timeless: false }
    }

    /// Nothing was reported: the last change of the webinar stays, unless one of its events changes. Otherwise every
    /// change of the configuration would keep all events for longer.
    #[must_use]
    pub fn without_news(self) -> Self {
        let changes = self.known.values().map(|known| known.row.changed_at);
        Self { last_at: changes.max().unwrap_or(self.at), ..self }
    }

    /// The ledger's number of the event if HubSpot holds it and the filter refuses it now: then the input that HubSpot
    /// confirmed last decides the change.
    #[must_use]
    pub fn held_but_filtered(&self, event: &FoldedEvent) -> Option<i64> {
        let known = self.known.get(event.id.as_str())?;
        let is_held = known.row.confirmed_hash.is_some() && is_filtered(event);
        is_held.then_some(known.id)
    }

    /// The change that one folded event asks for. `confirmed` is the input that HubSpot confirmed last, if
    /// [`Self::held_but_filtered`] asks for it.
    #[must_use]
    pub fn next_change(&mut self, event: FoldedEvent, confirmed: Option<&[u8]>) -> EventChange {
        let over_at = event.over_at();
        for at in over_at.into_iter().chain(event.due_at) {
            self.last_at = self.last_at.max(at);
        }
        self.is_timeless |= is_timeless(&event);
        let known = self.known.remove(event.id.as_str());
        let is_over = over_at.is_some_and(|over_at| over_at < self.now);
        let content = EventContent::from_folded(&event, self.bases.of(&event.id), confirmed);
        let before = known.as_ref().and_then(KnownEvent::completion);
        let timer = event.completed_after.map(|end| TimerCompletion {
            end,
            is_confirmed: before.is_some_and(|before| before.end == end && before.is_confirmed),
        });
        let facts = EventFacts { due_at: event.due_at, ends_at: over_at, name: event.name, timer };
        let Some(KnownEvent { id, row: before, .. }) = known else {
            self.last_at = self.last_at.max(self.at);
            let row = EventRow { base: content.base.clone(), ..EventRow::new(self.at) };
            let row = Box::new(changed_row(row, &content, self.at));
            return EventChange::Insert { id: event.id, row, input: content.input, facts };
        };
        let is_settled = before.state == EventState::Delivered && is_over;
        if self.scope == ReconcileScope::NotOver && is_settled {
            return EventChange::Keep;
        }
        let is_same_input =
            content.hash == before.input_hash && content.base == before.base && !before.is_frozen;
        if is_same_input && content.gaps == before.gaps {
            return EventChange::Touch { id, facts };
        }
        self.last_at = self.last_at.max(self.at);
        let row = if is_same_input && content.hash.is_some() {
            // What is wrong with the input is no reason to send it again.
            EventRow { gaps: content.gaps.clone(), ..before.clone() }
        } else {
            changed_row(before.clone(), &content, self.at)
        };
        EventChange::Update {
            id,
            confirmed_input: confirmed_input(&before, content.hash),
            row: Box::new(row),
            before: Box::new(before),
            input: content.input,
            facts,
        }
    }

    /// Ends the reconciliation, once all folded events had their turn.
    #[must_use]
    pub fn finish(self) -> Leftover {
        Leftover {
            deleted: removable(self.known),
            last_at: self.last_at,
            is_timeless: self.is_timeless,
        }
    }
}

/// The events that may be deleted, out of some that no longer follow.
#[must_use]
pub fn removable(known: BTreeMap<String, KnownEvent>) -> Vec<KnownEvent> {
    let may_go = |event: &KnownEvent| {
        !event.row.may_be_known_to_hubspot() && !event.row.is_frozen && !event.is_claimed
    };
    known.into_values().filter(may_go).collect()
}

/// The content of an event's row.
struct EventContent {
    state: EventState,
    base: BaseState,
    /// HubSpot held this very input when it was read.
    is_held: bool,
    input: Option<Vec<u8>>,
    hash: Option<InputHash>,
    gaps: Vec<Gap>,
}

fn is_filtered(event: &FoldedEvent) -> bool {
    matches!(event.content.as_ref().map_err(Vec::as_slice), Err([Gap::Filtered]))
}

impl EventContent {
    fn from_folded(event: &FoldedEvent, base: &BaseState, confirmed: Option<&[u8]>) -> Self {
        let base = match base {
            BaseState::Unread { position, earlier, .. } => BaseState::Unread {
                position: *position,
                is_urgent: event.cancelled,
                earlier: earlier.clone(),
            },
            BaseState::NotNeeded | BaseState::Absent | BaseState::Read(_) => base.clone(),
        };
        let flags = [(CANCELLED, event.flags.cancelled), (COMPLETED, event.flags.completed)];
        let confirmed = confirmed.filter(|_| is_filtered(event));
        let was_confirmed = confirmed.is_some();
        if let Some(input) = confirmed.and_then(|input| replace_flags(input, &flags)) {
            let hash = Some(InputHash::from_input(&input));
            let (state, input, gaps) = (EventState::Pending, Some(input), Vec::new());
            return Self { state, base, is_held: false, input, hash, gaps };
        }
        // What was sent since it was read decides, where anything was.
        if let Some(input) = event.held_input.as_ref().filter(|_| !was_confirmed) {
            let input = input.to_json();
            let hash = Some(InputHash::from_input(&input));
            let (state, gaps) = (EventState::Pending, Vec::new());
            return Self { state, base, is_held: false, input: Some(input), hash, gaps };
        }
        let state = match event.content.as_ref().map_err(Vec::as_slice) {
            // Also where this equals what HubSpot last confirmed: a state that was pending in between may be on its
            // way, or may have arrived without an answer, so that HubSpot holds that one. Only a confirmation shows it.
            Ok(_) => EventState::Pending,
            Err([Gap::Filtered]) => EventState::Filtered,
            Err(_) => EventState::Incomplete,
        };
        let input = event.content.as_ref().ok().map(EventInput::to_json);
        let hash = input.as_deref().map(InputHash::from_input);
        let gaps = event.content.as_ref().err().unwrap_or(&event.warnings).clone();
        let is_held = match (base.base(), &event.content) {
            (Some(base), Ok(input)) => base.fields.shows(input),
            (None, _) | (_, Err(_)) => false,
        };
        let base = match (base, &event.remaining_base) {
            (BaseState::Read(read), Some(fields)) => {
                BaseState::Read(Box::new(Base { fields: (**fields).clone(), ..*read }))
            }
            (base, _) => base,
        };
        Self { state, base, is_held, input, hash, gaps }
    }
}

fn changed_row(before: EventRow, content: &EventContent, at: Millis) -> EventRow {
    // What was read before anything was sent is as good as a confirmation. So is what was read of a restored copy's event
    // that HubSpot held as the copy knew: nothing of it is under way.
    let is_confirmed = (content.is_held && !before.was_sent())
        || (before.gaps == [Gap::BaseUnread]
            && content.hash.is_some()
            && content.hash == before.held_hash);
    let confirmed = if is_confirmed { content.hash } else { None };
    EventRow {
        base: content.base.clone(),
        held_hash: confirmed.or(before.held_hash),
        confirmed_hash: confirmed.or(before.confirmed_hash),
        confirmed_at: if is_confirmed { Some(at) } else { before.confirmed_at },
        ..before.with_content(
            if is_confirmed { EventState::Delivered } else { content.state },
            content.hash,
            content.gaps.clone(),
            at,
        )
    }
}

/// The bases of a webinar's events, from the rows that the ledger has of them.
#[must_use]
pub fn bases(
    known: &BTreeMap<String, KnownEvent>,
    of_new_event: BaseState,
    now: Millis,
    is_clock_doubted: bool,
) -> EventBases {
    let held = held_events(known, now, is_clock_doubted);
    let known = known
        .iter()
        .map(|(id, event)| (id.clone(), base_of_known_event(&event.row.base, &of_new_event)));
    EventBases { known: known.collect(), held, of_new_event }
}

fn confirmed_input(before: &EventRow, hash: Option<InputHash>) -> ConfirmedInput {
    let Some(confirmed) = before.confirmed_hash else { return confirmed_input_of_copy(before) };
    if hash == Some(confirmed) {
        ConfirmedInput::Clear
    } else if before.input_hash == Some(confirmed) {
        ConfirmedInput::TakePresent
    } else {
        ConfirmedInput::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::super::event_row::tests::pending;
    use super::*;
    use crate::event::{BaseFields, BasePosition, EventFlags};

    const NOW: Millis = Millis::new(1_000_000);

    fn folded(name: &str, gaps: Vec<Gap>, end: Option<Millis>) -> FoldedEvent {
        let input = EventInput {
            external_account_id: "a".into(),
            external_event_id: "7".into(),
            event_name: name.into(),
            event_organizer: "Acme".into(),
            event_type: "WEBINAR".into(),
            event_description: None,
            event_url: None,
            start_date_time: None,
            end_date_time: None,
            event_cancelled: false,
            event_completed: false,
            custom_properties: BTreeMap::new(),
        };
        FoldedEvent {
            id: ExternalEventId::from_stored("7".into()),
            content: if gaps.is_empty() { Ok(input) } else { Err(gaps) },
            warnings: Vec::new(),
            held_input: None,
            name: Some(name.into()),
            start: None,
            end,
            cancelled: false,
            due_at: None,
            completed_after: None,
            flags: EventFlags::default(),
            remaining_base: None,
        }
    }

    fn change(known: Option<EventRow>, event: FoldedEvent, scope: ReconcileScope) -> EventChange {
        let known = known
            .map(|row| ("7".to_owned(), KnownEvent { id: 1, row, is_claimed: false, timer: None }));
        let known: BTreeMap<_, _> = known.into_iter().collect();
        let bases = bases(&known, BaseState::NotNeeded, NOW, false);
        Reconciliation::new(known, &bases, Millis::new(20), NOW, scope).next_change(event, None)
    }

    fn input_hash(event: &FoldedEvent) -> Option<InputHash> {
        let input = event.content.as_ref().ok()?;
        Some(InputHash::from_input(&input.to_json()))
    }

    #[test]
    fn unknown_event_is_inserted_in_the_state_of_its_content() {
        for (gaps, state) in [
            (Vec::new(), EventState::Pending),
            (vec![Gap::Filtered], EventState::Filtered),
            (vec![Gap::Times], EventState::Incomplete),
        ] {
            let event = folded("One", gaps, None);
            let hash = input_hash(&event);
            let EventChange::Insert { row, input, .. } = change(None, event, ReconcileScope::All)
            else {
                panic!("it is new")
            };
            assert_eq!((row.state, row.version, row.input_hash), (state, 1, hash));
            assert_eq!(input.is_some(), state == EventState::Pending);
        }
    }

    /// Case A20: what HubSpot held is not sent again, and what differs is.
    #[test]
    fn event_that_was_read_as_it_is_to_be_is_confirmed_without_a_send() {
        let event = folded("One", Vec::new(), None);
        let input = event.content.clone().expect("complete");
        let read = |fields| {
            let base = Base { position: BasePosition::AboveCreation, fields };
            EventRow { base: BaseState::Read(Box::new(base)), ..EventRow::new(Millis::new(1)) }
        };
        let held = BaseFields::from_input(&input);
        let other = BaseFields { name: Some("Other".into()), ..held.clone() };
        let change = |row| change(Some(row), event.clone(), ReconcileScope::All);
        let EventChange::Update { row, .. } = change(read(held.clone())) else {
            panic!("it changed")
        };
        assert_eq!((row.state, row.confirmed_hash), (EventState::Delivered, input_hash(&event)));
        let EventChange::Update { row, .. } = change(read(other)) else { panic!("it changed") };
        assert_eq!((row.state, row.confirmed_hash), (EventState::Pending, None));
        let sent = EventRow { attempts: 1, ..read(held) };
        let EventChange::Update { row, .. } = change(sent) else { panic!("it changed") };
        assert_eq!(row.state, EventState::Pending, "something else was sent since");
    }

    #[test]
    fn unchanged_event_keeps_its_row() {
        let event = folded("One", Vec::new(), None);
        let row = EventRow { input_hash: input_hash(&event), ..pending("") };
        let change = change(Some(row), event, ReconcileScope::All);
        assert!(matches!(change, EventChange::Touch { id: 1, .. }), "{change:?}");
    }

    #[test]
    fn changed_event_is_pending_with_its_old_date_only_if_it_was_pending() {
        for (state, since) in [(EventState::Pending, 10), (EventState::Delivered, 20)] {
            let row = EventRow { state, attempts: 3, ..pending("old") };
            let event = folded("One", Vec::new(), None);
            let EventChange::Update { row, .. } = change(Some(row), event, ReconcileScope::All)
            else {
                panic!("it changed")
            };
            assert_eq!((row.state, row.version, row.attempts), (EventState::Pending, 2, 0));
            assert_eq!((row.pending_since, row.changed_at), (Millis::new(since), Millis::new(20)));
        }
    }

    #[test]
    fn confirmed_input_is_kept_while_it_differs_from_the_present_one() {
        let event = folded("One", Vec::new(), None);
        let (old, new) = (pending("old").input_hash, input_hash(&event));
        for (confirmed, expected) in [
            (old, ConfirmedInput::TakePresent),
            (new, ConfirmedInput::Clear),
            (None, ConfirmedInput::Keep),
            (pending("other").input_hash, ConfirmedInput::Keep),
        ] {
            let row = EventRow { confirmed_hash: confirmed, ..pending("old") };
            let change = change(Some(row), event.clone(), ReconcileScope::All);
            let EventChange::Update { confirmed_input, .. } = change else { panic!("it changed") };
            assert_eq!(confirmed_input, expected);
        }
    }

    #[test]
    fn event_whose_gaps_alone_change_is_not_sent_again() {
        let event = FoldedEvent { warnings: vec![Gap::Occurrences], ..folded("One", vec![], None) };
        let hash = input_hash(&event);
        let delivered = EventRow {
            state: EventState::Delivered,
            input_hash: hash,
            confirmed_hash: hash,
            ..pending("one")
        };
        let change = change(Some(delivered.clone()), event, ReconcileScope::All);
        let EventChange::Update { row, .. } = change else {
            panic!("its gaps changed: {change:?}")
        };
        assert_eq!(*row, EventRow { gaps: vec![Gap::Occurrences], ..delivered });
    }

    #[test]
    fn delivered_event_that_is_over_stays_outside_the_narrow_scope() {
        let row = EventRow { state: EventState::Delivered, ..pending("old") };
        let over = Some(Millis::new(5));
        let event = folded("One", Vec::new(), over);
        let change = change(Some(row), event, ReconcileScope::NotOver);
        assert_eq!(change, EventChange::Keep);
    }

    #[test]
    fn leftover_event_is_deleted_unless_hubspot_may_have_it_or_a_batch_holds_it() {
        let event = |row, is_claimed| KnownEvent { id: 1, row, is_claimed, timer: None };
        for (known, deleted) in [
            (event(pending("old"), false), 1),
            (event(pending("old"), true), 0),
            (event(EventRow { attempts: 1, ..pending("old") }, false), 0),
        ] {
            let known = BTreeMap::from([("8".to_owned(), known)]);
            let bases = EventBases::default();
            let (at, scope) = (Millis::new(20), ReconcileScope::All);
            let rest = Reconciliation::new(known, &bases, at, NOW, scope);
            let Leftover { deleted: found, last_at, .. } = rest.finish();
            assert_eq!((found.len(), last_at), (deleted, Millis::new(20)));
        }
    }
}

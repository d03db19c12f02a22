//! Which events are read at HubSpot before their first send, and what becomes of what was read.

use std::time::Duration;

use super::event_row::{ConfirmedInput, EventRow};
use crate::event::{Base, BaseFields, BasePosition, BaseState, Gap, Millis, Webinar};
use crate::ledger::{BaseReadOutcome, EventState, InputHash};

/// Creations shortly before the ledger's birth count as later: clocks differ.
const GRACE: Duration = Duration::from_hours(1);

/// The ages of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreAge {
    /// When it was made.
    pub born_at: Millis,
    /// When a copy was last put into service.
    pub restored_at: Option<Millis>,
    /// The last receipt that the copy held.
    pub restored_above: Option<u64>,
    /// Webinars and events that were over or last changed before then may have been pruned.
    pub pruned_to: Option<Millis>,
}

impl StoreAge {
    /// The age of a store that is made now.
    #[must_use]
    pub const fn new(born_at: Millis) -> Self {
        Self { born_at, restored_at: None, restored_above: None, pruned_to: None }
    }

    /// Whether a receipt of that number is a restored copy's: later ones may be unknown.
    #[must_use]
    pub fn is_of_copy(&self, number: u64) -> bool {
        self.restored_above.is_some_and(|last| number <= last)
    }

    /// The age once something was pruned that was over or last changed before then.
    #[must_use]
    pub fn pruned(self, to: Millis) -> Self {
        Self { pruned_to: self.pruned_to.max(Some(to)), ..self }
    }
}

/// The base of an event that the ledger does not have yet (M19): HubSpot is asked, unless the webinar was created while
/// this ledger was watching, and so late that it cannot have been pruned.
#[must_use]
pub fn base_of_new_event(webinar: &Webinar, age: StoreAge) -> BaseState {
    let was_watched = webinar.created_at.is_some_and(|created| {
        created > age.born_at.minus(GRACE)
            && age.restored_at.max(age.pruned_to).is_none_or(|since| created > since)
    });
    if was_watched {
        return BaseState::NotNeeded;
    }
    // Also of an event that a restored copy did not know HubSpot may hold what is newer than what the copy knew (M23).
    let position =
        age.restored_above.map_or(BasePosition::AboveCreation, BasePosition::AboveReceipt);
    BaseState::unread(position)
}

/// The base of an event that the ledger has, now that this is known of its webinar: a creation may be heard of after
/// other changes.
#[must_use]
pub fn base_of_known_event(known: &BaseState, of_new_event: &BaseState) -> BaseState {
    match known {
        BaseState::Unread { position: BasePosition::AboveCreation, .. }
            if *of_new_event == BaseState::NotNeeded =>
        {
            BaseState::NotNeeded
        }
        BaseState::NotNeeded
        | BaseState::Unread { .. }
        | BaseState::Absent
        | BaseState::Read(_) => known.clone(),
    }
}

/// The row once its base was read. It is unchanged if nobody waits for the base any more.
///
/// `confirmed` is the input that HubSpot had confirmed last when a copy was made that was restored since ([`restore`]).
/// Where HubSpot holds what the copy knew it to hold, nothing was sent since: what the copy holds is newer (M23).
#[must_use]
pub fn settle_base_read(
    row: EventRow,
    outcome: BaseReadOutcome,
    confirmed: Option<&[u8]>,
) -> EventRow {
    let BaseState::Unread { position, earlier, .. } = &row.base else { return row };
    let BaseReadOutcome::Found { fields, object_id } = outcome else {
        return EventRow { base: BaseState::Absent, ..row };
    };
    let (position, earlier) = (*position, earlier.clone());
    let fields = fields.cleaned();
    let row = EventRow { object_id: object_id.or(row.object_id), ..row };
    let known = match confirmed {
        Some(input) => BaseFields::from_stored_input(input),
        None => earlier.as_ref().and_then(|earlier| Some(earlier.base()?.fields.clone())),
    };
    if known.is_none_or(|known| !fields.includes(&known)) {
        let base = BaseState::Read(Box::new(Base { position, fields }));
        return EventRow { base, ..row };
    }
    let hash = confirmed.map(InputHash::from_input);
    EventRow {
        base: earlier.map_or(BaseState::NotNeeded, |earlier| *earlier),
        held_hash: hash,
        confirmed_hash: hash,
        ..row
    }
}

/// The row of a frozen event whose occurrence is named again, by the receipt of that number: what HubSpot confirmed last
/// is its base, above all that came before (M26).
#[must_use]
pub fn wake(row: EventRow, confirmed: Option<&[u8]>, receipt: u64) -> EventRow {
    let confirmed = confirmed.filter(|_| row.confirmed_hash.is_some());
    let Some(fields) = confirmed.and_then(BaseFields::from_stored_input) else { return row };
    let position = BasePosition::AboveReceipt(receipt.saturating_sub(1));
    EventRow { base: BaseState::Read(Box::new(Base { position, fields })), ..row }
}

/// Reads of one webinar's events that share a fold: a fold reads and writes all its events, which are hundreds for a long
/// series.
const READS_PER_FOLD: usize = 32;

/// Whether a webinar is folded now that a read was recorded, while so many of its events still wait for theirs. The last
/// read always folds, so what was read never stays without effect.
#[must_use]
pub fn is_fold_due(unread: usize) -> bool {
    unread.is_multiple_of(READS_PER_FOLD)
}

/// Whether an event waits for its base.
#[must_use]
pub fn waits_for_base(row: &EventRow) -> bool {
    row.base.is_unread() && row.state == EventState::Incomplete
}

/// The row of an event in a copy that is put into service, and what becomes of the input that HubSpot confirmed last (M23).
///
/// What HubSpot holds may be newer than what the copy holds of the receipts up to `last_receipt`. Also an event that was
/// incomplete or refused then may have been sent since. The confirmed input is kept, so that what is read can be compared
/// with it; but not of a frozen event: nothing else is known of that, so that HubSpot's word counts.
#[must_use]
pub fn restore(row: EventRow, last_receipt: u64) -> (EventRow, ConfirmedInput) {
    let was_to_be_sent = match row.state {
        EventState::Pending | EventState::Dead => true,
        EventState::Delivered | EventState::Incomplete | EventState::Filtered => false,
    };
    let is_present_confirmed = row.confirmed_hash.is_some() && row.confirmed_hash == row.input_hash;
    let confirmed_input = if row.is_frozen {
        ConfirmedInput::Clear
    } else if was_to_be_sent && is_present_confirmed {
        ConfirmedInput::TakePresent
    } else {
        ConfirmedInput::Keep
    };
    let earlier = match row.base {
        _ if row.is_frozen => None,
        BaseState::Unread { earlier, .. } => earlier,
        BaseState::NotNeeded => None,
        known @ (BaseState::Absent | BaseState::Read(_)) => Some(Box::new(known)),
    };
    let position = BasePosition::AboveReceipt(last_receipt);
    let restored = EventRow {
        base: BaseState::Unread { position, is_urgent: false, earlier },
        held_hash: None,
        confirmed_hash: None,
        sending_since: None,
        resend_at: None,
        not_before: None,
        attempts: 0,
        refused: None,
        ..row
    };
    let restored = if was_to_be_sent {
        wait_for_base(EventRow { version: restored.version + 1, ..restored })
    } else {
        restored
    };
    (restored, confirmed_input)
}

/// What becomes of the confirmed input before a row loses its present one. A restored copy holds that of a delivered
/// event as its present one.
#[must_use]
pub fn confirmed_input_of_copy(row: &EventRow) -> ConfirmedInput {
    let is_delivered = row.state == EventState::Delivered && row.confirmed_hash.is_none();
    if is_delivered && row.base.is_unread() && !row.is_frozen {
        ConfirmedInput::TakePresent
    } else {
        ConfirmedInput::Keep
    }
}

/// The row of an event that was to be sent, and waits until its base is read. Its input has to be dropped.
#[must_use]
pub fn wait_for_base(row: EventRow) -> EventRow {
    let gaps = vec![Gap::BaseUnread];
    EventRow { state: EventState::Incomplete, input_hash: None, gaps, ..row }
}

#[cfg(test)]
mod tests {
    use super::super::event_row::tests::{hash, pending};
    use super::*;

    fn unread() -> BaseState {
        BaseState::unread(BasePosition::AboveCreation)
    }

    #[test]
    fn base_that_was_read_is_kept_with_its_position_and_the_record() {
        let row = EventRow { base: unread(), ..pending("one") };
        let fields = BaseFields { name: Some("Held".into()), ..BaseFields::default() };
        let outcome = BaseReadOutcome::Found {
            fields: Box::new(fields.clone()),
            object_id: Some("42".into()),
        };
        let settled = settle_base_read(row.clone(), outcome.clone(), None);
        let base = Base { position: BasePosition::AboveCreation, fields };
        assert_eq!(settled.base, BaseState::Read(Box::new(base)));
        assert_eq!(settled.object_id.as_deref(), Some("42"));
        let absent = settle_base_read(row, BaseReadOutcome::Absent, None);
        assert_eq!(absent.base, BaseState::Absent);
        let late = settle_base_read(pending("one"), outcome, None);
        assert_eq!(late, pending("one"), "nobody waits for it");
    }

    #[test]
    fn reads_of_one_webinar_share_a_fold_and_the_last_one_folds() {
        let folds = (0..500).filter(|unread| is_fold_due(*unread)).count();
        assert_eq!((folds, is_fold_due(0)), (16, true));
    }

    #[test]
    fn creation_that_is_heard_of_late_makes_the_read_needless() {
        assert_eq!(base_of_known_event(&unread(), &BaseState::NotNeeded), BaseState::NotNeeded);
        assert_eq!(base_of_known_event(&unread(), &unread()), unread());
        assert_eq!(
            base_of_known_event(&BaseState::Absent, &BaseState::NotNeeded),
            BaseState::Absent
        );
        let restored = BaseState::unread(BasePosition::AboveReceipt(3));
        assert_eq!(base_of_known_event(&restored, &BaseState::NotNeeded), restored, "M23");
    }

    fn delivered(input: &str) -> EventRow {
        EventRow {
            state: EventState::Delivered,
            confirmed_hash: Some(hash(input)),
            held_hash: Some(hash(input)),
            ..pending(input)
        }
    }

    #[test]
    fn restored_copy_has_no_confirmed_events() {
        let base = BaseState::unread(BasePosition::AboveReceipt(9));
        let (restored, confirmed) = restore(delivered("one"), 9);
        assert_eq!((restored.state, &restored.base), (EventState::Delivered, &base));
        assert_eq!((restored.held_hash, restored.confirmed_hash), (None, None));
        assert_eq!(confirmed, ConfirmedInput::Keep);
        let (restored, _) = restore(pending("one"), 9);
        assert_eq!((restored.state, &restored.base), (EventState::Incomplete, &base));
        assert_eq!((restored.input_hash, restored.version), (None, 2));
        assert!(waits_for_base(&restored));
        let unknown = EventRow { state: EventState::Incomplete, ..pending("one") };
        assert_eq!(restore(unknown, 9).0.base, base, "it may have been sent since");
    }

    /// What is read is compared with it.
    #[test]
    fn restored_copy_keeps_the_confirmed_input_of_what_is_not_frozen() {
        let redriven = EventRow { state: EventState::Pending, ..delivered("one") };
        assert_eq!(restore(redriven, 9).1, ConfirmedInput::TakePresent);
        let changed = EventRow { confirmed_hash: Some(hash("one")), ..pending("two") };
        assert_eq!(restore(changed, 9).1, ConfirmedInput::Keep);
        let read = Base { position: BasePosition::AboveCreation, fields: BaseFields::default() };
        let read = BaseState::Read(Box::new(read));
        let frozen = EventRow { is_frozen: true, base: read, ..delivered("one") };
        let (frozen, confirmed) = restore(frozen, 9);
        assert_eq!(frozen.base, BaseState::unread(BasePosition::AboveReceipt(9)));
        assert_eq!(confirmed, ConfirmedInput::Clear);
    }

    /// M23: where HubSpot holds what the copy knew it to hold, what the copy holds is newer.
    #[test]
    fn what_hubspot_confirmed_to_a_copy_is_not_newer_than_the_copy() {
        let confirmed = br#"{"eventName":"Held","customProperties":[{"name":"a","value":"1"}]}"#;
        let fields = BaseFields::from_stored_input(confirmed).expect("readable");
        let found = |fields: &BaseFields| BaseReadOutcome::Found {
            fields: Box::new(fields.clone()),
            object_id: None,
        };
        let mut more = fields.clone();
        more.custom.insert("by_hand".into(), "2".into());
        let earlier = Base { position: BasePosition::AboveCreation, fields: more.clone() };
        let earlier = BaseState::Read(Box::new(earlier));
        for base in [BaseState::NotNeeded, BaseState::Absent, earlier] {
            let (restored, _) = restore(EventRow { base: base.clone(), ..pending("new") }, 9);
            let settled = settle_base_read(restored.clone(), found(&more), Some(confirmed));
            assert_eq!(settled.base, base);
            let hash = Some(InputHash::from_input(confirmed));
            assert_eq!((settled.held_hash, settled.confirmed_hash), (hash, hash));
            let other = BaseFields { name: Some("Newer".into()), ..fields.clone() };
            let settled = settle_base_read(restored, found(&other), Some(confirmed));
            let newer = Base { position: BasePosition::AboveReceipt(9), fields: other };
            assert_eq!(settled.base, BaseState::Read(Box::new(newer)));
            assert_eq!(settled.confirmed_hash, None);
        }
    }

    /// M23: of an event that was only read before the copy was made.
    #[test]
    fn what_a_copy_had_read_is_not_newer_than_the_copy() {
        let fields = BaseFields { name: Some("Held".into()), ..BaseFields::default() };
        let read = Base { position: BasePosition::AboveCreation, fields: fields.clone() };
        let read = BaseState::Read(Box::new(read));
        let (restored, _) = restore(EventRow { base: read.clone(), ..pending("new") }, 9);
        let (again, _) = restore(restored, 10);
        let found = BaseReadOutcome::Found { fields: Box::new(fields), object_id: None };
        let settled = settle_base_read(again, found, None);
        assert_eq!((settled.base, settled.confirmed_hash), (read, None));
    }

    #[test]
    fn event_that_a_restored_copy_did_not_know_is_read_above_what_the_copy_knew() {
        let (born_at, now) = (Millis::new(0), Millis::new(1_000_000_000));
        let age =
            StoreAge { restored_at: Some(now), restored_above: Some(9), ..StoreAge::new(born_at) };
        let above = BaseState::unread(BasePosition::AboveReceipt(9));
        assert_eq!(base_of_new_event(&Webinar::default(), age), above, "M23");
        let created_at = Some(now.plus(GRACE));
        let since = Webinar { created_at, ..Webinar::default() };
        assert_eq!(base_of_new_event(&since, age), BaseState::NotNeeded);
    }
}

//! The expected events, computed by the naive model from everything that the ledger reported as accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use webinar_bridge::event::{
    AccountName, Change, EventInput, EventKey, EventOwnership, ExternalAccountId, ExternalEventId,
    Millis, ReceiptId, RecurringMode, SourceName, WebinarId,
};
use webinar_bridge::ledger::{NewReceipt, Policies, ReceiptContent, ReceiptKind};
use webinar_bridge::sandbox::emulator::{StoredEvent, UpsertInput};

use super::kept::KeptEvents;
use super::webhooks::Webhook;
use crate::expectation::{ExpectedEvent, LastReports, Life, Order};

pub(super) type Name = (AccountName, ExternalAccountId, WebinarId);

/// Everything accepted.
#[derive(Debug, Clone)]
pub(super) struct Oracle {
    policies: Policies,
    /// Correct changes of each webhook, by its dedupe key.
    reported: BTreeMap<[u8; 32], Vec<Change>>,
    /// With the sequence number of each.
    receipts: BTreeMap<ReceiptId, (NewReceipt, u64)>,
    /// Receipts that were pruned: what they said stays as it was read.
    expired: BTreeSet<ReceiptId>,
    webinars: BTreeMap<Name, (Life, Vec<ExpectedEvent>)>,
    /// Events that HubSpot confirmed; and those of them that it had when their webinar changed last.
    confirmed: BTreeSet<EventKey>,
    held: BTreeMap<Name, BTreeSet<String>>,
    /// The input of each event that was claimed last, and the one that HubSpot confirmed last.
    claimed_inputs: BTreeMap<EventKey, Vec<u8>>,
    confirmed_inputs: BTreeMap<EventKey, Vec<u8>>,
    /// Contributing receipts of each webinar, and their places.
    contributors: BTreeMap<Name, BTreeMap<ReceiptId, Order>>,
    /// Every expected state of each event, oldest first, and the newest that was sent.
    history: BTreeMap<EventKey, (Vec<Vec<u8>>, usize)>,
    /// Number of times each webhook was accepted, by its dedupe key.
    pub(super) accepted: BTreeMap<[u8; 32], u32>,
    /// When each receipt was received in truth.
    heard_at: BTreeMap<ReceiptId, Millis>,
    /// Receipts that arrived while the clock may have been doubted.
    doubted: BTreeSet<ReceiptId>,
    /// Other times by which timers may have run out: the bridge's clock is or was wrong.
    pub(super) other_times: Vec<Millis>,
    /// Events of which the bridge lost what it knew.
    pub(super) kept: KeptEvents,
    /// Webhooks that only a former store accepted.
    lost: BTreeSet<[u8; 32]>,
}

/// How far a right date may be from the arrival: answers give the time in seconds.
pub(super) const DATING_ERROR: Duration = Duration::from_secs(30);

/// The arrival of a receipt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) truly: Millis,
    /// Whether the machine's clock was right.
    pub(super) is_dated_right: bool,
    /// Whether it may have been doubted, so that the receipt is as old as its neighbours.
    pub(super) may_be_doubted: bool,
}

/// Expected number of an account's events, by state.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) complete: u64,
    pub(super) incomplete: u64,
}

impl Oracle {
    pub(super) fn new(policies: Policies, webhooks: &[Webhook]) -> Self {
        let reported = webhooks.iter().map(|webhook| (webhook.digest, webhook.changes.clone()));
        let reported = reported.collect();
        let (receipts, expired, webinars, confirmed, held) = Default::default();
        let (contributors, history, accepted) = Default::default();
        let (heard_at, doubted, other_times, kept, lost) = Default::default();
        let (claimed_inputs, confirmed_inputs) = Default::default();
        Self {
            policies,
            reported,
            receipts,
            expired,
            webinars,
            confirmed,
            held,
            claimed_inputs,
            confirmed_inputs,
            contributors,
            history,
            accepted,
            heard_at,
            doubted,
            other_times,
            kept,
            lost,
        }
    }

    /// Whether another source reported a webinar of the receipt first, which shares none with this one (M28).
    pub(super) fn is_foreign(&self, receipt: &NewReceipt) -> bool {
        let EventOwnership::Source { shared_with } = &self.policies[&receipt.source].ownership
        else {
            return false;
        };
        let ReceiptContent::Changes(changes) = &receipt.content else { return false };
        let first = |change: &Change| {
            let (life, _) = self.webinars.get(&self.name_of(receipt, change))?;
            life.first_source()
        };
        let mut owners = changes.iter().filter_map(first);
        owners.any(|owner| *owner != receipt.source && !shared_with.contains(owner))
    }

    /// Records a receipt that is none of its source's business.
    pub(super) fn refuse(&mut self, receipt: &NewReceipt, seq: u64, now: Millis) {
        *self.accepted.entry(receipt.dedupe_key).or_default() += 1;
        self.receipts.insert(receipt.id, (receipt.clone(), seq));
        self.heard_at.insert(receipt.id, now);
    }

    /// Records an accepted receipt with its sequence number. Returns the number of events with a new state.
    pub(super) fn accept(&mut self, receipt: &NewReceipt, seq: u64, now: Millis) -> u64 {
        *self.accepted.entry(receipt.dedupe_key).or_default() += 1;
        self.receipts.insert(receipt.id, (receipt.clone(), seq));
        self.heard_at.insert(receipt.id, now);
        let ReceiptContent::Changes(said) = &receipt.content else { return 0 };
        if receipt.kind == ReceiptKind::Fetched {
            self.reported.insert(receipt.dedupe_key, said.clone());
        }
        let mut changed = 0;
        for (nth, change) in said.iter().enumerate() {
            let name = self.name_of(receipt, change);
            let (life, _) = self.webinars.entry(name.clone()).or_default();
            let orders = self.contributors.entry(name.clone()).or_default();
            life.passes_by = true;
            let order = life.next_order(seq, receipt.received_at);
            let order = *orders.entry(receipt.id).or_insert(order);
            life.hear((receipt.id, &receipt.source, receipt.received_at), order, (nth, change));
            self.note_held(&name);
            self.kept.hear(&name, change);
            changed += self.refold(&name, now);
        }
        changed
    }

    /// These events are to be sent with these inputs.
    pub(super) fn claimed(&mut self, inputs: impl Iterator<Item = (EventKey, Vec<u8>)>) {
        self.claimed_inputs.extend(inputs);
    }

    /// Whether HubSpot holds what it confirmed last, so that nothing was sent since.
    pub(super) fn is_as_confirmed(&self, key: &EventKey, held: &StoredEvent) -> bool {
        let confirmed = self.confirmed_inputs.get(key);
        let confirmed = confirmed.and_then(|input| serde_json::from_slice(input).ok());
        confirmed.is_some_and(|confirmed: UpsertInput| confirmed == held.input)
    }

    /// HubSpot confirmed a state of the event. What became incomplete while its first call was under way is sent then with
    /// the times that are known. Returns the number of changed events.
    pub(super) fn confirmed(&mut self, key: &EventKey, now: Millis) -> u64 {
        let input = self.claimed_inputs.get(key).cloned();
        self.confirmed_inputs.extend(input.map(|input| (key.clone(), input)));
        if !self.confirmed.insert(key.clone()) {
            return 0;
        }
        let name = self.webinar_of(key).cloned();
        let is_incomplete =
            self.events(&key.hubspot).get(key).is_some_and(|event| event.content.is_err());
        let Some(name) = name.filter(|_| is_incomplete) else { return 0 };
        self.note_held(&name);
        self.refold(&name, now)
    }

    /// Notes what HubSpot holds of a webinar that changes now.
    fn note_held(&mut self, name: &Name) {
        let (hubspot, account, _) = name;
        let of = |key: &&EventKey| key.hubspot == *hubspot && key.external_account_id == *account;
        let ids = self.confirmed.iter().filter(of);
        let ids = ids.map(|key| key.external_event_id.as_str().to_owned()).collect();
        self.held.insert(name.clone(), ids);
    }

    /// Records a replay: every contributing receipt that is still stored says what is correct. Returns the number of
    /// changed events, and whether the webinars are unchanged.
    pub(super) fn replayed(&mut self, id: ReceiptId, now: Millis) -> (u64, bool) {
        let Some((receipt, seq)) = self.receipts.get(&id) else { return (0, true) };
        let own = Order { seq: *seq, at: receipt.received_at };
        let names =
            self.reported[&receipt.dedupe_key].iter().map(|change| self.name_of(receipt, change));
        let names: Vec<Name> = names.collect();
        let (mut changed, mut same) = (0, true);
        for name in names {
            self.contributors.entry(name.clone()).or_default().entry(id).or_insert(own);
            let (before, _) = self.webinars.get(&name).cloned().unwrap_or_default();
            let mut life = before.clone();
            life.passes_by = true;
            for (id, order) in &self.contributors[&name] {
                if self.expired.contains(id) {
                    continue;
                }
                life.forget(*id);
                let (receipt, _) = &self.receipts[id];
                let heard = (receipt.id, &receipt.source, receipt.received_at);
                for change in self.reported[&receipt.dedupe_key].iter().enumerate() {
                    if self.name_of(receipt, change.1) == name {
                        self.kept.hear(&name, change.1);
                        life.hear(heard, *order, change);
                    }
                }
            }
            if !before.says_the_same(&life) {
                same = false;
                self.webinars.entry(name.clone()).or_default().0 = life;
                self.note_held(&name);
                changed += self.refold(&name, now);
            }
        }
        (changed, same)
    }

    /// Records which receipts the ledger still holds, after a pruning. Returns the others' times of arrival.
    pub(super) fn pruned(&mut self, left: &BTreeSet<ReceiptId>) -> Vec<Arrival> {
        let gone = self.receipts.keys().filter(|id| !left.contains(id));
        let gone: Vec<ReceiptId> = gone.filter(|id| !self.expired.contains(id)).copied().collect();
        self.expired.extend(gone.iter().copied());
        gone.iter().map(|id| self.arrival(id)).collect()
    }

    /// The webinar of an event.
    pub(super) fn webinar_of(&self, key: &EventKey) -> Option<&Name> {
        let is_its = |name: &&Name| {
            let own = ExternalEventId::for_webinar(&name.2);
            name.0 == key.hubspot
                && name.1 == key.external_account_id
                && (own == key.external_event_id
                    || key.external_event_id.occurrence_of(&name.2).is_some())
        };
        self.webinars.keys().find(is_its)
    }

    /// The present events of a webinar, and the arrivals of everything that was said of it.
    pub(super) fn known_of(&self, name: &Name) -> (&[ExpectedEvent], Vec<Arrival>) {
        let events = self.webinars.get(name).map_or(&[][..], |(_, events)| events);
        let heard = self.contributors.get(name).into_iter().flat_map(BTreeMap::keys);
        (events, heard.map(|id| self.arrival(id)).collect())
    }

    /// What was reported last of a webinar.
    pub(super) fn last_reports(&self, name: &Name) -> LastReports {
        self.webinars.get(name).map(|(life, _)| life.last_reports()).unwrap_or_default()
    }

    /// Whether a whole series is one event, by the source that told of the webinar.
    pub(super) fn is_whole_series(&self, name: &Name) -> bool {
        let receipts = self.contributors.get(name).into_iter().flat_map(BTreeMap::keys);
        let mut policies = receipts.map(|id| &self.policies[&self.receipts[id].0.source]);
        policies.any(|policy| policy.recurring == RecurringMode::Series)
    }

    /// Forgets a webinar, as the ledger does.
    pub(super) fn forget(&mut self, name: &Name) {
        self.webinars.remove(name);
        self.contributors.remove(name);
        self.lose_confirmed(name);
    }

    /// Sources have other names now.
    pub(super) fn rename(
        &mut self,
        policies: Policies,
        present: impl Fn(&SourceName) -> SourceName,
    ) {
        self.policies = policies;
        for (receipt, _) in self.receipts.values_mut() {
            receipt.source = present(&receipt.source);
        }
        for (life, _) in self.webinars.values_mut() {
            life.rename_sources(&present);
        }
    }

    /// This is the knowledge of an older copy: what was accepted `since` is lost, and not sent again by all platforms.
    pub(super) fn lose_since(&mut self, since: &Self) {
        for (key, times) in &since.accepted {
            let known = self.accepted.contains_key(key);
            if *times > 0 && !known {
                self.lost.insert(*key);
            }
        }
        self.kept.restore();
    }

    /// The ledger asks again what HubSpot has of a webinar.
    pub(super) fn lose_confirmed(&mut self, (hubspot, account, webinar): &Name) {
        self.held.remove(&(hubspot.clone(), account.clone(), webinar.clone()));
        self.confirmed.retain(|key| {
            key.hubspot != *hubspot
                || key.external_account_id != *account
                || !key.external_event_id.as_str().starts_with(webinar.as_str())
        });
    }

    /// Whether a webhook was accepted by a store that is not in service any more.
    pub(super) fn is_lost(&self, dedupe_key: &[u8; 32]) -> bool {
        self.lost.contains(dedupe_key)
    }

    /// When a receipt arrived.
    pub(super) fn arrival(&self, id: &ReceiptId) -> Arrival {
        let (truly, dated) = (self.heard_at[id], self.receipts[id].0.received_at);
        let is_dated_right = dated.distance(truly) < DATING_ERROR;
        Arrival { truly, is_dated_right, may_be_doubted: self.doubted.contains(id) }
    }

    /// A receipt arrived while the machine's clock may have been doubted.
    pub(super) fn doubt(&mut self, id: ReceiptId) {
        self.doubted.insert(id);
    }

    /// Whether a receipt of that body was pruned, so that the body may be accepted again.
    pub(super) fn was_pruned(&self, dedupe_key: &[u8; 32]) -> bool {
        self.expired.iter().any(|id| self.receipts[id].0.dedupe_key == *dedupe_key)
    }

    fn name_of(&self, receipt: &NewReceipt, change: &Change) -> Name {
        let account = change.account.clone().expect("every webhook here names its account");
        let hubspot = self.policies[&receipt.source].hubspot.clone();
        (hubspot, account, change.webinar.clone())
    }

    /// Reads a webinar again. Returns the number of changed events.
    fn refold(&mut self, name: &Name, now: Millis) -> u64 {
        let Some((life, events)) = self.webinars.get_mut(name) else { return 0 };
        let held = self.held.entry(name.clone()).or_default();
        let mut changed = 0;
        for time in self.other_times.iter().copied().chain([now]) {
            *events = life.events((&name.1, &name.2), &self.policies, held, time);
            for event in events.iter() {
                let Ok(input) = &event.content else { continue };
                let (states, _) = self.history.entry(key_of(&name.0, &name.1, event)).or_default();
                let input = input.to_json();
                if states.last() != Some(&input) {
                    states.push(input);
                    changed += 1;
                }
            }
        }
        changed
    }

    /// Reads all webinars again, since timers may have run out.
    pub(super) fn pass(&mut self, now: Millis) -> u64 {
        let names: Vec<Name> = self.webinars.keys().cloned().collect();
        names.iter().map(|name| self.refold(name, now)).sum()
    }

    /// Records a sent state. An error if the event never had it, or, unless `may_be_older`, a later one was sent before.
    /// By a clock that is wrong now and then, an event may have the same state again.
    pub(super) fn sent(
        &mut self,
        key: &EventKey,
        input: &[u8],
        now: Millis,
        may_be_older: bool,
    ) -> Result<u64, String> {
        let mut changed = 0;
        let known = |oracle: &Self| {
            let (states, _) = oracle.history.get(key)?;
            states.iter().rposition(|state| state == input)
        };
        let mut at = known(self);
        let newest = self.history.get(key).map(|(_, newest)| *newest);
        if at < newest || at.is_none() {
            changed = self.pass(now);
            at = known(self);
        }
        let shown = || String::from_utf8_lossy(input).into_owned();
        if self.kept.concern_event(key) {
            return Ok(changed);
        }
        let at = at.ok_or_else(|| format!("no webhook reported this of an event: {}", shown()))?;
        let (_, newest) = self.history.get_mut(key).expect("it was just found");
        if at < *newest && !may_be_older {
            return Err(format!("an older state was sent after a newer one: {}", shown()));
        }
        *newest = at.max(*newest);
        Ok(changed)
    }

    /// The present events of an account.
    pub(super) fn events(&self, account: &AccountName) -> BTreeMap<EventKey, &ExpectedEvent> {
        let of_account = self.webinars.iter().filter(|((hubspot, ..), _)| hubspot == account);
        of_account
            .flat_map(|((hubspot, external, _), (_, events))| {
                events.iter().map(move |event| (key_of(hubspot, external, event), event))
            })
            .collect()
    }

    /// Whether that is the event's present state.
    pub(super) fn is_expected(&self, key: &EventKey, input: Option<&[u8]>) -> bool {
        let events = self.events(&key.hubspot);
        let content = events.get(key).map(|event| event.content.as_ref().ok());
        content.is_some_and(|content| content.map(EventInput::to_json).as_deref() == input)
    }

    /// Number of states that the event has had.
    pub(super) fn states(&self, key: &EventKey) -> usize {
        self.history.get(key).map_or(0, |(states, _)| states.len())
    }

    /// Whether the event was ever complete.
    pub(super) fn ever_complete(&self, key: &EventKey) -> bool {
        self.history.contains_key(key)
    }

    pub(super) fn expected(&self, account: &AccountName) -> Expected {
        let mut expected = Expected::default();
        for event in self.events(account).values() {
            match event.content {
                Ok(_) => expected.complete += 1,
                Err(_) => expected.incomplete += 1,
            }
        }
        expected
    }

    /// The time of the next timer.
    pub(super) fn next_due(&self) -> Option<Millis> {
        let events = self.webinars.values().flat_map(|(_, events)| events);
        events.filter_map(|event| event.due_at).min()
    }
}

fn key_of(hubspot: &AccountName, external: &ExternalAccountId, event: &ExpectedEvent) -> EventKey {
    EventKey {
        hubspot: hubspot.clone(),
        external_account_id: external.clone(),
        external_event_id: ExternalEventId::from_stored(event.id.clone()),
    }
}

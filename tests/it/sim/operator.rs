//! What an operator does meanwhile, through what the API calls: replays, redrives, pauses and resumes.
//!
//! One thing after the other, each again until it is answered, over as many lives as it takes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use webinar_bridge::event::{AccountName, EventKey, Millis, StatusChange};
use webinar_bridge::ledger::sqlite::SqliteLedger;
use webinar_bridge::ledger::{
    AccountStatuses as _, Browse as _, EventQuery, EventState, EventSummary, Ledger, LedgerError,
    PAGE_MAX, ReceiptOutcome, ReceiptQuery, Redrive as _, RedriveRequest,
};
use webinar_bridge::replay::{ReplayError, ReplayRequest, Replayer};

use super::ledger::Perilous;
use super::life::Doom;
use super::peril::Peril;
use super::platform;
use super::weather::Weather;
use super::webhooks::{Reading, Webhook, accounts, ms};
use crate::harness::build::NOON;
use crate::harness::dice::Dice;

/// How long somebody looks for a call that is under way.
const SOON: Duration = Duration::from_secs(20);

/// One who looks after the bridge, and what follows from it.
pub(super) struct Operator {
    /// Their own, so that a run in which they do nothing is the same as without them.
    dice: Dice,
    /// What is still to be done, and from when on.
    deeds: VecDeque<(Millis, Deed)>,
    /// So many lives are to be had with `deliver = false`.
    shadows: u64,
    /// The accounts with `deliver = false` in the present life.
    pub(super) shadowed: BTreeSet<AccountName>,
    /// The accounts that are paused, and since when that was known to be kept.
    held: BTreeMap<AccountName, Millis>,
    /// Events that are to be sent again, and whether a call with them was noted, and not its outcome, when that was
    /// asked for: if that outcome is a confirmation, it is of what was asked for.
    pub(super) owed: BTreeMap<EventKey, bool>,
    /// Whether HubSpot gives another refresh token with each access token.
    pub(super) rotates: bool,
}

/// What an operator does.
#[derive(Debug, Clone)]
enum Deed {
    /// Some receipt is mapped again.
    Replay,
    /// All of them are, or those with that outcome.
    ReplayAll(Option<ReceiptOutcome>),
    /// Some event is sent again.
    Redrive,
    /// One with which a call is under way is, if there is one soon.
    RedriveFlying,
    /// All in that state are.
    RedriveAll(EventState),
    Pause(AccountName),
    Resume(AccountName),
}

/// Why a deed is to be tried again.
enum Trouble {
    /// For now.
    Passing(String),
    /// For good: that must not be.
    Wrong(String),
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unavailable { reason, .. } => Self::Passing(reason),
            LedgerError::Corrupt { reason, .. } => Self::Wrong(reason),
        }
    }
}

impl From<ReplayError> for Trouble {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Ledger(error) => error.into(),
            ReplayError::Busy => Self::Passing(error.to_string()),
            ReplayError::Unknown
            | ReplayError::NoBody
            | ReplayError::NoSource(_)
            | ReplayError::OtherProvider { .. }
            | ReplayError::NoLongerAccepted(_) => Self::Wrong(error.to_string()),
        }
    }
}

impl Operator {
    /// What is done in the run of that seed: in some, nothing.
    pub(super) fn draw(seed: u64, weather: &Weather) -> Self {
        let mut dice = Dice::seeded(!seed);
        // Where one account is to show that it does not feel the other, nobody holds it up.
        let idle = weather.lopsided || dice.percent(40);
        let deeds = if idle { VecDeque::new() } else { deeds(&mut dice, weather) };
        let shadows = if !idle && dice.percent(30) { dice.between(1, 2) } else { 0 };
        let rotates = !idle && dice.percent(50);
        let (shadowed, held, owed) = Default::default();
        Self { dice, deeds, shadows, shadowed, held, owed, rotates }
    }

    /// Yesterday's code reads some webhooks wrong, or not at all, until they are replayed.
    pub(super) fn misread(&mut self, webhooks: &mut [Webhook]) {
        let often = *self.dice.pick(&[0, 0, 10, 40]);
        for webhook in webhooks.iter_mut().filter(|_| !self.deeds.is_empty()) {
            if !self.dice.percent(often) {
                continue;
            }
            webhook.reading = if self.dice.percent(50) {
                Reading::None
            } else {
                let mut changes = webhook.changes.clone();
                for change in &mut changes {
                    change.whole.name = Some("Mistaken".into());
                }
                Reading::Wrong(changes)
            };
        }
    }

    /// Whether the next life is one in which some account is not delivered to, and how it ends.
    pub(super) fn shadow(&mut self, last: bool) -> Option<Doom> {
        self.shadowed.clear();
        if self.shadows == 0 || !(last || self.dice.percent(50)) {
            return None;
        }
        self.shadows -= 1;
        let [main, other] = accounts();
        let both = [main.clone(), other.clone()];
        let choices: [&[AccountName]; 3] = [&[main], &[other], &both];
        self.shadowed = self.dice.pick(&choices).iter().cloned().collect();
        let after = Duration::from_millis(self.dice.between(0, 120_000));
        Some(if self.dice.percent(50) { Doom::Stop(after) } else { Doom::Cut(after) })
    }

    /// Whether all is done.
    pub(super) fn is_done(&self) -> bool {
        self.deeds.is_empty()
    }

    /// Why no call may leave for that account now, if so.
    pub(super) fn forbids(&self, account: &AccountName, now: Millis) -> Option<&'static str> {
        if self.shadowed.contains(account) {
            return Some("it is not to be delivered to");
        }
        self.held.get(account).filter(|since| now > **since).map(|_| "an operator paused it")
    }
}

/// A list of deeds, each with its time; whoever paused an account resumes it in the end.
fn deeds(dice: &mut Dice, weather: &Weather) -> VecDeque<(Millis, Deed)> {
    let span = weather.heals_at.since(NOON);
    let many = dice.between(1, 8);
    let mut times: Vec<u64> = (0..many).map(|_| dice.between(0, ms(span))).collect();
    times.sort_unstable();
    let mut deeds: VecDeque<_> =
        times.into_iter().map(|at| (NOON.plus(Duration::from_millis(at)), deed(dice))).collect();
    let resume = |account| (weather.heals_at, Deed::Resume(account));
    deeds.extend(accounts().into_iter().map(resume));
    deeds
}

fn deed(dice: &mut Dice) -> Deed {
    let [main, other] = accounts();
    let account = if dice.percent(60) { main } else { other };
    match dice.below(10) {
        0..=2 => Deed::Replay,
        3 => Deed::ReplayAll(*dice.pick(&[None, Some(ReceiptOutcome::Quarantined)])),
        4 => Deed::Redrive,
        5 => Deed::RedriveFlying,
        6 => {
            let states = [EventState::Dead, EventState::Delivered, EventState::Pending];
            Deed::RedriveAll(*dice.pick(&states))
        }
        7..=8 => Deed::Pause(account),
        _ => Deed::Resume(account),
    }
}

/// Does what is left to do.
pub(super) async fn operate(ledger: Arc<Perilous<SqliteLedger>>, peril: Arc<Peril>) {
    let shared: Arc<dyn Ledger> = Arc::clone(&ledger) as Arc<dyn Ledger>;
    let replayer = Replayer::new(shared, platform::sources());
    loop {
        let Some((due, deed)) = peril.world().operator.deeds.front().cloned() else { return };
        tokio::time::sleep(due.since(peril.now())).await;
        let done = perform(&deed, ledger.as_ref(), &replayer, &peril).await;
        let now = peril.now();
        let again = {
            let mut world = peril.world();
            match done {
                Ok(what) => {
                    world.note(now, format!("an operator: {deed:?}: {what}"));
                    world.operator.deeds.pop_front();
                    continue;
                }
                Err(Trouble::Wrong(what)) => world.wrong(now, format!("{deed:?}: {what}")),
                Err(Trouble::Passing(why)) => {
                    world.note(now, format!("an operator: {deed:?}: {why}"));
                }
            }
            Duration::from_millis(world.operator.dice.between(200, 5_000))
        };
        tokio::time::sleep(again).await;
    }
}

async fn perform(
    deed: &Deed,
    ledger: &Perilous<SqliteLedger>,
    replayer: &Replayer,
    peril: &Peril,
) -> Result<String, Trouble> {
    match deed {
        Deed::Replay => {
            let ask = ReceiptQuery { limit: PAGE_MAX, ..ReceiptQuery::default() };
            let receipts = ledger.list_receipts(ask).await?.items;
            if receipts.is_empty() {
                return Ok("there is none".into());
            }
            let id = peril.world().operator.dice.pick(&receipts).id;
            let done = replayer.replay(id).await?;
            if done.outcome == ReceiptOutcome::Accepted {
                Ok(id.to_string())
            } else {
                Err(Trouble::Wrong(format!("{done:?}")))
            }
        }
        Deed::ReplayAll(outcome) => replay_all(replayer, *outcome).await,
        Deed::Redrive => redrive(ledger, peril, |_| true).await,
        Deed::RedriveFlying => {
            let began = peril.now();
            let flies = async || {
                let counts = ledger.event_counts().await.expect("it is read");
                counts.values().any(|counts| counts.in_flight > 0)
            };
            while !flies().await && peril.now().since(began) < SOON {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            redrive(ledger, peril, |event| event.in_flight).await
        }
        Deed::RedriveAll(state) => {
            let ask = RedriveRequest { account: None, state: *state, not_over: false, after: None };
            let piece = ledger.redrive_all(ask).await?;
            // There are fewer than one piece takes.
            match piece.next {
                None => Ok(format!("{} events", piece.redriven)),
                Some(_) => Err(Trouble::Wrong("it does not end".into())),
            }
        }
        Deed::Pause(account) => {
            ledger.update_status(account, StatusChange::Paused).await?;
            let now = peril.now();
            peril.world().operator.held.entry(account.clone()).or_insert(now);
            Ok("paused".into())
        }
        Deed::Resume(account) => {
            // Until it is answered nobody knows.
            peril.world().operator.held.remove(account);
            ledger.update_status(account, StatusChange::Resumed).await?;
            Ok("resumed".into())
        }
    }
}

/// Has some event of those sent again.
async fn redrive(
    ledger: &Perilous<SqliteLedger>,
    peril: &Peril,
    wanted: impl Fn(&EventSummary) -> bool,
) -> Result<String, Trouble> {
    let ask = EventQuery { limit: PAGE_MAX, ..EventQuery::default() };
    let mut events = ledger.list_events(ask).await?.items;
    events.retain(wanted);
    if events.is_empty() {
        return Ok("there is none".into());
    }
    let key = peril.world().operator.dice.pick(&events).key.clone();
    let redriven = ledger.redrive(&key).await?;
    Ok(format!("{}: {redriven:?}", key.external_event_id))
}

/// How long a call that replays many may take.
const PATIENCE: Duration = Duration::from_hours(1);

async fn replay_all(
    replayer: &Replayer,
    outcome: Option<ReceiptOutcome>,
) -> Result<String, Trouble> {
    let mut ask = ReplayRequest { outcome, ..ReplayRequest::default() };
    let mut accepted = 0;
    loop {
        let piece = replayer.replay_all(ask.clone(), Instant::now() + PATIENCE).await?;
        if piece.ignored + piece.quarantined > 0 {
            return Err(Trouble::Wrong(format!("{piece:?}")));
        }
        if piece.failed > 0 {
            return Err(Trouble::Passing(format!("{} of them came too often", piece.failed)));
        }
        accepted += piece.accepted;
        match piece.next {
            Some(next) => ask.after = Some(next),
            None => return Ok(format!("{accepted} receipts")),
        }
    }
}

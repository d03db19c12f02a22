//! An operator's actions meanwhile, through the calls of the API: replays, redrives, pauses and resumes; and a pruning of
//! receipts in the middle of their webinars' lives.
//!
//! One action after the other, each repeated until it succeeds, over as many process runs as it takes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use webinar_bridge::event::{AccountName, EventKey, Millis, StatusChange};
use webinar_bridge::ledger::{
    AccountStatuses as _, Browse as _, EventQuery, EventState, EventSummary, Ledger, LedgerError,
    PAGE_MAX, ReceiptOutcome, ReceiptQuery, Redrive as _, RedriveRequest, Retention, Timers as _,
};
use webinar_bridge::replay::{ReplayError, ReplayRequest, Replayer};

use super::fault_injector::FaultInjector;
use super::fault_profile::FaultProfile;
use super::ledger::FaultyLedger;
use super::platform;
use super::process_run::PlannedEnd;
use super::webhooks::{MappedAs, Webhook, accounts, ms};
use crate::harness::build::NOON;
use crate::harness::rng::SeededRng;

/// How long a call that began before a pause may wait for its access token.
const TOKEN_WITHIN: Duration = Duration::from_secs(10);
/// How long the operator waits for a call in flight.
const SOON: Duration = Duration::from_secs(20);

/// An operator of the bridge, and the expected effects.
pub(super) struct Operator {
    /// Random numbers of its own, so that an idle operator changes nothing in a simulation.
    rng: SeededRng,
    /// Remaining actions, each with its earliest time.
    actions: VecDeque<(Millis, Action)>,
    /// Process runs left with `deliver = false`.
    runs_without_delivery: u64,
    /// Accounts with `deliver = false` in the present process run.
    pub(super) without_delivery: BTreeSet<AccountName>,
    /// Paused accounts, and the time since which the pause was known to be stored.
    held: BTreeMap<AccountName, Millis>,
    /// Events with a requested redrive, and whether a call with them had begun without a known outcome at that time: if
    /// that call is confirmed, it fulfils the request.
    pub(super) owed: BTreeMap<EventKey, bool>,
    /// Whether HubSpot replaces the refresh token with each access token.
    pub(super) rotates: bool,
}

/// An action of the operator.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// Replay one receipt.
    Replay,
    /// Replay all receipts, or those with this outcome.
    ReplayAll(Option<ReceiptOutcome>),
    /// Redrive one event.
    Redrive,
    /// Redrive an event in flight, if there is one soon.
    RedriveFlying,
    /// Redrive all events in this state.
    RedriveAll(EventState),
    Pause(AccountName),
    Resume(AccountName),
    /// Delete the receipts that are older than that.
    Prune(Duration),
}

/// Failure of an action.
enum ActionError {
    /// A temporary failure; the action is repeated.
    Passing(String),
    /// A failure that must not happen.
    Wrong(String),
}

impl From<LedgerError> for ActionError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unavailable { reason, .. } => Self::Passing(reason),
            LedgerError::Corrupt { reason, .. } => Self::Wrong(reason),
        }
    }
}

impl From<ReplayError> for ActionError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Ledger(error) => error.into(),
            // A receipt may be pruned after it was listed.
            ReplayError::Busy | ReplayError::Unknown => Self::Passing(error.to_string()),
            ReplayError::NoBody
            | ReplayError::NoSource(_)
            | ReplayError::OtherProvider { .. }
            | ReplayError::NoLongerAccepted(_) => Self::Wrong(error.to_string()),
        }
    }
}

impl Operator {
    /// Draws the actions of a seed; some have none.
    pub(super) fn draw(seed: u64, profile: &FaultProfile) -> Self {
        let mut rng = SeededRng::from_seed(!seed);
        // No actions where one account shows that the other does not affect it.
        let idle = profile.lopsided || rng.percent(40);
        let actions = if idle { VecDeque::new() } else { actions(&mut rng, profile) };
        let runs_without_delivery = if !idle && rng.percent(30) { rng.between(1, 2) } else { 0 };
        let rotates = !idle && rng.percent(50);
        let (without_delivery, held, owed) = Default::default();
        Self { rng, actions, runs_without_delivery, without_delivery, held, owed, rotates }
    }

    /// Gives up all actions.
    pub(super) fn rest(&mut self) {
        self.actions.clear();
        self.runs_without_delivery = 0;
    }

    /// Marks webhooks that the receiving code maps wrongly, or not at all, until they are replayed.
    pub(super) fn mismap(&mut self, webhooks: &mut [Webhook]) {
        let often = *self.rng.pick(&[0, 0, 10, 40]);
        for webhook in webhooks.iter_mut().filter(|_| !self.actions.is_empty()) {
            if !self.rng.percent(often) {
                continue;
            }
            webhook.mapped_as = if self.rng.percent(50) {
                MappedAs::None
            } else {
                let mut changes = webhook.changes.clone();
                // No field more than the correct ones: a pruned receipt's value would be lost beneath it for good.
                for name in changes.iter_mut().filter_map(|change| change.whole.name.as_mut()) {
                    "Mistaken".clone_into(name);
                }
                MappedAs::Wrong(changes)
            };
        }
    }

    /// Decides whether the next process run is without delivery for some accounts, and how it ends.
    pub(super) fn plan_without_delivery(&mut self, last: bool) -> Option<PlannedEnd> {
        self.without_delivery.clear();
        if self.runs_without_delivery == 0 || !(last || self.rng.percent(50)) {
            return None;
        }
        self.runs_without_delivery -= 1;
        let [main, other] = accounts();
        let both = [main.clone(), other.clone()];
        let choices: [&[AccountName]; 3] = [&[main], &[other], &both];
        self.without_delivery = self.rng.pick(&choices).iter().cloned().collect();
        let after = Duration::from_millis(self.rng.between(0, 120_000));
        Some(if self.rng.percent(50) { PlannedEnd::Stop(after) } else { PlannedEnd::Cut(after) })
    }

    /// Another store is in service: pauses and redrives that it does not know are gone, and it may know pauses that ended.
    pub(super) fn begin_anew(&mut self, now: Millis) {
        self.held.clear();
        self.owed.clear();
        self.actions.extend(accounts().into_iter().map(|account| (now, Action::Resume(account))));
    }

    /// More actions, in their order among the others.
    pub(super) fn add(&mut self, actions: impl Iterator<Item = (Millis, Action)>) {
        self.actions.extend(actions);
        self.actions.make_contiguous().sort_by_key(|(at, _)| *at);
    }

    /// Whether all actions are done.
    pub(super) fn is_done(&self) -> bool {
        self.actions.is_empty()
    }

    /// The reason why no call to the account may begin now, if any.
    pub(super) fn forbids(&self, account: &AccountName, now: Millis) -> Option<&'static str> {
        if self.without_delivery.contains(account) {
            return Some("it is not to be delivered to");
        }
        let is_held = |since: &&Millis| now > since.plus(TOKEN_WITHIN);
        self.held.get(account).filter(is_held).map(|_| "an operator paused it")
    }
}

/// Draws a list of actions, each with its time; paused accounts are resumed in the end.
fn actions(rng: &mut SeededRng, profile: &FaultProfile) -> VecDeque<(Millis, Action)> {
    let span = profile.faults_end_at.since(NOON);
    let many = rng.between(1, 8);
    let mut times: Vec<u64> = (0..many).map(|_| rng.between(0, ms(span))).collect();
    times.sort_unstable();
    let mut actions: VecDeque<_> =
        times.into_iter().map(|at| (NOON.plus(Duration::from_millis(at)), action(rng))).collect();
    let resume = |account| (profile.faults_end_at, Action::Resume(account));
    actions.extend(accounts().into_iter().map(resume));
    actions
}

fn action(rng: &mut SeededRng) -> Action {
    let [main, other] = accounts();
    let account = if rng.percent(60) { main } else { other };
    match rng.below(12) {
        0..=2 => Action::Replay,
        3 => Action::ReplayAll(*rng.pick(&[None, Some(ReceiptOutcome::Quarantined)])),
        4 => Action::Redrive,
        5 => Action::RedriveFlying,
        6 => {
            let states = [EventState::Dead, EventState::Delivered, EventState::Pending];
            Action::RedriveAll(*rng.pick(&states))
        }
        7..=8 => Action::Pause(account),
        9..=10 => Action::Prune(Duration::from_secs(*rng.pick(&[0, 10, 60]))),
        _ => Action::Resume(account),
    }
}

/// Performs the remaining actions.
pub(super) async fn operate<L: Ledger>(ledger: Arc<FaultyLedger<L>>, injector: Arc<FaultInjector>) {
    let shared: Arc<dyn Ledger> = Arc::clone(&ledger) as Arc<dyn Ledger>;
    let replayer = Replayer::new(shared, platform::sources());
    loop {
        let Some((due, action)) = injector.world().operator.actions.front().cloned() else {
            return;
        };
        tokio::time::sleep(due.since(injector.now())).await;
        let done = perform(&action, ledger.as_ref(), &replayer, &injector).await;
        let now = injector.now();
        let again = {
            let mut world = injector.world();
            match done {
                Ok(what) => {
                    world.note(now, format!("an operator: {action:?}: {what}"));
                    world.operator.actions.pop_front();
                    continue;
                }
                Err(ActionError::Wrong(what)) => world.wrong(now, format!("{action:?}: {what}")),
                Err(ActionError::Passing(why)) => {
                    world.note(now, format!("an operator: {action:?}: {why}"));
                }
            }
            Duration::from_millis(world.operator.rng.between(200, 5_000))
        };
        tokio::time::sleep(again).await;
    }
}

async fn perform<L: Ledger>(
    action: &Action,
    ledger: &FaultyLedger<L>,
    replayer: &Replayer,
    injector: &FaultInjector,
) -> Result<String, ActionError> {
    match action {
        Action::Replay => {
            let ask = ReceiptQuery { limit: PAGE_MAX, ..ReceiptQuery::default() };
            let receipts = ledger.list_receipts(ask).await?.items;
            if receipts.is_empty() {
                return Ok("there is none".into());
            }
            let id = injector.world().operator.rng.pick(&receipts).id;
            let done = replayer.replay(id).await?;
            if done.outcome == ReceiptOutcome::Accepted {
                Ok(id.to_string())
            } else {
                Err(ActionError::Wrong(format!("{done:?}")))
            }
        }
        Action::ReplayAll(outcome) => replay_all(replayer, *outcome).await,
        Action::Redrive => redrive(ledger, injector, |_| true).await,
        Action::RedriveFlying => {
            let began = injector.now();
            let flies = async || {
                let counts = ledger.event_counts().await.expect("it is read");
                counts.values().any(|counts| counts.in_flight > 0)
            };
            while !flies().await && injector.now().since(began) < SOON {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            redrive(ledger, injector, |event| event.in_flight).await
        }
        Action::RedriveAll(state) => {
            let ask = RedriveRequest { account: None, state: *state, not_over: false, after: None };
            let piece = ledger.redrive_all(ask).await?;
            // There are fewer events than one piece holds.
            match piece.next {
                None => Ok(format!("{} events", piece.redriven)),
                Some(_) => Err(ActionError::Wrong("it does not end".into())),
            }
        }
        Action::Pause(account) => {
            ledger.update_status(account, StatusChange::Paused).await?;
            let now = injector.now();
            injector.world().operator.held.entry(account.clone()).or_insert(now);
            Ok("paused".into())
        }
        Action::Resume(account) => {
            // Unknown until the call is answered.
            injector.world().operator.held.remove(account);
            ledger.update_status(account, StatusChange::Resumed).await?;
            Ok("resumed".into())
        }
        Action::Prune(receipts) => {
            let keep = Retention { receipts: *receipts, events: Duration::from_hours(24) };
            while ledger.prune(keep).await? {}
            Ok("pruned".into())
        }
    }
}

/// Redrives one of the matching events.
async fn redrive<L: Ledger>(
    ledger: &FaultyLedger<L>,
    injector: &FaultInjector,
    wanted: impl Fn(&EventSummary) -> bool,
) -> Result<String, ActionError> {
    let ask = EventQuery { limit: PAGE_MAX, ..EventQuery::default() };
    let mut events = ledger.list_events(ask).await?.items;
    events.retain(wanted);
    if events.is_empty() {
        return Ok("there is none".into());
    }
    let key = injector.world().operator.rng.pick(&events).key.clone();
    let redriven = ledger.redrive(&key).await?;
    Ok(format!("{}: {redriven:?}", key.external_event_id))
}

/// Time limit of a call that replays many receipts.
const TIMEOUT: Duration = Duration::from_hours(1);

async fn replay_all(
    replayer: &Replayer,
    outcome: Option<ReceiptOutcome>,
) -> Result<String, ActionError> {
    let mut ask = ReplayRequest { outcome, ..ReplayRequest::default() };
    let mut accepted = 0;
    loop {
        let piece = replayer.replay_all(ask.clone(), Instant::now() + TIMEOUT).await?;
        if piece.ignored + piece.quarantined > 0 {
            return Err(ActionError::Wrong(format!("{piece:?}")));
        }
        if piece.failed > 0 {
            return Err(ActionError::Passing(format!("{} of them came too often", piece.failed)));
        }
        accepted += piece.accepted;
        match piece.next {
            Some(next) => ask.after = Some(next),
            None => return Ok(format!("{accepted} receipts")),
        }
    }
}

//! What happens to the machine, the store and the account beyond the faults of single calls: at most one mishap in a
//! simulation, so that the oracle is as strict as ever in all others.

use std::sync::Arc;
use std::time::Duration;

use webinar_bridge::event::Millis;
use webinar_bridge::ledger::{Ledger, Retention, Timers as _};

use super::fault_injector::FaultInjector;
use super::fault_profile::FaultProfile;
use super::gap::Gap;
use super::guilty::Guilty;
use super::ledger::FaultyLedger;
use super::long_series::LongSeries;
use super::operator::Operator;
use super::process_run::{EVENTS_KEPT, KEEP};
use super::renamed_source::RenamedSource;
use super::restored_copy::RestoredCopy;
use super::sequel::Sequel;
use super::silence::Silence;
use super::soon_over::SoonOver;
use super::stepped_clock::SteppedClock;
use super::stores::SimulatedStore;
use super::strangers::Strangers;
use super::webhooks::Webhook;
use super::world::World;
use super::wrong_clock::ClockErrors;
use crate::harness::rng::SeededRng;

/// A mishap.
#[derive(Debug)]
pub(super) enum Mishap {
    None,
    /// The machine's clock is wrong for a while.
    WrongClock(ClockErrors),
    /// The store is replaced by a copy of it.
    RestoredCopy(RestoredCopy),
    /// Nothing runs for days, so that webinars are pruned before the platforms go on.
    Gap(Gap),
    /// An account ignores batches.
    Silence(Silence),
    /// A source gets another name.
    RenamedSource(RenamedSource),
    /// Many events are refused for themselves, and redriven.
    Guilty(Guilty),
    /// The clock is set while HubSpot fails.
    SteppedClock(SteppedClock),
    /// Nothing runs for weeks, in the middle of a long series.
    LongSeries(LongSeries),
    /// Webinars end meanwhile.
    SoonOver(SoonOver),
    /// Custom sources report the same ids.
    Strangers(Strangers),
}

impl Mishap {
    /// Draws the mishap of a seed; most have none. Its random numbers are its own, so that the rest of a simulation is the
    /// same with and without.
    pub(super) fn draw(seed: u64, profile: &FaultProfile) -> Self {
        let mut rng = SeededRng::from_seed(seed.rotate_left(16) ^ 0x6d69_7368_6170);
        // None where one account shows that the other does not affect it.
        if profile.lopsided {
            return Self::None;
        }
        match rng.below(10) {
            0..=1 => Self::WrongClock(ClockErrors::draw(&mut rng, profile)),
            2..=3 => Self::RestoredCopy(RestoredCopy::draw(&mut rng, profile)),
            4 => Self::Gap(Gap::draw(&mut rng, profile)),
            5 => Self::Silence(Silence::draw(&mut rng, profile)),
            6 => Self::RenamedSource(RenamedSource::draw(&mut rng, profile)),
            7 if rng.percent(50) => Self::Guilty(Guilty::draw(&mut rng, profile)),
            8 if rng.percent(50) => {
                Self::RestoredCopy(RestoredCopy::with_sequel(&mut rng, profile))
            }
            8 => Self::Gap(Gap::with_sequel(&mut rng, profile)),
            9 => match rng.below(5) {
                0 => Self::SteppedClock(SteppedClock::draw(&mut rng)),
                1 => Self::SoonOver(SoonOver::draw(&mut rng, profile)),
                2 => Self::Strangers(Strangers::draw(&mut rng, profile)),
                3 => Self::LongSeries(LongSeries::draw(&mut rng, profile)),
                _ => Self::None,
            },
            _ => Self::None,
        }
    }

    /// The mishap of a seed, by its name.
    pub(super) fn name_of(seed: u64) -> &'static str {
        let profile = FaultProfile::draw(&mut SeededRng::from_seed(seed));
        Self::draw(seed, &profile).name()
    }

    fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::WrongClock(_) => "clock",
            Self::RestoredCopy(_) => "restore",
            Self::Gap(_) => "gap",
            Self::Silence(_) => "silence",
            Self::RenamedSource(_) => "rename",
            Self::Guilty(_) => "guilty",
            Self::SteppedClock(_) => "steps",
            Self::LongSeries(_) => "series",
            Self::SoonOver(_) => "soon",
            Self::Strangers(_) => "strangers",
        }
    }

    /// When the process run has to end for the mishap that is still to come.
    pub(super) fn ends_run_at(&self) -> Option<Millis> {
        match self {
            Self::RestoredCopy(copy) => copy.restored_at,
            Self::Gap(gap) => gap.begins_at,
            Self::LongSeries(series) => series.gap.begins_at,
            Self::RenamedSource(renamed) => Some(renamed.at),
            Self::None
            | Self::WrongClock(_)
            | Self::Silence(_)
            | Self::Guilty(_)
            | Self::SteppedClock(_)
            | Self::SoonOver(_)
            | Self::Strangers(_) => None,
        }
    }

    /// What follows when the bridge lost what it knew, and when.
    pub(super) fn sequel(&self) -> Option<(Sequel, Millis)> {
        match self {
            Self::RestoredCopy(copy) => copy.sequel(),
            Self::Gap(gap) => gap.sequel(),
            Self::None
            | Self::WrongClock(_)
            | Self::Silence(_)
            | Self::RenamedSource(_)
            | Self::Guilty(_)
            | Self::SteppedClock(_)
            | Self::LongSeries(_)
            | Self::SoonOver(_)
            | Self::Strangers(_) => None,
        }
    }

    /// The end of the faults, after everything that is planned.
    pub(super) fn faults_end_at(&self, planned: Millis) -> Millis {
        match self {
            Self::RestoredCopy(copy) => planned.max(copy.latest()),
            Self::Gap(gap) => gap.faults_end_at(planned),
            Self::LongSeries(series) => series.gap.faults_end_at(planned),
            Self::RenamedSource(renamed) => planned.max(renamed.at.plus(Duration::from_secs(1))),
            Self::SteppedClock(_) => SteppedClock::faults_end_at(planned),
            Self::None
            | Self::WrongClock(_)
            | Self::Silence(_)
            | Self::Guilty(_)
            | Self::SoonOver(_)
            | Self::Strangers(_) => planned,
        }
    }

    /// Whether the account ignores a batch now.
    pub(super) fn silences(&self, host: &str, now: Millis) -> bool {
        matches!(self, Self::Silence(silence) if silence.ignores(host, now))
    }

    /// When the store is backed up.
    pub(super) fn backs_up_at(&self) -> Option<Millis> {
        if let Self::RestoredCopy(copy) = self { copy.backs_up_at() } else { None }
    }

    /// The errors of the machine's clock.
    pub(super) fn clock_errors(&self) -> ClockErrors {
        match self {
            Self::WrongClock(errors) => errors.clone(),
            Self::SteppedClock(stepped) => stepped.errors.clone(),
            Self::None
            | Self::RestoredCopy(_)
            | Self::Gap(_)
            | Self::Silence(_)
            | Self::RenamedSource(_)
            | Self::Guilty(_)
            | Self::LongSeries(_)
            | Self::SoonOver(_)
            | Self::Strangers(_) => ClockErrors::default(),
        }
    }

    /// How long receipts and events are kept.
    pub(super) fn keep(&self) -> Retention {
        if let Self::LongSeries(_) = self {
            Retention { events: EVENTS_KEPT, ..KEEP }
        } else {
            KEEP
        }
    }

    /// Whether the clock is right all the time.
    pub(super) fn keeps_clock(&self) -> bool {
        !matches!(self, Self::WrongClock(_) | Self::SteppedClock(_))
    }

    /// The profile with this mishap.
    pub(super) fn profile(&self, profile: FaultProfile) -> FaultProfile {
        if let Self::SteppedClock(_) = self { SteppedClock::profile(&profile) } else { profile }
    }

    /// Changes what the platforms and the operator do.
    pub(super) fn prepare(&self, webhooks: &mut Vec<Webhook>, operator: &mut Operator) {
        match self {
            Self::Gap(gap) => gap.postpone(webhooks),
            Self::Guilty(guilty) => {
                guilty.add_to(webhooks);
                operator.add(guilty.actions());
            }
            Self::SteppedClock(stepped) => stepped.add_to(webhooks),
            Self::LongSeries(series) => {
                // Of other webinars nobody could say what is right after weeks.
                *webhooks = series.webhooks();
                operator.rest();
            }
            Self::SoonOver(soon_over) => soon_over.move_dates(webhooks),
            Self::Strangers(strangers) => {
                strangers.add_to(webhooks);
                // Replays of what was refused are refused again.
                operator.rest();
            }
            Self::None
            | Self::WrongClock(_)
            | Self::RestoredCopy(_)
            | Self::Silence(_)
            | Self::RenamedSource(_) => {}
        }
        if let Some((sequel, at)) = self.sequel() {
            let more = sequel.webhooks(webhooks, at);
            webhooks.extend(more);
            operator.add(sequel.actions(at));
        }
    }
}

/// Between two process runs: what was planned for that time happens.
pub(super) fn strike<S: SimulatedStore>(world: &mut World, store: &mut S) {
    if world.mishap.ends_run_at().is_none_or(|at| at > world.now) {
        return;
    }
    match std::mem::replace(&mut world.mishap, Mishap::None) {
        Mishap::RestoredCopy(copy) => copy.restore(world, store),
        Mishap::Gap(gap) => gap.pass(world),
        Mishap::LongSeries(series) => series.gap.pass(world),
        Mishap::RenamedSource(renamed) => renamed.rename(world),
        other @ (Mishap::None
        | Mishap::WrongClock(_)
        | Mishap::Silence(_)
        | Mishap::Guilty(_)
        | Mishap::SteppedClock(_)
        | Mishap::SoonOver(_)
        | Mishap::Strangers(_)) => {
            world.mishap = other;
        }
    }
}

/// Ends when the process run has to end for a mishap.
pub(super) async fn end_of_run(injector: &FaultInjector) {
    let Some(at) = injector.world().mishap.ends_run_at() else {
        return std::future::pending().await;
    };
    tokio::time::sleep(at.since(injector.now())).await;
}

/// Between two rounds of housekeeping while the clock is wrong.
const HOUSEKEEPING: Duration = Duration::from_secs(7);

/// Does meanwhile what makes a mishap show.
pub(super) async fn tend<L: Ledger>(ledger: Arc<FaultyLedger<L>>, injector: Arc<FaultInjector>) {
    while !injector.world().clock_errors.is_over(injector.now()) {
        tokio::time::sleep(HOUSEKEEPING).await;
        // A store that fails is asked again.
        while matches!(ledger.prune(KEEP).await, Ok(true)) {}
    }
}

impl World {
    /// Logs the mishap.
    pub(super) fn note_mishap(&mut self, now: Millis) {
        if !matches!(self.mishap, Mishap::None) {
            let what = format!("{:?}", self.mishap);
            self.note(now, what);
        }
    }
}

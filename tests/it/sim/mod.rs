//! A deterministic simulation of the whole bridge: random webhooks, random faults of every kind, random ends,
//! and random acts of an operator.
//!
//! The real ledger on SQLite in memory's file system, the real lanes and timers, under virtual time, on one thread. One
//! seed makes one run, and always the same one. `make simulate SEED=123` tells its story.
//!
//! * `webhooks`: what the platforms say;
//! * `fates`: what befalls calls to HubSpot;
//! * `weather`: how much of that there is in a run;
//! * `operator`: what is asked of the bridge meanwhile, by those who run it; `platform`: what it finds when it maps
//!   webhooks again;
//! * `world`: what outlives the bridge, chance and the record among it;
//! * `peril`: where a life may end; `ledger` and `wire` are the real things with those places around every call;
//! * `life`: one life of the bridge, from opening the store to its end;
//! * `oracle`: what must be, by the merge of all that was accepted; `check`: whether it is.

mod check;
mod fates;
mod ledger;
mod life;
mod operator;
mod oracle;
mod peril;
mod platform;
mod weather;
mod webhooks;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::harness::tell;
use life::{End, live};
use world::World;

/// Seeds that once failed, and what each found. They are run first. A seed is another run once what is drawn changes:
/// break the rule again to find one that fails.
const REGRESSIONS: &[(u64, &str)] =
    &[(1_275, "a batch that HubSpot called PENDING landed after a newer one, for good")];

/// Most threads that run seeds, and half of what there is: other tests go on beside.
const THREADS: usize = 2;

/// A run that may make fewer calls says little of how tight the bound is: a change alone may have a call of its own.
const TELLING: u64 = 40;

/// How one seed went.
struct Run {
    seed: u64,
    wrongs: Vec<String>,
    story: Vec<String>,
    trace: u64,
    calls: u64,
    allowed: u64,
}

/// Runs one seed to its end.
fn run(seed: u64) -> Run {
    let folder = folder();
    let file = folder.path().join("bridge.db");
    let world = Arc::new(Mutex::new(World::new(seed)));
    let lock = || world.lock().unwrap_or_else(PoisonError::into_inner);
    let mut deaths = lock().weather.deaths;
    loop {
        let doom = lock().doom(&mut deaths);
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
        let end = runtime.block_on(live(Arc::clone(&world), &file, doom));
        drop(runtime);
        if end == End::Rest {
            break;
        }
        life::pause(&mut lock());
    }
    let world = lock();
    Run {
        seed,
        wrongs: world.wrongs.clone(),
        story: world.story().to_vec(),
        trace: world.trace(),
        calls: world.calls,
        allowed: world.allowed,
    }
}

/// A folder in memory where there is one.
fn folder() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let in_memory = tempfile::Builder::new().prefix("bridge-sim-").tempdir_in(memory);
    in_memory.or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}

/// Runs seeds until there are no more, or the time is over; says how many, and panics with the first that fails.
fn run_many(seeds: impl Iterator<Item = u64> + Send, within: Duration) -> u64 {
    let (began, done) = (Instant::now(), AtomicU64::new(0));
    let (calls, allowed) = (AtomicU64::new(0), AtomicU64::new(0));
    let (seeds, failed) = (Mutex::new(seeds), AtomicBool::new(false));
    let (tightest, worst) = (Mutex::new(0.0_f64), Mutex::new(None));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..(cores / 2).clamp(1, THREADS) {
            scope.spawn(|| {
                while began.elapsed() < within && !failed.load(Ordering::Relaxed) {
                    let next = seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(seed) = next else { return };
                    let run = run(seed);
                    done.fetch_add(1, Ordering::Relaxed);
                    if !run.wrongs.is_empty() {
                        failed.store(true, Ordering::Relaxed);
                        *worst.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
                        return;
                    }
                    calls.fetch_add(run.calls, Ordering::Relaxed);
                    allowed.fetch_add(run.allowed, Ordering::Relaxed);
                    if run.allowed >= TELLING {
                        let mut tightest = tightest.lock().unwrap_or_else(PoisonError::into_inner);
                        *tightest = tightest.max(ratio(run.calls, run.allowed));
                    }
                }
            });
        }
    });
    let worst = worst.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(run) = worst {
        panic!("{}", failure(&run));
    }
    let tightest = tightest.into_inner().unwrap_or_else(PoisonError::into_inner);
    let done = done.into_inner();
    tell(&format!(
        "simulation: {done} seeds in {:.0} s; {:.0} % of the calls that they may make, the most of one {:.0} %",
        began.elapsed().as_secs_f64(),
        ratio(calls.into_inner(), allowed.into_inner()) * 100.0,
        tightest * 100.0
    ));
    done
}

#[allow(clippy::cast_precision_loss, reason = "calls are few")]
fn ratio(calls: u64, allowed: u64) -> f64 {
    calls as f64 / allowed.max(1) as f64
}

fn failure(run: &Run) -> String {
    let wrongs = run.wrongs.join("\n  ");
    let found = REGRESSIONS.iter().find(|(seed, _)| *seed == run.seed);
    let found = found.map(|(_, what)| format!(" ({what}, once)")).unwrap_or_default();
    format!("seed {}{found}:\n  {wrongs}\nIts story: make simulate SEED={}", run.seed, run.seed)
}

fn variable(name: &str) -> Option<u64> {
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    variables.get(name).and_then(|text| text.parse().ok())
}

/// One seed if `BRIDGE_SIM_SEED` names it, with its story; else the regressions, and then as many seeds from 0 on as
/// `BRIDGE_SIM_SECONDS` hold, or 100 seconds.
#[test]
fn hubspot_ends_up_with_what_was_said_whatever_happens() {
    if let Some(seed) = variable("BRIDGE_SIM_SEED") {
        let run = run(seed);
        run.story.iter().for_each(|line| tell(line));
        tell(&format!("{} calls of {} allowed; trace {:x}", run.calls, run.allowed, run.trace));
        assert!(run.wrongs.is_empty(), "{}", failure(&run));
        return;
    }
    let within = Duration::from_secs(variable("BRIDGE_SIM_SECONDS").unwrap_or(100));
    let seeds = REGRESSIONS.iter().map(|(seed, _)| *seed).chain(0..);
    assert!(run_many(seeds, within) > 0, "no seed was run");
}

#[test]
fn one_seed_always_makes_the_same_run() {
    for seed in 1_000..1_010 {
        let (one, other) = (run(seed), run(seed));
        let differs = one.story.iter().zip(&other.story).find(|(one, other)| one != other);
        assert_eq!(one.trace, other.trace, "seed {seed}: {differs:?}");
    }
}

/// `BRIDGE_SOAK_SEEDS` seeds, or 20,000, from where the usual ones will hardly come to.
#[test]
#[ignore = "long; make soak"]
fn hubspot_ends_up_with_what_was_said_over_tens_of_thousands_of_seeds() {
    let count = variable("BRIDGE_SOAK_SEEDS").unwrap_or(20_000);
    let first = 1_000_000;
    assert_eq!(run_many(first..first + count, Duration::MAX), count);
}

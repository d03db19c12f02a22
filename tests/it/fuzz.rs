//! The fuzz targets on any toolchain: known inputs, and the same mutations of them in each run. `make soak` tries others for
//! minutes; cargo-fuzz (`make fuzz`) searches for new paths.

mod mutate;
#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::time::Instant;

use crate::harness::rng::SeededRng;
use crate::harness::tell;
use mutate::mutate;
use targets::{TARGETS, Target};

/// Mutations of each target in a test run: as many as two cores check in a few seconds, fewer without optimization.
const ROUNDS: u64 = if cfg!(debug_assertions) { 400 } else { 4_000 };

#[test]
fn targets_known_inputs_break_no_promise() {
    for target in TARGETS {
        let corpus = target.corpus();
        assert!(!corpus.is_empty(), "{}: the corpus is empty", target.name);
        for input in &corpus {
            assert_holds(target, input, "of the corpus");
        }
        assert_holds(target, b"", "nothing");
    }
}

macro_rules! mutations_hold {
    ($($name:ident),*) => {$(
        #[test]
        fn $name() {
            search(Target::named(stringify!($name)), 0..ROUNDS);
        }
    )*};
}

mutations_hold!(
    batch_response,
    config,
    custom,
    expression,
    path,
    remote_event,
    signature,
    text,
    token_response,
    webhook,
    webinar_state
);

/// Runs each target for `BRIDGE_FUZZ_SECONDS` (60), from the round `BRIDGE_FUZZ_ROUND` (by default after those of every
/// test run).
#[test]
#[ignore = "minutes; make soak"]
fn targets_many_mutations_break_no_promise() {
    let variable = |name: &str| -> Option<u64> {
        #[allow(clippy::disallowed_methods, reason = "the test reads it, not the program")]
        let text = std::env::var(name).ok()?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
    };
    let time = Duration::from_secs(variable("BRIDGE_FUZZ_SECONDS").unwrap_or(60));
    let first = variable("BRIDGE_FUZZ_ROUND").unwrap_or(ROUNDS);
    for target in TARGETS {
        let end = Instant::now() + time;
        let mut next = first;
        while Instant::now() < end {
            search(target, next..next + ROUNDS);
            next += ROUNDS;
        }
        tell(&format!(
            "fuzz {}: {} inputs hold, rounds {first}..{next}",
            target.name,
            next - first
        ));
    }
}

/// Checks mutations. Each round has its own seed, so that its number reproduces it.
fn search(target: &Target, rounds: std::ops::Range<u64>) {
    let corpus = target.corpus();
    for round in rounds {
        let input = mutate(&mut SeededRng::from_seed(round), &corpus);
        assert_holds(target, &input, &format!("of round {round}"));
    }
}

/// Fails with the smallest input found that breaks the same promise, ready to become a fixture.
fn assert_holds(target: &Target, input: &[u8], which: &str) {
    if holds(target, input) {
        return;
    }
    let smallest = shrink(target, input.to_vec());
    let shown = smallest.escape_ascii();
    panic!("{}: the input {which} breaks a promise; its smallest form is\n{shown}", target.name);
}

fn holds(target: &Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.check)(input))).is_ok()
}

/// Removes smaller and smaller parts while the rest still breaks a promise, in a bounded number of tries.
fn shrink(target: &Target, mut input: Vec<u8>) -> Vec<u8> {
    const TRIES: usize = 500;
    let mut tries = 0;
    let mut part = input.len() / 2;
    while part > 0 && tries < TRIES {
        let mut at = 0;
        while at + part <= input.len() && tries < TRIES {
            tries += 1;
            let rest = [&input[..at], &input[at + part..]].concat();
            if holds(target, &rest) {
                at += part;
            } else {
                input = rest;
            }
        }
        part /= 2;
    }
    input
}

#[test]
fn search_broken_promise_is_found_and_shrunk() {
    let check = |data: &[u8]| assert!(!data.windows(4).any(|four| four == b"null"));
    let broken = Target { name: "broken", check, seeds: Vec::new };
    let corpus = [br#"{"a":"text","b":[1,2,3]}"#.to_vec()];
    let found = (0..ROUNDS)
        .map(|round| mutate(&mut SeededRng::from_seed(round), &corpus))
        .find(|input| !holds(&broken, input))
        .expect("a value becomes null in one of the rounds");
    assert_eq!(shrink(&broken, found), b"null");
}

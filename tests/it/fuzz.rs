//! The fuzz targets on any toolchain: known inputs, and ever the same mutations of them. `make soak` goes on for minutes
//! with others; cargo-fuzz (`make fuzz`) looks for new paths.

mod mutate;
#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::time::Instant;

use crate::harness::dice::Dice;
use crate::harness::tell;
use mutate::mutate;
use targets::{TARGETS, Target};

/// Mutations of each target in a test run: what two cores do in a few seconds, without optimization fewer.
const ROUNDS: u64 = if cfg!(debug_assertions) { 400 } else { 4_000 };

/// The inputs that the search begins with, and those that once broke a promise.
#[test]
fn what_is_known_holds() {
    for target in TARGETS {
        let corpus = target.corpus();
        assert!(!corpus.is_empty(), "{}: nothing to begin with", target.name);
        for input in &corpus {
            hold(target, input, "of the corpus");
        }
        hold(target, b"", "nothing");
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
    answer, config, custom, expression, path, shown, signature, stored, text, token, webhook
);

/// `BRIDGE_FUZZ_SECONDS` for each target (60), from the round `BRIDGE_FUZZ_ROUND` (beyond those of every test run).
#[test]
#[ignore = "minutes; make soak"]
fn mutations_hold_for_long() {
    let given = |name: &str| -> Option<u64> {
        #[allow(clippy::disallowed_methods, reason = "it is said to the test, not to the program")]
        let text = std::env::var(name).ok()?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
    };
    let time = Duration::from_secs(given("BRIDGE_FUZZ_SECONDS").unwrap_or(60));
    let first = given("BRIDGE_FUZZ_ROUND").unwrap_or(ROUNDS);
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

/// Each round is a seed of its own, so that a failing one is found again by its number.
fn search(target: &Target, rounds: std::ops::Range<u64>) {
    let corpus = target.corpus();
    for round in rounds {
        let input = mutate(&mut Dice::seeded(round), &corpus);
        hold(target, &input, &format!("of round {round}"));
    }
}

/// Fails with the smallest input that was found to break the same promise, ready to become a fixture.
fn hold(target: &Target, input: &[u8], which: &str) {
    if holds(target, input) {
        return;
    }
    let least = smaller(target, input.to_vec());
    let shown = least.escape_ascii();
    panic!("{}: the input {which} breaks a promise; its least form is\n{shown}", target.name);
}

fn holds(target: &Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.check)(input))).is_ok()
}

/// Takes away ever smaller parts for as long as the rest still breaks a promise, and not for ever.
fn smaller(target: &Target, mut input: Vec<u8>) -> Vec<u8> {
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

/// The search finds what there is to find: here, a promise that does not hold.
#[test]
fn a_broken_promise_is_found_and_made_small() {
    let check = |data: &[u8]| assert!(!data.windows(4).any(|four| four == b"null"));
    let broken = Target { name: "broken", check, seeds: Vec::new };
    let corpus = [br#"{"a":"text","b":[1,2,3]}"#.to_vec()];
    let found = (0..ROUNDS)
        .map(|round| mutate(&mut Dice::seeded(round), &corpus))
        .find(|input| !holds(&broken, input))
        .expect("a value becomes null in one of so many rounds");
    assert_eq!(smaller(&broken, found), b"null");
}

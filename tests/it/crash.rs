//! The real program is killed at random points under load. Whatever it answered 200 reaches HubSpot after the restart.
//!
//! A model keeps, for every webinar, the newest change that was answered and the newest that was sent. A change that
//! was sent and not answered may or may not have been merged, so HubSpot must hold something from the one to the other;
//! changes are numbered, so that this can be told exactly.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use webinar_bridge::sandbox::emulator::{EmulatorSettings, StoredEvent};

use crate::harness::dice::Dice;
use crate::harness::eventually;
use crate::harness::http::scrape;
use crate::harness::process::{Setting, TOKEN};
use crate::harness::zoom::{Zoom, at, created, planned, updated};

const SENDERS: u64 = 16;
const WEBINARS: u64 = 3;
/// Most answers in a round before the kill.
const ROUND: usize = 160;

/// One field of a webinar: its newest change that was answered, and the newest that was sent.
#[derive(Debug, Default, Clone, Copy)]
struct Field {
    answered: i64,
    sent: i64,
}

impl Field {
    /// Fails unless HubSpot's text is a change that was sent and is not older than what was answered.
    fn check(self, what: &str, held: &str) {
        let number: i64 = held
            .rsplit(' ')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("{what}: nobody said {held:?}"));
        assert!(
            (self.answered..=self.sent).contains(&number),
            "{what}: HubSpot holds {held:?}, answered was {} and sent {}",
            self.answered,
            self.sent
        );
    }
}

/// A webinar as the model knows it.
#[derive(Debug, Clone, Copy)]
struct Track {
    id: u64,
    /// Every change has a number and a time of its own.
    last: i64,
    exists: bool,
    topic: Field,
    agenda: Field,
}

/// What a change speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Creation,
    Topic,
    Agenda,
}

impl Track {
    fn change(&mut self) -> (Speaks, i64, Value) {
        if !self.exists {
            return (Speaks::Creation, 0, created(self.id, "Topic 0", at(0)));
        }
        self.last += 1;
        let number = self.last;
        let (speaks, changed) = if number % 3 == 0 {
            self.agenda.sent = number;
            (Speaks::Agenda, json!({ "agenda": format!("Agenda {number}") }))
        } else {
            self.topic.sent = number;
            (Speaks::Topic, json!({ "topic": format!("Topic {number}") }))
        };
        (speaks, number, updated(self.id, changed, at(0) + number))
    }

    fn answered(&mut self, speaks: Speaks, number: i64) {
        match speaks {
            Speaks::Creation => self.exists = true,
            Speaks::Topic => self.topic.answered = number,
            Speaks::Agenda => self.agenda.answered = number,
        }
    }

    /// Fails unless HubSpot holds what it must.
    fn check(&self, held: Option<&StoredEvent>) {
        let Some(event) = held else {
            assert!(!self.exists, "{self:?}: answered, and not in HubSpot");
            return;
        };
        self.topic.check("topic", &event.name);
        match &event.description {
            Some(agenda) => self.agenda.check("agenda", agenda),
            None => assert_eq!(self.agenda.answered, 0, "{self:?}: the agenda is lost"),
        }
        assert_eq!((event.start, event.end), (Some(planned(0)), Some(planned(60))), "{self:?}");
    }
}

/// One of the platform's senders, with webinars of its own.
struct Sender {
    tracks: Vec<Track>,
    /// Whether it sends again what was not answered, as Zoom does; else that is gone.
    retries: bool,
    unanswered: Option<(usize, Speaks, i64, Value)>,
    turn: usize,
}

impl Sender {
    fn new(number: u64) -> Self {
        let track = |webinar| Track {
            id: 1_000 + number * WEBINARS + webinar,
            last: 0,
            exists: false,
            topic: Field::default(),
            agenda: Field::default(),
        };
        Self {
            tracks: (0..WEBINARS).map(track).collect(),
            retries: number.is_multiple_of(2),
            unanswered: None,
            turn: 0,
        }
    }

    /// Sends until nobody answers.
    async fn load(mut self, zoom: Zoom, answers: Arc<AtomicUsize>) -> Self {
        loop {
            let (index, speaks, number, body) = self.unanswered.take().unwrap_or_else(|| {
                self.turn += 1;
                let index = self.turn % self.tracks.len();
                let (speaks, number, body) = self.tracks[index].change();
                (index, speaks, number, body)
            });
            match zoom.post(&body).await {
                Ok(answer) if answer.status == 200 => {
                    self.tracks[index].answered(speaks, number);
                    answers.fetch_add(1, Ordering::SeqCst);
                }
                // The store is slow: come again.
                Ok(answer) => {
                    assert_eq!(answer.status, 503);
                    self.unanswered = Some((index, speaks, number, body));
                }
                Err(_) => {
                    if self.retries {
                        self.unanswered = Some((index, speaks, number, body));
                    }
                    return self;
                }
            }
        }
    }
}

async fn crash(rounds: usize, seed: u64) {
    let rate = (100_000, Duration::from_secs(10));
    let hubspot = EmulatorSettings { rate, ..EmulatorSettings::new(TOKEN) };
    let account = "rate_limit = { requests = 100000, window = \"10s\" }";
    let setting = Setting::with(hubspot, account, "");
    let mut dice = Dice::seeded(seed);
    let mut senders: Vec<Sender> = (0..SENDERS).map(Sender::new).collect();
    let mut answered = 0;
    for round in 0..rounds {
        let bridge = setting.start();
        let answers = Arc::new(AtomicUsize::new(0));
        let mut loads = JoinSet::new();
        for sender in senders.drain(..) {
            loads.spawn(sender.load(Zoom::to(&bridge), Arc::clone(&answers)));
        }
        let enough = 1 + dice.below(ROUND);
        eventually("there is load", async || answers.load(Ordering::SeqCst) >= enough).await;
        bridge.kill();
        while let Some(sender) = loads.join_next().await {
            senders.push(sender.expect("it sent"));
        }
        answered += answers.load(Ordering::SeqCst);
        // Every other time it is killed again while it makes up for it.
        if dice.below(2) == 0 {
            let bridge = setting.start();
            let calls = setting.hubspot.emulator().calls().len();
            let more = dice.below(3);
            eventually("it makes up for it", async || {
                let called = setting.hubspot.emulator().calls().len();
                called >= calls + more || scrape(&bridge.ops).await.events("main", "pending") == 0
            })
            .await;
            bridge.kill();
        }
        let bridge = setting.start();
        bridge.settled().await;
        let held = setting.held();
        let tracks = || senders.iter().flat_map(|sender| &sender.tracks);
        for track in tracks() {
            track.check(held.get(&track.id.to_string()));
        }
        let known = tracks().filter(|track| held.contains_key(&track.id.to_string())).count();
        assert_eq!(held.len(), known, "round {round}: HubSpot holds what nobody said");
        assert_eq!(bridge.terminate(), Some(0));
    }
    assert!(answered >= rounds, "{answered} answers in {rounds} rounds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_kill_at_any_point() {
    crash(12, 1).await;
}

/// `BRIDGE_SOAK_ROUNDS` rounds, or 100; `BRIDGE_SOAK_SEED` for others than the usual.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long"]
async fn what_was_answered_survives_many_kills() {
    let variables: std::collections::BTreeMap<String, String> = std::env::vars().collect();
    let number = |name: &str| variables.get(name).and_then(|text| text.parse::<u64>().ok());
    let rounds = number("BRIDGE_SOAK_ROUNDS").unwrap_or(100);
    let seed = number("BRIDGE_SOAK_SEED").unwrap_or(2);
    crash(usize::try_from(rounds).expect("it fits"), seed).await;
}

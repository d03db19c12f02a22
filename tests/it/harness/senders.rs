//! Senders that remember what was answered, and what HubSpot must hold for that.
//!
//! The model keeps, for every webinar, the newest change that was answered and the newest that was sent. A change that
//! was sent and not answered may or may not have been merged, so HubSpot must hold something from the one to the other;
//! changes are numbered, so that this can be told exactly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use webinar_bridge::sandbox::emulator::StoredEvent;

use super::process::{Bridge, Setting};
use super::zoom::{Zoom, at, created, planned, updated};

const SENDERS: u64 = 16;
const WEBINARS: u64 = 3;
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

    /// Sends until nobody answers, or it is told to stop.
    async fn load(mut self, zoom: Zoom, counts: Arc<Counts>) -> Self {
        let mut failed = 0;
        while !counts.stop.load(Ordering::SeqCst) {
            let (index, speaks, number, body) = self.unanswered.take().unwrap_or_else(|| {
                self.turn += 1;
                let index = self.turn % self.tracks.len();
                let (speaks, number, body) = self.tracks[index].change();
                (index, speaks, number, body)
            });
            match zoom.post(&body).await {
                Ok(answer) if answer.status == 200 => {
                    self.tracks[index].answered(speaks, number);
                    counts.answered.fetch_add(1, Ordering::SeqCst);
                }
                // The store is slow or cannot be written: come again, not at once.
                Ok(answer) => {
                    assert_eq!(answer.status, 503);
                    counts.refused.fetch_add(1, Ordering::SeqCst);
                    self.unanswered = Some((index, speaks, number, body));
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                // A connection may end with a refusal; only who never answers is gone.
                Err(_) => {
                    if self.retries {
                        self.unanswered = Some((index, speaks, number, body));
                    }
                    failed += 1;
                    if failed == 5 {
                        return self;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            }
            failed = 0;
        }
        self
    }
}

/// All of the platform's senders, not sending now.
pub(crate) struct Senders(Vec<Sender>);

#[derive(Default)]
struct Counts {
    answered: AtomicUsize,
    refused: AtomicUsize,
    stop: AtomicBool,
}

/// Senders at work.
pub(crate) struct Load {
    senders: JoinSet<Sender>,
    counts: Arc<Counts>,
}

impl Senders {
    pub(crate) fn new() -> Self {
        Self((0..SENDERS).map(Sender::new).collect())
    }

    /// They send to it until it no longer answers, or they are told to stop.
    pub(crate) fn send_to(self, bridge: &Bridge) -> Load {
        let (mut senders, counts) = (JoinSet::new(), Arc::new(Counts::default()));
        for sender in self.0 {
            senders.spawn(sender.load(Zoom::to(bridge), Arc::clone(&counts)));
        }
        Load { senders, counts }
    }

    /// Fails unless HubSpot holds what was answered, and nothing that nobody said.
    pub(crate) fn check(&self, setting: &Setting) {
        let held = setting.held();
        let tracks = || self.0.iter().flat_map(|sender| &sender.tracks);
        for track in tracks() {
            track.check(held.get(&track.id.to_string()));
        }
        let known = tracks().filter(|track| held.contains_key(&track.id.to_string())).count();
        assert_eq!(held.len(), known, "HubSpot holds what nobody said");
    }
}

impl Load {
    /// How many webhooks were answered 200.
    pub(crate) fn answered(&self) -> usize {
        self.counts.answered.load(Ordering::SeqCst)
    }

    /// How many were answered 503.
    pub(crate) fn refused(&self) -> usize {
        self.counts.refused.load(Ordering::SeqCst)
    }

    /// Tells them to stop after their next answer, and waits for that.
    pub(crate) async fn stop(self) -> Senders {
        self.counts.stop.store(true, Ordering::SeqCst);
        self.ended().await
    }

    /// Waits until nobody answers them any more.
    pub(crate) async fn ended(mut self) -> Senders {
        let mut senders = Vec::new();
        while let Some(sender) = self.senders.join_next().await {
            senders.push(sender.expect("it sent"));
        }
        Senders(senders)
    }
}

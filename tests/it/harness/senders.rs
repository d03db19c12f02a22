//! Senders that record their answered changes, and check HubSpot's events against them.
//!
//! For every webinar the model keeps the newest answered change and the newest sent change. A change that was sent and
//! not answered may or may not have been merged, so HubSpot must hold a change from the former to the latter. Changes
//! are numbered, so the check is exact.

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
/// One field of a webinar: its newest answered and its newest sent change.
#[derive(Debug, Default, Clone, Copy)]
struct Field {
    answered: i64,
    sent: i64,
}

impl Field {
    /// Fails unless HubSpot's text is a sent change and not older than the answered one.
    fn check(self, field: &str, held: &str) {
        let number: i64 = held
            .rsplit(' ')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("{field}: {held:?} was never sent"));
        assert!(
            (self.answered..=self.sent).contains(&number),
            "{field}: HubSpot holds {held:?}, answered was {} and sent {}",
            self.answered,
            self.sent
        );
    }
}

/// The model of a webinar.
#[derive(Debug, Clone, Copy)]
struct Track {
    id: u64,
    /// Number of the last change; every change has its own number and time.
    last: i64,
    exists: bool,
    topic: Field,
    agenda: Field,
}

/// The field that a change sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChangedField {
    Creation,
    Topic,
    Agenda,
}

impl Track {
    fn change(&mut self) -> (ChangedField, i64, Value) {
        if !self.exists {
            return (ChangedField::Creation, 0, created(self.id, "Topic 0", at(0)));
        }
        self.last += 1;
        let number = self.last;
        let (field, changed) = if number % 3 == 0 {
            self.agenda.sent = number;
            (ChangedField::Agenda, json!({ "agenda": format!("Agenda {number}") }))
        } else {
            self.topic.sent = number;
            (ChangedField::Topic, json!({ "topic": format!("Topic {number}") }))
        };
        (field, number, updated(self.id, changed, at(0) + number))
    }

    fn answered(&mut self, changed: ChangedField, number: i64) {
        match changed {
            ChangedField::Creation => self.exists = true,
            ChangedField::Topic => self.topic.answered = number,
            ChangedField::Agenda => self.agenda.answered = number,
        }
    }

    /// Fails unless HubSpot's event agrees with the model.
    fn check(&self, held: Option<&StoredEvent>) {
        let Some(event) = held else {
            assert!(!self.exists, "{self:?}: answered, and not in HubSpot");
            return;
        };
        self.topic.check("topic", &event.input.event_name);
        match &event.input.event_description {
            Some(agenda) => self.agenda.check("agenda", agenda),
            None => assert_eq!(self.agenda.answered, 0, "{self:?}: the agenda is lost"),
        }
        assert_eq!(
            (event.input.start_date_time, event.input.end_date_time),
            (Some(planned(0)), Some(planned(60))),
            "{self:?}"
        );
    }
}

/// One sender of the platform, with its own webinars.
struct Sender {
    tracks: Vec<Track>,
    /// Whether the sender repeats unanswered changes, as Zoom does; otherwise they are lost.
    retries: bool,
    unanswered: Option<(usize, ChangedField, i64, Value)>,
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

    /// Sends until the bridge no longer answers, or until the stop flag is set.
    async fn load(mut self, zoom: Zoom, counts: Arc<Counts>) -> Self {
        let mut failed = 0;
        while !counts.stop.load(Ordering::SeqCst) {
            let (index, field, number, body) = self.unanswered.take().unwrap_or_else(|| {
                self.turn += 1;
                let index = self.turn % self.tracks.len();
                let (field, number, body) = self.tracks[index].change();
                (index, field, number, body)
            });
            match zoom.post(&body).await {
                Ok(answer) if answer.status == 200 => {
                    self.tracks[index].answered(field, number);
                    counts.answered.fetch_add(1, Ordering::SeqCst);
                }
                // The store is slow or cannot be written: retry after a pause.
                Ok(answer) => {
                    assert_eq!(answer.status, 503);
                    counts.refused.fetch_add(1, Ordering::SeqCst);
                    self.unanswered = Some((index, field, number, body));
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                // A connection may be refused at times; the bridge is gone only if it never answers.
                Err(_) => {
                    if self.retries {
                        self.unanswered = Some((index, field, number, body));
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

/// All senders of the platform, idle.
pub(crate) struct Senders(Vec<Sender>);

#[derive(Default)]
struct Counts {
    answered: AtomicUsize,
    refused: AtomicUsize,
    stop: AtomicBool,
}

/// Running senders.
pub(crate) struct Load {
    senders: JoinSet<Sender>,
    counts: Arc<Counts>,
}

impl Senders {
    pub(crate) fn new() -> Self {
        Self((0..SENDERS).map(Sender::new).collect())
    }

    /// Starts the senders; they send until the bridge no longer answers or they are stopped.
    pub(crate) fn send_to(self, bridge: &Bridge) -> Load {
        let (mut senders, counts) = (JoinSet::new(), Arc::new(Counts::default()));
        for sender in self.0 {
            senders.spawn(sender.load(Zoom::to(bridge), Arc::clone(&counts)));
        }
        Load { senders, counts }
    }

    /// Fails unless HubSpot holds all answered changes, and no event that was never sent.
    pub(crate) fn check(&self, setting: &Setting) {
        let held = setting.held();
        let tracks = || self.0.iter().flat_map(|sender| &sender.tracks);
        for track in tracks() {
            track.check(held.get(&track.id.to_string()));
        }
        let known = tracks().filter(|track| held.contains_key(&track.id.to_string())).count();
        assert_eq!(held.len(), known, "HubSpot holds an event that was never sent");
    }
}

impl Load {
    /// Number of webhooks answered 200.
    pub(crate) fn answered(&self) -> usize {
        self.counts.answered.load(Ordering::SeqCst)
    }

    /// Number of webhooks answered 503.
    pub(crate) fn refused(&self) -> usize {
        self.counts.refused.load(Ordering::SeqCst)
    }

    /// Stops the senders after their next answer, and waits for them.
    pub(crate) async fn stop(self) -> Senders {
        self.counts.stop.store(true, Ordering::SeqCst);
        self.ended().await
    }

    /// Waits until the bridge no longer answers.
    pub(crate) async fn ended(mut self) -> Senders {
        let mut senders = Vec::new();
        while let Some(sender) = self.senders.join_next().await {
            senders.push(sender.expect("it sent"));
        }
        Senders(senders)
    }
}

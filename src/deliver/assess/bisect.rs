//! The parts of a batch, halved until each bad event is sent alone.
//!
//! A batch that is refused whole is sent again in halves, the first half before the second and each of them to its end.
//! One bad event among `n` costs at most two calls for each halving beyond the batch's own: 2 x 7 of 100. If the first
//! half of a part that holds a bad event is confirmed whole, the second is known to hold it and is halved unsent.
//!
//! A part of which an answer confirms nothing is sent once more, and then its events go one by one.

use std::ops::ControlFlow;

use crate::ledger::ClaimedEvent;

/// Events that are sent in one call.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub struct BatchPart {
    /// The events.
    pub events: Vec<ClaimedEvent>,
    /// An answer left open whether HubSpot applied them.
    pub outcome_unknown: bool,
    /// HubSpot confirmed an event of the batch before.
    pub batch_confirmed: bool,
    /// How it is sent.
    pub way: Way,
    /// Answers to batches with all its events confirmed nothing of them, nor anything else.
    pub was_silent: bool,
    /// At least one of the events will be refused, if every part before it since its parent was confirmed whole.
    has_bad_event: bool,
}

/// How a part is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Way {
    /// As a batch.
    #[default]
    Batch,
    /// As a batch once more, since an answer confirmed nothing of it.
    Again,
    /// As a single event. It is read before, if a batch with it was sent: HubSpot may hold it.
    Single,
}

/// How much of a part HubSpot confirmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names suffice")]
pub enum Confirmed {
    All,
    Some,
    #[default]
    None,
}

/// The continuation of a batch after an answer.
#[derive(Debug, Default)]
pub enum NextPart {
    /// The rest of the batch.
    #[default]
    Rest,
    /// The halves of this, then the rest.
    Halves(BatchPart),
    /// This whole once more, then the rest.
    Again(BatchPart),
    /// The events of this one by one, then the rest.
    Singly(BatchPart),
    /// Nothing: the rest is released.
    Stop {
        /// A part that is released with the rest.
        released: Option<BatchPart>,
    },
}

/// The parts of a batch that are not settled yet.
#[derive(Debug)]
pub struct Bisection {
    /// The next part last. Each was put there as the second half of a part that holds all that lies above it.
    stack: Vec<BatchPart>,
    confirmed: bool,
}

impl BatchPart {
    /// Events that are not sent yet.
    #[must_use]
    pub fn new(events: Vec<ClaimedEvent>) -> Self {
        Self { events, ..Self::default() }
    }

    /// The part after it was refused whole.
    #[must_use]
    pub fn refused_whole(self, has_bad_event: bool) -> Self {
        Self { has_bad_event, ..self }
    }

    /// Events that an answer neither confirmed nor refused.
    #[must_use]
    pub fn unconfirmed(events: Vec<ClaimedEvent>) -> Self {
        Self { outcome_unknown: true, ..Self::new(events) }
    }

    /// The part is sent this way.
    #[must_use]
    pub fn by(self, way: Way) -> Self {
        Self { way, ..self }
    }

    /// The ids of its events.
    #[must_use]
    pub fn ids(&self) -> Vec<i64> {
        self.events.iter().map(|event| event.id).collect()
    }
}

impl Bisection {
    /// A whole batch.
    #[must_use]
    pub fn new(batch: Vec<ClaimedEvent>) -> Self {
        Self { stack: vec![BatchPart::new(batch)], confirmed: false }
    }

    /// Events that are sent one by one.
    #[must_use]
    pub fn singles(events: Vec<ClaimedEvent>) -> Self {
        let mut singles = Self { stack: Vec::new(), confirmed: false };
        singles.push_singles(BatchPart::new(events));
        singles
    }

    /// The number of its events that are not settled yet.
    #[must_use]
    pub fn events_left(&self) -> usize {
        self.stack.iter().map(|part| part.events.len()).sum()
    }

    /// The part to send next. It stays here until it is taken.
    pub fn next_part(&mut self) -> Option<&BatchPart> {
        while let Some(part) = self.stack.pop_if(|part| part.has_bad_event && part.events.len() > 1)
        {
            self.push_halves(part);
        }
        self.stack.last()
    }

    /// Takes the next part off.
    pub fn take_part(&mut self) -> BatchPart {
        let part = self.stack.pop().unwrap_or_default();
        BatchPart { batch_confirmed: self.confirmed, ..part }
    }

    /// Moves on after the answer to the last part. Breaks if nothing is left to send.
    pub fn advance(&mut self, confirmed: Confirmed, next: NextPart) -> ControlFlow<()> {
        self.confirmed |= confirmed != Confirmed::None;
        if confirmed != Confirmed::All {
            // Nothing follows for the other parts any more.
            self.stack.iter_mut().for_each(|part| part.has_bad_event = false);
        }
        match next {
            NextPart::Rest => ControlFlow::Continue(()),
            NextPart::Halves(part) => {
                self.push_halves(part);
                ControlFlow::Continue(())
            }
            NextPart::Again(part) => {
                self.stack.push(part.by(Way::Again));
                ControlFlow::Continue(())
            }
            NextPart::Singly(part) => {
                self.push_singles(part);
                ControlFlow::Continue(())
            }
            NextPart::Stop { released } => {
                self.stack.extend(released);
                ControlFlow::Break(())
            }
        }
    }

    /// Takes everything that is left.
    pub fn take_rest(&mut self) -> Vec<BatchPart> {
        std::mem::take(&mut self.stack)
    }

    /// Puts the events of a part on top, each as a part of its own, the first one last.
    fn push_singles(&mut self, part: BatchPart) {
        let BatchPart { events, outcome_unknown, was_silent, .. } = part;
        let single = |event| BatchPart {
            outcome_unknown,
            was_silent,
            ..BatchPart::new(vec![event]).by(Way::Single)
        };
        self.stack.extend(events.into_iter().rev().map(single));
    }

    /// Puts the first half on top of the second, both sent as the part was: none is sent once more a second time. If one of them holds a bad event, the second does once the first was
    /// confirmed whole.
    fn push_halves(&mut self, part: BatchPart) {
        let BatchPart { mut events, outcome_unknown, has_bad_event, way, .. } = part;
        let second = events.split_off(events.len().div_ceil(2));
        let half = |events, has_bad_event| BatchPart {
            outcome_unknown,
            has_bad_event,
            ..BatchPart::new(events).by(way)
        };
        let halves = [half(second, has_bad_event), half(events, false)];
        self.stack.extend(halves.into_iter().filter(|part| !part.events.is_empty()));
    }
}

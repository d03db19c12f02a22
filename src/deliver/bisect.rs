//! A batch that is taken apart until it is clear which of its events are at fault.
//!
//! A batch that is refused whole is sent again in halves, the first half before the second and each of them to its end.
//! One culprit among `n` events costs at most two calls for each halving beyond the batch's own: 2 x 7 of 100. When the
//! first half of a part that holds a culprit is taken whole, the second is known to hold it and is halved unsent.

use crate::hubspot::SplitReason;
use crate::ledger::ClaimedEvent;

/// Events that are sent in one call.
#[derive(Debug, Default)]
pub struct BatchPart {
    /// The events.
    pub events: Vec<ClaimedEvent>,
    /// An answer left open what became of them.
    pub outcome_unknown: bool,
    /// At least one of them will be refused, if every part before it since its parent was taken whole.
    has_bad_event: bool,
}

/// What is left of a batch.
#[derive(Debug)]
pub struct Bisection {
    /// The next one last. Each was put there as the second half of a part that holds all that lies above it.
    stack: Vec<BatchPart>,
}

impl Bisection {
    /// A whole batch.
    #[must_use]
    pub fn new(batch: Vec<ClaimedEvent>) -> Self {
        Self { stack: vec![BatchPart { events: batch, ..BatchPart::default() }] }
    }

    /// The part to send next. It stays until it is taken off.
    pub fn next_part(&mut self) -> Option<&BatchPart> {
        while let Some(part) = self.stack.pop_if(|part| part.has_bad_event && part.events.len() > 1)
        {
            self.push_halves(part.events, part.outcome_unknown, true);
        }
        self.stack.last()
    }

    /// Takes the next part off: it is dealt with.
    pub fn take_part(&mut self) -> BatchPart {
        self.stack.pop().unwrap_or_default()
    }

    /// It was refused whole: its halves are sent.
    pub fn split_refused(&mut self, part: BatchPart, cause: SplitReason) {
        self.drop_inference();
        self.push_halves(part.events, part.outcome_unknown, cause == SplitReason::BadEvent);
    }

    /// The answer left open what became of these: their halves are sent.
    pub fn split_unconfirmed(&mut self, events: Vec<ClaimedEvent>) {
        self.drop_inference();
        self.push_halves(events, true, false);
    }

    /// Something of what was sent was not taken, so nothing follows for what is left.
    pub fn drop_inference(&mut self) {
        for part in &mut self.stack {
            part.has_bad_event = false;
        }
    }

    /// All that is left.
    pub fn take_rest(&mut self) -> Vec<BatchPart> {
        std::mem::take(&mut self.stack)
    }

    /// All that is left, to look at.
    pub fn iter(&self) -> impl Iterator<Item = &BatchPart> {
        self.stack.iter()
    }

    /// Two halves in their order, the first on top.
    fn push_halves(&mut self, mut events: Vec<ClaimedEvent>, open: bool, guilty: bool) {
        let second = events.split_off(events.len().div_ceil(2));
        let halves = [
            BatchPart { events: second, outcome_unknown: open, has_bad_event: guilty },
            BatchPart { events, outcome_unknown: open, has_bad_event: false },
        ];
        self.stack.extend(halves.into_iter().filter(|part| !part.events.is_empty()));
    }
}

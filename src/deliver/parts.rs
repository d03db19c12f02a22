//! A batch that is taken apart until it is clear which of its events are at fault.
//!
//! A batch that is refused whole is sent again in halves, the first half before the second and each of them to its end.
//! One culprit among `n` events costs at most two calls for each halving beyond the batch's own: 2 x 7 of 100. When the
//! first half of a part that holds a culprit is taken whole, the second is known to hold it and is halved unsent.

use crate::hubspot::Cause;
use crate::ledger::Claimed;

/// Events that are sent in one call.
#[derive(Debug, Default)]
pub struct Part {
    /// The events.
    pub events: Vec<Claimed>,
    /// An answer left open what became of them.
    pub open: bool,
    /// At least one of them will be refused, if every part before it since its parent was taken whole.
    guilty: bool,
}

/// What is left of a batch.
#[derive(Debug)]
pub struct Parts {
    /// The next one last. Each was put there as the second half of a part that holds all that lies above it.
    stack: Vec<Part>,
}

impl Parts {
    /// A whole batch.
    #[must_use]
    pub fn of(batch: Vec<Claimed>) -> Self {
        Self { stack: vec![Part { events: batch, ..Part::default() }] }
    }

    /// The part to send next. It stays until it is taken off.
    pub fn to_send(&mut self) -> Option<&Part> {
        while let Some(part) = self.stack.pop_if(|part| part.guilty && part.events.len() > 1) {
            self.push_halves(part.events, part.open, true);
        }
        self.stack.last()
    }

    /// Takes the next part off: it is dealt with.
    pub fn take(&mut self) -> Part {
        self.stack.pop().unwrap_or_default()
    }

    /// It was refused whole: its halves are sent.
    pub fn refused(&mut self, part: Part, cause: Cause) {
        self.not_clean();
        self.push_halves(part.events, part.open, cause == Cause::Culprit);
    }

    /// The answer left open what became of these: their halves are sent.
    pub fn left_open(&mut self, events: Vec<Claimed>) {
        self.not_clean();
        self.push_halves(events, true, false);
    }

    /// Something of what was sent was not taken, so nothing follows for what is left.
    pub fn not_clean(&mut self) {
        for part in &mut self.stack {
            part.guilty = false;
        }
    }

    /// All that is left.
    pub fn left(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.stack)
    }

    /// All that is left, to look at.
    pub fn iter(&self) -> impl Iterator<Item = &Part> {
        self.stack.iter()
    }

    /// Two halves in their order, the first on top.
    fn push_halves(&mut self, mut events: Vec<Claimed>, open: bool, guilty: bool) {
        let second = events.split_off(events.len().div_ceil(2));
        let halves = [Part { events: second, open, guilty }, Part { events, open, guilty: false }];
        self.stack.extend(halves.into_iter().filter(|part| !part.events.is_empty()));
    }
}

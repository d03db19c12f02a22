//! Recognizes an account that answers batches with success, does nothing with them, and takes single events. One team
//! saw its account do so for weeks.

/// The number of answers in a row that confirmed nothing of their batches, after which single events that arrive prove
/// that the account ignores batches: a part, and the same part once more.
const MIN_SILENT: u32 = 2;
/// Of so many single events that HubSpot's answers confirmed one is read back, the first of them too.
const READ_BACK_EVERY: u32 = 100;

/// Answers to batches that confirmed nothing, and the checks of single events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SilentBatches {
    /// The number of answers in a row, none of which confirmed anything.
    in_a_row: u32,
    /// The number of confirmed single events before the next one is read back.
    before_read_back: u32,
}

impl SilentBatches {
    /// An answer to a batch confirmed nothing of it.
    pub fn record_silent(&mut self) {
        self.in_a_row = self.in_a_row.saturating_add(1);
    }

    /// HubSpot does work on batches: an answer confirmed an event of one, or HubSpot holds an event of one.
    pub fn record_work(&mut self) {
        self.in_a_row = 0;
    }

    /// Whether single events that arrive prove that the account ignores batches.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        self.in_a_row >= MIN_SILENT
    }

    /// Whether the next single event that HubSpot's answer confirms is read back.
    #[must_use]
    pub fn is_read_back_due(&self) -> bool {
        self.before_read_back == 0
    }

    /// HubSpot's answer confirmed a single event, which was read back or not.
    pub fn record_single(&mut self, read_back: bool) {
        self.before_read_back =
            if read_back { READ_BACK_EVERY - 1 } else { self.before_read_back.saturating_sub(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_silent_answers_in_a_row_are_suspicious_and_one_is_not() {
        let mut silent = SilentBatches::default();
        silent.record_silent();
        assert!(!silent.is_suspicious());
        silent.record_work();
        silent.record_silent();
        assert!(!silent.is_suspicious(), "not in a row");
        silent.record_silent();
        assert!(silent.is_suspicious());
    }

    #[test]
    fn first_single_event_and_every_hundredth_is_read_back() {
        let mut silent = SilentBatches::default();
        let mut read_back = Vec::new();
        for number in 0..=200 {
            let is_due = silent.is_read_back_due();
            if is_due {
                read_back.push(number);
            }
            silent.record_single(is_due);
        }
        assert_eq!(read_back, [0, 100, 200]);
    }

    #[test]
    fn read_back_that_failed_is_due_again() {
        let mut silent = SilentBatches::default();
        silent.record_single(false);
        assert!(silent.is_read_back_due());
    }
}

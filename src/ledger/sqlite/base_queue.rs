//! What memory knows of the events of an account that wait for their bases.

use std::collections::HashSet;

/// The claimed ones, and whether there may be any: each commit wakes the account's worker, and most concern no base, so
/// that most looks need no query.
#[derive(Default)]
pub(super) struct BaseQueue {
    /// The events whose bases are being read, by row.
    claims: HashSet<i64>,
    /// The number of commits after which an event waits for its base.
    commits: u64,
    /// That number when the file was last found to hold no event that waits.
    none_waits_at: Option<u64>,
}

impl BaseQueue {
    /// Whether an event may wait.
    pub(super) fn may_have_events(&self) -> bool {
        self.none_waits_at != Some(self.commits)
    }

    /// An event waits after a commit.
    pub(super) fn record_commit(&mut self) {
        self.commits += 1;
    }

    /// The number of commits so far: to be read before the file is.
    pub(super) fn commits(&self) -> u64 {
        self.commits
    }

    /// No event waits in the file, which was read when there were so many commits.
    pub(super) fn record_none(&mut self, commits: u64) {
        self.none_waits_at = Some(commits);
    }

    /// The rows of the events whose bases are being read.
    pub(super) fn claims(&self) -> HashSet<i64> {
        self.claims.clone()
    }

    pub(super) fn claim(&mut self, id: i64) {
        self.claims.insert(id);
    }

    pub(super) fn release(&mut self, id: i64) {
        self.claims.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commit_between_the_look_and_its_answer_is_looked_at() {
        let mut queue = BaseQueue::default();
        assert!(queue.may_have_events(), "nobody has looked yet");
        let commits = queue.commits();
        queue.record_commit();
        queue.record_none(commits);
        assert!(queue.may_have_events());
        queue.record_none(queue.commits());
        assert!(!queue.may_have_events());
        queue.record_commit();
        assert!(queue.may_have_events());
    }
}

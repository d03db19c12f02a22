//! What a job works with: the transaction of the commit under way, and steps within it that can be undone.

use rusqlite::Connection;

use super::bodies::Segment;
use super::live_state::LiveState;
use super::side_effects::SideEffects;
use super::tx_error::TxError;
use crate::event::Millis;
use crate::ledger::Policies;

/// The transaction of the commit under way.
pub(super) struct WriteTx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) policies: &'a Policies,
    pub(super) live: &'a LiveState,
    pub(super) now: Millis,
    pub(super) segment: &'a mut Segment,
    pub(super) effects: SideEffects,
    /// Steps that the users' expressions have taken.
    pub(super) steps: usize,
}

impl WriteTx<'_> {
    /// Does work that may turn out to be refused; then nothing of it is left.
    pub(super) fn attempt<T, E>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<Result<T, E>, TxError>,
    ) -> Result<Result<T, E>, TxError> {
        self.statement("SAVEPOINT attempt")?;
        let mark = self.segment.mark();
        let mut before = std::mem::take(&mut self.effects);
        let done = work(self)?;
        let effects = std::mem::take(&mut self.effects);
        if done.is_ok() {
            before.absorb(effects);
        } else {
            self.statement("ROLLBACK TO attempt")?;
            self.segment.rewind(mark);
        }
        self.effects = before;
        self.statement("RELEASE attempt")?;
        Ok(done)
    }

    pub(super) fn statement(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(()).map(|_| ())
    }
}

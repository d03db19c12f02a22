//! The transactions that queries and jobs work in.

use rusqlite::{Connection, Error};

use super::bodies::Segment;
use super::live_state::LiveState;
use super::receipt_numbers::ReceiptNumbers;
use super::side_effects::SideEffects;
use super::statements::Statements as _;
use crate::event::{Millis, NO_TIMERS};
use crate::ledger::rules::accept::MergeRefused;
use crate::ledger::{LedgerError, Policies};

/// The transaction of a query: one snapshot of the file.
pub(super) struct ReadTx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) policies: &'a Policies,
    pub(super) live: &'a LiveState,
    pub(super) now: Millis,
}

/// The transaction of the commit under way.
pub(super) struct WriteTx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) policies: &'a Policies,
    pub(super) live: &'a LiveState,
    pub(super) now: Millis,
    /// The time that dates what changes now: a clock that answers contradict dates nothing.
    pub(super) dated_now: Millis,
    /// Whether nothing may be deleted for its age or completed by time alone.
    pub(super) is_clock_doubted: bool,
    pub(super) segment: &'a mut Segment,
    pub(super) numbers: &'a mut ReceiptNumbers,
    pub(super) effects: SideEffects,
    /// Steps that the users' expressions have taken.
    pub(super) steps: usize,
}

/// Why an attempt within a job failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    /// A rule refuses the attempt; the job goes on without it.
    #[error(transparent)]
    Refused(#[from] MergeRefused),
    /// The store failed, and so does the job.
    #[error(transparent)]
    Store(#[from] LedgerError),
}

impl From<Error> for AttemptError {
    fn from(error: Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<Error> for LedgerError {
    fn from(error: Error) -> Self {
        let is_unreadable = matches!(
            error,
            Error::FromSqlConversionFailure(..)
                | Error::IntegralValueOutOfRange(..)
                | Error::InvalidColumnType(..)
                | Error::Utf8Error(..)
        );
        if is_unreadable { Self::corrupt("a row", error) } else { Self::unavailable_from(error) }
    }
}

impl WriteTx<'_> {
    /// The time by which completion timers run out: none does by a doubted clock (M10).
    pub(super) fn timer_time(&self) -> Millis {
        if self.is_clock_doubted { NO_TIMERS } else { self.now }
    }

    /// Does work that leaves no trace if it is refused, or meets data that cannot be read.
    pub(super) fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, AttemptError>,
    ) -> Result<T, AttemptError> {
        self.connection.run("SAVEPOINT attempt", ())?;
        let len = self.segment.len();
        let mut before = std::mem::take(&mut self.effects);
        let done = work(self);
        let effects = std::mem::take(&mut self.effects);
        match done {
            Ok(_) => before.absorb(effects),
            Err(AttemptError::Refused(_) | AttemptError::Store(LedgerError::Corrupt { .. })) => {
                self.connection.run("ROLLBACK TO attempt", ())?;
                self.segment.truncate(len);
            }
            // The whole job is undone.
            Err(AttemptError::Store(LedgerError::Unavailable { .. })) => return done,
        }
        self.effects = before;
        self.connection.run("RELEASE attempt", ())?;
        done
    }
}

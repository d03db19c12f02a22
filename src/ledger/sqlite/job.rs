//! The writer's jobs, and how each is carried out within a commit of many.

use tokio::sync::oneshot;

use super::statements::Statements as _;
use super::transaction::WriteTx;
use crate::ledger::{FetchOutcome, LedgerError};

/// The treatment of a job by the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobKind {
    /// A sender's receipt. It is refused while there is no room, and skipped once its caller gave up: the sender repeats
    /// it, and the job would only delay the others.
    Receipt,
    /// Other new data, which is refused while there is no room.
    NewData,
    /// Work on the data that is there.
    Upkeep,
}

impl JobKind {
    /// The kind of the job that settles a fetch with this outcome.
    pub(super) fn of_fetch(outcome: &FetchOutcome) -> Self {
        if outcome.receipt().is_some() { Self::NewData } else { Self::Upkeep }
    }
}

/// Answers a job that is done but not yet durable; its argument is the result of the commit.
pub(super) type JobAnswer = Box<dyn FnOnce(Result<(), LedgerError>)>;

/// Carries out a job, or not if there is no transaction; returns whether it succeeded.
type Perform = Box<dyn FnOnce(Option<&mut WriteTx<'_>>) -> (bool, JobAnswer) + Send>;

/// A job for the writer.
pub(super) struct Job {
    kind: JobKind,
    perform: Perform,
}

impl Job {
    /// A job, and the receiver of its result.
    pub(super) fn new<T: Send + 'static>(
        kind: JobKind,
        work: impl FnOnce(&mut WriteTx<'_>) -> Result<T, LedgerError> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, LedgerError>>) {
        let (reply, receiver) = oneshot::channel();
        let perform: Perform = Box::new(move |tx| {
            if kind == JobKind::Receipt && reply.is_closed() {
                return (true, Box::new(drop));
            }
            let result = tx.map(work);
            let is_done = matches!(result, Some(Ok(_)));
            let answer = move |commit: Result<(), LedgerError>| {
                let not_begun = || Err(LedgerError::unavailable("it was not begun"));
                let result = match result {
                    Some(Err(error)) => Err(error),
                    Some(Ok(value)) => commit.map(|()| value),
                    None => commit.and_then(|()| not_begun()),
                };
                // The caller may have given up; its sender will retry and is answered `duplicate`.
                drop(reply.send(result));
            };
            (is_done, Box::new(answer))
        });
        (Self { kind, perform }, receiver)
    }

    /// Whether the job adds data: such jobs are refused while there is no room.
    pub(super) fn adds_data(&self) -> bool {
        self.kind != JobKind::Upkeep
    }

    /// Carries out the job within a savepoint. A failed job is answered together with the others, as failed.
    ///
    /// # Errors
    /// SQLite's error, if the whole transaction is lost; the answer is valid all the same.
    pub(super) fn run(self, tx: &mut WriteTx<'_>) -> (JobAnswer, rusqlite::Result<()>) {
        if let Err(error) = tx.connection.run("SAVEPOINT job", ()) {
            return (self.refuse(), Err(error));
        }
        let (len, mut effects) = (tx.segment.len(), std::mem::take(&mut tx.effects));
        let (is_done, answer) = (self.perform)(Some(tx));
        let mut kept = Ok(());
        if is_done {
            effects.absorb(std::mem::take(&mut tx.effects));
        } else {
            tx.segment.truncate(len);
            // It fails if SQLite itself rolled everything back (disk full, I/O error): the other jobs are lost too.
            kept = tx.connection.run("ROLLBACK TO job", ());
        }
        tx.effects = effects;
        (answer, kept.and_then(|()| tx.connection.run("RELEASE job", ())))
    }

    /// Refuses a job that was not begun; its answer is the commit's error.
    pub(super) fn refuse(self) -> JobAnswer {
        (self.perform)(None).1
    }
}

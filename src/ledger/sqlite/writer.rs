//! The one writer: it takes what has queued, commits it together, and then answers all. Whose thread it works on is
//! [`super::hands`]'.
//!
//! Group commit: a sync costs the same for one receipt as for a hundred, so nobody waits for company; whoever queued
//! while the last commit ran is in the next one. Each job has a savepoint, so one that fails fails alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use super::bodies::Segment;
use super::checkpoint::Checkpointer;
use super::open::OpenError;
use super::shared::{Shared, Tally, Turned};
use super::{Hands, Settings, accept, events, prune, settle};
use crate::clock::Clock;
use crate::event::AccountName;
use crate::ledger::{
    Acceptance, Due, LedgerError, NewReceipt, Policies, Retention, Settlement, Watcher,
};

/// Most jobs in one commit: bounds how long its first waiter waits for its last.
const GROUP: usize = 512;
/// Most bytes of bodies in one commit: bounds the memory, and what reading one body back has to unpack.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// How often an idle writer looks whether a store that failed works again.
const PROBE: Duration = Duration::from_millis(500);
/// Pages of WAL after which a writer on its callers' threads copies them back within the commit: SQLite's own habit.
const AUTOCHECKPOINT: i64 = 1_000;

type Reply<T> = oneshot::Sender<Result<T, LedgerError>>;

/// A piece of writing, and where its result goes.
pub(super) enum Job {
    Accept {
        receipt: Box<NewReceipt>,
        share: OwnedSemaphorePermit,
        reply: Reply<Acceptance>,
    },
    Settle {
        account: AccountName,
        settled: Vec<Settlement>,
        reply: Reply<()>,
    },
    /// The account's standing in memory is to be kept, whichever it is by then.
    Standing {
        account: AccountName,
        reply: Reply<()>,
    },
    Depart {
        ids: Vec<i64>,
        reply: Reply<()>,
    },
    Advance {
        most: usize,
        reply: Reply<Due>,
    },
    Prune {
        keep: Retention,
        reply: Reply<bool>,
    },
}

/// What a job works with.
pub(super) struct Desk<'a> {
    pub(super) connection: &'a Connection,
    pub(super) policies: &'a Policies,
    pub(super) shared: &'a Shared,
    pub(super) now: crate::event::Millis,
    pub(super) segment: &'a mut Segment,
    pub(super) tally: Tally,
    pub(super) turned: Vec<Turned>,
    pub(super) freed: Vec<(AccountName, Vec<i64>)>,
    pub(super) woken: BTreeSet<AccountName>,
}

/// Why a job failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    #[error("sqlite")]
    Database(#[from] rusqlite::Error),
    #[error("unreadable: {0}")]
    Corrupt(String),
}

impl From<JobError> for LedgerError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Database(error) => Self::Unavailable(error.to_string()),
            JobError::Corrupt(what) => Self::Corrupt(what),
        }
    }
}

/// Where jobs are done: the writing connection and what belongs to it.
pub(super) struct Room {
    connection: Connection,
    /// None where commits copy back by themselves.
    checkpointer: Option<Checkpointer>,
    policies: Policies,
    clock: Arc<dyn Clock>,
    watcher: Arc<dyn Watcher>,
    shared: Arc<Shared>,
    segment: Segment,
}

/// A job that is done but not yet durable: how to answer it either way.
type Answer = Box<dyn FnOnce(Result<(), LedgerError>)>;

impl Room {
    pub(super) fn new(
        connection: Connection,
        settings: &Settings,
        shared: Arc<Shared>,
    ) -> Result<Self, OpenError> {
        let checkpointer = match settings.hands {
            Hands::OwnThread => Some(Checkpointer::start(&settings.path)?),
            Hands::Caller => {
                connection.pragma_update(None, "wal_autocheckpoint", AUTOCHECKPOINT)?;
                None
            }
        };
        Ok(Self {
            segment: Segment::after(&connection)?,
            connection,
            checkpointer,
            policies: settings.policies.clone(),
            clock: Arc::clone(&settings.clock),
            watcher: Arc::clone(&settings.watcher),
            shared,
        })
    }

    /// Works until nobody can send jobs any more.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(PROBE) {
                Ok(first) => self.commit(first, || jobs.try_recv().ok()),
                Err(RecvTimeoutError::Timeout) => self.probe(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if let Some(checkpointer) = self.checkpointer.as_ref().filter(|c| c.writers_turn()) {
                checkpointer.restart_wal(&self.connection);
            }
        }
        if let Some(checkpointer) = self.checkpointer {
            checkpointer.finish(&self.connection);
        }
    }

    /// Takes what has queued, this first, and commits it as one.
    pub(super) fn commit(&mut self, first: Job, mut queued: impl FnMut() -> Option<Job>) {
        let began = Instant::now();
        let mut done: Vec<Answer> = Vec::new();
        let mut tally = Tally::default();
        let (mut turned, mut freed) = (Vec::new(), Vec::new());
        let mut woken = BTreeSet::new();
        self.segment.clear();
        let mut outcome = begin(&self.connection);
        let mut next = Some(first);
        while let Some(job) = next {
            let mut desk = Desk {
                connection: &self.connection,
                policies: &self.policies,
                shared: &self.shared,
                now: self.clock.now(),
                segment: &mut self.segment,
                tally: Tally::default(),
                turned: Vec::new(),
                freed: Vec::new(),
                woken: BTreeSet::new(),
            };
            // Once the transaction is lost, every job of it is: none may be answered as done.
            match &outcome {
                Ok(()) => match desk.savepoint(job) {
                    Ok(answer) => {
                        tally.absorb(desk.tally);
                        turned.append(&mut desk.turned);
                        freed.append(&mut desk.freed);
                        woken.append(&mut desk.woken);
                        done.push(answer);
                    }
                    Err(lost) => {
                        done.push(lost.answer);
                        outcome = Err(lost.why);
                    }
                },
                Err(_) => done.push(answer_only(job)),
            }
            let room = done.len() < GROUP && self.segment.len() < GROUP_BYTES;
            next = if room { queued() } else { None };
        }
        let outcome = outcome
            .and_then(|()| self.segment.write(&self.connection))
            .and_then(|()| keep_counts(&self.connection, &tally))
            .and_then(|()| self.connection.execute_batch("COMMIT").map_err(|e| e.to_string()));
        match outcome {
            Ok(()) => {
                self.segment.advance();
                self.shared.committed(tally, &turned, freed);
                self.watcher.committed(done.len(), began.elapsed());
                for answer in done {
                    answer(Ok(()));
                }
                self.shared.wake_all(&woken);
            }
            Err(why) => {
                self.abandon();
                self.shared.failed(why.clone());
                for answer in done {
                    answer(Err(LedgerError::Unavailable(why.clone())));
                }
            }
        }
    }

    /// While the store fails nobody may send us anything to find out by, so the writer asks by itself.
    fn probe(&mut self) {
        if self.shared.health().is_ok() {
            return;
        }
        let write = begin(&self.connection).and_then(|()| {
            let at = self.clock.now().get();
            self.connection
                .execute("INSERT OR REPLACE INTO probe (id, at) VALUES (0, ?1)", [at])
                .and_then(|_| self.connection.execute_batch("COMMIT"))
                .map_err(|error| error.to_string())
        });
        match write {
            Ok(()) => self.shared.committed(Tally::default(), &[], Vec::new()),
            Err(why) => {
                self.abandon();
                self.shared.failed(why);
            }
        }
    }

    fn abandon(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the store could not undo a failed commit");
        }
    }
}

fn begin(connection: &Connection) -> Result<(), String> {
    connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| error.to_string())
}

/// The counts change in the transaction that changes the events.
fn keep_counts(connection: &Connection, tally: &Tally) -> Result<(), String> {
    for (account, counts) in &tally.0 {
        for (state, by) in counts.each().filter(|(_, by)| *by != 0) {
            connection
                .prepare_cached(
                    "INSERT INTO event_counts (hubspot, state, count) VALUES (?1, ?2, ?3)
                     ON CONFLICT (hubspot, state) DO UPDATE SET count = count + excluded.count",
                )
                .and_then(|mut add| add.execute((account.as_str(), state, by)))
                .map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// A job whose failure took the whole transaction with it.
struct Lost {
    answer: Answer,
    why: String,
}

impl Desk<'_> {
    /// Does one job within a savepoint. A failed job is answered as failed when the commit is answered.
    fn savepoint(&mut self, job: Job) -> Result<Answer, Lost> {
        let mark = self.segment.mark();
        if let Err(error) = self.statement("SAVEPOINT job") {
            return Err(Lost { answer: answer_only(job), why: error.to_string() });
        }
        let (result, answer) = self.perform(job);
        if result.is_ok() {
            return match self.statement("RELEASE job") {
                Ok(()) => Ok(answer),
                Err(error) => Err(Lost { answer, why: error.to_string() }),
            };
        }
        self.segment.rewind(mark);
        self.tally = Tally::default();
        self.turned.clear();
        self.freed.clear();
        self.woken.clear();
        let undo = self.statement("ROLLBACK TO job").and_then(|()| self.statement("RELEASE job"));
        match undo {
            Ok(()) => Ok(answer),
            // SQLite itself rolled everything back (disk full, I/O error): the others are lost too.
            Err(error) => Err(Lost { answer, why: error.to_string() }),
        }
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(()).map(|_| ())
    }

    fn perform(&mut self, job: Job) -> (Result<(), ()>, Answer) {
        match job {
            // Whoever waited has gone and been told to come again: doing it now would only delay the others.
            Job::Accept { reply, .. } if reply.is_closed() => (Ok(()), Box::new(drop)),
            Job::Accept { receipt, reply, share } => {
                let result = answered(reply, accept::accept(self, &receipt));
                drop(share);
                result
            }
            Job::Settle { account, settled, reply } => {
                answered(reply, settle::settle(self, &account, &settled))
            }
            Job::Standing { account, reply } => {
                let standing = self.shared.standing(&account);
                answered(reply, settle::keep_standing(self, &account, &standing))
            }
            Job::Depart { ids, reply } => answered(reply, settle::depart(self, &ids)),
            Job::Advance { most, reply } => answered(reply, events::advance(self, most)),
            Job::Prune { keep, reply } => answered(reply, prune::prune(self, keep)),
        }
    }
}

fn answered<T: 'static>(reply: Reply<T>, result: Result<T, JobError>) -> (Result<(), ()>, Answer) {
    let flag = result.as_ref().map(|_| ()).map_err(|_| ());
    let answer: Answer = Box::new(move |commit| {
        let result = result.map_err(LedgerError::from).and_then(|value| commit.map(|()| value));
        // The receiver may have given up waiting; the sender will come again and be told `duplicate`.
        drop(reply.send(result));
    });
    (flag, answer)
}

/// The answer to a job that was not begun because the transaction was lost before.
fn answer_only(job: Job) -> Answer {
    fn with<T: 'static>(reply: Reply<T>) -> Answer {
        Box::new(move |commit| {
            let error = commit.err();
            let error = error.unwrap_or(LedgerError::Unavailable("it was not begun".into()));
            drop(reply.send(Err(error)));
        })
    }
    match job {
        Job::Accept { reply, .. } => with(reply),
        Job::Settle { reply, .. } | Job::Standing { reply, .. } | Job::Depart { reply, .. } => {
            with(reply)
        }
        Job::Advance { reply, .. } => with(reply),
        Job::Prune { reply, .. } => with(reply),
    }
}

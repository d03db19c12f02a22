//! The one thread that writes: it takes what has queued, commits it together, and then answers all.
//!
//! Group commit: a sync costs the same for one receipt as for a hundred, so nobody waits for company; whoever queued
//! while the last commit ran is in the next one. Each job has a savepoint, so one that fails fails alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use super::bodies::Segment;
use super::checkpoint::Checkpointer;
use super::open::OpenError;
use super::shared::{Shared, Tally, Turned};
use super::{Settings, accept, events, prune, settle, trouble};
use crate::clock::Clock;
use crate::event::AccountName;
use crate::ledger::{
    Acceptance, Due, LedgerError, NewReceipt, Policies, Retention, Settlement, Watcher,
};

/// Jobs that may wait; beyond it the service is full and says so. At 10,000 a second it is less than half a second's.
const QUEUE: usize = 4_096;
/// Bytes of bodies that may wait: a disk that hangs must not fill the memory with receipts nobody waits for any more.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// Most jobs in one commit: bounds how long its first waiter waits for its last.
const GROUP: usize = 512;
/// Most bytes of bodies in one commit: bounds the memory, and what reading one body back has to unpack.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// How often an idle writer looks whether a store that failed works again.
const PROBE: Duration = Duration::from_millis(500);

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

/// The queue's end that the ledger holds; dropping it ends the thread after what has queued.
pub(super) struct Writer {
    queue: Option<SyncSender<Job>>,
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        settings: &Settings,
        shared: Arc<Shared>,
    ) -> Result<Self, OpenError> {
        let (queue, jobs) = sync_channel(QUEUE);
        let checkpointer = Checkpointer::start(&settings.path)?;
        let desk = Room {
            segment: Segment::after(&connection)?,
            connection,
            checkpointer,
            policies: settings.policies.clone(),
            clock: Arc::clone(&settings.clock),
            watcher: Arc::clone(&settings.watcher),
            shared,
            path: settings.path.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("ledger-writer".into())
            .spawn(move || desk.run(&jobs))
            .map_err(OpenError::Thread)?;
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        Ok(Self { queue: Some(queue), room, thread: Some(thread) })
    }

    /// Takes room for a body that is to wait; it is free again when its job is done or dropped.
    pub(super) fn room_for(&self, body: &[u8]) -> Result<OwnedSemaphorePermit, LedgerError> {
        let full = || LedgerError::Unavailable("its queue holds too many bytes".into());
        let bytes = u32::try_from(body.len()).map_err(|_| full())?;
        Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| full())
    }

    pub(super) fn enqueue(&self, job: Job) -> Result<(), LedgerError> {
        let queue = self.queue.as_ref().ok_or(LedgerError::Unavailable("it is closed".into()))?;
        queue.try_send(job).map_err(|error| {
            LedgerError::Unavailable(match error {
                TrySendError::Full(_) => "its queue is full".into(),
                TrySendError::Disconnected(_) => "its writer stopped".into(),
            })
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the writer has been answered to every waiter already, as a closed channel.
            drop(thread.join());
        }
    }
}

struct Room {
    connection: Connection,
    checkpointer: Checkpointer,
    policies: Policies,
    clock: Arc<dyn Clock>,
    watcher: Arc<dyn Watcher>,
    shared: Arc<Shared>,
    segment: Segment,
    path: PathBuf,
}

/// A job that is done but not yet durable: how to answer it either way.
type Answer = Box<dyn FnOnce(Result<(), LedgerError>)>;

impl Room {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(PROBE) {
                Ok(first) => self.commit(first, jobs),
                Err(RecvTimeoutError::Timeout) => self.probe(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.checkpointer.writers_turn() {
                self.checkpointer.restart_wal(&self.connection);
            }
        }
        self.checkpointer.finish(&self.connection);
    }

    /// Takes what has queued and commits it as one.
    fn commit(&mut self, first: Job, jobs: &Receiver<Job>) {
        let began = Instant::now();
        let mut done: Vec<Answer> = Vec::new();
        let mut tally = Tally::default();
        let (mut turned, mut freed) = (Vec::new(), Vec::new());
        let mut woken = BTreeSet::new();
        self.segment.clear();
        self.shared.committing();
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
            next = if room { jobs.try_recv().ok() } else { None };
        }
        let outcome = outcome
            .and_then(|()| self.segment.write(&self.connection))
            .and_then(|()| tally.write(&self.connection))
            .and_then(|()| self.connection.execute_batch("COMMIT"));
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
            Err(error) => {
                self.abandon();
                let why = self.failed(&error);
                for answer in done {
                    answer(Err(LedgerError::Unavailable(why.clone())));
                }
            }
        }
    }

    /// While the store fails nobody may send us anything to find out by, so the writer asks by itself.
    fn probe(&mut self) {
        if !self.shared.is_failing() {
            return;
        }
        self.shared.committing();
        let write = begin(&self.connection).and_then(|()| {
            let at = self.clock.now().get();
            self.connection
                .execute("INSERT OR REPLACE INTO probe (id, at) VALUES (0, ?1)", [at])
                .and_then(|_| self.connection.execute_batch("COMMIT"))
        });
        match write {
            Ok(()) => self.shared.committed(Tally::default(), &[], Vec::new()),
            Err(error) => {
                self.abandon();
                self.failed(&error);
            }
        }
    }

    /// Lets it be known; says in which words.
    fn failed(&self, error: &rusqlite::Error) -> String {
        let why = trouble::words(error, &trouble::write_beside(&self.path), &self.path);
        self.shared.failed(why.clone());
        why
    }

    fn abandon(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the store could not undo a failed commit");
        }
    }
}

fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")
}

/// A job whose failure took the whole transaction with it.
struct Lost {
    answer: Answer,
    why: rusqlite::Error,
}

impl Desk<'_> {
    /// Does one job within a savepoint. A failed job is answered as failed when the commit is answered.
    fn savepoint(&mut self, job: Job) -> Result<Answer, Lost> {
        let mark = self.segment.mark();
        if let Err(error) = self.statement("SAVEPOINT job") {
            return Err(Lost { answer: answer_only(job), why: error });
        }
        let (result, answer) = self.perform(job);
        if result.is_ok() {
            return match self.statement("RELEASE job") {
                Ok(()) => Ok(answer),
                Err(error) => Err(Lost { answer, why: error }),
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
            Err(error) => Err(Lost { answer, why: error }),
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

//! The one thread that writes: it takes what has queued, commits it together, and then answers all.
//!
//! Group commit: a sync costs the same for one receipt as for a hundred, so nobody waits for company; whoever queued
//! while the last commit ran is in the next one. Each job has a savepoint ([`super::job`]), so one that fails fails alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::bodies::Segment;
use super::checkpoint::Checkpointer;
use super::job::{Answer, Desk, Job, answer_only};
use super::open::OpenError;
use super::shared::{Shared, Tally};
use super::{Settings, trouble};
use crate::clock::Clock;
use crate::ledger::{LedgerError, Policies, Watcher};

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

//! Whose hands do the work: jobs queue for a thread of the store's own, or are done at once by whoever brings them.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Settings;
use super::job::Job;
use super::live_state::LiveState;
use super::open::OpenError;
use super::writer::Writer;
use crate::ledger::LedgerError;

/// Jobs that may wait; beyond it the service is full and says so. At 10,000 a second it is less than half a second's.
const QUEUE: usize = 4_096;
/// Bytes of bodies that may wait: a disk that hangs must not fill the memory with receipts nobody waits for any more.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// Whose threads work on the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threading {
    /// Its own: a writer that commits together what has queued, checkpoints beside it, reads among tokio's blocking
    /// threads. What a service wants.
    Dedicated,
    /// The caller's: each job is committed before its future first waits, reads block, and some commits copy the WAL
    /// back. Nothing happens behind the caller's back, so a run under virtual time can be repeated; nobody looks
    /// whether a store that failed works again but the next to write. For tests and tools, not for a service.
    Inline,
}

/// The writer as the ledger holds it; dropping it ends the writer after what has queued.
pub(super) struct WriteQueue {
    worker: Mutex<Worker>,
    room: Arc<Semaphore>,
}

enum Worker {
    Dedicated { queue: SyncSender<Job>, thread: JoinHandle<()> },
    Inline(Box<Writer>),
    Closed,
}

impl WriteQueue {
    pub(super) fn start(
        connection: Connection,
        settings: &Settings,
        shared: Arc<LiveState>,
    ) -> Result<Self, OpenError> {
        let desk = Writer::new(connection, settings, shared)?;
        let worker = match settings.threading {
            Threading::Inline => Worker::Inline(Box::new(desk)),
            Threading::Dedicated => {
                let (queue, jobs) = sync_channel(QUEUE);
                let thread = std::thread::Builder::new()
                    .name("ledger-writer".into())
                    .spawn(move || desk.run(&jobs))
                    .map_err(OpenError::Thread)?;
                Worker::Dedicated { queue, thread }
            }
        };
        Ok(Self { worker: Mutex::new(worker), room: Arc::new(Semaphore::new(QUEUE_BYTES)) })
    }

    /// Takes room for a body that is to wait; it is free again when its job is done or dropped.
    pub(super) fn reserve(&self, body: &[u8]) -> Result<OwnedSemaphorePermit, LedgerError> {
        let full = || LedgerError::unavailable("its queue holds too many bytes");
        let bytes = u32::try_from(body.len()).map_err(|_| full())?;
        Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| full())
    }

    /// Has a job done, or does it.
    pub(super) fn enqueue(&self, job: Job) -> Result<(), LedgerError> {
        match &mut *self.worker() {
            Worker::Dedicated { queue, .. } => queue.try_send(job).map_err(|error| {
                LedgerError::unavailable(match error {
                    TrySendError::Full(_) => "its queue is full",
                    TrySendError::Disconnected(_) => "its writer stopped",
                })
            }),
            Worker::Inline(desk) => {
                desk.commit(job, || None);
                Ok(())
            }
            Worker::Closed => Err(LedgerError::unavailable("it is closed")),
        }
    }

    /// Takes no more jobs; the returned work does what has queued and ends, and blocks meanwhile.
    pub(super) fn close(&self) -> impl FnOnce() + Send + use<> {
        let worker = std::mem::replace(&mut *self.worker(), Worker::Closed);
        || match worker {
            Worker::Dedicated { queue, thread } => {
                drop(queue);
                // A panic of the writer has been answered to every waiter already, as a closed channel.
                drop(thread.join());
            }
            Worker::Inline(desk) => desk.finish(),
            Worker::Closed => {}
        }
    }

    fn worker(&self) -> MutexGuard<'_, Worker> {
        // A panic within a commit has left a transaction open, which the next commit finds and reports.
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WriteQueue {
    fn drop(&mut self) {
        // Who lends their own threads may drop it to stand for a crash.
        if matches!(*self.worker(), Worker::Dedicated { .. }) {
            self.close()();
        }
    }
}

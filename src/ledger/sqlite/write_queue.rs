//! The queue in front of the writer: a thread of the store carries out the jobs, or the caller does at once.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Settings;
use super::job::Job;
use super::live_state::LiveState;
use super::open::OpenError;
use super::store_lock::StoreLock;
use super::writer::Writer;
use crate::ledger::LedgerError;

/// The most jobs that wait; further ones are refused. At 10,000 jobs a second the queue holds less than half a second.
const QUEUE: usize = 4_096;
/// The most bytes of bodies that wait: a hanging disk must not fill the memory with receipts whose senders gave up.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// The threads that work on the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threading {
    /// The store's own threads, for a service: the writer commits the queued jobs together, checkpoints run beside it,
    /// and reads run on tokio's blocking threads.
    Dedicated,
    /// The caller's thread, for tests and tools: each job is committed before its future first waits, reads block, and
    /// some commits copy the WAL back. A run under virtual time can be repeated. Only the next write finds out whether a
    /// failed store works again.
    Inline,
}

/// The ledger's handle of the writer; dropping it ends the writer after the queued jobs.
pub(super) struct WriteQueue {
    worker: Mutex<Worker>,
    /// A permit for each byte of a body that may still wait.
    byte_permits: Arc<Semaphore>,
}

enum Worker {
    Dedicated { queue: SyncSender<Job>, thread: JoinHandle<()> },
    Inline(Box<Writer>),
    Closed,
}

impl WriteQueue {
    pub(super) fn start(
        connection: Connection,
        settings: Settings,
        live: Arc<LiveState>,
        lock: Arc<StoreLock>,
    ) -> Result<Self, OpenError> {
        let threading = settings.threading;
        let writer = Writer::new(connection, settings, live, lock)?;
        let worker = match threading {
            Threading::Inline => Worker::Inline(Box::new(writer)),
            Threading::Dedicated => {
                let (queue, jobs) = sync_channel(QUEUE);
                let thread = std::thread::Builder::new()
                    .name("ledger-writer".into())
                    .spawn(move || writer.run(&jobs))
                    .map_err(OpenError::Thread)?;
                Worker::Dedicated { queue, thread }
            }
        };
        let byte_permits = Arc::new(Semaphore::new(QUEUE_BYTES));
        Ok(Self { worker: Mutex::new(worker), byte_permits })
    }

    /// Reserves the bytes of a body; the permit frees them when its job is done or dropped.
    pub(super) fn reserve(&self, body: &[u8]) -> Result<OwnedSemaphorePermit, LedgerError> {
        let full = || LedgerError::unavailable("its queue holds too many bytes");
        let bytes = u32::try_from(body.len()).map_err(|_| full())?;
        Arc::clone(&self.byte_permits).try_acquire_many_owned(bytes).map_err(|_| full())
    }

    /// Queues a job for the writer's thread, or carries it out.
    pub(super) fn enqueue(&self, job: Job) -> Result<(), LedgerError> {
        match &mut *self.worker() {
            Worker::Dedicated { queue, .. } => queue.try_send(job).map_err(|error| {
                LedgerError::unavailable(match error {
                    TrySendError::Full(_) => "its queue is full",
                    TrySendError::Disconnected(_) => "its writer stopped",
                })
            }),
            Worker::Inline(writer) => {
                writer.commit(job, || None);
                Ok(())
            }
            Worker::Closed => Err(LedgerError::unavailable("it is closed")),
        }
    }

    /// Refuses further jobs; the returned function blocks until the queued ones are done and the writer has ended.
    pub(super) fn close(&self) -> impl FnOnce() + Send + use<> {
        let worker = std::mem::replace(&mut *self.worker(), Worker::Closed);
        || match worker {
            Worker::Dedicated { queue, thread } => {
                drop(queue);
                // If the writer panicked, every caller has already seen its channel close.
                drop(thread.join());
            }
            Worker::Inline(writer) => writer.finish(),
            Worker::Closed => {}
        }
    }

    fn worker(&self) -> MutexGuard<'_, Worker> {
        // A panic within a commit leaves its transaction open, which the next commit detects and reports.
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WriteQueue {
    fn drop(&mut self) {
        // An inline writer ends without a last checkpoint: tests drop it to simulate a crash.
        if matches!(*self.worker(), Worker::Dedicated { .. }) {
            self.close()();
        }
    }
}

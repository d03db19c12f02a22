//! Checkpoints that bound the WAL without stopping the writer for long.
//!
//! A checkpoint within a commit delays the callers. A checkpoint that only runs beside the writer never catches up under
//! load, and the WAL grows without bound. So a thread copies pages back while the writer works. Once few frames are left
//! it signals the writer, which copies them between two commits; then the WAL restarts.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::open::{self, OpenError};
use super::store_lock::StoreLock;

/// The interval of checks of the WAL's size.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Frames (pages of 8 KiB) from which copying begins: 8 MiB, 1,000 frames as in SQLite's default.
const COPY_FROM_FRAMES: i64 = 1_000;
/// Frames from which the WAL should restart: 64 MiB. A larger number makes rarer, longer stalls.
const RESTART_FROM_FRAMES: i64 = 8_000;
/// Remaining frames below which the writer copies them itself, in some milliseconds.
const WRITER_COPIES_FRAMES: i64 = 400;

/// The thread that copies the WAL back, and its signal to the writer.
pub(super) struct Checkpointer {
    turn: Arc<AtomicBool>,
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

/// The progress of a checkpoint, in frames.
#[derive(Debug, Clone, Copy)]
pub(super) struct CheckpointProgress {
    /// Whether another connection blocked the checkpoint.
    pub(super) busy: bool,
    pub(super) in_wal: i64,
    pub(super) copied: i64,
}

impl Checkpointer {
    pub(super) fn start(path: &Path, lock: Arc<StoreLock>) -> Result<Self, OpenError> {
        let connection = open::connect(path)?;
        let turn = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = sync_channel(1);
        let given = Arc::clone(&turn);
        let wal = open::wal_path(path);
        let thread = std::thread::Builder::new()
            .name("ledger-checkpoint".into())
            .spawn(move || {
                copy_back(&connection, &wal, &given, &stopped);
                // The lock outlives the connection.
                drop(connection);
                drop(lock);
            })
            .map_err(OpenError::Thread)?;
        Ok(Self { turn, stop, thread })
    }

    /// Whether the writer should copy the remaining frames now.
    pub(super) fn is_writers_turn(&self) -> bool {
        self.turn.load(Ordering::Acquire)
    }

    /// Copies the remaining frames; the next commit then restarts the WAL.
    pub(super) fn restart_wal(&self, connection: &Connection) {
        if let Err(error) = run(connection, "PASSIVE") {
            // The thread meets the same error next, and logs its beginning and its end.
            tracing::debug!(%error, "the writer could not copy the remaining frames");
        }
        self.turn.store(false, Ordering::Release);
    }

    /// Ends the thread.
    pub(super) fn stop(self) {
        drop(self.stop);
        drop(self.thread.join());
    }
}

fn copy_back(connection: &Connection, wal: &Path, turn: &AtomicBool, stopped: &Receiver<()>) {
    let page = i64::from(open::PAGE_BYTES);
    let mut failing = false;
    loop {
        match stopped.recv_timeout(CHECK_INTERVAL) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        let bytes = std::fs::metadata(wal).map_or(0, |file| file.len());
        if i64::try_from(bytes).unwrap_or(i64::MAX) < COPY_FROM_FRAMES * page
            || turn.load(Ordering::Acquire)
        {
            continue;
        }
        // Each round copies the frames written during the round before, which become fewer.
        for _ in 0..8 {
            match run(connection, "PASSIVE") {
                Ok(CheckpointProgress { in_wal, copied, .. }) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("the store is checkpointed again");
                    }
                    if in_wal < RESTART_FROM_FRAMES {
                        break;
                    }
                    if in_wal - copied < WRITER_COPIES_FRAMES {
                        turn.store(true, Ordering::Release);
                        break;
                    }
                }
                // Every answered commit is in the WAL, so this loses nothing; the WAL grows until a checkpoint works.
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(%error, "the store could not be checkpointed");
                    }
                    break;
                }
            }
        }
    }
}

/// Runs a checkpoint in that mode of SQLite.
pub(super) fn run(connection: &Connection, mode: &str) -> rusqlite::Result<CheckpointProgress> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), (), |row| {
        Ok(CheckpointProgress { busy: row.get(0)?, in_wal: row.get(1)?, copied: row.get(2)? })
    })
}

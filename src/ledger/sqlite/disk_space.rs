//! Disk space: webhooks are accepted only while the disk has room to copy the WAL back into the database.
//!
//! The WAL alone can fill a disk. The store is then stuck: the database cannot grow by the WAL's pages, so the WAL
//! cannot restart, and SQLite writes even deletions to the WAL first. So the writer refuses new receipts before the disk
//! is full. It goes on settling and pruning, which ends the shortage without help where retention allows it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rustix::fs::statvfs;
use tokio::time::Instant;

use super::checkpoint::{self, CheckpointProgress};
use super::open::{self, OpenError};
use super::statements::Statements as _;
use super::store_lock;

/// Bytes that one commit may add to the WAL, and again to the database; on a small disk an eighth of the disk if less.
const COMMIT_BYTES: u64 = 16 * 1024 * 1024;
/// The interval of attempts to copy the WAL back during a shortage.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The disk, which the writer checks around each commit.
pub(super) struct DiskSpace {
    path: PathBuf,
    wal: PathBuf,
    /// The time of the last failure to copy the WAL back, if no success followed.
    stuck: Option<Instant>,
    /// The lock file, which holds no data.
    lock: File,
    /// The lock file's length: the number of commits since the start.
    length: u64,
}

/// A lack of room for a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shortage {
    /// Free bytes on the disk.
    pub(super) free: u64,
    /// Bytes that the next commit needs.
    pub(super) needed: u64,
}

/// The file system's figures, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DiskFigures {
    /// Free on the disk.
    free: u64,
    /// The disk's size.
    total: u64,
    /// The WAL's file, used or not.
    wal: u64,
    /// The database's file.
    database: u64,
}

/// SQLite's figures, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PageFigures {
    /// The database's size once the WAL is copied back.
    all: u64,
    /// The free pages within the database.
    reusable: u64,
    /// Whether the WAL is copied back entirely, so that the next commit overwrites it from its beginning.
    copied: bool,
}

impl DiskFigures {
    fn commit(self) -> u64 {
        COMMIT_BYTES.min(self.total / 8)
    }

    /// Whether the disk has room for copying the whole WAL back and for another commit.
    fn is_plenty(self) -> bool {
        self.free >= self.wal.saturating_add(2 * self.commit())
    }

    /// The lack of room for copying the WAL back and for one more commit, if any. Free parts of both files count as room.
    fn shortage(self, pages: PageFigures) -> Option<Shortage> {
        let rest = pages.all.saturating_sub(self.database);
        let spare = if pages.copied { self.wal } else { 0 };
        let commit = self.commit();
        let needed = rest + commit.saturating_sub(spare) + commit.saturating_sub(pages.reusable);
        (self.free < needed).then_some(Shortage { free: self.free, needed })
    }
}

impl PageFigures {
    fn read(connection: &Connection, copied: bool) -> rusqlite::Result<Self> {
        let bytes = |pragma: &str| {
            let pages: i64 = connection.value(pragma, ())?;
            let pages = u64::try_from(pages).unwrap_or(0);
            Ok::<_, rusqlite::Error>(pages.saturating_mul(u64::from(open::PAGE_BYTES)))
        };
        Ok(Self {
            all: bytes("PRAGMA page_count")?,
            reusable: bytes("PRAGMA freelist_count")?,
            copied,
        })
    }
}

impl DiskSpace {
    /// # Errors
    /// [`OpenError`] if the lock file cannot be opened.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let lock = store_lock::open_private(&open::lock_path(path))?;
        let (path, wal) = (path.to_owned(), open::wal_path(path));
        Ok(Self { path, wal, stuck: None, lock, length: 0 })
    }

    /// Checks whether the disk has room for a receipt. If room is scarce, copies the WAL back first.
    ///
    /// # Errors
    /// SQLite's error, if the database cannot be read.
    pub(super) fn shortage(
        &mut self,
        connection: &Connection,
    ) -> rusqlite::Result<Option<Shortage>> {
        // A file system without figures does not count as full.
        if self.figures().is_none_or(DiskFigures::is_plenty) {
            self.stuck = None;
            return Ok(None);
        }
        let copied = self.copies_back(connection);
        let pages = PageFigures::read(connection, copied)?;
        // The database may have grown meanwhile.
        Ok(self.figures().and_then(|figures| figures.shortage(pages)))
    }

    /// Copies the whole WAL back; returns whether that succeeded. After a failure the next attempt waits.
    fn copies_back(&mut self, connection: &Connection) -> bool {
        if self.stuck.is_some_and(|since| since.elapsed() < RETRY_AFTER) {
            return false;
        }
        let copied = copy_back(connection);
        self.stuck = (!copied).then(Instant::now);
        copied
    }

    /// Checks after a successful sync that the file system still writes. The sync alone proves nothing: once ext4 has
    /// aborted its journal after an error, `fsync` may succeed without doing anything (`ext4_sync_file` and
    /// `jbd2_complete_transaction` in Linux), and the file system turns read-only only moments later. A change of a
    /// file's length goes through the journal and fails at once.
    ///
    /// # Errors
    /// The file system's error: it is read-only or broken.
    pub(super) fn still_writes(&mut self) -> io::Result<()> {
        // The file grows each time and stays sparse: ext4 takes ten times as long to shorten a file.
        self.length += 1;
        match self.lock.set_len(self.length) {
            Err(error)
                if !matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Simulates a file system that does not write; returns the handle for [`Self::mend_writes`].
    #[cfg(test)]
    pub(super) fn break_writes(&mut self) -> File {
        let read_only = File::open(open::lock_path(&self.path)).expect("it is there");
        std::mem::replace(&mut self.lock, read_only)
    }

    /// Ends the simulation.
    #[cfg(test)]
    pub(super) fn mend_writes(&mut self, sound: File) {
        self.lock = sound;
    }

    fn figures(&self) -> Option<DiskFigures> {
        let disk = statvfs(&self.path).ok()?;
        Some(DiskFigures {
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
            total: disk.f_blocks.saturating_mul(disk.f_frsize),
            wal: open::file_bytes(&self.wal),
            database: open::file_bytes(&self.path),
        })
    }
}

/// Copies the whole WAL back, so that it restarts; returns whether every frame was copied.
fn copy_back(connection: &Connection) -> bool {
    checkpoint::run(connection, "RESTART")
        .is_ok_and(|CheckpointProgress { busy, in_wal, copied }| !busy && in_wal == copied)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn figures(free: u64, wal: u64) -> DiskFigures {
        DiskFigures { free: free * MIB, total: 1_000 * MIB, wal: wal * MIB, database: 200 * MIB }
    }

    /// The shortage in MiB: free, needed.
    fn shortage(figures: DiskFigures, all: u64, reusable: u64, copied: bool) -> Option<(u64, u64)> {
        let pages = PageFigures { all: all * MIB, reusable: reusable * MIB, copied };
        figures.shortage(pages).map(|shortage| (shortage.free / MIB, shortage.needed / MIB))
    }

    #[test]
    fn disk_has_plenty_while_wal_and_two_commits_fit() {
        assert!(figures(64 + 32, 64).is_plenty());
        assert!(!figures(64 + 31, 64).is_plenty());
        let small = DiskFigures { free: MIB, total: 4 * MIB, wal: 0, database: 0 };
        assert!(small.is_plenty(), "a small disk is not full from the beginning");
    }

    #[test]
    fn restarting_wal_and_free_pages_count_as_room() {
        // A commit needs 16 MiB of the WAL, and 16 MiB of the database.
        assert_eq!(shortage(figures(32, 0), 200, 0, true), None);
        assert_eq!(shortage(figures(31, 0), 200, 0, true), Some((31, 32)));
        assert_eq!(shortage(figures(16, 64), 200, 0, true), None);
        assert_eq!(shortage(figures(15, 64), 200, 0, true), Some((15, 16)));
        assert_eq!(shortage(figures(0, 64), 200, 16, true), None);
        assert_eq!(shortage(figures(0, 15), 200, 16, true), Some((0, 1)));
    }

    #[test]
    fn frames_not_copied_back_yet_need_room() {
        assert_eq!(shortage(figures(62, 64), 230, 0, false), None);
        assert_eq!(shortage(figures(61, 64), 230, 0, false), Some((61, 62)));
        assert_eq!(shortage(figures(46, 64), 230, 16, false), None);
        assert_eq!(shortage(figures(45, 64), 230, 16, false), Some((45, 46)));
    }

    /// A store in a folder, with some free pages.
    fn store() -> (tempfile::TempDir, PathBuf, Connection) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let connection = open::connect(&path).expect("it opens");
        connection.busy_timeout(Duration::ZERO).expect("it is set");
        let filled = "CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(1000000)); DELETE FROM t;";
        connection.execute_batch(filled).expect("it is written");
        (folder, path, connection)
    }

    #[test]
    fn wal_restarts_unless_a_reader_holds_it() {
        let (_folder, path, connection) = store();
        let reader = open::connect(&path).expect("it opens");
        reader.execute_batch("BEGIN; SELECT count(*) FROM t;").expect("it is read");
        assert!(!copy_back(&connection), "the next commit would still be appended");
        connection.execute_batch("CREATE TABLE u (x);").expect("it is written");
        assert!(!copy_back(&connection), "not everything is copied");
        reader.execute_batch("COMMIT;").expect("it is over");
        assert!(copy_back(&connection), "nobody reads");
    }

    #[test]
    fn figures_match_the_disk_and_the_files() {
        let (_folder, path, connection) = store();
        let space = || DiskSpace::open(&path).expect("a file can be made");
        let figures = space().figures().expect("the file system has figures");
        assert!(figures.free <= figures.total && figures.total > 0, "{figures:?}");
        assert!((1_000_000..4_000_000).contains(&figures.wal), "{figures:?}");
        let pages = PageFigures::read(&connection, true).expect("it is read");
        // A million bytes, less the row's own page.
        assert!((990_000..1_100_000).contains(&pages.reusable), "{pages:?}");
        assert!((1_000_000..2_000_000).contains(&pages.all), "{pages:?}");
        assert!(copy_back(&connection), "nobody reads");
        assert_eq!(space().figures().expect("the file system has figures").database, pages.all);
        drop(connection);
        let mut gone = space();
        gone.path = path.join("absent");
        assert_eq!(gone.figures(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_copying_back_is_retried_after_the_interval() {
        let (_folder, path, connection) = store();
        let mut space = DiskSpace::open(&path).expect("a file can be made");
        let reader = open::connect(&path).expect("it opens");
        reader.execute_batch("BEGIN; SELECT count(*) FROM t;").expect("it is read");
        assert!(!space.copies_back(&connection), "somebody reads");
        reader.execute_batch("COMMIT;").expect("it is over");
        assert!(!space.copies_back(&connection), "the last attempt was just now");
        tokio::time::advance(RETRY_AFTER).await;
        assert!(space.copies_back(&connection));
        assert!(space.copies_back(&connection), "no wait after a success");
    }

    #[test]
    fn file_system_that_does_not_write_is_detected() {
        let (_folder, path, _connection) = store();
        let mut space = DiskSpace::open(&path).expect("a file can be made");
        space.still_writes().expect("it writes");
        space.still_writes().expect("it still writes");
        let sound = space.break_writes();
        assert!(space.still_writes().is_err(), "its length cannot be changed");
        space.mend_writes(sound);
        space.still_writes().expect("it writes again");
    }
}

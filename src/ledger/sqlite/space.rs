//! Room on the disk: webhooks are accepted only while what is accepted can also be copied out of the WAL.
//!
//! The WAL can fill a disk by itself. Then nothing helps: the database cannot grow by what the WAL holds, so the WAL
//! cannot start over, and not even deleting is possible, since that is written to the WAL first. So before the last room
//! is taken new receipts are refused, while settling, pruning and the like go on: they end the shortage by themselves
//! where retention allows it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use super::checkpoint::{self, Progress};
use super::open;

/// What one commit may take of the WAL, and of the database once more; a small disk's eighth if that is less.
const COMMIT: u64 = 16 * 1024 * 1024;
/// How often a shortage is looked at anew.
const AGAIN: Duration = Duration::from_millis(500);

/// The disk's room, as the writer looks at it before each commit.
pub(super) struct Space {
    path: PathBuf,
    wal: PathBuf,
    short: Option<Shortage>,
    looked: Instant,
}

/// Why there is no room for a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shortage {
    /// Bytes.
    pub(super) free: u64,
    /// Bytes; more than that may be needed if the WAL could not be copied back.
    pub(super) needed: u64,
}

/// Bytes, as the file system and SQLite tell them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Figures {
    /// Free on the disk.
    free: u64,
    /// The disk's size.
    total: u64,
    /// The WAL's file, used or not.
    wal: u64,
}

/// After everything was copied back: the next commit writes over the WAL from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Emptied {
    /// Bytes of the database's pages that hold nothing.
    reusable: u64,
}

impl Figures {
    fn commit(self) -> u64 {
        COMMIT.min(self.total / 8)
    }

    /// Whether there is room whatever the WAL holds: it can be copied back, and another commit after it.
    fn plenty(self) -> bool {
        self.free >= self.wal.saturating_add(2 * self.commit())
    }

    /// Whether there is room for one more commit, in the WAL's file and in the database's, or beside them.
    fn shortage(self, emptied: Option<Emptied>) -> Option<Shortage> {
        let commit = self.commit();
        let needed = match emptied {
            Some(Emptied { reusable }) => {
                commit.saturating_sub(self.wal) + commit.saturating_sub(reusable)
            }
            None => self.wal.saturating_add(2 * commit),
        };
        (self.free < needed).then_some(Shortage { free: self.free, needed })
    }
}

impl Space {
    pub(super) fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            wal: open::wal_path(path),
            short: None,
            looked: Instant::now(),
        }
    }

    /// Looks whether there is room for a receipt, and makes some of what the WAL has done with.
    pub(super) fn look(&mut self, connection: &Connection) -> Option<Shortage> {
        if self.short.is_some() && self.looked.elapsed() < AGAIN {
            return self.short;
        }
        // A file system that cannot tell is not held to be full.
        let figures = self.figures()?;
        self.short = if figures.plenty() {
            None
        } else {
            // The database may have grown by it.
            let emptied = empty(connection);
            self.figures().and_then(|figures| figures.shortage(emptied))
        };
        self.looked = Instant::now();
        self.short
    }

    fn figures(&self) -> Option<Figures> {
        let disk = rustix::fs::statvfs(&self.path).ok()?;
        Some(Figures {
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
            total: disk.f_blocks.saturating_mul(disk.f_frsize),
            wal: std::fs::metadata(&self.wal).map_or(0, |file| file.len()),
        })
    }
}

/// Copies everything back, so that the WAL starts over; None if that did not succeed, or not to the end.
fn empty(connection: &Connection) -> Option<Emptied> {
    let Progress { busy, in_wal, copied } = checkpoint::run(connection, "RESTART").ok()?;
    let pages: i64 =
        connection.pragma_query_value(None, "freelist_count", |row| row.get(0)).ok()?;
    let reusable = u64::try_from(pages).unwrap_or(0).saturating_mul(u64::from(open::PAGE_BYTES));
    (!busy && in_wal == copied).then_some(Emptied { reusable })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn figures(free: u64, wal: u64) -> Figures {
        Figures { free: free * MIB, total: 1_000 * MIB, wal: wal * MIB }
    }

    fn shortage(free: u64, wal: u64, reusable: u64) -> Option<Shortage> {
        figures(free, wal).shortage(Some(Emptied { reusable: reusable * MIB }))
    }

    #[test]
    fn there_is_plenty_while_the_wal_and_two_commits_find_room() {
        assert!(figures(64 + 32, 64).plenty());
        assert!(!figures(64 + 31, 64).plenty());
        let small = Figures { free: MIB, total: 4 * MIB, wal: 0 };
        assert!(small.plenty(), "a small disk is not full from the beginning");
    }

    #[test]
    fn a_wal_that_starts_over_and_pages_that_hold_nothing_are_room() {
        // A commit needs 16 MiB of the WAL, and 16 MiB of the database.
        assert_eq!(shortage(32, 0, 0), None);
        assert_eq!(shortage(31, 0, 0), Some(Shortage { free: 31 * MIB, needed: 32 * MIB }));
        assert_eq!(shortage(16, 64, 0), None);
        assert!(shortage(15, 64, 0).is_some());
        assert_eq!(shortage(0, 64, 16), None);
        assert!(shortage(0, 15, 16).is_some());
    }

    #[test]
    fn what_could_not_be_copied_back_needs_room_still() {
        assert_eq!(
            figures(95, 64).shortage(None),
            Some(Shortage { free: 95 * MIB, needed: 96 * MIB })
        );
    }

    /// A store in a folder, with some pages that hold nothing.
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
    fn the_wal_starts_over_unless_somebody_still_reads_it() {
        let (_folder, path, connection) = store();
        let reader = open::connect(&path).expect("it opens");
        reader.execute_batch("BEGIN; SELECT count(*) FROM t;").expect("it is read");
        // Everything is copied, and the next commit would still be put at the end.
        assert_eq!(empty(&connection), None);
        connection.execute_batch("CREATE TABLE u (x);").expect("it is written");
        assert_eq!(empty(&connection), None, "not everything is copied");
        reader.execute_batch("COMMIT;").expect("it is over");
        let Some(Emptied { reusable }) = empty(&connection) else { panic!("nobody reads") };
        // A million bytes, less the row's own page.
        assert!((990_000..1_100_000).contains(&reusable), "{reusable}");
    }

    #[test]
    fn the_disk_and_the_wal_are_measured() {
        let (_folder, path, connection) = store();
        let figures = Space::of(&path).figures().expect("the file system tells");
        assert!(figures.free <= figures.total && figures.total > 0, "{figures:?}");
        assert!((1_000_000..4_000_000).contains(&figures.wal), "{figures:?}");
        drop(connection);
        assert_eq!(Space::of(&path.join("absent")).figures(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shortage_is_looked_at_anew_after_a_while() {
        let (_folder, path, connection) = store();
        let shortage = Shortage { free: 0, needed: 1 };
        let mut space = Space { short: Some(shortage), ..Space::of(&path) };
        assert_eq!(space.look(&connection), Some(shortage), "it was looked at just now");
        tokio::time::advance(AGAIN).await;
        assert_eq!(space.look(&connection), None, "this disk has room");
    }
}

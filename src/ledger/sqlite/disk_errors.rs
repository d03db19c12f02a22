//! Messages for operators about a failing disk.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use rusqlite::{Error, ErrorCode};

use super::disk_space::Shortage;
use super::open::{lock_path, wal_path};
use super::store_lock::LostFile;

/// Describes a failed commit for `/readyz` and the log: the failure, the remedy, and whether the service continues by
/// itself. `probe` is the result of [`probe_write`].
pub(super) fn describe(error: &Error, probe: &io::Result<()>, path: &Path) -> String {
    let at = path.display();
    let is_read_only =
        probe.as_ref().is_err_and(|error| error.kind() == ErrorKind::ReadOnlyFilesystem);
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => format!(
            "no space left, the disk of {at} is full: make room or enlarge it, then the service continues by itself"
        ),
        _ if is_read_only => read_only(path, error),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            format!("{at} is read-only for this process ({error}): check its owner and mode")
        }
        Some(ErrorCode::SystemIoFailure) => io_error(path, error),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            format!("{at} is damaged ({error}): stop the service and restore a backup")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("another process holds {at} locked ({error})")
        }
        Some(_) | None => format!("{at} cannot be written: {error}"),
    }
}

/// Describes a file system that stopped writing although the sync succeeded.
pub(super) fn describe_lost_write(error: &io::Error, path: &Path) -> String {
    if error.kind() == ErrorKind::ReadOnlyFilesystem {
        read_only(path, error)
    } else {
        io_error(path, error)
    }
}

/// Describes a file of the store that is no longer the opened one: what is written now would be lost.
pub(super) fn describe_lost_file(lost: &LostFile, path: &Path) -> String {
    let at = path.display();
    match lost {
        LostFile::DatabaseGone => format!(
            "{at} is gone: it was deleted or moved while the service runs. Put the same file back, then the service \
             continues by itself; or stop the service and restore a backup"
        ),
        LostFile::DatabaseReplaced => format!(
            "{at} is not the file that the service opened: it was replaced while the service runs. Put that file back, \
             then the service continues by itself; or restart the service to use the new file"
        ),
        LostFile::Log => format!(
            "{} was deleted or replaced while the service runs: stop the service, which saves the log's content when \
             it stops by itself, and start it again",
            wal_path(path).display()
        ),
    }
}

fn io_error(path: &Path, error: &dyn Display) -> String {
    format!(
        "I/O error on the disk of {} ({error}): see the kernel's log; the service continues by itself once the disk works",
        path.display()
    )
}

fn read_only(path: &Path, error: &dyn Display) -> String {
    let path = path.display();
    format!(
        "the file system of {path} is read-only ({error}): the service continues by itself once it is writable. If the \
         kernel made it read-only after an error: stop the service, unmount, check (fsck), mount, start"
    )
}

/// Describes a disk that has too little room for a receipt, and enough for everything else.
pub(super) fn describe_shortage(Shortage { free, needed }: Shortage, path: &Path) -> String {
    const MIB: u64 = 1024 * 1024;
    format!(
        "no space left, the disk of {} is almost full ({} MiB free, {} needed for the next webhooks): make room or \
         enlarge it, then the service continues by itself",
        path.display(),
        free / MIB,
        needed.div_ceil(MIB)
    )
}

/// Tries a write beside the store: SQLite reports a read-only file system and a broken one alike.
///
/// # Errors
/// The file system's error.
pub(super) fn probe_write(path: &Path) -> io::Result<()> {
    // The lock file holds no data and is never read.
    let mut file = OpenOptions::new().write(true).open(lock_path(path))?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn message(code: i32, read_only: bool) -> String {
        let error = Error::SqliteFailure(ffi::Error::new(code), None);
        let probe = if read_only { Err(ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) };
        describe(&error, &probe, Path::new("data/bridge.db"))
    }

    #[test]
    fn every_error_code_has_its_message() {
        let cases = [
            (ffi::SQLITE_FULL, false, "no space left"),
            // A full disk needs room even if it is also read-only.
            (ffi::SQLITE_FULL, true, "no space left"),
            (ffi::SQLITE_IOERR_FSYNC, false, "I/O error"),
            (ffi::SQLITE_IOERR_WRITE, true, "read-only"),
            (ffi::SQLITE_READONLY, false, "owner and mode"),
            (ffi::SQLITE_CORRUPT, false, "restore a backup"),
            (ffi::SQLITE_BUSY, false, "another process"),
            (ffi::SQLITE_ERROR, false, "cannot be written"),
        ];
        for (code, read_only, words) in cases {
            let message = message(code, read_only);
            assert!(
                message.contains(words) && message.contains("data/bridge.db"),
                "{code}: {message}"
            );
        }
    }

    #[test]
    fn lost_file_is_named_with_a_remedy() {
        let path = Path::new("data/bridge.db");
        for (lost, words) in [
            (LostFile::DatabaseGone, "data/bridge.db is gone"),
            (LostFile::DatabaseReplaced, "data/bridge.db is not the file"),
            (LostFile::Log, "data/bridge.db-wal was deleted"),
        ] {
            let message = describe_lost_file(&lost, path);
            assert!(message.contains(words) && message.contains("the service"), "{message}");
        }
    }

    #[test]
    fn probe_write_fails_without_a_lock_file_and_succeeds_with_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bridge.db");
        assert!(probe_write(&path).is_err(), "the store does not exist");
        std::fs::write(folder.path().join("bridge.db.lock"), b"").expect("written");
        probe_write(&path).expect("it works");
    }
}

//! What is wrong with the disk, in words for whoever has to mend it.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use rusqlite::{Error, ErrorCode};

use super::disk_space::Shortage;
use super::open::lock_path;

/// The reason that `/readyz` and the log give: what failed, what to do, and whether it goes on by itself.
pub(super) fn describe(error: &Error, beside: &io::Result<()>, path: &Path) -> String {
    let at = path.display();
    let is_read_only =
        beside.as_ref().is_err_and(|error| error.kind() == ErrorKind::ReadOnlyFilesystem);
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => format!(
            "no space left, the disk of {at} is full: make room or enlarge it, then it goes on by itself"
        ),
        _ if is_read_only => read_only(path, error),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            format!("{at} is read-only for this process ({error}): check its owner and mode")
        }
        Some(ErrorCode::SystemIoFailure) => io_error(path, error),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            format!("{at} is damaged ({error}): stop the service and put a backup in its place")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("another process holds {at} locked ({error})")
        }
        Some(_) | None => format!("{at} cannot be written: {error}"),
    }
}

/// The reason if the file system has stopped writing right after it said that it had.
pub(super) fn describe_lost_write(error: &io::Error, path: &Path) -> String {
    if error.kind() == ErrorKind::ReadOnlyFilesystem {
        read_only(path, error)
    } else {
        io_error(path, error)
    }
}

fn io_error(path: &Path, error: &dyn Display) -> String {
    format!(
        "I/O error on the disk of {} ({error}): see the kernel's log; it goes on by itself once the disk works",
        path.display()
    )
}

fn read_only(path: &Path, error: &dyn Display) -> String {
    let path = path.display();
    format!(
        "the file system of {path} is read-only ({error}): it goes on by itself once that can be written. If the kernel \
         made it so after an error: stop the service, unmount, check (fsck), mount, start"
    )
}

/// The reason while there is too little room for a receipt, and enough for everything else.
pub(super) fn describe_shortage(Shortage { free, needed }: Shortage, path: &Path) -> String {
    const MIB: u64 = 1024 * 1024;
    format!(
        "no space left, the disk of {} is as good as full ({} MiB free of {} that the next webhooks may take): make room \
         or enlarge it, then it goes on by itself",
        path.display(),
        free / MIB,
        needed.div_ceil(MIB)
    )
}

/// What the file system says to a write beside the store: SQLite tells a read-only one and a broken one alike.
///
/// # Errors
/// The file system's own words.
pub(super) fn probe_write(path: &Path) -> io::Result<()> {
    // The lock's file holds nothing, and is never read.
    let mut file = OpenOptions::new().write(true).open(lock_path(path))?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn told(code: i32, read_only: bool) -> String {
        let error = Error::SqliteFailure(ffi::Error::new(code), None);
        let beside = if read_only { Err(ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) };
        describe(&error, &beside, Path::new("data/bridge.db"))
    }

    #[test]
    fn every_trouble_has_its_words() {
        let cases = [
            (ffi::SQLITE_FULL, false, "no space left"),
            // A full disk that is read-only, too, needs room no less.
            (ffi::SQLITE_FULL, true, "no space left"),
            (ffi::SQLITE_IOERR_FSYNC, false, "I/O error"),
            (ffi::SQLITE_IOERR_WRITE, true, "read-only"),
            (ffi::SQLITE_READONLY, false, "owner and mode"),
            (ffi::SQLITE_CORRUPT, false, "put a backup in its place"),
            (ffi::SQLITE_BUSY, false, "another process"),
            (ffi::SQLITE_ERROR, false, "cannot be written"),
        ];
        for (code, read_only, words) in cases {
            let told = told(code, read_only);
            assert!(told.contains(words) && told.contains("data/bridge.db"), "{code}: {told}");
        }
    }

    #[test]
    fn a_file_system_that_can_be_written_is_told_from_one_that_cannot() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bridge.db");
        assert!(probe_write(&path).is_err(), "the store is not there");
        std::fs::write(folder.path().join("bridge.db.lock"), b"").expect("written");
        probe_write(&path).expect("it works");
    }
}

//! Backup: copies the store beside the running service.
//!
//! `VACUUM INTO` reads one snapshot: every commit before it, none after. SQLite's backup API restarts with each commit of
//! another connection, so under load it would never end. The WAL cannot restart during the copy, so it grows by the
//! incoming webhooks. The copy contains no deleted content.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::open::{self, OpenError, folder_of, with_suffix};
use super::restore;
use super::statements::Statements as _;
use super::store_lock;
use crate::event::Millis;

/// The reason why a backup failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[from] OpenError),
    /// The target exists.
    #[error("{0} is there already; choose another name")]
    Exists(PathBuf),
    /// The target is one of the store's own files.
    #[error("{0} is one of the store's own files; choose another name")]
    Own(PathBuf),
    /// The copy cannot be written or renamed.
    #[error("cannot write {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// SQLite could not copy: the disk of the copy is full, or the store cannot be read.
    #[error("the store could not be copied")]
    Copy(#[source] rusqlite::Error),
    /// The copy failed its check.
    #[error("the copy is not sound: {0}")]
    Unsound(String),
}

impl BackupError {
    /// The error of a file.
    fn file(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }
}

/// The contents of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupSummary {
    /// The copy's size in bytes.
    pub bytes: u64,
    /// The schema's version.
    pub schema: usize,
    /// The number of receipts.
    pub receipts: u64,
    /// The number of events.
    pub events: u64,
    /// The number of events that are still to be sent to HubSpot.
    pub pending: u64,
}

/// Copies the store at `store`, which may be in use, to `to`, which must not exist. The copy appears there only once it
/// is complete, checked and durable. It is marked as made at `now`.
///
/// # Errors
/// [`BackupError`]; then no file is left at `to` or beside it.
pub fn backup(store: &Path, to: &Path, now: Millis) -> Result<BackupSummary, BackupError> {
    refuse(store, to)?;
    let source = open::open_existing(store)?;
    // In the same folder, so that it can be renamed to the target.
    let partial = PartialFile(with_suffix(to, &format!(".{}.partial", std::process::id())));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial.0)
        .map_err(BackupError::file(&partial.0))?;
    let name = partial.0.to_str().ok_or_else(|| {
        BackupError::file(&partial.0)(io::Error::new(
            ErrorKind::InvalidInput,
            "its name is not UTF-8",
        ))
    })?;
    source.execute("VACUUM INTO ?1", [name]).map_err(BackupError::Copy)?;
    mark(&partial.0, now).map_err(BackupError::Copy)?;
    let copied = check(&partial.0)?;
    file.sync_all().map_err(BackupError::file(&partial.0))?;
    rename(&partial.0, to)?;
    File::open(folder_of(to))
        .and_then(|folder| folder.sync_all())
        .map_err(BackupError::file(to))?;
    Ok(copied)
}

/// Marks the copy as one, so that it is not taken for the present state of HubSpot.
fn mark(copy: &Path, now: Millis) -> rusqlite::Result<()> {
    let connection = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // A rollback journal would be a file of its own beside the copy.
    connection.pragma_update(None, "journal_mode", "MEMORY")?;
    restore::mark(&connection, now)
}

/// Drop guard: deletes the file unless it was renamed.
struct PartialFile(PathBuf);

impl Drop for PartialFile {
    fn drop(&mut self) {
        // After a success the file does not exist any more.
        drop(fs::remove_file(&self.0));
    }
}

fn refuse(store: &Path, to: &Path) -> Result<(), BackupError> {
    let place = |path: &Path| {
        let folder = fs::canonicalize(folder_of(path));
        folder.map(|folder| folder.join(path.file_name().unwrap_or_default()))
    };
    let target = place(to).map_err(BackupError::file(to))?;
    // Also the files that do not exist at the moment.
    let names = [store.to_owned(), store_lock::real_path(store)];
    let own = names.iter().flat_map(|name| {
        ["", "-wal", "-shm", "-journal", ".lock"].map(|suffix| with_suffix(name, suffix))
    });
    if own.into_iter().any(|own| place(&own).is_ok_and(|own| own == target)) {
        return Err(BackupError::Own(to.to_owned()));
    }
    if fs::symlink_metadata(to).is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    Ok(())
}

/// Checks the copy's integrity and counts its contents.
fn check(copy: &Path) -> Result<BackupSummary, BackupError> {
    let unsound = |error: rusqlite::Error| BackupError::Unsound(error.to_string());
    let connection =
        Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(unsound)?;
    let verdict: String = connection.value("PRAGMA integrity_check(1)", ()).map_err(unsound)?;
    if verdict != "ok" {
        return Err(BackupError::Unsound(verdict));
    }
    let count = |sql: &str| {
        let count: i64 = connection.value(sql, ()).map_err(unsound)?;
        Ok::<u64, BackupError>(u64::try_from(count).unwrap_or(0))
    };
    Ok(BackupSummary {
        bytes: fs::metadata(copy).map_err(BackupError::file(copy))?.len(),
        schema: open::schema_version(&connection).map_err(unsound)?,
        receipts: count("SELECT count(*) FROM receipts")?,
        events: count("SELECT count(*) FROM events")?,
        pending: count("SELECT count(*) FROM events WHERE state = 0")?,
    })
}

/// Renames without replacing an existing file, where the file system supports it.
fn rename(from: &Path, to: &Path) -> Result<(), BackupError> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(BackupError::Exists(to.to_owned())),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::rename(from, to).map_err(BackupError::file(to))
        }
        Err(error) => Err(BackupError::file(to)(error.into())),
    }
}

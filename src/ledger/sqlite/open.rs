//! Opening the file: pragmas, schema.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::statements::Statements as _;
use super::store_lock::{self, StoreLock};
use crate::ledger::rules::orphans::ConfigRefused;
use crate::ledger::{LedgerError, StoreSizes};

/// Bytes in a page. With 4 KB a body of 2 KB fills a page alone; with 8 KB the ledger accepts a tenth more webhooks per
/// second. Changing it later means rewriting the file.
pub(super) const PAGE_BYTES: u32 = 8_192;

/// The page cache of a connection, in KiB: enough for the hot pages, and a bound on the process's memory.
const CACHE_KIB: i32 = 16 * 1024;

/// The page cache of the API's connection, in KiB.
const API_CACHE_KIB: i32 = 2 * 1024;

/// The longest wait of a statement for another process's lock (a backup tool's); a request is answered within 2.5 s.
const BUSY: Duration = Duration::from_secs(1);

/// The schema's versions in order; `PRAGMA user_version` is the number of applied ones.
const MIGRATIONS: [&str; 4] = [
    include_str!("001_initial.sql"),
    include_str!("002_looking.sql"),
    include_str!("003_fetching.sql"),
    include_str!("004_over_time.sql"),
];

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the store open.
    #[error("{0} is in use by another process; stop that one first")]
    InUse(PathBuf),
    /// A process has the store open, and the file has several names, of which only one has the log beside it.
    #[error(
        "{0} is in use by another process and has more than one name (hard links), while SQLite's log lies beside one \
         of them only. Remove the other names, or stop that process"
    )]
    Linked(PathBuf),
    /// The store's folder or file cannot be created or opened.
    #[error("cannot open {path}")]
    File {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// SQLite cannot use the database.
    #[error("cannot use the database")]
    Database(#[from] rusqlite::Error),
    /// A call that was under way when the last process ended cannot be recorded.
    #[error(transparent)]
    Recovery(#[from] LedgerError),
    /// A newer version of this program wrote the store.
    #[error("the store has schema {found}, this version knows {known}; run the newer version")]
    TooNew {
        /// The file's schema version.
        found: usize,
        /// This program's schema version.
        known: usize,
    },
    /// An older version wrote the store, and `store.migrate` is false.
    #[error("the store has schema {found} of {known}; run `webinar-bridge migrate` first")]
    TooOld {
        /// The file's schema version.
        found: usize,
        /// This program's schema version.
        known: usize,
    },
    /// The configuration does not fit what the store holds.
    #[error(transparent)]
    Config(#[from] ConfigRefused),
    /// The writer's thread could not be started.
    #[error("cannot start the writer")]
    Thread(#[source] std::io::Error),
}

impl OpenError {
    /// The error of a folder or file.
    pub(super) fn file(path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }
}

/// The folder of a path.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens a connection with the pragmas for durability and speed.
pub(super) fn connect(path: &Path) -> Result<Connection, OpenError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    configure(&connection)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // SQLite overwrites deleted content in pages that it writes anyway: erasing a person has less to search.
    connection.pragma_update(None, "secure_delete", "FAST")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Sets the options of every connection that writes.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // Every commit is synced before it returns: the promise behind the 200.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints belong to the checkpointer: one within a commit would delay the callers.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)
}

/// Opens the API's connection: rarely used, so its cache is small.
pub(super) fn connect_for_api(path: &Path) -> Result<Connection, OpenError> {
    let connection = connect(path)?;
    connection.pragma_update(None, "cache_size", -API_CACHE_KIB)?;
    Ok(connection)
}

/// Migrates the schema if allowed; fails if the schema is not the present one.
pub(super) fn ensure_schema(connection: &mut Connection, migrate: bool) -> Result<(), OpenError> {
    let found = known_schema(connection)?;
    if found < MIGRATIONS.len() && found > 0 && !migrate {
        return Err(OpenError::TooOld { found, known: MIGRATIONS.len() });
    }
    for (done, script) in MIGRATIONS.iter().enumerate().skip(found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(script)?;
        let version = i64::try_from(done + 1).unwrap_or(i64::MAX);
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Whether an older version of this program wrote the store.
pub(super) fn is_older(connection: &Connection) -> Result<bool, OpenError> {
    Ok((1..MIGRATIONS.len()).contains(&known_schema(connection)?))
}

pub(super) fn schema_version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.value("PRAGMA user_version", ())?;
    Ok(usize::try_from(version).unwrap_or(0))
}

/// Reads the schema's version; a newer one than this program's is refused.
fn known_schema(connection: &Connection) -> Result<usize, OpenError> {
    let (found, known) = (schema_version(connection)?, MIGRATIONS.len());
    if found > known { Err(OpenError::TooNew { found, known }) } else { Ok(found) }
}

/// The longest wait of a tool for the service's commit.
const TOOL_BUSY: Duration = Duration::from_secs(10);

/// Opens a tool's connection to a store that exists and has the present schema, also beside the running service.
pub(super) fn open_existing(path: &Path) -> Result<Connection, OpenError> {
    store_lock::refuse_other_name(path)?;
    let connection = Connection::open_with_flags(
        path,
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(TOOL_BUSY)?;
    configure(&connection)?;
    match (known_schema(&connection)?, MIGRATIONS.len()) {
        (found, known) if found < known => Err(OpenError::TooOld { found, known }),
        _ => Ok(connection),
    }
}

/// Migrates the schema of a closed store; returns the version before and after.
///
/// # Errors
/// [`OpenError`] names the obstacle.
pub fn migrate(path: &Path) -> Result<(usize, usize), OpenError> {
    let _lock = StoreLock::take(path)?;
    let mut connection = connect(path)?;
    let before = schema_version(&connection)?;
    ensure_schema(&mut connection, true)?;
    Ok((before, schema_version(&connection)?))
}

/// The state of a store's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreState {
    /// The file does not exist yet and can be created.
    Absent,
    /// The file has the present schema.
    Ready,
    /// The file has an older schema.
    Older {
        /// The file's schema version.
        found: usize,
        /// This program's schema version.
        known: usize,
    },
}

/// Inspects a store without changing it, even while it is in use.
///
/// # Errors
/// [`OpenError`] names the obstacle to opening the store.
pub fn inspect(path: &Path) -> Result<StoreState, OpenError> {
    if !path.try_exists().map_err(OpenError::file(path))? {
        let folder = path.ancestors().skip(1).find(|folder| folder.is_dir());
        let folder = folder.unwrap_or(Path::new("."));
        let access = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK);
        access.map_err(|error| OpenError::file(folder)(error.into()))?;
        return Ok(StoreState::Absent);
    }
    store_lock::refuse_other_name(path)?;
    let connection = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    Ok(match (known_schema(&connection)?, MIGRATIONS.len()) {
        (0, _) => StoreState::Absent,
        (found, known) if found < known => StoreState::Older { found, known },
        _ => StoreState::Ready,
    })
}

/// The lock file, which holds no data; a process locks it while it uses the store.
pub(super) fn lock_path(path: &Path) -> PathBuf {
    with_suffix(path, ".lock")
}

/// The path of SQLite's WAL, which lies beside the real file, not beside a symbolic link to it.
pub(super) fn wal_path(path: &Path) -> PathBuf {
    with_suffix(&store_lock::real_path(path), "-wal")
}

/// Reads the sizes on disk, in bytes; an unreadable one is 0.
pub(super) fn sizes(path: &Path) -> StoreSizes {
    let disk = rustix::fs::statvfs(path).ok();
    let free = disk.map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    StoreSizes { store: file_bytes(path), free, wal: file_bytes(&wal_path(path)) }
}

/// A file's size in bytes; 0 if it cannot be read.
pub(super) fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

//! The ownership of the database file: one process has it, and the file stays the one that was opened.
//!
//! The lock is an `flock` on the file itself, so every name of the file leads to it: another path, a symbolic or a hard
//! link. A lock file beside the database is locked too, since versions up to 0.2 know only that one.
//!
//! SQLite locks the same file by POSIX locks, and a process loses those as soon as it closes *any* descriptor of the
//! file. So the descriptor here stays open as long as any connection: each holds an [`Arc`] of the lock. No other code
//! opens the file and closes it again: it is inspected by `stat`, and its mode is changed by `chmod`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::open::{self, OpenError, folder_of};

/// The locks of a store that this process owns; dropping it frees the store.
#[derive(Debug)]
pub(super) struct StoreLock {
    path: PathBuf,
    identity: FileIdentity,
    /// The log, once a connection has opened it.
    wal: Option<(PathBuf, FileIdentity)>,
    _database: File,
    _lock_files: Vec<File>,
}

/// What makes a file the same file, under whatever name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
}

/// A file of the store that is no longer the opened one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LostFile {
    /// The database was deleted or moved.
    DatabaseGone,
    /// Another file has the database's name.
    DatabaseReplaced,
    /// The log was deleted or replaced.
    Log,
}

impl FileIdentity {
    fn of(path: &Path) -> std::io::Result<Self> {
        let file = fs::metadata(path)?;
        Ok(Self { device: file.dev(), inode: file.ino() })
    }
}

impl StoreLock {
    /// Creates the store's folder and file where they do not exist, and takes the locks.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another process has the store open under any name.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        let folder = folder_of(path);
        let made = make_folder(folder).map_err(OpenError::file(folder))?;
        let lock_path = open::lock_path(path);
        let mut lock_files = vec![lock_file(path, &lock_path)?];
        // The database is created here too, so that only its owner can ever read it.
        let database = own(path)?;
        let real_lock_path = open::lock_path(&real_path(path));
        // A relative path, or a link to the folder, leads to the lock file that is locked already.
        let taken = FileIdentity::of(&lock_path).map_err(OpenError::file(&lock_path))?;
        if FileIdentity::of(&real_lock_path).ok() != Some(taken) {
            lock_files.extend(lock_file_of_real_path(path, &real_lock_path)?);
        }
        // A file survives a power cut only if its folder's entry is synced, and so on upwards.
        for folder in std::iter::once(folder).chain(made.iter().map(|made| folder_of(made))) {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(OpenError::file(folder))?;
        }
        let identity = FileIdentity::of(path).map_err(OpenError::file(path))?;
        Ok(Self {
            path: path.to_owned(),
            identity,
            wal: None,
            _database: database,
            _lock_files: lock_files,
        })
    }

    /// Watches the log too, which the first connection has created by now.
    pub(super) fn watch_log(mut self) -> Self {
        let wal = open::wal_path(&self.path);
        self.wal = FileIdentity::of(&wal).ok().map(|identity| (wal, identity));
        self
    }

    /// The file that is gone or replaced, if any: what is written now would be lost.
    pub(super) fn lost_file(&self) -> Option<LostFile> {
        let wal = self.wal.as_ref();
        match find(&self.path, self.identity) {
            Found::Same => {
                let log = wal.is_some_and(|(path, log)| find(path, *log) != Found::Same);
                log.then_some(LostFile::Log)
            }
            Found::Other => Some(LostFile::DatabaseReplaced),
            Found::Nothing => Some(LostFile::DatabaseGone),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Same,
    Other,
    Nothing,
}

fn find(path: &Path, expected: FileIdentity) -> Found {
    match FileIdentity::of(path) {
        Ok(found) if found != expected => Found::Other,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Found::Nothing
        }
        // Any other error says nothing about the file; a write will meet it too.
        Ok(_) | Err(_) => Found::Same,
    }
}

/// Opens the database and locks it.
fn own(path: &Path) -> Result<File, OpenError> {
    let database = open_private(path)?;
    match database.try_lock() {
        Ok(()) => Ok(database),
        Err(error) => {
            // If it is this process that has the file open, under another name, closing the descriptor would end
            // SQLite's locks. So it stays open.
            std::mem::forget(database);
            Err(refusal(path, error))
        }
    }
}

/// Opens and locks a lock file of the store at `path`.
fn lock_file(path: &Path, lock_path: &Path) -> Result<File, OpenError> {
    let file = open_private(lock_path)?;
    file.try_lock().map_err(|error| refusal(path, error))?;
    Ok(file)
}

/// The lock file beside the database where `path` is a link to it: a version up to 0.2 that was started with the real
/// path has locked that one. A folder that cannot be written has none.
fn lock_file_of_real_path(path: &Path, lock_path: &Path) -> Result<Option<File>, OpenError> {
    match lock_file(path, lock_path) {
        Ok(file) => Ok(Some(file)),
        Err(OpenError::File { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn refusal(path: &Path, error: TryLockError) -> OpenError {
    match error {
        TryLockError::WouldBlock => OpenError::InUse(path.to_owned()),
        TryLockError::Error(error) => OpenError::file(path)(error),
    }
}

/// Refuses a tool that would open a store in use under a name that is not the service's: SQLite keeps the log beside
/// the name by which it opened the file, so with hard links two processes would write two logs for one file. Where the
/// file has one name only, symbolic links lead SQLite to it.
///
/// # Errors
/// [`OpenError::Linked`] if the file has several names and a process has it open.
pub(super) fn refuse_other_name(path: &Path) -> Result<(), OpenError> {
    let file = fs::metadata(path).map_err(OpenError::file(path))?;
    if file.nlink() < 2 {
        return Ok(());
    }
    let database = OpenOptions::new().read(true).open(path).map_err(OpenError::file(path))?;
    let locked = database.try_lock_shared();
    // The lock keeps a service from starting while the tool works; the descriptor stays open for SQLite's locks.
    std::mem::forget(database);
    locked.map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::Linked(path.to_owned()),
        TryLockError::Error(error) => OpenError::file(path)(error),
    })
}

/// The path without symbolic links, as SQLite uses it for its log; the path itself if there is no such file.
pub(super) fn real_path(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Creates a folder and its missing parents; returns the created ones.
fn make_folder(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let absent = folder
        .ancestors()
        .take_while(|above| !above.as_os_str().is_empty() && !above.try_exists().unwrap_or(false));
    let absent: Vec<PathBuf> = absent.map(Path::to_owned).collect();
    fs::create_dir_all(folder)?;
    Ok(absent)
}

/// Opens a file that only its owner may read, and creates it if it does not exist.
pub(super) fn open_private(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(OpenError::file(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn store() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data/bridge.db");
        (folder, path)
    }

    /// B7: the lock is on the file, not on its name.
    #[test]
    fn locked_store_is_refused_under_every_name() {
        let (folder, path) = store();
        let lock = StoreLock::take(&path).expect("it is free");
        let (link, hard) = (folder.path().join("link.db"), folder.path().join("hard.db"));
        symlink(&path, &link).expect("linked");
        fs::hard_link(&path, &hard).expect("linked");
        let refused = |name: &Path| {
            let refused = StoreLock::take(name);
            assert!(matches!(refused, Err(OpenError::InUse(_))), "{name:?}: {refused:?}");
        };
        for name in [&path, &link, &hard] {
            refused(name);
        }
        fs::remove_file(open::lock_path(&path)).expect("removed");
        refused(&path);
        drop(lock);
        for name in [&path, &link, &hard] {
            drop(StoreLock::take(name).expect("it is free"));
        }
    }

    /// The lock file of the real path is the one that is locked already.
    #[test]
    fn store_is_taken_through_a_link_to_its_folder() {
        let (folder, path) = store();
        drop(StoreLock::take(&path).expect("it is free"));
        let linked = folder.path().join("linked");
        symlink(folder.path().join("data"), &linked).expect("linked");
        let through = linked.join("bridge.db");
        let roundabout = folder.path().join("data/../data/bridge.db");
        for name in [&through, &roundabout] {
            let lock = StoreLock::take(name).expect("it is free");
            assert!(matches!(StoreLock::take(&path), Err(OpenError::InUse(_))));
            drop(lock);
        }
    }

    /// A process of a version up to 0.2 locks the lock file alone.
    #[test]
    fn lock_file_of_an_earlier_version_refuses_too() {
        let (folder, path) = store();
        drop(StoreLock::take(&path).expect("it is free"));
        let earlier = File::open(open::lock_path(&path)).expect("it is there");
        earlier.try_lock().expect("it is free");
        let link = folder.path().join("link.db");
        symlink(&path, &link).expect("linked");
        for name in [&path, &link] {
            assert!(matches!(StoreLock::take(name), Err(OpenError::InUse(_))), "{name:?}");
        }
    }

    #[test]
    fn lost_file_is_noticed_until_it_is_back() {
        let (_folder, path) = store();
        let wal = open::wal_path(&path);
        let lock = StoreLock::take(&path).expect("it is free");
        fs::write(&wal, b"log").expect("written");
        let lock = lock.watch_log();
        assert_eq!(lock.lost_file(), None);
        let away = path.with_extension("away");
        fs::rename(&path, &away).expect("moved");
        assert_eq!(lock.lost_file(), Some(LostFile::DatabaseGone));
        fs::write(&path, b"").expect("written");
        assert_eq!(lock.lost_file(), Some(LostFile::DatabaseReplaced));
        fs::rename(&away, &path).expect("moved");
        assert_eq!(lock.lost_file(), None);
        fs::rename(&wal, &away).expect("moved");
        assert_eq!(lock.lost_file(), Some(LostFile::Log));
        fs::rename(&away, &wal).expect("moved");
        assert_eq!(lock.lost_file(), None);
    }

    #[test]
    fn tool_is_refused_only_if_the_file_has_two_names_and_is_in_use() {
        let (folder, path) = store();
        let lock = StoreLock::take(&path).expect("it is free");
        refuse_other_name(&path).expect("one name");
        let link = folder.path().join("link.db");
        symlink(&path, &link).expect("linked");
        refuse_other_name(&link).expect("one name");
        let hard = folder.path().join("hard.db");
        fs::hard_link(&path, &hard).expect("linked");
        for name in [&path, &link, &hard] {
            assert!(matches!(refuse_other_name(name), Err(OpenError::Linked(_))), "{name:?}");
        }
        drop(lock);
        refuse_other_name(&hard).expect("nobody uses it");
    }
}

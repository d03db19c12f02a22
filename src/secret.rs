//! Secrets as the configuration names them: a text, an environment variable or a file.
//!
//! Promises: no value appears in `Debug`, `Display` or an error; a file that was replaced is read again at the next
//! use. Relies on a replaced file having another time, length or inode, as an atomic replacement (Kubernetes, Vault) has.
//! Holds nothing that a crash could lose.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

/// Longest secret in a file, in bytes: no token or key is near it, and a wrong path must not fill the memory.
const FILE_MAX: u64 = 64 * 1024;

/// Where a secret is.
#[derive(Clone, Deserialize)]
#[serde(try_from = "RawSecret")]
pub enum Secret {
    /// In the configuration itself.
    Text(SecretString),
    /// In the environment variable of that name.
    Env(String),
    /// In a file.
    File(SecretFile),
}

/// A file that holds a secret, and what was last read from it. Clones share it.
#[derive(Clone)]
pub struct SecretFile {
    path: PathBuf,
    last: Arc<Mutex<Option<(FileStamp, SecretString)>>>,
}

/// What tells one content of a file from the next without reading it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    modified: (i64, i64),
    len: u64,
    device: u64,
    inode: u64,
}

/// Why there is no secret. Names the place, never the value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Nothing but nothing there.
    #[error("is empty")]
    Empty,
    /// The variable is not set.
    #[error("environment variable {0} is not set")]
    Unset(String),
    /// The variable is not UTF-8.
    #[error("environment variable {0} is not UTF-8")]
    VariableNotText(String),
    /// The file cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A directory, a pipe or a device, which reading could wait for.
    #[error("{0} is not a file")]
    NotAFile(PathBuf),
    /// The file is longer than any secret.
    #[error("{0} is longer than 64 KiB")]
    TooLong(PathBuf),
    /// The file is not UTF-8.
    #[error("{0} is not UTF-8")]
    FileNotText(PathBuf),
}

impl Secret {
    /// A secret in that file.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(SecretFile { path: path.into(), last: Arc::default() })
    }

    /// The secret as it is now. Cheap while nothing changed: a file is looked at, not read.
    ///
    /// # Errors
    /// [`SecretError`] says what is wrong with its place; an empty secret is none.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        let secret = match self {
            Self::Text(text) => text.clone(),
            Self::Env(name) => read_variable(name)?,
            Self::File(file) => file.read()?,
        };
        if secret.expose_secret().is_empty() {
            return Err(SecretError::Empty);
        }
        Ok(secret)
    }
}

/// Whether two are the same, in constant time for texts of one length.
#[must_use]
pub fn secrets_equal(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret().as_bytes().ct_eq(other.expose_secret().as_bytes()).into()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Secret(text)"),
            Self::Env(name) => write!(f, "Secret(env {name})"),
            Self::File(file) => fmt::Debug::fmt(file, f),
        }
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret(file {})", self.path.display())
    }
}

impl SecretFile {
    fn read(&self) -> Result<SecretString, SecretError> {
        let unreadable = |source| SecretError::Unreadable { path: self.path.clone(), source };
        // Looked at before it is opened: opening a pipe would wait for its writer.
        let present = fs::metadata(&self.path).map_err(unreadable)?;
        if !present.is_file() {
            return Err(SecretError::NotAFile(self.path.clone()));
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((stamp, secret)) = &*last
            && *stamp == FileStamp::from_metadata(&present)
        {
            return Ok(secret.clone());
        }
        // The stamp is of the file that was opened: the name may lead to another by now.
        let file = File::open(&self.path).map_err(unreadable)?;
        let stamp = FileStamp::from_metadata(&file.metadata().map_err(unreadable)?);
        let secret = read_text(file, &self.path)?;
        *last = Some((stamp, secret.clone()));
        Ok(secret)
    }
}

impl FileStamp {
    fn from_metadata(file: &fs::Metadata) -> Self {
        Self {
            modified: (file.mtime(), file.mtime_nsec()),
            len: file.len(),
            device: file.dev(),
            inode: file.ino(),
        }
    }
}

/// The file's text without the newline that editors and `echo` put at its end.
fn read_text(file: File, path: &Path) -> Result<SecretString, SecretError> {
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| SecretError::Unreadable { path: path.to_owned(), source })?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(SecretError::TooLong(path.to_owned()));
    }
    let mut text =
        String::from_utf8(bytes).map_err(|_| SecretError::FileNotText(path.to_owned()))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text.into())
}

/// The one place that reads a single environment variable.
#[allow(clippy::disallowed_methods, reason = "this is that place")]
fn read_variable(name: &str) -> Result<SecretString, SecretError> {
    match std::env::var(name) {
        Ok(text) => Ok(text.into()),
        Err(std::env::VarError::NotPresent) => Err(SecretError::Unset(name.to_owned())),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(SecretError::VariableNotText(name.to_owned()))
        }
    }
}

/// What the configuration may say it with: a text or a table of texts.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "must be a text, { env = \"NAME\" } or { file = \"/run/secrets/x\" }"
)]
enum RawSecret {
    Text(String),
    Table(BTreeMap<String, String>),
}

/// The table is another. Tells nothing of what was said, as the message for what is no table.
#[derive(Debug, thiserror::Error)]
#[error("must be a text, {{ env = \"NAME\" }} or {{ file = \"/run/secrets/x\" }}")]
struct InvalidSecretPlace;

impl TryFrom<RawSecret> for Secret {
    type Error = InvalidSecretPlace;
    fn try_from(raw: RawSecret) -> Result<Self, InvalidSecretPlace> {
        let mut table = match raw {
            RawSecret::Text(text) => return Ok(Self::Text(text.into())),
            RawSecret::Table(table) => table,
        };
        match (table.remove("env"), table.remove("file"), table.is_empty()) {
            (Some(name), None, true) => Ok(Self::Env(name)),
            (None, Some(path), true) => Ok(Self::file(path)),
            _ => Err(InvalidSecretPlace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(toml: &str) -> Result<Secret, String> {
        #[derive(Deserialize)]
        struct Holder {
            secret: Secret,
        }
        let holder: Holder =
            toml::from_str(toml).map_err(|e: toml::de::Error| e.message().to_owned())?;
        Ok(holder.secret)
    }

    fn value(secret: &Secret) -> String {
        secret.read().expect("readable").expose_secret().to_owned()
    }

    #[test]
    fn the_three_forms() {
        assert_eq!(value(&parse("secret = 'abc'").expect("text")), "abc");
        let manifest = parse("secret = { env = 'CARGO_MANIFEST_DIR' }").expect("env");
        assert_eq!(value(&manifest), env!("CARGO_MANIFEST_DIR"));
        assert!(matches!(parse("secret = { file = '/x' }"), Ok(Secret::File(_))));
    }

    #[test]
    fn everything_else_is_refused_without_repeating_it() {
        for toml in [
            "secret = 918273",
            "secret = { env = 'A', file = 'B' }",
            "secret = { env = 'A', b = 918273 }",
            "secret = { text = '918273' }",
            "secret = ['918273']",
        ] {
            let message = parse(toml).expect_err("not a secret");
            assert!(message.starts_with("must be a text"), "{message}");
            assert!(!message.contains("918273"), "{message}");
        }
    }

    #[test]
    fn an_unset_variable_is_named() {
        let error = Secret::Env("BRIDGE_TEST_NEVER_SET".into()).read().expect_err("unset");
        assert_eq!(error.to_string(), "environment variable BRIDGE_TEST_NEVER_SET is not set");
    }

    #[test]
    fn a_file_is_read_again_when_it_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        fs::write(&path, "first\n").expect("written");
        let secret = Secret::file(&path);
        let clone = secret.clone();
        assert_eq!(value(&secret), "first");

        // Of the same length: an atomic replacement is seen by its inode.
        let next = folder.path().join("next");
        fs::write(&next, "other\n").expect("written");
        fs::rename(&next, &path).expect("replaced");
        assert_eq!(value(&secret), "other");
        assert_eq!(value(&clone), "other");

        fs::write(&path, "rewritten in place\r\n").expect("written");
        assert_eq!(value(&secret), "rewritten in place");

        fs::remove_file(&path).expect("removed");
        assert!(matches!(secret.read(), Err(SecretError::Unreadable { .. })));
    }

    #[test]
    fn an_unchanged_file_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        fs::write(&path, "first").expect("written");
        let secret = Secret::file(&path);
        assert_eq!(value(&secret), "first");
        let Secret::File(file) = &secret else { panic!("it is a file") };
        if let Some((_, cached)) = &mut *file.last.lock().expect("not poisoned") {
            *cached = "from memory".into();
        }
        assert_eq!(value(&secret), "from memory");
    }

    #[test]
    fn only_one_newline_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        fs::write(&path, " a \n\n").expect("written");
        assert_eq!(value(&Secret::file(&path)), " a \n");
    }

    #[test]
    fn files_that_hold_no_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let of = |content: &[u8]| {
            fs::write(&path, content).expect("written");
            Secret::file(&path).read().expect_err("no secret")
        };
        assert!(matches!(of(b"\n"), SecretError::Empty));
        assert!(matches!(of(&[0xff, 0xfe]), SecretError::FileNotText(_)));
        assert!(matches!(of(&vec![b'a'; 64 * 1024 + 1]), SecretError::TooLong(_)));
        fs::write(&path, vec![b'a'; 64 * 1024]).expect("written");
        assert_eq!(value(&Secret::file(&path)).len(), 64 * 1024);
        assert!(matches!(Secret::file(folder.path()).read(), Err(SecretError::NotAFile(_))));
    }

    #[test]
    fn debug_tells_the_kind_only() {
        let text = Secret::Text("hush".into());
        assert_eq!(format!("{text:?}"), "Secret(text)");
        assert_eq!(format!("{:?}", Secret::Env("NAME".into())), "Secret(env NAME)");
        assert_eq!(format!("{:?}", Secret::file("/x")), "Secret(file /x)");
    }
}

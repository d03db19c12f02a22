//! Secrets of the configuration: a text, an environment variable or a file.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

/// Longest secret in a file, in bytes: far above any token or key, and a wrong path must not fill the memory.
const FILE_MAX: u64 = 64 * 1024;

/// The place of a secret.
#[derive(Clone, Deserialize)]
#[serde(from = "SecretPlace")]
pub enum Secret {
    /// The configuration itself.
    Text(SecretString),
    /// The environment variable of this name.
    Env(String),
    /// A file.
    File(SecretFile),
}

/// A file that holds a secret, and the content last read. Clones share it.
#[derive(Clone)]
pub struct SecretFile {
    path: PathBuf,
    last: Arc<Mutex<Option<(FileStamp, SecretString)>>>,
}

/// Attributes that differ between contents of a file, without reading it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    modified: (i64, i64),
    len: u64,
    device: u64,
    inode: u64,
}

/// Reason why a secret is missing. Names the place, never the value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The secret is empty.
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
        /// Path of the file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The path is a directory, a pipe or a device, which reading could block on.
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
    /// A secret in this file.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(SecretFile { path: path.into(), last: Arc::default() })
    }

    /// Reads the present secret. Cheap while nothing changes: an unchanged file is not read again.
    ///
    /// # Errors
    /// [`SecretError`] names the fault of the place; an empty secret is an error.
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

/// Whether two secrets are equal, in constant time for texts of one length.
#[must_use]
pub fn secrets_equal(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret().as_bytes().ct_eq(other.expose_secret().as_bytes()).into()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Secret(text)"),
            Self::Env(name) => write!(f, "Secret(env {name})"),
            Self::File(file) => write!(f, "Secret(file {})", file.path.display()),
        }
    }
}

impl SecretFile {
    fn read(&self) -> Result<SecretString, SecretError> {
        let unreadable = |source| SecretError::Unreadable { path: self.path.clone(), source };
        // Checked before opening: opening a pipe would wait for its writer.
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
        // The stamp of the opened file: by now the name may lead to another.
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

/// The only function that reads a single environment variable.
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

/// The configuration's form of a secret. The message for any other form repeats none of its content.
#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "must be a text, { env = \"NAME\" } or { file = \"/run/secrets/x\" }"
)]
enum SecretPlace {
    Text(String),
    Env { env: String },
    File { file: PathBuf },
}

impl From<SecretPlace> for Secret {
    fn from(place: SecretPlace) -> Self {
        match place {
            SecretPlace::Text(text) => Self::Text(text.into()),
            SecretPlace::Env { env } => Self::Env(env),
            SecretPlace::File { file } => Self::file(file),
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
    fn secret_parses_text_env_and_file() {
        assert_eq!(value(&parse("secret = 'abc'").expect("text")), "abc");
        let manifest = parse("secret = { env = 'CARGO_MANIFEST_DIR' }").expect("env");
        assert_eq!(value(&manifest), env!("CARGO_MANIFEST_DIR"));
        assert!(matches!(parse("secret = { file = '/x' }"), Ok(Secret::File(_))));
    }

    #[test]
    fn secret_of_any_other_form_is_refused_without_repeating_it() {
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
    fn unset_variable_is_named_in_the_error() {
        let error = Secret::Env("BRIDGE_TEST_NEVER_SET".into()).read().expect_err("unset");
        assert_eq!(error.to_string(), "environment variable BRIDGE_TEST_NEVER_SET is not set");
    }

    #[test]
    fn changed_file_is_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        fs::write(&path, "first\n").expect("written");
        let secret = Secret::file(&path);
        let clone = secret.clone();
        assert_eq!(value(&secret), "first");

        // Same length: the inode shows an atomic replacement.
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
    fn unchanged_file_is_not_read_again() {
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
    fn only_one_trailing_newline_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        fs::write(&path, " a \n\n").expect("written");
        assert_eq!(value(&Secret::file(&path)), " a \n");
    }

    #[test]
    fn file_without_a_secret_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let error_for = |content: &[u8]| {
            fs::write(&path, content).expect("written");
            Secret::file(&path).read().expect_err("no secret")
        };
        assert!(matches!(error_for(b"\n"), SecretError::Empty));
        assert!(matches!(error_for(&[0xff, 0xfe]), SecretError::FileNotText(_)));
        assert!(matches!(error_for(&vec![b'a'; 64 * 1024 + 1]), SecretError::TooLong(_)));
        fs::write(&path, vec![b'a'; 64 * 1024]).expect("written");
        assert_eq!(value(&Secret::file(&path)).len(), 64 * 1024);
        assert!(matches!(Secret::file(folder.path()).read(), Err(SecretError::NotAFile(_))));
    }

    #[test]
    fn debug_shows_the_kind_only() {
        let text = Secret::Text("hush".into());
        assert_eq!(format!("{text:?}"), "Secret(text)");
        assert_eq!(format!("{:?}", Secret::Env("NAME".into())), "Secret(env NAME)");
        assert_eq!(format!("{:?}", Secret::file("/x")), "Secret(file /x)");
    }
}

//! The configuration keys that belong to a platform.

use std::time::Duration;

use url::Url;

use super::ApiRateLimit;
use crate::secret::Secret;

/// A table of the configuration, while it is read.
///
/// Errors are collected with their keys and make the configuration invalid. So a getter returns none both for a missing
/// and for an invalid value.
///
/// A key that no getter reads is an error.
pub trait Options {
    /// Whether the key is there and has not been read.
    fn has(&self, key: &str) -> bool;

    /// A non-empty text.
    fn text(&mut self, key: &'static str) -> Option<String>;

    /// A list of texts, at least one.
    fn texts(&mut self, key: &'static str) -> Option<Vec<String>>;

    /// One of these words.
    fn choice(&mut self, key: &'static str, words: &[&'static str]) -> Option<&'static str>;

    /// `true` or `false`.
    fn flag(&mut self, key: &'static str) -> Option<bool>;

    /// A duration longer than zero.
    fn duration(&mut self, key: &'static str) -> Option<Duration>;

    /// A whole number, 1 or more.
    fn positive_integer(&mut self, key: &'static str) -> Option<u32>;

    /// A secret. The service reads it at its start.
    fn secret(&mut self, key: &'static str) -> Option<Secret>;

    /// A URL that may receive credentials: `https`, or `http` to this machine.
    fn url(&mut self, key: &'static str) -> Option<Url>;

    /// Reads the table under the key with `read`. False if there is none.
    fn table(&mut self, key: &'static str, read: &mut dyn FnMut(&mut dyn Options)) -> bool;

    /// Adds defaults to the table under the key, for the keys that it lacks.
    fn fill_defaults(&mut self, key: &'static str, defaults: &toml::Table);

    /// Reports an error in a key, as the rest of a sentence that begins with the key; with an empty key, with the
    /// table.
    fn report(&mut self, key: &str, what: &str);
}

/// Reads a required key; reports a missing one with the remedy.
pub fn require<T>(
    options: &mut dyn Options,
    key: &'static str,
    read: impl FnOnce(&mut dyn Options, &'static str) -> Option<T>,
    remedy: &str,
) -> Option<T> {
    if !options.has(key) {
        // Read all the same, so that the key counts as known.
        drop(read(options, key));
        options.report(key, &format!("is missing. {remedy}"));
        return None;
    }
    read(options, key)
}

/// Reads the table under the key with `read`, if it is present.
pub(super) fn read_table<T>(
    options: &mut dyn Options,
    key: &'static str,
    read: impl Fn(&mut dyn Options) -> Option<T>,
) -> Option<T> {
    let mut value = None;
    options.table(key, &mut |table| value = read(table));
    value
}

/// Reads a required table with `read`; reports a missing one with the remedy.
pub(super) fn require_table<T>(
    options: &mut dyn Options,
    key: &'static str,
    read: impl Fn(&mut dyn Options) -> Option<T>,
    remedy: &str,
) -> Option<T> {
    require(options, key, |options, key| read_table(options, key, read), remedy)
}

/// Reads one of these words, and returns its meaning.
pub(super) fn choice_of<T: Copy, const N: usize>(
    options: &mut dyn Options,
    key: &'static str,
    words: [(&'static str, T); N],
) -> Option<T> {
    let word = options.choice(key, &words.map(|(word, _)| word))?;
    words.into_iter().find(|(known, _)| *known == word).map(|(_, meaning)| meaning)
}

/// Reads a URL; `default` without a valid one.
pub(super) fn url_or(options: &mut dyn Options, key: &'static str, default: &str) -> Url {
    options.url(key).unwrap_or_else(|| default.parse().expect("the default URL is valid"))
}

/// Reads the table `rate_limit`; a key without a valid value is the default's.
pub(super) fn rate_limit_or(options: &mut dyn Options, default: ApiRateLimit) -> ApiRateLimit {
    let read = |table: &mut dyn Options| {
        Some(ApiRateLimit {
            requests: table.positive_integer("requests").unwrap_or(default.requests),
            window: table.duration("window").unwrap_or(default.window),
        })
    };
    read_table(options, "rate_limit", read).unwrap_or(default)
}

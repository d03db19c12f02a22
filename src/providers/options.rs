//! How a platform reads the keys of a source that are its own.

use std::time::Duration;

use url::Url;

use crate::secret::Secret;

/// A table of the configuration that is being read.
///
/// Whatever is wrong is told to the operator with its key, all at once, and makes the configuration invalid; so a getter
/// gives none both for what is not there and for what is wrong.
///
/// The keys that are asked for are those that are known: others are mistakes.
pub trait Options {
    /// Whether the key is there and still to be read.
    fn has(&self, key: &str) -> bool;

    /// A text that is not empty.
    fn text(&mut self, key: &'static str) -> Option<String>;

    /// A list of texts, at least one.
    fn texts(&mut self, key: &'static str) -> Option<Vec<String>>;

    /// One of a few words.
    fn choice(&mut self, key: &'static str, words: &[&'static str]) -> Option<&'static str>;

    /// `true` or `false`.
    fn flag(&mut self, key: &'static str) -> Option<bool>;

    /// A duration longer than zero.
    fn duration(&mut self, key: &'static str) -> Option<Duration>;

    /// A whole number, 1 or more.
    fn positive_integer(&mut self, key: &'static str) -> Option<u32>;

    /// A secret. That it can be read is found out when the service starts.
    fn secret(&mut self, key: &'static str) -> Option<Secret>;

    /// A URL that credentials may be sent to: `https`, or `http` to this machine alone.
    fn url(&mut self, key: &'static str) -> Option<Url>;

    /// The table under the key, read with `read`. False if there is none.
    fn table(&mut self, key: &'static str, read: &mut dyn FnMut(&mut dyn Options)) -> bool;

    /// Fills the table under the key with what it does not have: what stands for it where nothing else is said.
    fn fill_defaults(&mut self, key: &'static str, defaults: &toml::Table);

    /// Tells what is wrong with a key, as the rest of a sentence that begins with it; with an empty key, of the table.
    fn report(&mut self, key: &str, what: &str);
}

/// What must be there: tells if it is not, with the remedy.
pub fn require<T>(
    options: &mut dyn Options,
    key: &'static str,
    read: impl FnOnce(&mut dyn Options, &'static str) -> Option<T>,
    remedy: &str,
) -> Option<T> {
    if !options.has(key) {
        // Asked for all the same, so that it is known.
        drop(read(options, key));
        options.report(key, &format!("is missing. {remedy}"));
        return None;
    }
    read(options, key)
}

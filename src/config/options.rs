//! A table of the configuration as platforms read their own keys of it.

use std::time::Duration;

use url::Url;

use super::given::Given;
use super::rules::Zero;
use super::section::{Entry, Section};
use crate::providers::Options;
use crate::secret::Secret;

/// What [`Options`] gives is asked for by the platforms' code, whose every "none" is either told or meant.
impl Options for Section<'_> {
    fn has(&self, key: &str) -> bool {
        Self::has(self, key)
    }

    fn text(&mut self, key: &'static str) -> Option<String> {
        Self::text(self, key).good()
    }

    fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        Self::texts(self, key).good()
    }

    fn word(&mut self, key: &'static str, words: &[&'static str]) -> Option<&'static str> {
        let words: Vec<_> = words.iter().map(|word| (*word, *word)).collect();
        Self::word(self, key, &words).good()
    }

    fn flag(&mut self, key: &'static str) -> Option<bool> {
        Self::flag(self, key).good()
    }

    fn duration(&mut self, key: &'static str) -> Option<Duration> {
        Self::duration(self, key, Zero::Refused).good()
    }

    fn count(&mut self, key: &'static str) -> Option<u32> {
        Self::count(self, key, 1..=u32::MAX).good()
    }

    fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.platform_secret(key).good()
    }

    fn url(&mut self, key: &'static str) -> Option<Url> {
        Self::url(self, key).good()
    }

    fn all_texts(&mut self) -> Vec<(String, String)> {
        let must = "a text that is not empty";
        let entries = self.entries(must).into_iter();
        let text = |(name, entry): (String, Entry<'_>)| match entry {
            Entry::Text(text) => Some((name, text)),
            Entry::Table(_) => {
                Self::problem(self, &name, format!("must be {must}"));
                None
            }
        };
        entries.filter_map(text).collect()
    }

    fn table(&mut self, key: &'static str, read: &mut dyn FnMut(&mut dyn Options)) -> bool {
        match self.section(key) {
            Given::Absent | Given::Bad => false,
            Given::Good(mut table) => {
                read(&mut table);
                table.finish();
                true
            }
        }
    }

    fn fill(&mut self, key: &'static str, defaults: &toml::Table) {
        Self::fill(self, key, defaults);
    }

    fn problem(&mut self, key: &str, what: &str) {
        Self::problem(self, key, what);
    }
}

//! Lets platforms read their own keys of a section.

use std::time::Duration;

use url::Url;

use super::field::Field;
use super::rules::ZeroDuration;
use super::section::Section;
use crate::providers::Options;
use crate::secret::Secret;

/// `None` means that the key is missing or that its problem has been reported.
impl Options for Section<'_> {
    fn has(&self, key: &str) -> bool {
        Self::has(self, key)
    }

    fn text(&mut self, key: &'static str) -> Option<String> {
        Self::text(self, key).valid()
    }

    fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        Self::texts(self, key).valid()
    }

    fn choice(&mut self, key: &'static str, words: &[&'static str]) -> Option<&'static str> {
        let words: Vec<_> = words.iter().map(|word| (*word, *word)).collect();
        Self::word(self, key, &words).valid()
    }

    fn flag(&mut self, key: &'static str) -> Option<bool> {
        Self::flag(self, key).valid()
    }

    fn duration(&mut self, key: &'static str) -> Option<Duration> {
        Self::duration(self, key, ZeroDuration::Refused).valid()
    }

    fn positive_integer(&mut self, key: &'static str) -> Option<u32> {
        Self::count(self, key, 1..=u32::MAX).valid()
    }

    fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.platform_secret(key).valid()
    }

    fn url(&mut self, key: &'static str) -> Option<Url> {
        Self::url(self, key).valid()
    }

    fn table(&mut self, key: &'static str, read: &mut dyn FnMut(&mut dyn Options)) -> bool {
        match self.section(key) {
            Field::Absent | Field::Invalid => false,
            Field::Valid(mut table) => {
                read(&mut table);
                table.finish();
                true
            }
        }
    }

    fn fill_defaults(&mut self, key: &'static str, defaults: &toml::Table) {
        Self::fill(self, key, defaults);
    }

    fn report(&mut self, key: &str, message: &str) {
        Self::report(self, key, message);
    }
}

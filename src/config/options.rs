//! The getters of a section for every reader, platforms included.

use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};
use url::Url;

use super::rules::url_problem;
use super::section::{Section, as_table, non_empty_text};
use super::units;
use crate::providers::Options;
use crate::secret::Secret;

impl Options for Section<'_> {
    fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn text(&mut self, key: &'static str) -> Option<String> {
        self.read(key, "a text that is not empty", non_empty_text)
    }

    fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.read(key, "a list of texts that is not empty: [\"a\", \"b\"]", |value| {
            let list = Vec::<String>::deserialize(value.clone()).ok()?;
            (!list.is_empty() && list.iter().all(|text| !text.is_empty())).then_some(list)
        })
    }

    fn choice(&mut self, key: &'static str, words: &[&'static str]) -> Option<&'static str> {
        let all: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        self.read(key, &all.join(" or "), |value| {
            let text = value.as_str()?;
            words.iter().find(|word| **word == text).copied()
        })
    }

    fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.read(key, "true or false", Value::as_bool)
    }

    fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let must = "a duration longer than zero: \"250ms\", \"10s\", \"5m\", \"2h\" or \"30d\"";
        self.read(key, must, |value| {
            units::duration(value.as_str()?).filter(|span| !span.is_zero())
        })
    }

    fn positive_integer(&mut self, key: &'static str) -> Option<u32> {
        self.count(key, u32::MAX)
    }

    fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.secret_of(key, 1)
    }

    fn url(&mut self, key: &'static str) -> Option<Url> {
        let url = self.read(key, "a URL such as \"https://api.example.com\"", |value| {
            Url::parse(value.as_str()?).ok().filter(Url::has_host)
        })?;
        match url_problem(&url) {
            None => Some(url),
            Some(problem) => {
                self.add_problem(key, problem);
                None
            }
        }
    }

    fn table(&mut self, key: &'static str, read: &mut dyn FnMut(&mut dyn Options)) -> bool {
        let Some(mut table) = self.section(key) else { return false };
        read(&mut table);
        table.finish();
        true
    }

    fn fill_defaults(&mut self, key: &'static str, defaults: &Table) {
        let mut filled = defaults.clone();
        if let Some(given) = self.table.get(key) {
            // Reading the key reports a value that is not a table.
            let Some(given) = self.convert(key, given, as_table) else { return };
            filled.extend(given);
        }
        self.table.insert(key.to_owned(), Value::Table(filled));
    }

    fn report(&mut self, key: &str, message: &str) {
        self.add_problem(key, message);
    }
}

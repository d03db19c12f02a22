//! Reads a table key by key and collects all problems instead of stopping at the first.
//!
//! The keys that are read are the known keys. The end of a section reports the keys left over.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};

use super::problem::{ConfigProblem, closest_name};
use super::rules::{DISPLAY_TEXT_MAX, is_displayable};
use super::units;
use crate::event::id::IdError;
use crate::providers::Options as _;
use crate::secret::Secret;

/// Collects problems and secrets.
#[derive(Default)]
pub(super) struct ProblemReport {
    /// Name of the configuration file.
    pub file: String,
    /// Environment variables that set a key, by the key's path.
    pub variables: BTreeMap<String, String>,
    /// Problems found so far.
    pub problems: RefCell<Vec<ConfigProblem>>,
    /// Secrets read so far.
    pub secrets: RefCell<Vec<RequiredSecret>>,
}

/// A secret that the service needs.
#[derive(Debug, Clone)]
pub struct RequiredSecret {
    /// Path of its key.
    pub key: String,
    /// Place of the secret.
    pub secret: Secret,
    /// Smallest length, in bytes.
    pub min_length: usize,
}

/// A table while it is read. A getter returns none for a missing and for an invalid value, which it reports.
pub(super) struct Section<'a> {
    report: &'a ProblemReport,
    path: String,
    pub(super) table: Table,
    known: Vec<&'static str>,
}

/// A value that is a text or a table.
pub(super) enum SectionEntry {
    Text(String),
    Table(Table),
}

impl ProblemReport {
    /// The environment variable that set the key, the table around it, or else a key below it.
    fn variable(&self, path: &str) -> Option<&String> {
        let is_within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let above = self.variables.iter().rfind(|(set, _)| is_within(path, set));
        let found = above.or_else(|| self.variables.iter().find(|(set, _)| is_within(set, path)));
        found.map(|(_, name)| name)
    }
}

/// The path of a key below `path`.
pub(super) fn key_path(path: &str, key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    // Quoted with escapes: a key may be any text, and a message must stay one line.
    let key = if key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") };
    match (path, key.as_str()) {
        ("", _) => key,
        (path, "") => path.to_owned(),
        (path, key) => format!("{path}.{key}"),
    }
}

/// Converts a value. The text of a variable is tried as TOML first, so that `2026` may be a number or a text.
pub(super) fn convert<T>(
    value: &Value,
    is_variable: bool,
    with: impl Fn(&Value) -> Option<T>,
) -> Option<T> {
    let text = value.as_str().filter(|_| is_variable);
    let typed = text.and_then(|text| with(&text.parse().ok()?));
    typed.or_else(|| with(value))
}

impl<'a> Section<'a> {
    /// The root of the configuration.
    pub(super) fn root(report: &'a ProblemReport, table: Table) -> Self {
        Self { report, path: String::new(), table, known: Vec::new() }
    }

    /// Reports a problem of a key; with an empty key, of the section itself.
    pub(super) fn add_problem(&self, key: &str, message: impl Display) {
        let key = key_path(&self.path, key);
        let origin = self.report.variable(&key).map(|name| format!("${name}"));
        self.report.problems.borrow_mut().push(ConfigProblem {
            origin: origin.unwrap_or_else(|| self.report.file.clone()),
            key,
            message: message.to_string(),
        });
    }

    /// The section's own name, if it is valid.
    pub(super) fn name<T>(&self, parsed: Result<T, IdError>) -> Option<T> {
        let report = |error| {
            self.add_problem(
                "",
                format!("{error}. Use at most 64 of the characters a-z, 0-9, - and _"),
            );
        };
        parsed.map_err(report).ok()
    }

    /// Reads a key with `read`; reports a missing key with the remedy.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        remedy: &str,
        read: impl FnOnce(&mut Self, &'static str) -> Option<T>,
    ) -> Option<T> {
        if !self.has(key) {
            self.add_problem(key, format!("is missing. {remedy}"));
        }
        read(self, key)
    }

    /// Reads a key with `convert`, or reports the expected form.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        must: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        let value = self.table.remove(key)?;
        let converted = self.convert(key, &value, convert);
        if converted.is_none() {
            self.add_problem(key, format!("must be {must}"));
        }
        converted
    }

    pub(super) fn convert<T>(
        &self,
        key: &str,
        value: &Value,
        with: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let is_variable = self.report.variables.contains_key(&key_path(&self.path, key));
        convert(value, is_variable, with)
    }

    /// A text that HubSpot displays.
    pub(super) fn display_text(&mut self, key: &'static str) -> Option<String> {
        let must = format!("a text of 1 to {DISPLAY_TEXT_MAX} characters on one line");
        self.read(key, &must, |value| {
            value.as_str().filter(|text| is_displayable(text)).map(str::to_owned)
        })
    }

    /// A text that `parse` converts, or reports with the remedy.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(String) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key)?;
        parse(text).map_err(|error| self.add_problem(key, error)).ok()
    }

    /// A whole number from 1 to `max`.
    pub(super) fn count(&mut self, key: &'static str, max: u32) -> Option<u32> {
        let must = match max {
            u32::MAX => "a whole number, 1 or more".to_owned(),
            max => format!("a whole number from 1 to {max}"),
        };
        self.read(key, &must, |value| {
            u32::try_from(value.as_integer()?).ok().filter(|number| (1..=max).contains(number))
        })
    }

    /// A duration, which may be zero.
    pub(super) fn duration_or_zero(&mut self, key: &'static str) -> Option<Duration> {
        let must = "a duration: \"250ms\", \"10s\", \"5m\", \"2h\" or \"30d\"";
        self.read(key, must, |value| units::duration(value.as_str()?))
    }

    /// A size in bytes, larger than zero.
    pub(super) fn size(&mut self, key: &'static str) -> Option<usize> {
        self.read(key, "a size larger than zero: \"1MiB\", \"64KiB\" or bytes", |value| {
            let size = match value.as_integer() {
                Some(bytes) => usize::try_from(bytes).ok()?,
                None => units::size(value.as_str()?)?,
            };
            (size > 0).then_some(size)
        })
    }

    /// The place of a secret of at least `min_length` bytes.
    pub(super) fn secret_of(&mut self, key: &'static str, min_length: usize) -> Option<Secret> {
        let must = "a text, { env = \"NAME\" } or { file = \"/run/secrets/x\" }";
        let secret = self.read(key, must, |value| Secret::deserialize(value.clone()).ok())?;
        self.require_secret(key_path(&self.path, key), &secret, min_length);
        Some(secret)
    }

    /// A list of places of secrets, at least one.
    pub(super) fn secrets(&mut self, key: &'static str) -> Option<Vec<Secret>> {
        let must = "a list of secrets that is not empty: [{ env = \"NEW\" }, { env = \"OLD\" }]";
        let list = self.read(key, must, |value| {
            Vec::<Secret>::deserialize(value.clone()).ok().filter(|list| !list.is_empty())
        })?;
        for (at, secret) in list.iter().enumerate() {
            let key = match list.len() {
                1 => key_path(&self.path, "secret"),
                _ => format!("{}[{at}]", key_path(&self.path, key)),
            };
            self.require_secret(key, secret, 1);
        }
        Some(list)
    }

    fn require_secret(&self, key: String, secret: &Secret, min_length: usize) {
        let secret = RequiredSecret { key, secret: secret.clone(), min_length };
        self.report.secrets.borrow_mut().push(secret);
    }

    /// The table under the key.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let must = format!("a table: [{}]", key_path(&self.path, key));
        let table = self.read(key, &must, as_table)?;
        Some(self.below(key, table))
    }

    /// The tables below the one under the key, by name: `[hubspot.NAME]`; reports with the remedy that there is none.
    pub(super) fn named_sections(
        &mut self,
        key: &'static str,
        remedy: &str,
    ) -> Vec<(String, Section<'a>)> {
        let all = self.required(key, remedy, Self::section);
        let Some(mut all) = all else { return Vec::new() };
        let tables = all.remaining(&format!("a table: [{key}.NAME]"), as_table);
        if tables.is_empty() {
            self.add_problem(key, format!("is missing. {remedy}"));
        }
        tables.into_iter().map(|(name, table)| (name.clone(), all.below(&name, table))).collect()
    }

    /// All remaining keys of this table, each with its text or table; reports any other value as not `must`.
    pub(super) fn entries(&mut self, must: &str) -> Vec<(String, SectionEntry)> {
        let mut entries = self.remaining(must, |value| {
            let table = as_table(value).map(SectionEntry::Table);
            table.or_else(|| Some(SectionEntry::Text(value.as_str()?.to_owned())))
        });
        entries.retain(|(name, entry)| {
            let is_empty = matches!(entry, SectionEntry::Text(text) if text.is_empty());
            if is_empty {
                self.add_problem(name, format!("must be {must}"));
            }
            !is_empty
        });
        entries
    }

    fn remaining<T>(&mut self, must: &str, with: impl Fn(&Value) -> Option<T>) -> Vec<(String, T)> {
        let table = std::mem::take(&mut self.table);
        let read = |(name, value): (String, Value)| {
            let converted = self.convert(&name, &value, &with);
            if converted.is_none() {
                self.add_problem(&name, format!("must be {must}"));
            }
            Some((name, converted?))
        };
        table.into_iter().filter_map(read).collect()
    }

    /// The section of a table below this one.
    pub(super) fn below(&self, key: &str, table: Table) -> Section<'a> {
        Self { path: key_path(&self.path, key), ..Self::root(self.report, table) }
    }

    /// Reports every key that was not read.
    pub(super) fn finish(self) {
        let place =
            if self.path.is_empty() { "the file".into() } else { format!("[{}]", self.path) };
        for key in self.table.keys() {
            let remedy = match closest_name(key, &self.known) {
                Some(known) => format!("Did you mean {known}?"),
                None => "Remove it".to_owned(),
            };
            self.add_problem(key, format!("is not a key of {place}. {remedy}"));
        }
    }
}

pub(super) fn as_table(value: &Value) -> Option<Table> {
    value.as_table().cloned()
}

/// The value, if it is a text that is not empty.
pub(super) fn non_empty_text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

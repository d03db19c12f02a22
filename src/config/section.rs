//! Reads a table key by key and collects all problems instead of stopping at the first.
//!
//! The keys that are read are the known keys: keys left over at the end are reported.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use toml::Value;
use url::Url;

use super::field::Field;
use super::node::{ConfigNode, ConfigTree};
use super::problem::{ConfigProblem, closest_name};
use super::rules::{DISPLAY_TEXT_MAX, ZeroDuration, is_displayable, string_value, url_problem};
use super::units;
use crate::event::id::IdError;
use crate::secret::Secret;

/// Collects problems.
#[derive(Default)]
pub(super) struct ProblemReport {
    /// Name of the configuration file.
    pub file: String,
    /// Problems found so far.
    pub problems: RefCell<Vec<ConfigProblem>>,
    /// Secrets that only a platform uses, by key.
    pub secrets: RefCell<Vec<(String, Secret)>>,
}

/// A table while it is read.
pub(super) struct Section<'a> {
    report: &'a ProblemReport,
    path: String,
    nodes: ConfigTree,
    known: Vec<&'static str>,
    /// Environment variables that set the keys read so far.
    variables: BTreeMap<String, String>,
}

/// A value that is a text or a table.
pub(super) enum SectionEntry<'a> {
    Text(String),
    Table(Section<'a>),
}

impl<'a> Section<'a> {
    /// The root of the configuration.
    pub(super) fn root(report: &'a ProblemReport, nodes: ConfigTree) -> Self {
        Self { report, path: String::new(), nodes, known: Vec::new(), variables: BTreeMap::new() }
    }

    /// Reports a problem of a key; with an empty key, of the section itself.
    pub(super) fn report(&self, key: &str, message: impl Display) {
        let origin = self.variables.get(key).map(|name| format!("${name}"));
        self.report.problems.borrow_mut().push(ConfigProblem {
            origin: origin.unwrap_or_else(|| self.report.file.clone()),
            key: self.key_path(key),
            message: message.to_string(),
        });
    }

    fn key_path(&self, key: &str) -> String {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        // Quoted with escapes: a key may be any text, and a message must stay one line.
        let key = if key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") };
        match (self.path.as_str(), key.as_str()) {
            ("", _) => key,
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<ConfigNode> {
        self.known.push(key);
        self.take_any(key)
    }

    fn take_any(&mut self, key: &str) -> Option<ConfigNode> {
        let node = self.nodes.remove(key)?;
        if let Some(variable) = node.variable() {
            self.variables.insert(key.to_owned(), variable.to_owned());
        }
        Some(node)
    }

    /// Whether the key exists and was not read yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.nodes.contains_key(key)
    }

    /// The section's own name, if it is valid.
    pub(super) fn name<T>(&self, parsed: Result<T, IdError>) -> Option<T> {
        let report = |error| {
            self.report("", format!("{error}. Use at most 64 of the characters a-z, 0-9, - and _"));
        };
        parsed.map_err(report).ok()
    }

    /// The value; reports a missing key with the remedy.
    pub(super) fn required<T>(&self, key: &str, given: Field<T>, remedy: &str) -> Option<T> {
        if matches!(given, Field::Absent) {
            self.report(key, format!("is missing. {remedy}"));
        }
        given.valid()
    }

    /// Reads a key with `convert`, or reports the expected form.
    fn read<T>(
        &mut self,
        key: &'static str,
        must: &str,
        convert: impl Fn(Value) -> Option<T>,
    ) -> Field<T> {
        let Some(node) = self.take(key) else { return Field::Absent };
        let Some(value) = node.read(convert) else {
            self.report(key, format!("must be {must}"));
            return Field::Invalid;
        };
        Field::Valid(value)
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, key: &'static str) -> Field<String> {
        self.read(key, "a text that is not empty", |value| {
            string_value(value).filter(|t| !t.is_empty())
        })
    }

    /// A text that HubSpot displays.
    pub(super) fn display_text(&mut self, key: &'static str) -> Field<String> {
        let must = format!("a text of 1 to {DISPLAY_TEXT_MAX} characters on one line");
        self.read(key, &must, |value| string_value(value).filter(|text| is_displayable(text)))
    }

    /// A text that `parse` converts, or reports with the remedy.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(String) -> Result<T, E>,
    ) -> Field<T> {
        let text = self.text(key);
        text.checked(|text| parse(text).map_err(|error| self.report(key, error)).ok())
    }

    /// One of the given words.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Field<T> {
        let all: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        self.read(key, &all.join(" or "), |value| {
            let text = string_value(value)?;
            words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning)
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Field<bool> {
        self.read(key, "true or false", |value| value.as_bool())
    }

    /// A whole number within the range.
    pub(super) fn count(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Field<u32> {
        let must = match (*range.start(), *range.end()) {
            (low, u32::MAX) => format!("a whole number, {low} or more"),
            (low, high) => format!("a whole number from {low} to {high}"),
        };
        self.read(key, &must, |value| {
            let number = u32::try_from(value.as_integer()?).ok()?;
            range.contains(&number).then_some(number)
        })
    }

    /// A duration; zero only where it has a meaning.
    pub(super) fn duration(&mut self, key: &'static str, zero: ZeroDuration) -> Field<Duration> {
        let must = match zero {
            ZeroDuration::Allowed => "a duration: \"250ms\", \"10s\", \"5m\", \"2h\" or \"30d\"",
            ZeroDuration::Refused => {
                "a duration longer than zero: \"250ms\", \"10s\", \"5m\", \"2h\" or \"30d\""
            }
        };
        self.read(key, must, |value| {
            let span = units::duration(&string_value(value)?)?;
            (!span.is_zero() || zero == ZeroDuration::Allowed).then_some(span)
        })
    }

    /// A size in bytes, larger than zero.
    pub(super) fn size(&mut self, key: &'static str) -> Field<usize> {
        self.read(key, "a size larger than zero: \"1MiB\", \"64KiB\" or bytes", |value| {
            let size = match value.as_integer() {
                Some(bytes) => usize::try_from(bytes).ok()?,
                None => units::size(&string_value(value)?)?,
            };
            (size > 0).then_some(size)
        })
    }

    /// The place of a secret.
    pub(super) fn secret(&mut self, key: &'static str) -> Field<Secret> {
        let must = "a text, { env = \"NAME\" } or { file = \"/run/secrets/x\" }";
        self.read(key, must, |value| Secret::deserialize(value).ok())
    }

    /// The place of a secret that only a platform uses.
    pub(super) fn platform_secret(&mut self, key: &'static str) -> Field<Secret> {
        let given = self.secret(key);
        if let Field::Valid(secret) = &given {
            self.report.secrets.borrow_mut().push((self.key_path(key), secret.clone()));
        }
        given
    }

    /// A list of places of secrets, at least one.
    pub(super) fn secrets(&mut self, key: &'static str) -> Field<Vec<Secret>> {
        let must = "a list of secrets that is not empty: [{ env = \"NEW\" }, { env = \"OLD\" }]";
        self.read(key, must, |value| {
            Vec::<Secret>::deserialize(value).ok().filter(|list| !list.is_empty())
        })
    }

    /// A list of texts, at least one.
    pub(super) fn texts(&mut self, key: &'static str) -> Field<Vec<String>> {
        self.read(key, "a list of texts that is not empty: [\"a\", \"b\"]", |value| {
            let list = Vec::<String>::deserialize(value).ok()?;
            (!list.is_empty() && list.iter().all(|text| !text.is_empty())).then_some(list)
        })
    }

    /// A URL to which credentials may be sent: https, or http to this machine.
    pub(super) fn url(&mut self, key: &'static str) -> Field<Url> {
        let url = self.read(key, "a URL such as \"https://api.example.com\"", |value| {
            Url::parse(&string_value(value)?).ok().filter(Url::has_host)
        });
        url.checked(|url| match url_problem(&url) {
            None => Some(url),
            Some(message) => {
                self.report(key, message);
                None
            }
        })
    }

    /// The table under the key.
    pub(super) fn section(&mut self, key: &'static str) -> Field<Section<'a>> {
        match self.take(key) {
            None => Field::Absent,
            Some(node) => self.subsection(key, node, &format!("a table: [{}]", self.key_path(key))),
        }
    }

    /// Adds `defaults` for keys that the table does not have.
    pub(super) fn fill(&mut self, key: &str, defaults: &toml::Table) {
        let mut filled = ConfigNode::entries(defaults.clone(), None);
        if let Some(given) = self.nodes.remove(key) {
            let Some(given) = given.clone().into_table() else {
                // Not a table; reading it reports that.
                self.nodes.insert(key.to_owned(), given);
                return;
            };
            filled.extend(given);
        }
        self.nodes.insert(key.to_owned(), ConfigNode::Table(filled));
    }

    /// The tables below this one, by name: `[hubspot.NAME]`.
    pub(super) fn named_sections(mut self) -> Vec<(String, Section<'a>)> {
        let must = format!("a table: [{}.NAME]", self.path);
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        let below = names.into_iter().filter_map(|name| {
            let node = self.take_any(&name)?;
            Some((name.clone(), self.subsection(&name, node, &must).valid()?))
        });
        below.collect()
    }

    /// All remaining keys of this table, each with its text or table; reports any other value as not `must`.
    pub(super) fn entries(&mut self, must: &str) -> Vec<(String, SectionEntry<'a>)> {
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        let mut all = Vec::new();
        for name in names {
            let Some(node) = self.take_any(&name) else { continue };
            if node.clone().into_table().is_some() {
                let table = self.subsection(&name, node, must).valid();
                all.extend(table.map(|table| (name, SectionEntry::Table(table))));
            } else if let Some(text) = node.read(string_value).filter(|text| !text.is_empty()) {
                all.push((name, SectionEntry::Text(text)));
            } else {
                self.report(&name, format!("must be {must}"));
            }
        }
        all
    }

    fn subsection(&self, key: &str, node: ConfigNode, must: &str) -> Field<Section<'a>> {
        let Some(nodes) = node.into_table() else {
            self.report(key, format!("must be {must}"));
            return Field::Invalid;
        };
        Field::Valid(Self { path: self.key_path(key), ..Self::root(self.report, nodes) })
    }

    /// Reports every key that was not read.
    pub(super) fn finish(mut self) {
        let left: Vec<String> = self.nodes.keys().cloned().collect();
        let place =
            if self.path.is_empty() { "the file".into() } else { format!("[{}]", self.path) };
        for key in left {
            self.take_any(&key);
            match closest_name(&key, &self.known) {
                Some(known) => {
                    self.report(&key, format!("is not a key of {place}. Did you mean {known}?"));
                }
                None => self.report(&key, format!("is not a key of {place}. Remove it")),
            }
        }
    }
}

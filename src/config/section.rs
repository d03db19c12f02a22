//! Reading a table key by key, collecting what is wrong with each instead of stopping at the first.
//!
//! The keys that are asked for are the keys that are known: what is left over at the end is a mistake.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use toml::Value;
use url::Url;

use super::given::Given;
use super::node::{Node, Nodes};
use super::problem::{Problem, nearest};
use super::rules::{TEXT_MAX, Zero, is_shown, text, unsafe_url};
use super::units;
use crate::event::id::IdError;
use crate::secret::Secret;

/// Where problems are told.
#[derive(Default)]
pub(super) struct Report {
    /// What the configuration file is called.
    pub file: String,
    /// What is wrong.
    pub problems: RefCell<Vec<Problem>>,
    /// The secrets that only a platform knows the use of, by key.
    pub secrets: RefCell<Vec<(String, Secret)>>,
}

/// A table that is being read.
pub(super) struct Section<'a> {
    report: &'a Report,
    path: String,
    nodes: Nodes,
    known: Vec<&'static str>,
    /// The variables that gave what was read.
    variables: BTreeMap<String, String>,
}

/// What stands under a key that may be either.
pub(super) enum Entry<'a> {
    Text(String),
    Table(Section<'a>),
}

impl<'a> Section<'a> {
    /// The whole configuration.
    pub(super) fn root(report: &'a Report, nodes: Nodes) -> Self {
        Self { report, path: String::new(), nodes, known: Vec::new(), variables: BTreeMap::new() }
    }

    /// Tells what is wrong with a key; with none, of the section itself.
    pub(super) fn problem(&self, key: &str, what: impl Display) {
        let origin = self.variables.get(key).map(|name| format!("${name}"));
        self.report.problems.borrow_mut().push(Problem {
            origin: origin.unwrap_or_else(|| self.report.file.clone()),
            key: self.path_of(key),
            what: what.to_string(),
        });
    }

    fn path_of(&self, key: &str) -> String {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        // Quoted with escapes: a key may be any text, and a message must stay one line.
        let key = if key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") };
        match (self.path.as_str(), key.as_str()) {
            ("", _) => key,
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        self.take_any(key)
    }

    fn take_any(&mut self, key: &str) -> Option<Node> {
        let node = self.nodes.remove(key)?;
        if let Some(variable) = node.variable() {
            self.variables.insert(key.to_owned(), variable.to_owned());
        }
        Some(node)
    }

    /// Whether the key is there and still to be read.
    pub(super) fn has(&self, key: &str) -> bool {
        self.nodes.contains_key(key)
    }

    /// The section's own name, if it can be one.
    pub(super) fn name<T>(&self, parsed: Result<T, IdError>) -> Option<T> {
        let told = |error| {
            self.problem(
                "",
                format!("{error}. Name it with a-z, 0-9, - and _, at most 64 of them"),
            );
        };
        parsed.map_err(told).ok()
    }

    /// The value, or that it is missing and the remedy.
    pub(super) fn required<T>(&self, key: &str, given: Given<T>, remedy: &str) -> Option<T> {
        if matches!(given, Given::Absent) {
            self.problem(key, format!("is missing. {remedy}"));
        }
        given.good()
    }

    /// Reads a key with `wanted`, or says what it must be.
    fn read<T>(
        &mut self,
        key: &'static str,
        must: &str,
        wanted: impl Fn(Value) -> Option<T>,
    ) -> Given<T> {
        let Some(node) = self.take(key) else { return Given::Absent };
        let Some(value) = node.read(wanted) else {
            self.problem(key, format!("must be {must}"));
            return Given::Bad;
        };
        Given::Good(value)
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, key: &'static str) -> Given<String> {
        self.read(key, "a text that is not empty", |value| text(value).filter(|t| !t.is_empty()))
    }

    /// A text that HubSpot is to show.
    pub(super) fn shown_text(&mut self, key: &'static str) -> Given<String> {
        let must = format!("a text of 1 to {TEXT_MAX} characters on one line");
        self.read(key, &must, |value| text(value).filter(|text| is_shown(text)))
    }

    /// A text that a type of ours makes a value of.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(String) -> Result<T, E>,
    ) -> Given<T> {
        let text = self.text(key);
        text.checked(|text| {
            parse(text).map_err(|error| self.problem(key, format!("{error}. Correct it"))).ok()
        })
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Given<T> {
        let all: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        self.read(key, &all.join(" or "), |value| {
            let text = text(value)?;
            words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning)
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Given<bool> {
        self.read(key, "true or false", |value| value.as_bool())
    }

    /// A whole number within the range.
    pub(super) fn count(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Given<u32> {
        let must = match (*range.start(), *range.end()) {
            (low, u32::MAX) => format!("a whole number, {low} or more"),
            (low, high) => format!("a whole number from {low} to {high}"),
        };
        self.read(key, &must, |value| {
            let number = u32::try_from(value.as_integer()?).ok()?;
            range.contains(&number).then_some(number)
        })
    }

    /// A duration; `"0s"` too where that means something.
    pub(super) fn duration(&mut self, key: &'static str, zero: Zero) -> Given<Duration> {
        let must = match zero {
            Zero::Allowed => "a duration: \"250ms\", \"10s\", \"5m\", \"2h\" or \"30d\"",
            Zero::Refused => {
                "a duration longer than zero: \"250ms\", \"10s\", \"5m\", \"2h\" or \"30d\""
            }
        };
        self.read(key, must, |value| {
            let span = units::duration(&text(value)?)?;
            (!span.is_zero() || zero == Zero::Allowed).then_some(span)
        })
    }

    /// A size in bytes, larger than zero.
    pub(super) fn size(&mut self, key: &'static str) -> Given<usize> {
        self.read(key, "a size larger than zero: \"1MiB\", \"64KiB\" or bytes", |value| {
            let size = match value.as_integer() {
                Some(bytes) => usize::try_from(bytes).ok()?,
                None => units::size(&text(value)?)?,
            };
            (size > 0).then_some(size)
        })
    }

    /// A secret's place.
    pub(super) fn secret(&mut self, key: &'static str) -> Given<Secret> {
        let must = "a text, { env = \"NAME\" } or { file = \"/run/secrets/x\" }";
        self.read(key, must, |value| Secret::deserialize(value).ok())
    }

    /// A secret's place, of which only a platform knows the use.
    pub(super) fn platform_secret(&mut self, key: &'static str) -> Given<Secret> {
        let given = self.secret(key);
        if let Given::Good(secret) = &given {
            self.report.secrets.borrow_mut().push((self.path_of(key), secret.clone()));
        }
        given
    }

    /// A list of secrets' places, at least one.
    pub(super) fn secrets(&mut self, key: &'static str) -> Given<Vec<Secret>> {
        let must = "a list of secrets that is not empty: [{ env = \"NEW\" }, { env = \"OLD\" }]";
        self.read(key, must, |value| {
            Vec::<Secret>::deserialize(value).ok().filter(|list| !list.is_empty())
        })
    }

    /// A list of texts, at least one.
    pub(super) fn texts(&mut self, key: &'static str) -> Given<Vec<String>> {
        self.read(key, "a list of texts that is not empty: [\"a\", \"b\"]", |value| {
            let list = Vec::<String>::deserialize(value).ok()?;
            (!list.is_empty() && list.iter().all(|text| !text.is_empty())).then_some(list)
        })
    }

    /// An address credentials may be sent to: https, or http to this machine alone.
    pub(super) fn url(&mut self, key: &'static str) -> Given<Url> {
        let url = self.read(key, "a URL: \"https://api.hubapi.com\"", |value| {
            Url::parse(&text(value)?).ok().filter(Url::has_host)
        });
        url.checked(|url| match unsafe_url(&url) {
            None => Some(url),
            Some(what) => {
                self.problem(key, what);
                None
            }
        })
    }

    /// The table under the key.
    pub(super) fn section(&mut self, key: &'static str) -> Given<Section<'a>> {
        match self.take(key) {
            None => Given::Absent,
            Some(node) => self.below(key, node, &format!("a table: [{}]", self.path_of(key))),
        }
    }

    /// Fills the table under the key with what it does not have.
    pub(super) fn fill(&mut self, key: &str, defaults: &toml::Table) {
        let mut filled = Node::entries(defaults.clone(), None);
        if let Some(given) = self.nodes.remove(key) {
            let Some(given) = given.clone().into_table() else {
                // No table: that is told when it is read.
                self.nodes.insert(key.to_owned(), given);
                return;
            };
            filled.extend(given);
        }
        self.nodes.insert(key.to_owned(), Node::Table(filled));
    }

    /// The tables under this one, by name: `[hubspot.NAME]`.
    pub(super) fn named(mut self) -> Vec<(String, Section<'a>)> {
        let must = format!("a table: [{}.NAME]", self.path);
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        let below = names.into_iter().filter_map(|name| {
            let node = self.take_any(&name)?;
            Some((name.clone(), self.below(&name, node, &must).good()?))
        });
        below.collect()
    }

    /// Every key that is left of this table with its text or its table; one that has neither must be `must`.
    pub(super) fn entries(&mut self, must: &str) -> Vec<(String, Entry<'a>)> {
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        let mut all = Vec::new();
        for name in names {
            let Some(node) = self.take_any(&name) else { continue };
            if node.clone().into_table().is_some() {
                let table = self.below(&name, node, must).good();
                all.extend(table.map(|table| (name, Entry::Table(table))));
            } else if let Some(text) = node.read(text).filter(|text| !text.is_empty()) {
                all.push((name, Entry::Text(text)));
            } else {
                self.problem(&name, format!("must be {must}"));
            }
        }
        all
    }

    fn below(&self, key: &str, node: Node, must: &str) -> Given<Section<'a>> {
        let Some(nodes) = node.into_table() else {
            self.problem(key, format!("must be {must}"));
            return Given::Bad;
        };
        Given::Good(Self { path: self.path_of(key), ..Self::root(self.report, nodes) })
    }

    /// Tells of every key that nobody asked for.
    pub(super) fn finish(mut self) {
        let left: Vec<String> = self.nodes.keys().cloned().collect();
        let place =
            if self.path.is_empty() { "the file".into() } else { format!("[{}]", self.path) };
        for key in left {
            self.take_any(&key);
            match nearest(&key, &self.known) {
                Some(known) => {
                    self.problem(&key, format!("is not a key of {place}. Did you mean {known}?"));
                }
                None => self.problem(&key, format!("is not a key of {place}. Remove it")),
            }
        }
    }
}

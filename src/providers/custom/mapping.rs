//! What a body means, as the source's `map` says: an expression for each field.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::id::IdError;
use crate::event::{Change, End, ExternalAccountId, Fields, Kind, Millis, Shape, WebinarId, text};
use crate::expression::{Expression, Said, Scope, Steps, Value};
use crate::providers::{Header, Inbound, Meaning, Options, Reading, Verified, required};

/// What an expression may ask.
const VARIABLES: [&str; 3] = ["payload", "headers", "received_at"];

/// Most steps of all expressions on one body: they are only as many as the fields, and each has fewer.
const STEPS_MAX: usize = 5_000_000;

/// What there may be an expression for.
const KEYS: [&str; 19] = [
    "event_id",
    "when",
    "webhook",
    "account",
    "occurred_at",
    "name",
    "description",
    "organizer",
    "event_type",
    "start",
    "end",
    "duration_minutes",
    "actual_end",
    "timezone",
    "registration_url",
    "join_url",
    "cancelled",
    "completed",
    "full_picture",
];

/// The expressions of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    expressions: BTreeMap<&'static str, Expression>,
    /// What a number means where a time is asked for; none: nothing.
    time_unit: Option<TimeUnit>,
}

/// What a number of a time counts since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeUnit {
    Seconds,
    Milliseconds,
}

/// Reads the table. None if something is wrong with it, which was told.
pub(super) fn read(options: &mut dyn Options) -> Option<Mapping> {
    let time_unit = options.word("time_unit", &["s", "ms"]).map(|word| match word {
        "s" => TimeUnit::Seconds,
        _ => TimeUnit::Milliseconds,
    });
    let mut expressions = BTreeMap::new();
    let mut whole = true;
    for key in KEYS {
        let text = if key == "event_id" {
            let remedy = "Set an expression of the event's id: \"payload.event.id\"";
            required(options, key, |options, key| options.text(key), remedy)
        } else {
            options.text(key)
        };
        let Some(text) = text else { continue };
        match Expression::compile(&text, &VARIABLES) {
            Ok(expression) if expression.uses_whole("headers") => {
                let what =
                    "asks for headers that it does not name. Name each: headers[\"x-event\"]";
                options.problem(key, what);
                whole = false;
            }
            Ok(expression) => drop(expressions.insert(key, expression)),
            Err(error) => {
                options.problem(key, &format!("is no expression: {error}. Correct it"));
                whole = false;
            }
        }
    }
    (whole && expressions.contains_key("event_id")).then_some(Mapping { expressions, time_unit })
}

impl Mapping {
    /// Whether there is an expression of that field.
    pub(super) fn says(&self, key: &str) -> bool {
        self.expressions.contains_key(key)
    }

    /// The headers that are asked for, in lower case.
    pub(super) fn headers(&self) -> BTreeSet<String> {
        let names = self.expressions.values().flat_map(|one| one.literal_keys("headers"));
        names.map(|name| name.to_ascii_lowercase()).collect()
    }

    /// What the payload means.
    pub(super) fn read(&self, payload: Value, request: &Inbound<'_, Verified>) -> Reading {
        let scope = Scope::default()
            .with("payload", payload)
            .with("headers", self.given(request))
            .with("received_at", Value::time(request.received_at.get()));
        let steps = Steps(STEPS_MAX);
        let mut telling = Telling { mapping: self, scope, steps, bad: Vec::new() };
        let webhook = telling.read("webhook", words).unwrap_or_default();
        let meaning = telling.meaning().unwrap_or_else(Meaning::Unmappable);
        Reading::new(&webhook, meaning)
    }

    /// The headers, by their names as the expressions write them.
    fn given(&self, request: &Inbound<'_, Verified>) -> Value {
        let names: BTreeSet<String> =
            self.expressions.values().flat_map(|one| one.literal_keys("headers")).collect();
        let given = |name: &'_ String| match request.headers.one(&name.to_ascii_lowercase()) {
            Header::One(value) => Some(Value::from(std::str::from_utf8(value).ok()?)),
            Header::Missing | Header::Repeated => None,
        };
        Value::map(names.iter().filter_map(|name| Some((name.as_str(), given(name)?))))
    }
}

/// The reading of one payload.
struct Telling<'a> {
    mapping: &'a Mapping,
    scope: Scope,
    steps: Steps,
    /// Fields whose value was none.
    bad: Vec<&'static str>,
}

impl Telling<'_> {
    fn meaning(&mut self) -> Result<Meaning, String> {
        match self.said("when")? {
            Some(Said::Flag(true)) => {}
            None if !self.mapping.says("when") => {}
            Some(Said::Flag(false)) | None => return Ok(Meaning::Ignored),
            Some(_) => return Err("map.when says neither true nor false".to_owned()),
        }
        let id = self.identifier("event_id", WebinarId::parse)?;
        let id = id.ok_or("map.event_id says nothing")?;
        let account = self.identifier("account", ExternalAccountId::parse)?;
        let fields = self.fields();
        let kind = match (fields.completed, fields.cancelled) {
            (Some(true), _) => Kind::Completed,
            (_, Some(true)) => Kind::Cancelled,
            _ => Kind::Updated,
        };
        let mut change = Change::new(id, kind);
        change.account = account;
        change.occurred_at = self.time("occurred_at", None);
        change.full_picture = self.read("full_picture", flag).unwrap_or_else(|| {
            fields.name.is_some() && fields.start.is_some() && fields.end.is_some()
        });
        change.shape = Some(Shape::Single);
        change.whole = fields;
        // Whatever was read last may have been cut short.
        if self.steps.are_used_up() {
            return Err(format!("map takes more than {STEPS_MAX} steps"));
        }
        Ok(Meaning::Changes { changes: vec![change], bad_fields: std::mem::take(&mut self.bad) })
    }

    fn fields(&mut self) -> Fields {
        let zone = self.read("timezone", words);
        let zone = zone.as_deref();
        let start = self.time("start", zone);
        let ends = self.time("end", zone);
        // An end before the start is none.
        let end = ends.filter(|end| start.is_none_or(|start| *end >= start));
        if end.is_none() && ends.is_some() {
            self.bad.push("end");
        }
        let lasts = self.read("duration_minutes", |said| {
            let Said::Integer(minutes) = said else { return None };
            End::after_minutes(minutes)
        });
        Fields {
            name: self.read("name", title),
            organizer: self.read("organizer", title),
            description: self.read("description", prose),
            event_type: self.read("event_type", title),
            registration_url: self.read("registration_url", link),
            join_url: self.read("join_url", link),
            start,
            end: end.map(End::At).or(lasts),
            actual_end: self.time("actual_end", zone),
            cancelled: self.read("cancelled", flag),
            // That it is not over is true of every webhook before the last, and no news: were it said, one that comes late
            // would begin the event again.
            completed: self.read("completed", flag).filter(|over| *over),
            ..Fields::default()
        }
    }

    /// What the expression of that key says, if there is one.
    ///
    /// # Errors
    /// Why it fails, for operators.
    fn said(&mut self, key: &'static str) -> Result<Option<Said>, String> {
        let Some(expression) = self.mapping.expressions.get(key) else { return Ok(None) };
        match expression.evaluate_within(&self.scope, &mut self.steps) {
            Ok(Said::Nothing) => Ok(None),
            Ok(said) => Ok(Some(said)),
            Err(error) => Err(format!("map.{key} fails: {error}")),
        }
    }

    /// The value of an optional field; a bad one is counted and says nothing.
    fn read<T>(&mut self, key: &'static str, read: impl FnOnce(Said) -> Option<T>) -> Option<T> {
        let value = match self.said(key) {
            Ok(None) => return None,
            Ok(Some(said)) => read(said),
            Err(_) => None,
        };
        if value.is_none() {
            self.bad.push(key);
        }
        value
    }

    fn time(&mut self, key: &'static str, zone: Option<&str>) -> Option<Millis> {
        let unit = self.mapping.time_unit;
        self.read(key, |said| match (said, unit) {
            (Said::Time(ms), _) | (Said::Integer(ms), Some(TimeUnit::Milliseconds)) => {
                Millis::plausible(ms)
            }
            (Said::Text(text), _) => Millis::parse(&text, zone),
            (Said::Integer(second), Some(TimeUnit::Seconds)) => Millis::plausible_seconds(second),
            _ => None,
        })
    }

    /// An id. What cannot be one makes the whole unreadable: it would be said of something else.
    fn identifier<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(String) -> Result<T, IdError>,
    ) -> Result<Option<T>, String> {
        let text = match self.said(key)? {
            None => return Ok(None),
            Some(Said::Text(text)) => text,
            Some(Said::Integer(number)) => number.to_string(),
            Some(_) => return Err(format!("map.{key} says neither a text nor a whole number")),
        };
        parse(text).map(Some).map_err(|error| format!("map.{key} {error}"))
    }
}

fn words(said: Said) -> Option<String> {
    let Said::Text(text) = said else { return None };
    Some(text)
}

/// A text as it is kept; it may be empty.
fn prose(said: Said) -> Option<String> {
    words(said).map(|said| text::clean(&said))
}

/// A title as it is kept; an empty one is none.
fn title(said: Said) -> Option<String> {
    prose(said).filter(|said| !said.is_empty())
}

/// A link as it is kept; empty where it was taken away.
fn link(said: Said) -> Option<String> {
    let said = words(said)?;
    if said.trim().is_empty() { Some(String::new()) } else { text::link(&said) }
}

#[allow(clippy::needless_pass_by_value, reason = "as the other readers take it")]
fn flag(said: Said) -> Option<bool> {
    let Said::Flag(flag) = said else { return None };
    Some(flag)
}

#[cfg(test)]
mod tests;

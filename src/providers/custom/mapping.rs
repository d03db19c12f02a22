//! What a body means, as the source's `map` says: an expression for each field.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::id::IdError;
use crate::event::{
    Change, ChangeKind, EndTime, ExternalAccountId, Millis, Shape, WebinarFields, WebinarId, text,
};
use crate::expression::{Evaluated, Expression, Scope, StepBudget, Value};
use crate::providers::{
    Header, Inbound, Options, ParsedPayload, PayloadContent, Verified, require,
};

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
pub(super) fn from_options(options: &mut dyn Options) -> Option<Mapping> {
    let time_unit = options.choice("time_unit", &["s", "ms"]).map(|word| match word {
        "s" => TimeUnit::Seconds,
        _ => TimeUnit::Milliseconds,
    });
    let mut expressions = BTreeMap::new();
    let mut whole = true;
    for key in KEYS {
        let text = if key == "event_id" {
            let remedy = "Set an expression of the event's id: \"payload.event.id\"";
            require(options, key, |options, key| options.text(key), remedy)
        } else {
            options.text(key)
        };
        let Some(text) = text else { continue };
        match Expression::compile(&text, &VARIABLES) {
            Ok(expression) if expression.uses_whole("headers") => {
                let what =
                    "asks for headers that it does not name. Name each: headers[\"x-event\"]";
                options.report(key, what);
                whole = false;
            }
            Ok(expression) => drop(expressions.insert(key, expression)),
            Err(error) => {
                options.report(key, &format!("is no expression: {error}. Correct it"));
                whole = false;
            }
        }
    }
    (whole && expressions.contains_key("event_id")).then_some(Mapping { expressions, time_unit })
}

impl Mapping {
    /// Whether there is an expression of that field.
    pub(super) fn has(&self, key: &str) -> bool {
        self.expressions.contains_key(key)
    }

    /// The headers that are asked for, in lower case.
    pub(super) fn header_names(&self) -> BTreeSet<String> {
        let names = self.expressions.values().flat_map(|one| one.literal_keys("headers"));
        names.map(|name| name.to_ascii_lowercase()).collect()
    }

    /// What the payload means.
    pub(super) fn read(&self, payload: Value, request: &Inbound<'_, Verified>) -> ParsedPayload {
        let scope = Scope::default()
            .with("payload", payload)
            .with("headers", self.header_values(request))
            .with("received_at", Value::time(request.received_at.get()));
        let steps = StepBudget(STEPS_MAX);
        let mut telling = Evaluation { mapping: self, scope, steps, bad_fields: Vec::new() };
        let webhook = telling.read("webhook", as_text).unwrap_or_default();
        let meaning = telling.map_payload().unwrap_or_else(PayloadContent::Unmappable);
        ParsedPayload::new(&webhook, meaning)
    }

    /// The headers, by their names as the expressions write them.
    fn header_values(&self, request: &Inbound<'_, Verified>) -> Value {
        let names: BTreeSet<String> =
            self.expressions.values().flat_map(|one| one.literal_keys("headers")).collect();
        let given = |name: &'_ String| match request.headers.lookup(&name.to_ascii_lowercase()) {
            Header::One(value) => Some(Value::from(std::str::from_utf8(value).ok()?)),
            Header::Missing | Header::Repeated => None,
        };
        Value::map(names.iter().filter_map(|name| Some((name.as_str(), given(name)?))))
    }
}

/// The reading of one payload.
struct Evaluation<'a> {
    mapping: &'a Mapping,
    scope: Scope,
    steps: StepBudget,
    /// Fields whose value was none.
    bad_fields: Vec<&'static str>,
}

impl Evaluation<'_> {
    fn map_payload(&mut self) -> Result<PayloadContent, String> {
        match self.evaluate("when")? {
            Some(Evaluated::Flag(true)) => {}
            None if !self.mapping.has("when") => {}
            Some(Evaluated::Flag(false)) | None => return Ok(PayloadContent::Ignored),
            Some(_) => return Err("map.when says neither true nor false".to_owned()),
        }
        let id = self.read_id("event_id", WebinarId::parse)?;
        let id = id.ok_or("map.event_id says nothing")?;
        let account = self.read_id("account", ExternalAccountId::parse)?;
        let fields = self.read_fields();
        let kind = match (fields.completed, fields.cancelled) {
            (Some(true), _) => ChangeKind::Completed,
            (_, Some(true)) => ChangeKind::Cancelled,
            _ => ChangeKind::Updated,
        };
        let mut change = Change::new(id, kind);
        change.account = account;
        change.occurred_at = self.read_time("occurred_at", None);
        change.full_picture = self.read("full_picture", as_flag).unwrap_or_else(|| {
            fields.name.is_some() && fields.start.is_some() && fields.end.is_some()
        });
        change.shape = Some(Shape::Single);
        change.whole = fields;
        // Whatever was read last may have been cut short.
        if self.steps.is_exhausted() {
            return Err(format!("map takes more than {STEPS_MAX} steps"));
        }
        Ok(PayloadContent::Changes {
            changes: vec![change],
            bad_fields: std::mem::take(&mut self.bad_fields),
        })
    }

    fn read_fields(&mut self) -> WebinarFields {
        let zone = self.read("timezone", as_text);
        let zone = zone.as_deref();
        let start = self.read_time("start", zone);
        let ends = self.read_time("end", zone);
        // An end before the start is none.
        let end = ends.filter(|end| start.is_none_or(|start| *end >= start));
        if end.is_none() && ends.is_some() {
            self.bad_fields.push("end");
        }
        let lasts = self.read("duration_minutes", |said| {
            let Evaluated::Integer(minutes) = said else { return None };
            EndTime::after_minutes(minutes)
        });
        WebinarFields {
            name: self.read("name", as_title),
            organizer: self.read("organizer", as_title),
            description: self.read("description", as_prose),
            event_type: self.read("event_type", as_title),
            registration_url: self.read("registration_url", as_link),
            join_url: self.read("join_url", as_link),
            start,
            end: end.map(EndTime::At).or(lasts),
            actual_end: self.read_time("actual_end", zone),
            cancelled: self.read("cancelled", as_flag),
            // That it is not over is true of every webhook before the last, and no news: were it said, one that comes late
            // would begin the event again.
            completed: self.read("completed", as_flag).filter(|over| *over),
            ..WebinarFields::default()
        }
    }

    /// What the expression of that key says, if there is one.
    ///
    /// # Errors
    /// Why it fails, for operators.
    fn evaluate(&mut self, key: &'static str) -> Result<Option<Evaluated>, String> {
        let Some(expression) = self.mapping.expressions.get(key) else { return Ok(None) };
        match expression.evaluate_within(&self.scope, &mut self.steps) {
            Ok(Evaluated::Nothing) => Ok(None),
            Ok(said) => Ok(Some(said)),
            Err(error) => Err(format!("map.{key} fails: {error}")),
        }
    }

    /// The value of an optional field; a bad one is counted and says nothing.
    fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Evaluated) -> Option<T>,
    ) -> Option<T> {
        let value = match self.evaluate(key) {
            Ok(None) => return None,
            Ok(Some(said)) => read(said),
            Err(_) => None,
        };
        if value.is_none() {
            self.bad_fields.push(key);
        }
        value
    }

    fn read_time(&mut self, key: &'static str, zone: Option<&str>) -> Option<Millis> {
        let unit = self.mapping.time_unit;
        self.read(key, |said| match (said, unit) {
            (Evaluated::Time(ms), _) | (Evaluated::Integer(ms), Some(TimeUnit::Milliseconds)) => {
                Millis::from_plausible_ms(ms)
            }
            (Evaluated::Text(text), _) => Millis::parse(&text, zone),
            (Evaluated::Integer(second), Some(TimeUnit::Seconds)) => {
                Millis::from_plausible_seconds(second)
            }
            _ => None,
        })
    }

    /// An id. What cannot be one makes the whole unreadable: it would be said of something else.
    fn read_id<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(String) -> Result<T, IdError>,
    ) -> Result<Option<T>, String> {
        let text = match self.evaluate(key)? {
            None => return Ok(None),
            Some(Evaluated::Text(text)) => text,
            Some(Evaluated::Integer(number)) => number.to_string(),
            Some(_) => return Err(format!("map.{key} says neither a text nor a whole number")),
        };
        parse(text).map(Some).map_err(|error| format!("map.{key} {error}"))
    }
}

fn as_text(said: Evaluated) -> Option<String> {
    let Evaluated::Text(text) = said else { return None };
    Some(text)
}

/// A text as it is kept; it may be empty.
fn as_prose(said: Evaluated) -> Option<String> {
    as_text(said).map(|said| text::clean_text(&said))
}

/// A title as it is kept; an empty one is none.
fn as_title(said: Evaluated) -> Option<String> {
    as_prose(said).filter(|said| !said.is_empty())
}

/// A link as it is kept; empty where it was taken away.
fn as_link(said: Evaluated) -> Option<String> {
    let said = as_text(said)?;
    if said.trim().is_empty() { Some(String::new()) } else { text::clean_link(&said) }
}

#[allow(clippy::needless_pass_by_value, reason = "as the other readers take it")]
fn as_flag(said: Evaluated) -> Option<bool> {
    let Evaluated::Flag(flag) = said else { return None };
    Some(flag)
}

#[cfg(test)]
mod tests;

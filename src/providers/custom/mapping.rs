//! Mapping of a body by the source's `map`: an expression for each field.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::id::IdError;
use crate::event::{
    Change, ChangeKind, EndTime, ExternalAccountId, Millis, RunChange, RunPhase, Shape,
    WebinarFields, WebinarId, text,
};
use crate::expression::{Evaluated, Expression, Scope, StepBudget, Value};
use crate::providers::lenient;
use crate::providers::options::choice_of;
use crate::providers::signature::mac::TimeUnit;
use crate::providers::{
    Header, Inbound, Options, ParsedPayload, PayloadContent, Scrubbed, require,
};

/// Variables available to expressions.
const VARIABLES: [&str; 3] = ["payload", "headers", "received_at"];

/// Limit of steps of all expressions on one body. There are only as many expressions as fields, and each has a lower
/// limit.
const STEPS_MAX: usize = 5_000_000;

/// The keys of `map` that hold expressions.
const KEYS: &str = include_str!("mapping/keys.txt");

/// The expressions of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    expressions: BTreeMap<&'static str, Expression>,
    /// Unit of numbers where a time is expected. `None`: a number is no time.
    time_unit: Option<TimeUnit>,
    /// Whether `when` is the recipe's, which tells types of webhooks apart, and not a choice of the source's.
    when_tells_types: bool,
}

/// Reads the table. Returns `None` after reporting what is wrong with it.
pub(super) fn from_options(options: &mut dyn Options) -> Option<Mapping> {
    let time_unit = choice_of(options, "time_unit", TimeUnit::NAMED);
    let mut expressions = BTreeMap::new();
    let mut valid = true;
    for key in KEYS.lines() {
        let text = if key == "event_id" {
            let remedy = "Set an expression of the event's id: \"payload.event.id\"";
            require(options, key, |options, key| options.text(key), remedy)
        } else {
            options.text(key)
        };
        let Some(text) = text else { continue };
        match Expression::compile(&text, &VARIABLES) {
            Ok(expression) if expression.uses_whole("headers") => {
                let problem = "uses headers without naming them. Name each: headers[\"x-event\"]";
                options.report(key, problem);
                valid = false;
            }
            Ok(expression) => drop(expressions.insert(key, expression)),
            Err(error) => {
                options.report(key, &format!("is not an expression: {error}. Correct it"));
                valid = false;
            }
        }
    }
    (valid && expressions.contains_key("event_id")).then_some(Mapping {
        expressions,
        time_unit,
        when_tells_types: false,
    })
}

impl Mapping {
    /// The mapping of a source whose recipe has that `when`.
    pub(super) fn with_recipe_when(self, when: Option<&str>) -> Self {
        let own = self.expressions.get("when").map(Expression::text);
        Self { when_tells_types: when.is_some() && own == when, ..self }
    }

    /// Whether a field has an expression.
    pub(super) fn has(&self, key: &str) -> bool {
        self.expressions.contains_key(key)
    }

    /// The names of the headers that expressions use, in lower case.
    pub(super) fn header_names(&self) -> BTreeSet<String> {
        let names = self.expressions.values().flat_map(|one| one.literal_keys("headers"));
        names.map(|name| name.to_ascii_lowercase()).collect()
    }

    /// Evaluates the expressions on a payload.
    pub(super) fn read(&self, payload: Value, request: &Inbound<'_, Scrubbed>) -> ParsedPayload {
        let scope = Scope::default()
            .with("payload", payload)
            .with("headers", self.header_values(request))
            .with("received_at", Value::time(request.received_at.get()));
        let steps = StepBudget(STEPS_MAX);
        let mut evaluation = Evaluation { mapping: self, scope, steps, bad_fields: Vec::new() };
        let webhook = evaluation.read("webhook", as_text).unwrap_or_default();
        ParsedPayload::from_result(&webhook, evaluation.map_payload())
    }

    /// The headers that expressions use, by the names written there.
    fn header_values(&self, request: &Inbound<'_, Scrubbed>) -> Value {
        let names: BTreeSet<String> =
            self.expressions.values().flat_map(|one| one.literal_keys("headers")).collect();
        let value = |name: &'_ String| match request.headers.lookup(&name.to_ascii_lowercase()) {
            Header::One(value) => Some(Value::from(std::str::from_utf8(value).ok()?)),
            Header::Missing | Header::Repeated => None,
        };
        Value::map(names.iter().filter_map(|name| Some((name.as_str(), value(name)?))))
    }
}

/// The evaluation of all expressions on one payload.
struct Evaluation<'a> {
    mapping: &'a Mapping,
    scope: Scope,
    steps: StepBudget,
    /// Fields with a value that could not be used.
    bad_fields: Vec<&'static str>,
}

impl Evaluation<'_> {
    fn map_payload(&mut self) -> Result<PayloadContent, String> {
        match self.evaluate("when")? {
            Some(Evaluated::Flag(true)) => {}
            None if !self.mapping.has("when") => {}
            Some(Evaluated::Flag(false)) | None => {
                return Ok(if self.mapping.when_tells_types {
                    PayloadContent::Ignored
                } else {
                    PayloadContent::Excluded
                });
            }
            Some(_) => return Err("map.when yields neither true nor false".to_owned()),
        }
        let id = self.read_id("event_id", WebinarId::parse)?;
        let id = id.ok_or("map.event_id yields no value")?;
        let account = self.read_id("account", ExternalAccountId::parse)?;
        let zone = self.read("timezone", as_text);
        let zone = zone.as_deref();
        let mut fields = self.read_fields(zone);
        let is_creation = self.read("created", as_flag) == Some(true);
        let has_started = self.read("started", as_flag) == Some(true);
        let kind = match (fields.completed, fields.cancelled) {
            (Some(true), _) => ChangeKind::Completed,
            (_, Some(true)) => ChangeKind::Cancelled,
            _ if is_creation => ChangeKind::Created,
            _ if has_started => ChangeKind::Started,
            _ => ChangeKind::Updated,
        };
        let session = take_run(&mut fields, has_started);
        let mut change = Change::new(id, kind);
        change.account = account;
        change.is_creation = is_creation;
        change.occurred_at = self.read_time("occurred_at", zone);
        change.created_at = self.read_time("created_at", zone);
        change.full_picture = self
            .read("full_picture", as_flag)
            .unwrap_or_else(|| is_creation || (fields.name.is_some() && fields.start.is_some()));
        change.shape = Some(Shape::Single);
        change.session = session;
        change.whole = fields;
        // Checked last: whatever was read before may have been cut short.
        if self.steps.is_exhausted() {
            return Err(format!("map takes more than {STEPS_MAX} steps"));
        }
        Ok(PayloadContent::Changes {
            changes: vec![change],
            bad_fields: std::mem::take(&mut self.bad_fields),
        })
    }

    fn read_fields(&mut self, zone: Option<&str>) -> WebinarFields {
        let start = self.read_time("start", zone);
        let given_end = self.read_time("end", zone);
        // An end before the start is rejected.
        let end = given_end.and_then(|end| lenient::end_from(start, end));
        if end.is_none() && given_end.is_some() {
            self.bad_fields.push("end");
        }
        let duration = self.read("duration_minutes", |value| {
            let Evaluated::Integer(minutes) = value else { return None };
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
            end: end.or(duration),
            actual_end: self.read_time("actual_end", zone),
            cancelled: self.read("cancelled", as_flag),
            // `false` is dropped: it holds in every webhook before the last, and a late one would undo the completion.
            completed: self.read("completed", as_flag).filter(|over| *over),
            ..WebinarFields::default()
        }
    }

    /// Evaluates the expression of a key. Returns `None` without an expression or without a value.
    ///
    /// # Errors
    /// Returns why the expression fails, as a sentence for operators.
    fn evaluate(&mut self, key: &'static str) -> Result<Option<Evaluated>, String> {
        let Some(expression) = self.mapping.expressions.get(key) else { return Ok(None) };
        match expression.evaluate_within(&self.scope, &mut self.steps) {
            Ok(Evaluated::Nothing) => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(format!("map.{key} fails: {error}")),
        }
    }

    /// Reads an optional field. A bad value is counted and not used.
    fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Evaluated) -> Option<T>,
    ) -> Option<T> {
        let value = match self.evaluate(key) {
            Ok(None) => return None,
            Ok(Some(value)) => read(value),
            Err(_) => None,
        };
        if value.is_none() {
            self.bad_fields.push(key);
        }
        value
    }

    fn read_time(&mut self, key: &'static str, zone: Option<&str>) -> Option<Millis> {
        let unit = self.mapping.time_unit;
        self.read(key, |value| match (value, unit) {
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

    /// Reads an id. A bad one makes the whole body unmappable: otherwise the change would apply to another event.
    fn read_id<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(String) -> Result<T, IdError>,
    ) -> Result<Option<T>, String> {
        let text = match self.evaluate(key)? {
            None => return Ok(None),
            Some(Evaluated::Text(text)) => text,
            Some(Evaluated::Integer(number)) => number.to_string(),
            Some(_) => return Err(format!("map.{key} yields neither a text nor a whole number")),
        };
        let id = lenient::parse_identifier(text, parse);
        id.map(Some).map_err(|error| format!("map.{key} {error}"))
    }
}

/// The run that the webhook reports. An end with its actual time is a run, which may have been a rehearsal; an end without
/// one stays a completion.
fn take_run(fields: &mut WebinarFields, has_started: bool) -> Option<RunChange> {
    let (phase, ended_at) = match (fields.completed, fields.actual_end) {
        (Some(true), Some(ended_at)) => (RunPhase::Ended, Some(ended_at)),
        (Some(false) | None, _) if has_started => (RunPhase::Started, None),
        (Some(true), None) | (Some(false) | None, _) => return None,
    };
    if phase == RunPhase::Ended {
        (fields.completed, fields.actual_end) = (None, None);
    }
    Some(RunChange { phase, started_at: None, ended_at })
}

fn as_text(value: Evaluated) -> Option<String> {
    let Evaluated::Text(text) = value else { return None };
    Some(text)
}

/// Reads a cleaned text, which may be empty.
fn as_prose(value: Evaluated) -> Option<String> {
    as_text(value).map(|value| text::clean_text(&value))
}

/// Reads a cleaned text that is not empty.
fn as_title(value: Evaluated) -> Option<String> {
    as_prose(value).filter(|value| !value.is_empty())
}

/// Reads a link; an empty one removes the link.
fn as_link(value: Evaluated) -> Option<String> {
    let value = as_text(value)?;
    if value.trim().is_empty() { Some(String::new()) } else { text::clean_link(&value) }
}

#[allow(clippy::needless_pass_by_value, reason = "the other readers take the value, too")]
fn as_flag(value: Evaluated) -> Option<bool> {
    let Evaluated::Flag(flag) = value else { return None };
    Some(flag)
}

#[cfg(test)]
mod tests;

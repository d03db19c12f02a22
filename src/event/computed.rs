//! Expressions over an event: a filter, and properties that are computed.
//!
//! They see the event as HubSpot would get it, complete and resolved, so what they say changes with it and with nothing
//! else. A text that is not known is empty, so that nothing need be asked for before it is used; a time that is not
//! known is not there.

use std::collections::BTreeMap;

use super::gap::Gap;
use super::input::EventInput;
use super::policy::Policy;
use super::text::clean_text;
use super::time::Millis;
use crate::expression::{Evaluated, Expression, ExpressionError, Scope, StepBudget, Value};

/// What expressions may ask of the variable `event`.
const FIELDS: [&str; 12] = [
    "name",
    "organizer",
    "description",
    "type",
    "url",
    "start",
    "end",
    "cancelled",
    "completed",
    "external_event_id",
    "external_account_id",
    "custom",
];

/// Most steps of all expressions over the events of one webinar.
///
/// They are evaluated where receipts are committed, so all senders wait: a second or two for this, by most expressions. One of 500
/// occurrences has 40,000, some ten times what a filter takes on a name and a short description.
const STEPS_MAX: usize = 20_000_000;

/// The steps for the events of one webinar.
pub(super) fn step_budget() -> StepBudget {
    StepBudget(STEPS_MAX)
}

/// Why a text is no expression over an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventExpressionError {
    /// It is none at all.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// It asks for what no event has, which would never say anything.
    #[error("an event has no field {0}. There: {known}", known = FIELDS.join(", "))]
    Field(String),
}

/// Reads an expression over the variable `event`.
///
/// # Errors
/// It is none, or asks for what no event has.
pub fn compile_event_expression(text: &str) -> Result<Expression, EventExpressionError> {
    let expression = Expression::compile(text, &["event"])?;
    let asked = expression.literal_keys("event").into_iter();
    match asked.into_iter().find(|field| !FIELDS.contains(&field.as_str())) {
        None => Ok(expression),
        Some(field) => {
            Err(EventExpressionError::Field(clean_text(&field).chars().take(200).collect()))
        }
    }
}

/// Adds to the event what is computed, and gives the remarks on that; or says why it is not sent.
pub(super) fn apply_expressions<'a>(
    policy: &Policy,
    mut input: EventInput,
    custom: impl Iterator<Item = (&'a str, &'a str)>,
    steps: &mut StepBudget,
) -> Result<(EventInput, Vec<Gap>), Vec<Gap>> {
    let computed: Vec<(&String, &Expression)> = policy.computed_properties().collect();
    if policy.only.is_none() && computed.is_empty() {
        return Ok((input, Vec::new()));
    }
    let scope = event_scope(&input, custom);
    if let Some(only) = &policy.only {
        match only.evaluate_within(&scope, steps) {
            Ok(Evaluated::Flag(true)) => {}
            Ok(Evaluated::Flag(false)) => return Err(vec![Gap::Filtered]),
            Ok(_) | Err(_) => return Err(vec![Gap::FilterFailed]),
        }
    }
    let mut remarks = Vec::new();
    for (name, expression) in computed {
        match expression.evaluate_within(&scope, steps).ok().and_then(property_text) {
            Some(text) if text.is_empty() => {}
            Some(text) => drop(input.custom_properties.insert(name.clone(), text)),
            None => remarks = vec![Gap::PropertyFailed],
        }
    }
    Ok((input, remarks))
}

fn event_scope<'a>(input: &EventInput, custom: impl Iterator<Item = (&'a str, &'a str)>) -> Scope {
    let known = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    let mut event = BTreeMap::from([
        ("name", Value::from(input.event_name.as_str())),
        ("organizer", input.event_organizer.as_str().into()),
        ("description", known(&input.event_description)),
        ("type", input.event_type.as_str().into()),
        ("url", known(&input.event_url)),
        ("cancelled", input.event_cancelled.into()),
        ("completed", input.event_completed.into()),
        ("external_event_id", input.external_event_id.as_str().into()),
        ("external_account_id", input.external_account_id.as_str().into()),
        ("custom", Value::map(custom.map(|(name, text)| (name, text.into())))),
    ]);
    let times = [("start", input.start_date_time), ("end", input.end_date_time)];
    event.extend(times.into_iter().filter_map(|(name, at)| Some((name, Value::time(at?.get())))));
    Scope::default().with("event", Value::map(event))
}

/// The text of a property, empty if nothing is said; none if it can be none.
fn property_text(said: Evaluated) -> Option<String> {
    match said {
        Evaluated::Nothing => Some(String::new()),
        Evaluated::Text(text) => Some(clean_text(&text)),
        Evaluated::Integer(number) => Some(number.to_string()),
        Evaluated::Float(number) => number.is_finite().then(|| number.to_string()),
        Evaluated::Flag(flag) => Some(flag.to_string()),
        Evaluated::Time(at) => Some(Millis::new(at).to_string()),
        Evaluated::Other(_) => None,
    }
}

//! Expressions over an event: the filter and computed properties.
//!
//! Expressions read the event as HubSpot gets it, complete and resolved, so their results depend on that event alone.
//! An unknown text is empty, so that an expression need not test for it; an unknown time is missing.

use std::collections::BTreeMap;

use super::gap::Gap;
use super::input::EventInput;
use super::policy::Policy;
use super::text::clean_text;
use super::time::Millis;
use crate::expression::{Evaluated, Expression, ExpressionError, Scope, StepBudget, Value};

/// Fields of the variable `event`.
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

/// Step budget of all expressions over the events of one webinar.
///
/// Expressions run while receipts are committed, so all senders wait for them: a second or two for this many steps of
/// most expressions. Each event of a webinar with 500 occurrences has 40,000 steps, some ten times as many as a filter
/// takes on a name and a short description.
const STEPS_MAX: usize = 20_000_000;

/// The step budget for the events of one webinar.
#[must_use]
pub fn step_budget() -> StepBudget {
    StepBudget(STEPS_MAX)
}

/// Reason why a text is not an expression over an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventExpressionError {
    /// The text is not a valid expression.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// The expression reads a field that no event has, so it would never yield anything.
    #[error("unknown field {0} of event. Known fields: {known}", known = FIELDS.join(", "))]
    Field(String),
}

/// Compiles an expression over the variable `event`.
///
/// # Errors
/// The text is not a valid expression, or reads a field that no event has.
pub fn compile_event_expression(text: &str) -> Result<Expression, EventExpressionError> {
    let expression = Expression::compile(text, &["event"])?;
    let keys = expression.literal_keys("event");
    match keys.into_iter().find(|field| !FIELDS.contains(&field.as_str())) {
        None => Ok(expression),
        Some(field) => {
            Err(EventExpressionError::Field(clean_text(&field).chars().take(200).collect()))
        }
    }
}

/// Applies the filter and adds computed properties.
///
/// # Errors
/// The gaps for which the event is not sent.
pub(super) fn apply_expressions<'a>(
    policy: &Policy,
    mut input: EventInput,
    custom: impl Iterator<Item = (&'a str, &'a str)>,
    steps: &mut StepBudget,
) -> Result<(EventInput, Vec<Gap>), Vec<Gap>> {
    let computed: Vec<(&String, &Expression)> = policy.computed_properties().collect();
    if policy.only.is_empty() && computed.is_empty() {
        return Ok((input, Vec::new()));
    }
    let scope = event_scope(&input, custom);
    let mut failed = None;
    for only in &policy.only {
        match only.evaluate_within(&scope, steps) {
            Ok(Evaluated::Flag(true)) => {}
            Ok(Evaluated::Flag(false)) => return Err(vec![Gap::Filtered]),
            Ok(_) | Err(_) => failed = Some(Gap::FilterFailed),
        }
    }
    if let Some(failed) = failed {
        return Err(vec![failed]);
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

/// The text of a computed property: empty for no value, `None` for a value that has no text.
fn property_text(result: Evaluated) -> Option<String> {
    match result {
        Evaluated::Nothing => Some(String::new()),
        Evaluated::Text(text) => Some(clean_text(&text)),
        Evaluated::Integer(number) => Some(number.to_string()),
        Evaluated::Float(number) => number.is_finite().then(|| number.to_string()),
        Evaluated::Flag(flag) => Some(flag.to_string()),
        Evaluated::Time(at) => Some(Millis::new(at).to_string()),
        Evaluated::Other(_) => None,
    }
}

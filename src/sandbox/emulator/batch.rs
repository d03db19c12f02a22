//! Parses the body of an upsert as strictly as the published schema allows:
//! `BatchInputMarketingEventCreateRequestParams` of HubSpot's OpenAPI (v3 and 2026-03 are equal), except
//! `customProperties`: the schema requires it with twenty fields each, HubSpot's guide and its API accept none, or two.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::Millis;

/// Documented for the CRM's object batches; no limit is documented for marketing events, so a client keeps to this one.
const MAX_INPUTS: usize = 100;

/// The form of RFC 3339 (section 5.6, upper case); `jiff` accepts more.
static RFC_3339: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$")
        .expect("the pattern is valid")
});

/// One element of `inputs`. It is serialized as HubSpot shows the event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpsertInput {
    /// `externalAccountId`.
    #[serde(skip_serializing)]
    pub external_account_id: String,
    /// `externalEventId`. The schema describes the shown `id` as the CRM object's; in the one portal observed, it was
    /// the external event's (AMCF-2026/jidhr, `tests/test_event_merge_update.py`).
    #[serde(rename(serialize = "id"))]
    pub external_event_id: String,
    /// `eventName`.
    pub event_name: String,
    /// `eventOrganizer`.
    pub event_organizer: String,
    /// `eventType`.
    #[serde(default, deserialize_with = "non_null")]
    pub event_type: Option<String>,
    /// `eventDescription`.
    #[serde(default, deserialize_with = "non_null")]
    pub event_description: Option<String>,
    /// `eventUrl`.
    #[serde(default, deserialize_with = "non_null")]
    pub event_url: Option<String>,
    /// `startDateTime`.
    #[serde(default, deserialize_with = "date_time", serialize_with = "utc")]
    pub start_date_time: Option<Millis>,
    /// `endDateTime`.
    #[serde(default, deserialize_with = "date_time", serialize_with = "utc")]
    pub end_date_time: Option<Millis>,
    /// `eventCancelled`.
    #[serde(default)]
    pub event_cancelled: bool,
    /// `eventCompleted`.
    #[serde(default)]
    pub event_completed: bool,
    /// `customProperties`.
    #[serde(default)]
    pub custom_properties: Vec<InputProperty>,
}

/// A custom property: two of the schema's twenty fields.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InputProperty {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// Reason for refusing a body.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BatchError {
    #[error("Invalid input JSON: {path}: {message}")]
    Schema { path: String, message: String },
    #[error("inputs has {0} elements, not 1 to {MAX_INPUTS}")]
    Count(usize),
    #[error("Duplicate event {event} of account {account} in one batch")]
    Duplicate { account: String, event: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody {
    inputs: Vec<UpsertInput>,
}

/// Parses the body of a single write: `MarketingEventCreateRequestParams`, an element of a batch.
pub(super) fn parse_single(body: &[u8]) -> Result<UpsertInput, BatchError> {
    parse_json(body)
}

fn parse_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, BatchError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let schema = |error: serde_path_to_error::Error<serde_json::Error>| BatchError::Schema {
        path: error.path().to_string(),
        message: error.inner().to_string(),
    };
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(schema)?;
    json.end()
        .map_err(|error| BatchError::Schema { path: ".".into(), message: error.to_string() })?;
    Ok(parsed)
}

/// Parses the events of a body.
pub(super) fn parse(body: &[u8]) -> Result<Vec<UpsertInput>, BatchError> {
    let BatchBody { inputs } = parse_json(body)?;
    if inputs.is_empty() || inputs.len() > MAX_INPUTS {
        return Err(BatchError::Count(inputs.len()));
    }
    let mut seen = BTreeSet::new();
    for input in &inputs {
        if !seen.insert((&input.external_account_id, &input.external_event_id)) {
            return Err(BatchError::Duplicate {
                account: input.external_account_id.clone(),
                event: input.external_event_id.clone(),
            });
        }
    }
    Ok(inputs)
}

/// Returns a violation if two events of the batch have the same event id: results hold only that id, so a client could
/// not match them. HubSpot accepts such a batch; a client must not send it.
pub(super) fn shared_event_id(batch: &[UpsertInput]) -> Option<String> {
    let mut seen = BTreeSet::new();
    let shared = batch.iter().find(|input| !seen.insert(&input.external_event_id))?;
    Some(format!("event id {} of two accounts in one batch", shared.external_event_id))
}

/// Deserializes a field that may be missing but not null: the schema makes none nullable.
fn non_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Deserializes a time in the schema's format `date-time`, which is RFC 3339.
fn date_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Millis>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let timestamp = text.parse::<jiff::Timestamp>().ok().filter(|_| RFC_3339.is_match(&text));
    let timestamp =
        timestamp.ok_or_else(|| serde::de::Error::custom("is not an RFC 3339 date-time"))?;
    Ok(Some(Millis::new(timestamp.as_millisecond())))
}

#[allow(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn utc<S: Serializer>(time: &Option<Millis>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.to_string()).serialize(serializer)
}

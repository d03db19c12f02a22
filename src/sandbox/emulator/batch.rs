//! Parses the body of an upsert as strictly as the published schema allows:
//! `BatchInputMarketingEventCreateRequestParams` of HubSpot's OpenAPI (v3 and 2026-03 are equal), except
//! `customProperties`: the schema requires it with twenty fields each, HubSpot's guide and its API accept none, or two.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};

use crate::event::Millis;

/// Documented for the CRM's object batches; no limit is documented for marketing events, so a client keeps to this one.
const MAX_INPUTS: usize = 100;

/// One element of `inputs`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UpsertInput {
    pub(super) external_account_id: String,
    pub(super) external_event_id: String,
    pub(super) event_name: String,
    pub(super) event_organizer: String,
    #[serde(default, deserialize_with = "non_null")]
    pub(super) event_type: Option<String>,
    #[serde(default, deserialize_with = "non_null")]
    pub(super) event_description: Option<String>,
    #[serde(default, deserialize_with = "non_null")]
    pub(super) event_url: Option<String>,
    #[serde(default, deserialize_with = "non_null")]
    pub(super) start_date_time: Option<DateTime>,
    #[serde(default, deserialize_with = "non_null")]
    pub(super) end_date_time: Option<DateTime>,
    #[serde(default)]
    pub(super) event_cancelled: bool,
    #[serde(default)]
    pub(super) event_completed: bool,
    #[serde(default)]
    pub(super) custom_properties: Vec<InputProperty>,
}

/// A custom property: two of the schema's twenty fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputProperty {
    name: String,
    value: String,
}

/// A time in the schema's format `date-time`, which is RFC 3339.
#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "String")]
pub(super) struct DateTime(pub(super) Millis);

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

impl BatchError {
    /// Number of inputs, if it could be read.
    pub(super) fn inputs(&self) -> usize {
        match self {
            Self::Count(count) => *count,
            Self::Schema { .. } | Self::Duplicate { .. } => 0,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody {
    inputs: Vec<UpsertInput>,
}

/// Parses the events of a body.
pub(super) fn parse(body: &[u8]) -> Result<Vec<UpsertInput>, BatchError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let schema = |error: serde_path_to_error::Error<serde_json::Error>| BatchError::Schema {
        path: error.path().to_string(),
        message: error.inner().to_string(),
    };
    let BatchBody { inputs } = serde_path_to_error::deserialize(&mut json).map_err(schema)?;
    json.end()
        .map_err(|error| BatchError::Schema { path: ".".into(), message: error.to_string() })?;
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

impl UpsertInput {
    /// The custom properties by name; the last of equal names wins.
    pub(super) fn properties(properties: Vec<InputProperty>) -> BTreeMap<String, String> {
        properties.into_iter().map(|property| (property.name, property.value)).collect()
    }
}

/// Deserializes a field that may be missing but not null: the schema makes none nullable.
fn non_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl TryFrom<String> for DateTime {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const NOT_RFC_3339: &str = "is not an RFC 3339 date-time";
        if !has_rfc_3339_shape(&text) {
            return Err(NOT_RFC_3339);
        }
        let timestamp = text.parse::<jiff::Timestamp>().map_err(|_| NOT_RFC_3339)?;
        Ok(Self(Millis::new(timestamp.as_millisecond())))
    }
}

/// Whether the text has RFC 3339's form (section 5.6, upper case); `jiff` accepts more.
fn has_rfc_3339_shape(text: &str) -> bool {
    let digits_as = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, expected)| match expected {
                b'0' => byte.is_ascii_digit(),
                mark => byte == mark,
            })
    };
    let Some((seconds, rest)) = text.as_bytes().split_at_checked(19) else { return false };
    let offset = match rest.split_first() {
        Some((b'.', fraction)) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            match fraction.split_at_checked(digits) {
                Some(([_, ..], offset)) => offset,
                Some(([], _)) | None => return false,
            }
        }
        Some(_) | None => rest,
    };
    digits_as(seconds, b"0000-00-00T00:00:00")
        && (offset == b"Z" || digits_as(offset, b"+00:00") || digits_as(offset, b"-00:00"))
}

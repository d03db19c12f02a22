//! Webhook bodies, borrowed from the text they are parsed from. Optional fields stay raw: see [`lenient`].

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{ExternalAccountId, Millis};
use crate::providers::lenient::{self, FieldReader, Object};

/// The part that every body has. Nothing else is parsed before the event name is known, so that no other member makes a
/// body unreadable.
#[derive(Deserialize)]
struct EventName<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
}

/// A webhook body with an object of type `O`.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a, O: Deserialize<'de>"))]
pub(super) struct Body<'a, O> {
    event_ts: Option<&'a RawValue>,
    /// Present in samples older than 2021.
    time_stamp: Option<&'a RawValue>,
    payload: Option<Object<Payload<'a, O>>>,
}

/// The `payload` of a body.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a, O: Deserialize<'de>"))]
pub(super) struct Payload<'a, O> {
    account_id: Option<&'a RawValue>,
    time_stamp: Option<&'a RawValue>,
    /// In `webinar.updated`: `single` or `all` occurrences.
    pub(super) scope: Option<&'a RawValue>,
    /// In `webinar.deleted` and similar: `single` or `all` occurrences.
    pub(super) operation: Option<&'a RawValue>,
    /// The values before the change. Never merged.
    old_object: Option<&'a RawValue>,
    object: Option<Object<O>>,
}

/// A webinar, or a session of it.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Webinar<'a> {
    /// In API answers.
    pub(super) host_id: Option<&'a RawValue>,
    /// In API answers.
    pub(super) created_at: Option<&'a RawValue>,
    pub(super) id: Option<&'a RawValue>,
    pub(super) topic: Option<&'a RawValue>,
    pub(super) agenda: Option<&'a RawValue>,
    #[serde(rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    pub(super) start_time: Option<&'a RawValue>,
    pub(super) end_time: Option<&'a RawValue>,
    pub(super) duration: Option<&'a RawValue>,
    pub(super) timezone: Option<&'a RawValue>,
    pub(super) registration_url: Option<&'a RawValue>,
    pub(super) join_url: Option<&'a RawValue>,
    pub(super) occurrences: Option<&'a RawValue>,
    pub(super) recurrence: Option<&'a RawValue>,
    pub(super) practice_session: Option<&'a RawValue>,
}

/// An entry of a webinar's `occurrences`.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Occurrence<'a> {
    #[serde(rename = "occurrence_id")]
    pub(super) id: Option<&'a RawValue>,
    pub(super) start_time: Option<&'a RawValue>,
    pub(super) duration: Option<&'a RawValue>,
    pub(super) status: Option<&'a RawValue>,
}

/// The previous values. Only their presence, and the previous start, matter.
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct OldObject<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    pub(super) start_time: Option<&'a RawValue>,
    pub(super) timezone: Option<&'a RawValue>,
    pub(super) occurrences: Option<&'a RawValue>,
    time_stamp: Option<&'a RawValue>,
}

/// An event or a session of Zoom Events.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ZoomEvent<'a> {
    pub(super) event_id: Option<&'a RawValue>,
    pub(super) session_id: Option<&'a RawValue>,
    pub(super) name: Option<&'a RawValue>,
    pub(super) description: Option<&'a RawValue>,
    pub(super) event_type: Option<&'a RawValue>,
    pub(super) start_time: Option<&'a RawValue>,
    pub(super) end_time: Option<&'a RawValue>,
    pub(super) timezone: Option<&'a RawValue>,
}

/// A parsed webhook with its object.
#[derive(Debug)]
pub(super) struct ZoomWebhook<'a, O> {
    /// The Zoom account that owns the webinar.
    pub(super) account: Option<ExternalAccountId>,
    /// Time of the change by Zoom's clock.
    pub(super) occurred_at: Option<Millis>,
    /// `payload.scope`.
    pub(super) scope: Option<&'a RawValue>,
    /// `payload.operation`.
    pub(super) operation: Option<&'a RawValue>,
    /// `payload.old_object`.
    pub(super) old: OldObject<'a>,
    /// `payload.object`.
    pub(super) object: O,
}

/// Parses the event name of a body; returns it with the body's text.
///
/// # Errors
/// A sentence for operators that repeats nothing from the body.
pub(super) fn parse_event_name(body: &[u8]) -> Result<(Cow<'_, str>, &str), String> {
    let text = lenient::body_text(body)?;
    let otherwise = "the body is not a JSON object with one text `event`";
    let EventName { event } = lenient::parse_object(text, otherwise)?;
    Ok((event, text))
}

/// Parses a body as a webhook about an object of type `O`.
///
/// # Errors
/// A sentence for operators that repeats nothing from the body.
pub(super) fn parse_webhook<'a, O: Deserialize<'a>>(
    text: &'a str,
    reader: &mut FieldReader,
) -> Result<ZoomWebhook<'a, O>, String> {
    let Body::<'a, O> { event_ts, time_stamp, payload } =
        lenient::parse_object(text, "`payload` or `object` is not an object")?;
    let payload = payload.ok_or("payload is missing")?.0;
    let object = payload.object.ok_or("payload.object is missing")?.0;
    let account = lenient::account_id("account_id", payload.account_id)?;
    let old: Option<OldObject<'a>> = reader.read("old_object", payload.old_object, lenient::object);
    let old = old.unwrap_or_default();
    // The time of the change has precedence over the time of the delivery. Its place has varied over the years.
    let occurred_at = reader
        .read("time_stamp", payload.time_stamp, lenient::unix_millis)
        .or_else(|| reader.read("time_stamp", time_stamp, lenient::unix_millis))
        .or_else(|| reader.read("time_stamp", old.time_stamp, lenient::unix_millis))
        .or_else(|| reader.read("event_ts", event_ts, lenient::unix_millis));
    Ok(ZoomWebhook {
        account,
        occurred_at,
        scope: payload.scope,
        operation: payload.operation,
        old,
        object,
    })
}

/// Parses the token that Zoom asks to have signed.
///
/// # Errors
/// A sentence for operators that repeats nothing from the body.
pub(super) fn parse_plain_token(text: &str) -> Result<Cow<'_, str>, String> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        payload: Object<Token<'a>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Token<'a> {
        #[serde(borrow)]
        plain_token: Cow<'a, str>,
    }
    let body: Body<'_> = lenient::parse_object(text, "payload.plainToken is not a text")?;
    Ok(body.payload.0.plain_token)
}

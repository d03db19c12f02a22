//! Records of the ledger as the API's JSON: names in `snake_case`, times RFC 3339 in UTC with milliseconds, ids as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::event::Millis;
use crate::event::{AccountStatus, Pause};
use crate::ledger::{
    EventDetail, EventState, EventSummary, FieldOrigin, HubspotRefusal, ReceiptOutcome,
    ReceiptRecord, ReceiptSummary,
};
use crate::providers::by_id;

/// A time.
pub(super) fn time(at: Millis) -> Value {
    Value::String(format!("{at:.3}"))
}

/// A time that may not be.
pub(super) fn maybe_time(at: Option<Millis>) -> Value {
    at.map_or(Value::Null, time)
}

/// What HubSpot gets, which is JSON already.
fn input(bytes: Option<&[u8]>) -> Value {
    let parsed = bytes.map(serde_json::from_slice::<Value>);
    parsed.and_then(Result::ok).unwrap_or(Value::Null)
}

/// The label values of `bridge_events`, but for `in_flight`, which is a flag of its own here.
pub(super) fn state(state: EventState) -> &'static str {
    match state {
        EventState::Pending => "pending",
        EventState::Delivered => "delivered",
        EventState::Incomplete => "incomplete",
        EventState::Filtered => "filtered",
        EventState::Dead => "dead",
    }
}

/// What becomes of receipts, in the words of the answers to webhooks.
pub(super) fn outcome(outcome: ReceiptOutcome) -> &'static str {
    match outcome {
        ReceiptOutcome::Accepted => "accepted",
        ReceiptOutcome::Duplicate => "duplicate",
        ReceiptOutcome::Ignored => "ignored",
        ReceiptOutcome::Quarantined => "quarantined",
    }
}

fn refused(refused: &HubspotRefusal) -> Value {
    let HubspotRefusal { status, category, message, correlation_id } = refused;
    json!({
        "status": status,
        "category": category,
        "message": message,
        "correlation_id": correlation_id,
    })
}

/// An event as lists show it.
pub(super) fn event(event: &EventSummary) -> Value {
    json!({
        "hubspot": event.key.hubspot,
        "external_account_id": event.key.external_account_id,
        "external_event_id": event.key.external_event_id,
        "state": state(event.state),
        "in_flight": event.in_flight,
        "version": event.version,
        "name": event.name,
        "input": input(event.input.as_deref()),
        "gaps": event.gaps,
        "changed_at": time(event.changed_at),
        "pending_since": maybe_time(event.pending_since),
        "not_before": maybe_time(event.not_before),
        "attempts": event.attempts,
        "confirmed_at": maybe_time(event.confirmed_at),
        "object_id": event.object_id,
        "refused": event.refused.as_ref().map(refused),
        "last_error": event.last_error,
    })
}

/// An event with everything.
pub(super) fn event_detail(detail: &EventDetail) -> Value {
    let mut shown = event(&detail.summary);
    let receipts: Vec<String> = detail.receipts.iter().map(ToString::to_string).collect();
    let fields: Vec<Value> = detail.fields.iter().map(field).collect();
    add(
        &mut shown,
        json!({
            "confirmed_input": input(detail.confirmed_input.as_deref()),
            "due_at": maybe_time(detail.due_at),
            "resend_at": maybe_time(detail.resend_at),
            "fields": fields,
            "receipts": receipts,
        }),
    );
    shown
}

fn field(origin: &FieldOrigin) -> Value {
    json!({
        "field": origin.field,
        "value": origin.value,
        "of_occurrence": origin.of_occurrence,
        "at": time(origin.at),
        "receipt": origin.receipt.to_string(),
        "source": origin.source,
        "event_type": origin.event_type,
        "reported_at": maybe_time(origin.reported_at),
        "received_at": time(origin.received_at),
    })
}

/// A receipt as lists show it.
pub(super) fn receipt(receipt: &ReceiptSummary) -> Value {
    json!({
        "id": receipt.id.to_string(),
        "kind": receipt.kind,
        "source": receipt.source,
        "provider": receipt.provider,
        "event_type": receipt.event_type,
        "received_at": time(receipt.received_at),
        "outcome": outcome(receipt.outcome),
        "reason": receipt.reason,
        "hash": hex::encode(receipt.hash.to_bytes()),
    })
}

/// A receipt with its body.
///
/// Bodies were scrubbed before they were stored, by the code of that day; they are scrubbed again by today's, which may
/// know more. What a platform said whose code is no longer here is not shown, since nobody knows what is secret in it.
pub(super) fn receipt_detail(record: &ReceiptRecord) -> Value {
    let platform = by_id(record.summary.provider.as_str());
    let body = record.body.as_deref().zip(platform).map(|(body, platform)| platform.scrub(body));
    let (body, encoding) = match body.map(String::from_utf8) {
        None => (Value::Null, Value::Null),
        Some(Ok(text)) => (Value::String(text), json!("utf-8")),
        Some(Err(bytes)) => (Value::String(STANDARD.encode(bytes.as_bytes())), json!("base64")),
    };
    let mut shown = receipt(&record.summary);
    add(
        &mut shown,
        json!({
            "body": body,
            "body_encoding": encoding,
            "events": record.events,
        }),
    );
    shown
}

/// An account's status; null members if it is unknown.
pub(super) fn account_status(status: Option<&AccountStatus>) -> Value {
    json!({
        "paused": status.and_then(|status| status.paused.as_ref()).map(paused),
        "retry_at": maybe_time(status.and_then(|status| status.retry_at)),
        "failures": status.map(|status| status.failures),
        "failing_since": maybe_time(status.and_then(|status| status.failing_since)),
        "last_error": status.and_then(|status| status.last_error.as_ref()),
        "daily_remaining": status.and_then(|status| status.daily_remaining),
    })
}

fn paused(pause: &Pause) -> Value {
    json!({
        "reason": pause.reason.as_str(),
        "since": time(pause.since),
        "detail": pause.detail,
    })
}

/// Puts the fields of one object into another.
pub(super) fn add(object: &mut Value, more: Value) {
    if let (Some(fields), Value::Object(more)) = (object.as_object_mut(), more) {
        fields.extend(more);
    }
}

/// A page of a list.
pub(super) fn page(name: &str, items: Vec<Value>, next: Option<String>) -> Value {
    let mut page = Map::new();
    page.insert(name.to_owned(), Value::Array(items));
    page.insert("next".to_owned(), next.map_or(Value::Null, Value::String));
    Value::Object(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{BodyHash, ProviderId, ReceiptId, SourceName};
    use crate::ledger::ReceiptKind;

    fn shown(provider: &'static str, body: Option<&[u8]>) -> Value {
        receipt_detail(&ReceiptRecord {
            summary: ReceiptSummary {
                id: ReceiptId::from_bytes([7; 16]),
                kind: ReceiptKind::Webhook,
                source: SourceName::parse("zoom").expect("a name"),
                provider: ProviderId::new(provider),
                event_type: "webinar.created".to_owned(),
                received_at: Millis::new(1_700_000_000_007),
                outcome: ReceiptOutcome::Accepted,
                reason: None,
                hash: BodyHash::from_bytes([0xab; 16]),
            },
            headers: Vec::new(),
            body: body.map(<[u8]>::to_vec),
            events: Vec::new(),
        })
    }

    /// A body that was stored by code that knew less.
    #[test]
    fn secrets_are_masked_once_more() {
        let body = br#"{"payload":{"object":{"password":"hunter2","join_url":"https://z.us/j/1?pwd=hunter3"}}}"#;
        let shown = shown("zoom", Some(body));
        let text = shown["body"].as_str().expect("text");
        assert!(!text.contains("hunter") && text.contains("https://z.us/j/1"), "{text}");
        assert_eq!(shown["body_encoding"], "utf-8");
    }

    #[test]
    fn bodies_that_cannot_be_shown_as_they_are_are_told_apart() {
        let bytes = shown("zoom", Some(b"\xff\xfe"));
        assert_eq!((&bytes["body"], &bytes["body_encoding"]), (&json!("//4="), &json!("base64")));
        for shown in [shown("zoom", None), shown("a-platform-of-old", Some(b"pwd=hunter2"))] {
            assert!(shown["body"].is_null() && shown["body_encoding"].is_null(), "{shown}");
        }
    }

    #[test]
    fn times_have_milliseconds_and_ids_are_text() {
        let shown = shown("zoom", None);
        assert_eq!(shown["received_at"], "2023-11-14T22:13:20.007Z");
        assert_eq!(time(Millis::new(1_700_000_000_000)), "2023-11-14T22:13:20.000Z");
        assert_eq!(shown["id"], "07070707-0707-0707-0707-070707070707");
        assert_eq!(shown["hash"], "ab".repeat(16));
    }
}

//! The bodies of HubSpot's replies.
//!
//! Shapes and categories follow <https://developers.hubspot.com/docs/api-reference/error-handling> and real replies
//! that others have published; differences are noted.

use serde_json::{Value, json};

use super::batch::UpsertInput;
use super::refusal::AccessRefusal;
use super::wire::EmulatorReply;
use crate::event::Millis;

/// Id of a reply for support tickets: a UUID that counts the calls.
#[derive(Clone, Copy)]
pub(super) struct CorrelationId(usize);

impl CorrelationId {
    pub(super) fn for_call(number: usize) -> Self {
        Self(number)
    }
}

impl std::fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "e3a1c0de-0000-4000-8000-{:012x}", self.0)
    }
}

pub(super) fn json(status: u16, body: &Value) -> EmulatorReply {
    reply(status, "application/json;charset=utf-8", body.to_string().into_bytes())
}

fn reply(status: u16, content_type: &str, body: Vec<u8>) -> EmulatorReply {
    let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
    EmulatorReply { status, headers, body, fault: None }
}

fn error(status: u16, category: &str, message: &str, correlation: CorrelationId) -> EmulatorReply {
    json(
        status,
        &json!({
            "status": "error",
            "message": message,
            "correlationId": correlation.to_string(),
            "category": category,
        }),
    )
}

pub(super) fn invalid(message: &str, correlation: CorrelationId) -> EmulatorReply {
    error(400, "VALIDATION_ERROR", message, correlation)
}

pub(super) fn no_such_event(correlation: CorrelationId) -> EmulatorReply {
    error(404, "OBJECT_NOT_FOUND", "No marketing event with these ids", correlation)
}

/// The category is a guess; clients judge by the status.
pub(super) fn no_such_path(correlation: CorrelationId) -> EmulatorReply {
    error(404, "OBJECT_NOT_FOUND", "resource not found", correlation)
}

/// The status was seen; the body is a guess.
pub(super) fn wrong_method(correlation: CorrelationId) -> EmulatorReply {
    error(405, "METHOD_NOT_ALLOWED", "HTTP 405 Method Not Allowed", correlation)
}

pub(super) fn refused(refused: AccessRefusal, correlation: CorrelationId) -> EmulatorReply {
    match refused {
        AccessRefusal::NoCredentials => error(
            401,
            "INVALID_AUTHENTICATION",
            "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more \
             details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
            correlation,
        ),
        AccessRefusal::UnknownToken => error(
            401,
            "INVALID_AUTHENTICATION",
            "The access token used to make this call is not known",
            correlation,
        ),
        AccessRefusal::Expired { at, ago } => json(
            401,
            &json!({
                "status": "error",
                "message": format!("The OAuth token used to make this call expired {} second(s) ago.", ago.as_secs()),
                "correlationId": correlation.to_string(),
                "category": "EXPIRED_AUTHENTICATION",
                "context": { "expire time": [at.to_string()] },
            }),
        ),
        AccessRefusal::Window => limited(Some("TEN_SECONDLY_ROLLING"), None, correlation),
        AccessRefusal::Daily => limited(Some("DAILY"), None, correlation),
    }
}

/// As in HubSpot/hubspot-api-python issue 117, which has no category and no `Retry-After`.
pub(super) fn limited(
    policy: Option<&str>,
    retry_after: Option<u64>,
    correlation: CorrelationId,
) -> EmulatorReply {
    let message = match policy {
        Some("DAILY") => "You have reached your daily limit.".to_owned(),
        Some(policy) => format!("You have reached your {} limit.", policy.to_ascii_lowercase()),
        None => "You have reached a limit.".to_owned(),
    };
    let mut body = json!({
        "status": "error",
        "message": message,
        "errorType": "RATE_LIMIT",
        "correlationId": correlation.to_string(),
        "groupName": "publicapi:private-apps-api-calls:emulated",
    });
    if let (Some(fields), Some(policy)) = (body.as_object_mut(), policy) {
        fields.insert("policyName".to_owned(), json!(policy));
    }
    let mut reply = json(429, &body);
    add_retry_after(&mut reply, retry_after);
    reply
}

/// The reply with this status.
pub(super) fn status(
    status: u16,
    retry_after: Option<u64>,
    correlation: CorrelationId,
) -> EmulatorReply {
    let mut reply = match status {
        400 => invalid("Invalid input", correlation),
        401 => refused(AccessRefusal::UnknownToken, correlation),
        403 => missing_scopes(correlation),
        404 => no_such_path(correlation),
        429 => refused(AccessRefusal::Window, correlation),
        423 => error(423, "LOCKED", "The resource is locked; try again in 2 seconds", correlation),
        477 => error(477, "MIGRATION_IN_PROGRESS", "The account is being migrated", correlation),
        502.. => html_page(status),
        _ => error(status, "INTERNAL_ERROR", "internal error", correlation),
    };
    add_retry_after(&mut reply, retry_after);
    reply
}

fn add_retry_after(reply: &mut EmulatorReply, retry_after: Option<u64>) {
    let header = retry_after.map(|seconds| ("Retry-After".to_owned(), seconds.to_string()));
    reply.headers.extend(header);
}

/// A web page of the edge.
pub(super) fn html_page(status: u16) -> EmulatorReply {
    let page = format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n\
         <hr><center>edge</center>\r\n</body>\r\n</html>\r\n"
    );
    reply(status, "text/html", page.into_bytes())
}

pub(super) fn missing_scopes(correlation: CorrelationId) -> EmulatorReply {
    json(
        403,
        &json!({
            "status": "error",
            "message": "This app hasn't been granted all required scopes to make this call. Read more about required \
                        scopes here: https://developers.hubspot.com/scopes.",
            "correlationId": correlation.to_string(),
            "errors": [{
                "message": "One or more of the following scopes are required.",
                "context": { "requiredGranularScopes": ["crm.objects.marketing_events.write"] },
            }],
            "links": { "scopes": "https://developers.hubspot.com/scopes" },
            "category": "MISSING_SCOPES",
        }),
    )
}

/// `BatchResponseMarketingEventPublicDefaultResponse`; `COMPLETE` does not imply that every event succeeded.
pub(super) fn complete(
    status: u16,
    now: Millis,
    results: &[Value],
    errors: &[Value],
) -> EmulatorReply {
    batch(status, "COMPLETE", now, results, errors)
}

/// As [`complete`], with any status of the batch.
pub(super) fn batch(
    status: u16,
    state: &str,
    now: Millis,
    results: &[Value],
    errors: &[Value],
) -> EmulatorReply {
    let mut body = json!({
        "status": state,
        "results": results,
        "startedAt": now.to_string(),
        "completedAt": now.to_string(),
    });
    if let Some(fields) = body.as_object_mut().filter(|_| !errors.is_empty()) {
        fields.insert("numErrors".to_owned(), json!(errors.len()));
        fields.insert("errors".to_owned(), json!(errors));
    }
    json(status, &body)
}

/// `StandardError`. Its context for marketing events is not documented.
pub(super) fn item_error(input: &UpsertInput, identified: bool) -> Value {
    let context = if identified {
        json!({ "externalEventId": [input.external_event_id] })
    } else {
        json!({})
    };
    json!({
        "status": "error",
        "category": "VALIDATION_ERROR",
        "message": "Property values were not valid",
        "context": context,
        "errors": [],
        "links": {},
    })
}

//! HubSpot's replies.
//!
//! Shapes and categories follow <https://developers.hubspot.com/docs/api-reference/error-handling> and real replies
//! that others have published; differences are noted.

use std::time::Duration;

use serde_json::{Value, json};

use super::batch::UpsertInput;
use crate::event::Millis;
use crate::http::simple_server::SimpleResponse;

/// Id of every reply for support tickets. HubSpot's differ from reply to reply.
const CORRELATION_ID: &str = "e3a1c0de-0000-4000-8000-000000000000";

/// Scope of writing events.
const WRITE_SCOPE: &str = "crm.objects.marketing_events.write";
/// Scope of reading events.
pub(super) const READ_SCOPE: &str = "crm.objects.marketing_events.read";

fn error_body(category: &str, message: &str) -> Value {
    json!({
        "status": "error",
        "message": message,
        "correlationId": CORRELATION_ID,
        "category": category,
    })
}

fn error(status: u16, category: &str, message: &str) -> SimpleResponse {
    SimpleResponse::json(status, &error_body(category, message))
}

pub(super) fn invalid(message: &str) -> SimpleResponse {
    error(400, "VALIDATION_ERROR", message)
}

/// The error of a key that exists, which has no category.
pub(super) fn conflict() -> SimpleResponse {
    SimpleResponse::json(
        400,
        &json!({
            "status": "error",
            "message": "A marketing event with this unique id exists already",
            "errorType": "UNIQUE_VALUE_CONFLICT",
            "errorTokens": { "existingObjectId": ["730000000001"] },
            "correlationId": CORRELATION_ID,
        }),
    )
}

pub(super) fn no_such_event() -> SimpleResponse {
    error(404, "OBJECT_NOT_FOUND", "No marketing event with these ids")
}

pub(super) fn no_credentials() -> SimpleResponse {
    error(
        401,
        "INVALID_AUTHENTICATION",
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more \
         details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
    )
}

pub(super) fn expired(at: Millis, ago: Duration) -> SimpleResponse {
    let message =
        format!("The OAuth token used to make this call expired {} second(s) ago.", ago.as_secs());
    let mut body = error_body("EXPIRED_AUTHENTICATION", &message);
    body["context"]["expire time"] = json!([at.to_string()]);
    SimpleResponse::json(401, &body)
}

/// As in HubSpot/hubspot-api-python issue 117, which has no category and no `Retry-After`.
pub(super) fn limited(policy: Option<&str>) -> SimpleResponse {
    let message = match policy {
        Some("DAILY") => "You have reached your daily limit.".to_owned(),
        Some(policy) => format!("You have reached your {} limit.", policy.to_ascii_lowercase()),
        None => "You have reached a limit.".to_owned(),
    };
    let mut body = json!({
        "status": "error",
        "message": message,
        "errorType": "RATE_LIMIT",
        "correlationId": CORRELATION_ID,
        "groupName": "publicapi:private-apps-api-calls:emulated",
    });
    if let Some(policy) = policy {
        body["policyName"] = json!(policy);
    }
    SimpleResponse::json(429, &body)
}

/// The time as HTTP's `Date` has it (RFC 9110, section 5.6.7).
pub(super) fn http_date(now: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(now.get()).unwrap_or_default();
    let printed = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at);
    printed.unwrap_or_default()
}

/// The reply with this status.
pub(super) fn status(status: u16) -> SimpleResponse {
    match status {
        400 => invalid("Invalid input"),
        401 => error(
            401,
            "INVALID_AUTHENTICATION",
            "The access token used to make this call is not known",
        ),
        403 => missing_scope(WRITE_SCOPE),
        // The category is a guess; clients judge by the status.
        404 => error(404, "OBJECT_NOT_FOUND", "resource not found"),
        // The status was seen; the body is a guess.
        405 => error(405, "METHOD_NOT_ALLOWED", "HTTP 405 Method Not Allowed"),
        429 => limited(Some("TEN_SECONDLY_ROLLING")),
        423 => error(423, "LOCKED", "The resource is locked; try again in 2 seconds"),
        477 => error(477, "MIGRATION_IN_PROGRESS", "The account is being migrated"),
        502.. => html_page(status),
        _ => error(status, "INTERNAL_ERROR", "internal error"),
    }
}

/// A web page of the edge.
pub(super) fn html_page(status: u16) -> SimpleResponse {
    let page = format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n\
         <hr><center>edge</center>\r\n</body>\r\n</html>\r\n"
    );
    let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    SimpleResponse { status, headers, body: page.into_bytes(), fault: None }
}

/// The answer to a credential without that scope.
pub(super) fn missing_scope(scope: &str) -> SimpleResponse {
    let mut body = error_body(
        "MISSING_SCOPES",
        "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: \
         https://developers.hubspot.com/scopes.",
    );
    body["errors"] = json!([{
        "message": "One or more of the following scopes are required.",
        "context": { "requiredGranularScopes": [scope] },
    }]);
    body["links"]["scopes"] = json!("https://developers.hubspot.com/scopes");
    SimpleResponse::json(403, &body)
}

/// A refusal of the token endpoint.
pub(super) fn oauth_error(error: &str, status: &str, description: &str) -> SimpleResponse {
    SimpleResponse::json(
        400,
        &json!({
            "error": error,
            "error_description": description,
            "status": status,
            "message": description,
        }),
    )
}

/// The reply, with the seconds after which the client should call again.
pub(super) fn retry_after(mut reply: SimpleResponse, seconds: Option<u64>) -> SimpleResponse {
    reply.headers.extend(seconds.map(|seconds| ("retry-after".to_owned(), seconds.to_string())));
    reply
}

/// `BatchResponseMarketingEventPublicDefaultResponse`; `COMPLETE` does not imply that every event succeeded.
pub(super) fn batch(state: &str, now: Millis, results: &[Value]) -> Value {
    json!({
        "status": state,
        "results": results,
        "startedAt": now.to_string(),
        "completedAt": now.to_string(),
    })
}

/// `StandardError`. Its context for marketing events is not documented.
pub(super) fn item_error(input: &UpsertInput, identified: bool) -> Value {
    let mut error = json!({
        "status": "error",
        "category": "VALIDATION_ERROR",
        "message": "Property values were not valid",
        "context": {},
        "errors": [],
        "links": {},
    });
    if identified {
        error["context"]["externalEventId"] = json!([input.external_event_id]);
    }
    error
}

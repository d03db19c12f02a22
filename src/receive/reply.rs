//! How answers look.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpResponse, HttpResponseBuilder};

use super::error::WebhookError;

/// An answer in JSON.
pub(super) fn json_response(status: StatusCode, value: &serde_json::Value) -> HttpResponse {
    response_builder(status, "application/json").body(value.to_string())
}

/// The start of an answer of that type.
pub(super) fn response_builder(
    status: StatusCode,
    content_type: &'static str,
) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    answer
}

/// The answer to a problem. `unread` is the request's body, if some of it may not have been read.
pub(super) fn error_response(problem: WebhookError, unread: Option<Payload>) -> HttpResponse {
    let row = problem.row();
    let mut answer = response_builder(row.status, "application/json");
    if let Some(seconds) = row.retry_after {
        answer.insert_header((header::RETRY_AFTER, seconds));
    }
    if problem == WebhookError::Method {
        answer.insert_header((header::ALLOW, "POST"));
    }
    if row.closes {
        answer.force_close();
    }
    finish(answer, serde_json::json!({ "error": row.code }).to_string(), unread)
}

/// The whole answer. `unread` is the request's body, if some of it may not have been read.
pub(super) fn finish(
    mut answer: HttpResponseBuilder,
    text: String,
    unread: Option<Payload>,
) -> HttpResponse {
    let text = Bytes::from(text);
    match unread {
        Some(unread) => answer.body(HeldRequestBody { text: Some(text), _unread: unread }),
        None => answer.body(text),
    }
}

/// A body that keeps the request's own body until it is sent.
///
/// Once the request's body is dropped, the framework reads the rest of a chunked one to its end, however long it
/// is, before it closes the connection; while it is held, the connection is closed at once, and lingers a second.
struct HeldRequestBody {
    text: Option<Bytes>,
    _unread: Payload,
}

impl MessageBody for HeldRequestBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.text.as_ref().map_or(0, |text| text.len() as u64))
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(self.get_mut().text.take().map(Ok))
    }
}

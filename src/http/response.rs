//! What a handler answers.

use std::borrow::Cow;
use std::convert::Infallible;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::{Bytes, Payload};
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::request::ServerRequest;

/// A response. It is never stored by caches, and its type is never guessed.
pub struct ServerResponse {
    status: u16,
    content_type: &'static str,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    body: Bytes,
    closes: bool,
    unread: Option<Payload>,
}

impl ServerResponse {
    /// A response with that body.
    #[must_use]
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let body = Bytes::from(body.into());
        Self { status, content_type, headers: Vec::new(), body, closes: false, unread: None }
    }

    /// A response in JSON.
    #[must_use]
    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, "application/json", value.to_string())
    }

    /// An error in JSON: `{"error": code}`.
    #[must_use]
    pub fn error(status: u16, code: &str) -> Self {
        Self::json(status, &json!({ "error": code }))
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Closes the connection after the response.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Holds what may be left of the request's body until the response is sent.
    ///
    /// Once the request's body is dropped, the framework reads the rest of a chunked one to its end, however long it
    /// is, before it closes the connection; while it is held, the connection is closed at once, and lingers a second.
    #[must_use]
    pub fn holding(mut self, request: ServerRequest) -> Self {
        self.unread = Some(request.body);
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }
}

impl From<ServerResponse> for HttpResponse {
    fn from(response: ServerResponse) -> Self {
        let ServerResponse { status, content_type, headers, body, closes, unread } = response;
        // Statuses are constants of ours; one that is none is a mistake of ours and shows as one.
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Self::build(status);
        response
            .insert_header((header::CONTENT_TYPE, content_type))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        for (name, value) in headers {
            response.insert_header((name, value.into_owned()));
        }
        if closes {
            response.force_close();
        }
        let Some(unread) = unread else { return response.body(body) };
        let size = body.len() as u64;
        // The stream owns the request's body: both are dropped when the response is sent.
        let holding = stream::iter([Ok::<_, Infallible>(body)]).inspect(move |_| _ = &unread);
        response.body(SizedStream::new(size, holding))
    }
}

//! A request as a handler sees it.

use std::borrow::Cow;
use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};
use actix_web::http::uri::Authority;
use actix_web::web::Payload;

use super::body::{self, BodyError, BodyLimits, BodyMemory, RequestBody};

/// A request, whose body is still to be read.
pub struct ServerRequest {
    pub(super) head: HttpRequest,
    pub(super) body: Payload,
}

impl ServerRequest {
    /// The method, such as `POST`.
    #[must_use]
    pub fn method(&self) -> &str {
        self.head.method().as_str()
    }

    /// The path as it was sent, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.path()
    }

    /// The query without its `?`; empty if there is none.
    #[must_use]
    pub fn query(&self) -> &str {
        self.head.query_string()
    }

    /// The host of a request line that names one (`GET http://host/ HTTP/1.1`).
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.head.uri().authority().map(Authority::as_str)
    }

    /// The address at the other end of the connection.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        self.head.peer_addr().map(|address| address.ip())
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> RequestHeaders<'_> {
        RequestHeaders(Cow::Borrowed(self.head.headers()))
    }

    /// Reads the body to its end.
    ///
    /// # Errors
    /// [`BodyError`]. The excess of a body that is too large has been thrown away, within the limits.
    pub async fn read_body(
        &mut self,
        limits: BodyLimits,
        memory: &BodyMemory,
    ) -> Result<RequestBody, BodyError> {
        let declared = self.head.headers().get(header::CONTENT_LENGTH);
        let declared = declared.and_then(|length| length.to_str().ok()?.parse().ok());
        body::read_body(&mut self.body, declared, limits, memory).await
    }
}

/// The headers of a request. Names are compared without case.
#[derive(Debug, Clone)]
pub struct RequestHeaders<'a>(Cow<'a, HeaderMap>);

impl RequestHeaders<'_> {
    /// The values of all headers of that name, in their order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.0.get_all(name).map(header::HeaderValue::as_bytes)
    }

    /// Whether there is a header of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The value, if there is exactly one and it is visible ASCII.
    #[must_use]
    pub fn single_text(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name);
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            (None | Some(_), _) => None,
        }
    }

    #[cfg(test)]
    pub(crate) fn from_pairs(pairs: &[(&str, &str)]) -> RequestHeaders<'static> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = header::HeaderName::try_from(*name).expect("the name of a header");
            headers
                .append(name, header::HeaderValue::from_str(value).expect("the value of a header"));
        }
        RequestHeaders(Cow::Owned(headers))
    }

    /// The same headers, independent of the request.
    #[must_use]
    pub fn into_owned(self) -> RequestHeaders<'static> {
        RequestHeaders(Cow::Owned(self.0.into_owned()))
    }
}

//! A webhook request, from raw bytes to what may be read: `Unverified`, `Verified`, `Scrubbed`.
//!
//! Only verification makes a verified request, and only [`Inbound::scrub`] a scrubbed one. A provider reads scrubbed
//! requests only, so the body it reads is the body that is stored.

use std::borrow::Cow;
use std::marker::PhantomData;

use url::form_urlencoded;

use super::{Provider, VerifyError};
use crate::event::Millis;

/// The request came in; nothing in it is trusted yet.
#[derive(Debug, Clone, Copy)]
pub enum Unverified {}
/// The request's raw bytes come from the platform.
#[derive(Debug, Clone, Copy)]
pub enum Verified {}
/// The body is masked: it may be stored, shown and read.
#[derive(Debug, Clone, Copy)]
pub enum Scrubbed {}

/// How far a request has come.
pub trait InboundState {
    /// The body: borrowed as it came in, owned once it is masked.
    type Body<'a>;
}

impl InboundState for Unverified {
    type Body<'a> = &'a [u8];
}

impl InboundState for Verified {
    type Body<'a> = &'a [u8];
}

impl InboundState for Scrubbed {
    type Body<'a> = Vec<u8>;
}

/// Lookup of a request's headers. Names are given in lower case and compared without case.
pub trait Headers {
    /// Looks up a header.
    fn lookup(&self, name: &str) -> Header<'_>;
}

/// The result of looking up a header. None of a repeated header's values can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header<'a> {
    /// The header is missing.
    Missing,
    /// The header's only value.
    One(&'a [u8]),
    /// The header is there more than once.
    Repeated,
}

impl<'a> Header<'a> {
    /// The header's only value.
    ///
    /// # Errors
    /// [`VerifyError::Missing`] for a missing header, [`VerifyError::Malformed`] for a repeated one.
    pub fn exactly_one(self) -> Result<&'a [u8], VerifyError> {
        match self {
            Self::One(value) => Ok(value),
            Self::Missing => Err(VerifyError::Missing),
            Self::Repeated => Err(VerifyError::Malformed),
        }
    }

    /// The header's only value, if it is UTF-8.
    #[must_use]
    pub fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.exactly_one().ok()?).ok()
    }
}

/// A request to `/webhooks/{source}`.
pub struct Inbound<'a, S: InboundState> {
    /// The headers.
    pub headers: &'a dyn Headers,
    /// The query, without `?`; empty if there is none.
    pub query: &'a str,
    /// The body.
    pub body: S::Body<'a>,
    /// When the request arrived.
    pub received_at: Millis,
    /// Index of the secret that verified it; 0 where none is needed.
    verified_by: usize,
    state: PhantomData<S>,
}

/// A request as it came in, which is to be verified.
pub type RawRequest<'a> = Inbound<'a, Unverified>;

impl<'a> RawRequest<'a> {
    /// A request as it came in.
    #[must_use]
    pub fn new(
        headers: &'a dyn Headers,
        query: &'a str,
        body: &'a [u8],
        received_at: Millis,
    ) -> Self {
        Self { headers, query, body, received_at, verified_by: 0, state: PhantomData }
    }

    /// The value of the query's parameter of that name.
    ///
    /// # Errors
    /// [`VerifyError::Missing`] for a missing parameter, [`VerifyError::Malformed`] for a repeated one.
    pub(super) fn parameter(&self, name: &str) -> Result<Cow<'a, str>, VerifyError> {
        let parameters = form_urlencoded::parse(self.query.as_bytes());
        let mut found = parameters.filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (None, _) => Err(VerifyError::Missing),
            (Some((_, value)), None) => Ok(value),
            (Some(_), Some(_)) => Err(VerifyError::Malformed),
        }
    }

    /// Marks the request as verified by that secret. For the providers' `verify` alone.
    pub(super) fn into_verified(self, secret: usize) -> Inbound<'a, Verified> {
        let Self { headers, query, body, received_at, .. } = self;
        Inbound { headers, query, body, received_at, verified_by: secret, state: PhantomData }
    }
}

impl<'a> Inbound<'a, Verified> {
    /// A stored request, verified when it came in, or a body that an operator tries out. Storing keeps only the headers
    /// that reading looks at.
    #[must_use]
    pub fn from_stored(headers: &'a dyn Headers, body: &'a [u8], received_at: Millis) -> Self {
        Self { headers, query: "", body, received_at, verified_by: 0, state: PhantomData }
    }

    /// A body without headers and arrival time.
    #[must_use]
    pub fn from_body(body: &'a [u8]) -> Self {
        static NO_HEADERS: Vec<(String, String)> = Vec::new();
        Self::from_stored(&NO_HEADERS, body, Millis::new(0))
    }

    /// Masks the body. Masking a stored body again changes nothing, unless the source masks more keys by now.
    #[must_use]
    pub fn scrub(self, provider: &dyn Provider) -> Inbound<'a, Scrubbed> {
        let Self { headers, query, body, received_at, verified_by, .. } = self;
        let body = provider.scrub(body);
        Inbound { headers, query, body, received_at, verified_by, state: PhantomData }
    }
}

impl<S: InboundState> Inbound<'_, S> {
    /// Index of the secret that verified it.
    #[must_use]
    pub fn verified_by(&self) -> usize {
        self.verified_by
    }
}

/// Headers held as text, for tests, tools and the sandbox.
impl Headers for Vec<(String, String)> {
    fn lookup(&self, name: &str) -> Header<'_> {
        let mut found = self.iter().filter(|(present, _)| present.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (None, _) => Header::Missing,
            (Some((_, value)), None) => Header::One(value.as_bytes()),
            (Some(_), Some(_)) => Header::Repeated,
        }
    }
}

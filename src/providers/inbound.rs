//! A webhook request as the providers see it. Only a verified one can be read: the type says which it is.

use std::marker::PhantomData;

use super::VerifyError;
use crate::event::Millis;

/// The request came in and nothing of it may be believed.
#[derive(Debug, Clone, Copy)]
pub enum Unverified {}
/// The request's raw bytes are known to come from the platform.
#[derive(Debug, Clone, Copy)]
pub enum Verified {}

/// How a request's headers are looked up; names are in lower case and compared without case.
pub trait Headers {
    /// The header of that name.
    fn lookup(&self, name: &str) -> Header<'_>;
}

/// A header, which a sender may also repeat: then no one of its values may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header<'a> {
    /// Not there.
    Missing,
    /// There once.
    One(&'a [u8]),
    /// There more than once.
    Repeated,
}

impl<'a> Header<'a> {
    /// Its one value.
    ///
    /// # Errors
    /// [`Refusal::Missing`] if it is not there, [`Refusal::Malformed`] if it is there twice.
    pub fn exactly_one(self) -> Result<&'a [u8], VerifyError> {
        match self {
            Self::One(value) => Ok(value),
            Self::Missing => Err(VerifyError::Missing),
            Self::Repeated => Err(VerifyError::Malformed),
        }
    }
}

/// A request to `/webhooks/{source}`.
pub struct Inbound<'a, S> {
    /// The headers.
    pub headers: &'a dyn Headers,
    /// The query, without `?`; empty if there is none.
    pub query: &'a str,
    /// The raw body.
    pub body: &'a [u8],
    /// When it arrived.
    pub received_at: Millis,
    /// Which of the secrets proved it; 0 where none is needed.
    verified_by: usize,
    state: PhantomData<S>,
}

impl<'a> Inbound<'a, Unverified> {
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

    /// The same request, proved by that secret. Only verification may say so.
    pub(super) fn into_verified(self, secret: usize) -> Inbound<'a, Verified> {
        Inbound {
            headers: self.headers,
            query: self.query,
            body: self.body,
            received_at: self.received_at,
            verified_by: secret,
            state: PhantomData,
        }
    }
}

impl<'a> Inbound<'a, Verified> {
    /// What is stored of a request that was verified when it came, or what an operator tries out. Of its headers only
    /// those are left that reading looks at.
    #[must_use]
    pub fn from_stored(headers: &'a dyn Headers, body: &'a [u8], received_at: Millis) -> Self {
        Self { headers, query: "", body, received_at, verified_by: 0, state: PhantomData }
    }

    /// A body alone, of which it does not matter when it came.
    #[must_use]
    pub fn from_body(body: &'a [u8]) -> Self {
        Self::from_stored(&NoHeaders, body, Millis::new(0))
    }

    /// Which of the secrets proved it.
    #[must_use]
    pub fn verified_by(&self) -> usize {
        self.verified_by
    }
}

struct NoHeaders;

impl Headers for NoHeaders {
    fn lookup(&self, _name: &str) -> Header<'_> {
        Header::Missing
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

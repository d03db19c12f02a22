//! The webinar platforms: how each signs its webhooks, and what their bodies mean.
//!
//! Pure, synchronous functions of bytes: no I/O, no clock, no web framework's types. A platform is one folder with the
//! same cast of files, one line in [`PLATFORMS`], its fixtures and its tests:
//!
//! * `mod.rs`: the [`Platform`] and its [`Provider`], and which facts are documented and which assumed;
//! * `verify.rs`: the [`SignatureScheme`], which verifies raw bytes;
//! * `payload.rs`: typed, borrowed structs of the bodies;
//! * `map.rs`: from a body to [`Change`](crate::event::Change)s;
//! * `api.rs`, for platforms that are asked for more: the [`PlatformApi`];
//! * `demo.json`: the source and the sample webhooks of the sandbox ([`Demo`]).

mod api;
pub mod bigbluebutton;
#[cfg(test)]
#[path = "tests/conformance.rs"]
mod conformance;
pub mod custom;
mod demo;
mod envelope;
pub mod eventbrite;
pub mod inbound;
mod lenient;
pub mod livestorm;
#[cfg(test)]
#[path = "tests/lost_ends.rs"]
mod lost_ends;
pub mod luma;
mod options;
mod parsed_payload;
pub mod riverside;
mod scrub;
pub mod signature;
pub mod ticket_tailor;
pub mod wix;
pub mod zoom;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::event::ProviderId;
pub use api::{
    ApiAnswers, ApiRateLimit, FetchedAnswers, ListQuery, OnMissing, PlatformAccess, PlatformApi,
    PlatformCredentials, PlatformRequest, TimeRange, WebinarPage, read_answers,
};
pub use demo::{Demo, DemoApi, Sample, SignedRequest, UnsignedRequest};
pub use inbound::{Header, Headers, Inbound, RawRequest, Scrubbed, Unverified, Verified};
pub use options::{Options, require};
pub use parsed_payload::{HandshakeReply, ParsedPayload, PayloadContent, VerifyError};
pub use signature::SignatureScheme;

/// All built-in platforms, in the sandbox's order.
pub static PLATFORMS: &[&Platform] = &[
    &zoom::PLATFORM,
    &bigbluebutton::PLATFORM,
    &eventbrite::PLATFORM,
    &livestorm::PLATFORM,
    &riverside::PLATFORM,
    &luma::PLATFORM,
    &ticket_tailor::PLATFORM,
    &wix::PLATFORM,
    &custom::PLATFORM,
];

/// Finds a platform by name.
#[must_use]
pub fn by_id(name: &str) -> Option<&'static Platform> {
    PLATFORMS.iter().copied().find(|platform| platform.id.as_str() == name)
}

/// A platform, independent of any source.
pub struct Platform {
    /// The name in `provider = "..."`.
    pub id: ProviderId,
    /// A provider without configuration, for trying a body or an endpoint; none if the platform needs configuration.
    pub unconfigured: fn() -> Option<Arc<dyn Provider>>,
    /// The provider of a source, from the source's keys that are this platform's own. None if they are wrong, which
    /// [`Options::report`] then knows.
    pub configure: fn(&mut dyn Options) -> Option<Arc<dyn Provider>>,
    /// Masks personal links and passwords, so that the body may be stored and shown. Masking a masked body changes
    /// nothing.
    pub scrub: fn(&[u8]) -> Vec<u8>,
    /// The sandbox's sources of this platform, at least one.
    pub demos: fn() -> Vec<Demo>,
}

/// A platform's code, configured for one source.
pub trait Provider: Send + Sync {
    /// The platform.
    fn platform(&self) -> &'static Platform;

    /// What the platform's webhooks contain: by default accounts and ends.
    fn capabilities(&self) -> Capabilities {
        Capabilities::FULL
    }

    /// How the webhooks are signed.
    fn scheme(&self) -> &dyn SignatureScheme;

    /// Verifies that the request comes from the platform, from its raw bytes alone.
    ///
    /// # Errors
    /// [`VerifyError`] is the reason for the refusal. The sender does not learn it.
    fn verify<'a>(
        &self,
        request: RawRequest<'a>,
        keys: Keys<'_>,
    ) -> Result<Inbound<'a, Verified>, VerifyError> {
        let secret = self.scheme().verify(&request, keys)?;
        Ok(request.into_verified(secret))
    }

    /// Reads a scrubbed request. A stored one ([`Inbound::from_stored`]) reads the same as the one that came in.
    ///
    /// `secrets` are those of [`Keys`]: some handshakes need the one that verified the request
    /// ([`Inbound::verified_by`]).
    fn read(&self, request: &Inbound<'_, Scrubbed>, secrets: &[&[u8]]) -> ParsedPayload;

    /// The body as it may be stored and shown; [`Inbound::scrub`] calls it before the body is read.
    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        (self.platform().scrub)(body)
    }

    /// Names of the request headers, in lower case, that [`Self::read`] needs. They are stored with the body.
    fn read_headers(&self) -> Cow<'_, [String]> {
        Cow::Borrowed(&[])
    }

    /// Signs a request, for trying an endpoint and for the sandbox.
    ///
    /// # Errors
    /// Why the secret cannot sign, for operators.
    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        self.scheme().sign(request)
    }

    /// The platform's API, for what its webhooks leave out. None without such an API or without credentials.
    fn api(&self) -> Option<&dyn PlatformApi> {
        None
    }

    /// Reads answers of the platform's API. Needs no credentials, so that stored answers can be mapped again after the
    /// credentials were removed.
    fn read_fetched(&self, _fetched: &FetchedAnswers<'_>) -> ParsedPayload {
        ParsedPayload::fetched(Err("this platform has no API".to_owned()))
    }

    /// The platform's name.
    fn id(&self) -> ProviderId {
        self.platform().id.clone()
    }
}

impl fmt::Debug for dyn Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id().fmt(f)
    }
}

/// Secrets and tolerance to verify a request with.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// The secrets in use, more than one while rotating, or the published key set
    /// ([`SignatureScheme::published_keys`]). Empty only where [`SignatureScheme::secret`] allows it.
    pub secrets: &'a [&'a [u8]],
    /// Largest difference between a signed timestamp and the request's arrival, past or future.
    pub tolerance: Duration,
    /// How far outside their own limits the times of a token may lie: none, unless only the signature is asked about.
    pub grace: Duration,
}

/// Whether a source must configure a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// The source must.
    Required,
    /// The source may.
    Optional,
    /// The source must not: the key would have no effect.
    Unused,
}

/// What a provider's webhooks contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether webhooks name the platform's account. If not, the source must have an `external_account_id`.
    pub names_account: bool,
    /// Whether a webhook reports the end of a webinar. If not, `complete_after_end` has a default.
    pub reports_end: bool,
    /// Whether reading may take long (configured expressions). Then it runs off the threads that serve requests.
    pub slow: bool,
}

impl Capabilities {
    /// A platform whose webhooks name accounts and report ends.
    pub const FULL: Self = Self { names_account: true, reports_end: true, slow: false };
}

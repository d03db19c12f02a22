//! The webinar platforms: how each signs, and what each says.
//!
//! Pure, synchronous functions of bytes: no I/O, no clock, no web framework's types. A platform is one folder with the
//! same cast of files, one line in [`PLATFORMS`], its fixtures and its tests:
//!
//! * `mod.rs`: the [`Platform`] and its [`Provider`], what it is called, what of it rests on an assumption;
//! * `verify.rs`: from raw bytes to [`Inbound<Verified>`], with the schemes of [`mod@signature`];
//! * `payload.rs`: typed, borrowed structs of the bodies;
//! * `map.rs`: from a body to [`Change`](crate::event::Change)s;
//! * `api.rs`, where there is more to ask: the platform's [`PlatformApi`];
//! * `samples.rs`: what it would send, for the sandbox and for trying ([`Demo`]).

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
pub mod luma;
mod options;
mod parsed_payload;
pub mod riverside;
mod scrub;
pub mod signature;
pub mod ticket_tailor;
pub mod wix;
pub mod zoom;

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::event::{Millis, ProviderId};
pub use api::{
    ApiAnswers, ApiCredentials, ApiRateLimit, ApiRequest, FetchedAnswers, OnMissing,
    PlatformAccess, PlatformApi, TimeRange, WebinarPage, read_answers,
};
pub use demo::{Demo, DemoApi, Sample, SignedRequest, UnsignedRequest};
pub use inbound::{Header, Headers, Inbound, Scrubbed, Unverified, Verified};
pub use options::{Options, require};
pub use parsed_payload::{HandshakeReply, ParsedPayload, PayloadContent, VerifyError};

/// All built-in platforms, in the order in which the sandbox shows them.
pub static PLATFORMS: &[&dyn Platform] = &[
    &zoom::ZoomPlatform,
    &bigbluebutton::BigBlueButtonPlatform,
    &eventbrite::EventbritePlatform,
    &livestorm::LivestormPlatform,
    &riverside::RiversidePlatform,
    &luma::LumaPlatform,
    &ticket_tailor::TicketTailorPlatform,
    &wix::WixPlatform,
    &custom::CustomPlatform,
];

/// The platform of that name.
#[must_use]
pub fn by_id(name: &str) -> Option<&'static dyn Platform> {
    PLATFORMS.iter().copied().find(|platform| platform.id().as_str() == name)
}

/// A platform, before anything is configured of it.
pub trait Platform: Sync {
    /// The name that `provider = "..."` says.
    fn id(&self) -> ProviderId;

    /// A provider without any key of its own, for trying a body or an endpoint; none where nothing can be said without.
    fn unconfigured(&self) -> Option<Arc<dyn Provider>>;

    /// The provider of a source, from the source's keys that are this platform's own. None if they are wrong, which
    /// [`Options::report`] then knows.
    fn configure(&self, options: &mut dyn Options) -> Option<Arc<dyn Provider>>;

    /// A body as it may be stored and shown: personal links and passwords masked. Masking what is masked changes nothing.
    fn scrub(&self, body: &[u8]) -> Vec<u8>;

    /// The sources with which the sandbox shows it, at least one.
    fn demos(&self) -> Vec<Demo>;
}

/// A platform's code for one source, as it is configured.
pub trait Provider: Send + Sync {
    /// Whose it is.
    fn platform(&self) -> &'static dyn Platform;

    /// What its webhooks do and do not, and what its source must configure for that.
    fn capabilities(&self) -> Capabilities;

    /// Decides whether the request comes from the platform, from its raw bytes alone.
    ///
    /// # Errors
    /// [`Refusal`] says why not; the sender is told nothing of it.
    fn verify<'a>(
        &self,
        request: Inbound<'a, Unverified>,
        keys: Keys<'_>,
        now: Millis,
    ) -> Result<Inbound<'a, Verified>, VerifyError>;

    /// Reads a scrubbed request. A stored one ([`Inbound::from_stored`]) reads the same as the one that came in.
    ///
    /// `secrets` are those of [`Keys`]: some handshakes are answered with one ([`Inbound::verified_by`]).
    fn read(&self, request: &Inbound<'_, Scrubbed>, secrets: &[&[u8]]) -> ParsedPayload;

    /// The body as it may be stored and shown; [`Inbound::scrub`] calls it before the body is read.
    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        self.platform().scrub(body)
    }

    /// What is wrong with a secret of the source, as the rest of a sentence that begins with its key.
    fn check_secret(&self, _secret: &[u8]) -> Option<&'static str> {
        None
    }

    /// Where the keys are published that verify its webhooks: a JSON Web Key Set, which is then the one secret in [`Keys`].
    fn published_keys(&self) -> Option<&Url> {
        None
    }

    /// The request headers, in lower case, that [`Self::read`] looks at: they are stored with the body.
    fn read_headers(&self) -> &[String] {
        &[]
    }

    /// The request that is authentic at `now`: for trying an endpoint and for the sandbox.
    ///
    /// # Errors
    /// Why it cannot be signed with that secret, for operators.
    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String>;

    /// Sample webhooks for the sandbox and for trying: a whole life of webinars that begin soon after `now`, in the
    /// order in which they happen.
    fn samples(&self, now: Millis) -> Vec<Sample>;

    /// How to ask the platform for what its webhooks leave out; none if it has no such API or no credentials were given.
    fn api(&self) -> Option<&dyn PlatformApi> {
        None
    }

    /// Reads what the platform's API answered. Needs no credentials, so that what was fetched can be mapped again after
    /// they were taken away.
    fn read_fetched(&self, _fetched: &FetchedAnswers<'_>) -> ParsedPayload {
        let why = "this platform is never asked".to_owned();
        ParsedPayload::new("fetched", PayloadContent::Unmappable(why))
    }

    /// Whose it is, by name.
    fn id(&self) -> ProviderId {
        self.platform().id()
    }
}

/// What a source's configuration gives its provider to verify with.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// The secrets in use, more than one while rotating, or what is published of keys ([`Provider::published_keys`]).
    /// Empty only where [`Traits::secret`] lets it be.
    pub secrets: &'a [&'a [u8]],
    /// How far a signed timestamp may be from now, past and future alike.
    pub tolerance: Duration,
}

/// Whether a source must configure something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// It must.
    Required,
    /// It may.
    Optional,
    /// It must not, since it would mean nothing.
    Unused,
}

/// What a provider's webhooks do and do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, named where it is set"
)]
pub struct Capabilities {
    /// `secret` or `secrets`: what its webhooks are verified with.
    pub secret: Requirement,
    /// `path_token`: required of platforms that prove nothing of themselves.
    pub path_token: Requirement,
    /// Whether webhooks tell the platform's account. If not, the source must have an `external_account_id`.
    pub names_account: bool,
    /// Whether a webhook tells that a webinar is over. If not, `complete_after_end` has a default.
    pub reports_end: bool,
    /// Whether what is signed holds a time, so that an old webhook is refused. If not, a webhook is known as a duplicate
    /// for as long as what it told of is kept.
    pub signs_time: bool,
    /// Whether reading may take long (configured expressions): then it is kept off the threads that serve requests.
    pub slow: bool,
}

impl Capabilities {
    /// A platform that signs its webhooks and their time, and tells everything: what most others fall short of somewhere.
    pub const FULL: Self = Self {
        secret: Requirement::Required,
        path_token: Requirement::Optional,
        names_account: true,
        reports_end: true,
        signs_time: true,
        slow: false,
    };
}

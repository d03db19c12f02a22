//! The webinar platforms: how each signs, and what each says.
//!
//! Pure, synchronous functions of bytes: no I/O, no clock, no web framework's types. A platform is one folder with the
//! same cast of files, one line in [`PROVIDERS`], its fixtures and its tests:
//!
//! * `mod.rs`: the [`Provider`], what it is called, what of it rests on an assumption;
//! * `verify.rs`: from raw bytes to [`Inbound<Verified>`], with the schemes of [`mod@signature`];
//! * `payload.rs`: typed, borrowed structs of the bodies;
//! * `map.rs`: from a body to [`Change`]s.

pub mod inbound;
mod lenient;
mod scrub;
pub mod signature;
pub mod zoom;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::event::{Change, ExternalAccountId, Millis, ProviderId};
pub use inbound::{Header, Headers, Inbound, Unverified, Verified};

/// What a source's configuration gives its provider to verify with.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// The secrets in use, more than one while rotating. Never empty.
    pub secrets: &'a [&'a [u8]],
    /// How far a signed timestamp may be from now, past and future alike.
    pub tolerance: Duration,
}

/// A platform's code.
pub trait Provider: Sync {
    /// The name that `provider = "..."` says.
    fn id(&self) -> ProviderId;

    /// Decides whether the request comes from the platform, from its raw bytes alone.
    ///
    /// # Errors
    /// [`Refusal`] says why not; the sender is told nothing of it.
    fn verify<'a>(
        &self,
        request: Inbound<'a, Unverified>,
        keys: Keys<'_>,
        now: Millis,
    ) -> Result<Inbound<'a, Verified>, Refusal>;

    /// Reads a request that is known to come from the platform.
    ///
    /// `secrets` are those of [`Keys`]: some handshakes are answered with one ([`Inbound::verified_by`]).
    fn read(&self, request: &Inbound<'_, Verified>, secrets: &[&[u8]]) -> Reading;

    /// The body as it may be stored: personal links and passwords masked, everything else byte for byte.
    fn scrub(&self, body: &[u8]) -> Vec<u8>;

    /// The request headers that make `body` authentic at `now`: for trying an endpoint and for the sandbox.
    fn sign(&self, body: &[u8], secret: &[u8], now: Millis) -> Vec<(String, String)>;

    /// Sample bodies for the sandbox and for trying: a whole life of webinars that begin soon after `now`, in the
    /// order in which they happen.
    fn samples(&self, now: Millis) -> Vec<Sample>;
}

/// A webhook body that a platform could have sent.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What happens, for a reader: `the host moves the start by an hour`.
    pub story: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a request is not believed. The names are label values of `bridge_webhooks_rejected_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// A header that carries the signature, or its time, is not there.
    #[error("missing")]
    Missing,
    /// Such a header is there but cannot be read, or is there twice.
    #[error("malformed")]
    Malformed,
    /// No secret makes this signature of this body.
    #[error("mismatch")]
    Mismatch,
    /// The signed time is too long ago.
    #[error("stale")]
    Stale,
    /// The signed time is too far ahead.
    #[error("future")]
    Future,
}

/// What an authentic request turns out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The platform's name of the webhook; `unknown` where it has none. Bounded and cleaned.
    pub event_type: String,
    /// What it means.
    pub meaning: Meaning,
}

/// What an authentic request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// It says something of webinars. At most one change for each webinar.
    Changes {
        /// What it says.
        changes: Vec<Change>,
        /// Optional fields whose value was none, and that were therefore taken as not said: `start_time`.
        bad_fields: Vec<&'static str>,
    },
    /// There is nothing in it for us: an unknown type, a registration, a participant.
    Ignored,
    /// It should say something of a webinar but its id or type cannot be read. The text is for operators, and holds
    /// nothing personal.
    Unmappable(String),
    /// The platform asks us to prove something; answer this and keep nothing.
    Handshake(Reply),
}

impl Meaning {
    /// What of it a source may say that speaks for these accounts of the platform, for all if none are named; and
    /// whether that is less than all. A list admits what it names, so not a change of which no account is known.
    #[must_use]
    pub fn admitted(self, accounts: Option<&BTreeSet<String>>) -> (Self, bool) {
        match (self, accounts) {
            (Self::Changes { changes, bad_fields }, Some(accounts)) => {
                let said = changes.len();
                let named = |account: &ExternalAccountId| accounts.contains(account.as_str());
                let ours = |change: &Change| change.account.as_ref().is_some_and(named);
                let changes: Vec<Change> = changes.into_iter().filter(ours).collect();
                let foreign = changes.len() < said;
                if foreign && changes.is_empty() {
                    (Self::Ignored, true)
                } else {
                    (Self::Changes { changes, bad_fields }, foreign)
                }
            }
            (meaning, _) => (meaning, false),
        }
    }
}

/// The answer to a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// All built-in platforms.
pub static PROVIDERS: &[&dyn Provider] = &[&zoom::Zoom];

/// The platform of that name.
#[must_use]
pub fn by_id(name: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.iter().copied().find(|provider| provider.id().as_str() == name)
}

//! `BigBlueButton` meetings, by the webhooks of a server of one's own (bbb-webhooks).
//!
//! Promises: only what the server's secret signed is read, of the URL that is configured and no other; a meeting that is
//! made becomes an event, and one that ended is over. Passwords, people and what a meeting's maker attached to it are masked
//! before a body is read, so that the stored body says the same when it is read again. Relies on the raw bytes of the
//! request. Holds nothing, so a crash loses nothing.
//!
//! Known from the sender's source, without a live server
//! (<https://github.com/bigbluebutton/bbb-webhooks>: `src/out/webhooks/callback-emitter.js` signs and sends,
//! `src/process/event.js` writes the events):
//! * a meeting is made when it begins, so there is nothing to tell of it before; its end is known when it ended. A limit of
//!   its length (`duration`, minutes) is taken for its planned end;
//! * `internal-meeting-id` is of one meeting, `external-meeting-id` is used again by the next;
//! * a body is sent again with the same `timestamp`, and 401 counts as delivered;
//! * breakout rooms are meetings that belong to another, and no events of their own. `meeting-created` says which they are;
//!   later their ids do (`createMeetingIds` in <https://github.com/bigbluebutton/bigbluebutton>,
//!   `akka-bbb-apps/src/main/scala/org/bigbluebutton/core/apps/breakout/BreakoutApp2x.scala`).

mod form;
mod map;
mod payload;
mod samples;
mod verify;

use std::sync::Arc;

use url::Url;

use crate::event::{Millis, ProviderId};
use crate::providers::{
    Capabilities, Demo, DemoApi, Inbound, Keys, Options, ParsedPayload, PayloadContent, Platform,
    Provider, Sample, SignedRequest, UnsignedRequest, Unverified, Verified, VerifyError, require,
};
use verify::{CHECKSUMS, ServerAuth};

/// Keys whose values are secret or tell of a person.
const MASKED: [&str; 13] = [
    "moderator-pass",
    "viewer-pass",
    // The number with which people join by telephone.
    "voice-conf",
    // Whatever the meeting's maker attached: links back with tokens, names.
    "metadata",
    "user",
    "userdata",
    "chat-message",
    "recording",
    "password",
    "registrant",
    "participant",
    "operator",
    "email",
];
/// The type that it has in HubSpot unless the source says another.
const EVENT_TYPE: &str = "MEETING";

/// `BigBlueButton`, before anything is configured.
pub struct BigBlueButtonPlatform;

impl Platform for BigBlueButtonPlatform {
    fn id(&self) -> ProviderId {
        ProviderId::new("bigbluebutton")
    }

    fn unconfigured(&self) -> Option<Arc<dyn Provider>> {
        Some(Arc::new(BigBlueButton::default()))
    }

    fn from_options(&self, options: &mut dyn Options) -> Option<Arc<dyn Provider>> {
        let bearer = options.choice("auth", &["checksum", "bearer"]) == Some("bearer");
        let checksum = options.choice("checksum", &CHECKSUMS.map(|(name, _)| name));
        if bearer {
            let callback = options.text("callback_url");
            if callback.is_some() || checksum.is_some() {
                options.report("auth", "is \"bearer\", which knows no callback_url and checksum");
                return None;
            }
            return Some(Arc::new(BigBlueButton { auth: ServerAuth::Bearer }));
        }
        let remedy = "Set the URL as it was given to BigBlueButton, to the letter: it is signed";
        let callback = require(options, "callback_url", |o, key| o.text(key), remedy)?;
        if !is_callback_url(&callback) {
            let what =
                "must be the URL of this source, https://HOST/webhooks/NAME, without a checksum";
            options.report("callback_url", what);
            return None;
        }
        let named = CHECKSUMS.into_iter().find(|(name, _)| Some(*name) == checksum);
        let (_, checksum) = named.unwrap_or(CHECKSUMS[0]);
        Some(Arc::new(BigBlueButton {
            auth: ServerAuth::Checksum { checksum, callback: Some(callback) },
        }))
    }

    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        form::mask(body, &MASKED)
    }

    fn demos(&self) -> Vec<Demo> {
        vec![Demo {
            source: "bigbluebutton",
            settings: "secret = \"sandbox-secret-of-no-server\"\n\
                       callback_url = \"https://bridge.example/webhooks/bigbluebutton\"",
            signing_key: "sandbox-secret-of-no-server",
            path_token: None,
            api: DemoApi::None,
        }]
    }
}

fn is_callback_url(text: &str) -> bool {
    let signed = |url: &Url| url.query_pairs().any(|(name, _)| name == verify::CHECKSUM);
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && !signed(&url))
}

/// `BigBlueButton`, as a source configures it.
#[derive(Debug, Clone, Default)]
pub struct BigBlueButton {
    auth: ServerAuth,
}

impl Provider for BigBlueButton {
    fn platform(&self) -> &'static dyn Platform {
        &BigBlueButtonPlatform
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { signs_time: self.auth != ServerAuth::Bearer, ..Capabilities::FULL }
    }

    fn verify<'a>(
        &self,
        request: Inbound<'a, Unverified>,
        keys: Keys<'_>,
        now: Millis,
    ) -> Result<Inbound<'a, Verified>, VerifyError> {
        self.auth.verify(request, keys, now)
    }

    fn read(&self, request: &Inbound<'_, Verified>, _secrets: &[&[u8]]) -> ParsedPayload {
        let body = BigBlueButtonPlatform.scrub(request.body);
        match map::read(&body) {
            Ok((names, meaning)) => ParsedPayload::new(&names, meaning),
            Err(why) => ParsedPayload::new("", PayloadContent::Unmappable(why)),
        }
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        self.auth.sign(request)
    }

    fn samples(&self, now: Millis) -> Vec<Sample> {
        samples::samples(now)
    }
}

#[cfg(test)]
mod tests;

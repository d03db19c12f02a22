//! `BigBlueButton` meetings, reported by the webhooks of a self-hosted server (bbb-webhooks).
//!
//! Promises: reads only requests signed with the server's secret for the configured URL. A created meeting becomes an
//! event, and an ended one completes it. Passwords, people and the metadata of a meeting's creator are masked before a
//! body is read, so the stored body yields the same when it is read again. Relies on the raw bytes of the request. On a
//! crash: nothing is lost, because nothing is held.
//!
//! Known from the sender's source, without a live server
//! (<https://github.com/bigbluebutton/bbb-webhooks>: `src/out/webhooks/callback-emitter.js` signs and sends,
//! `src/process/event.js` writes the events):
//! * a meeting is created when it begins, so no webhook announces it. Its end is known only when it ended. A limit of
//!   its length (`duration`, minutes) is read as its planned end;
//! * `internal-meeting-id` identifies one meeting; the next meeting reuses `external-meeting-id`;
//! * a retried body has the same `timestamp`, and the sender counts 401 as delivered;
//! * breakout rooms are meetings inside another meeting and become no events. `meeting-created` marks them; later
//!   webhooks identify them by their ids (`createMeetingIds` in <https://github.com/bigbluebutton/bigbluebutton>,
//!   `akka-bbb-apps/src/main/scala/org/bigbluebutton/core/apps/breakout/BreakoutApp2x.scala`).

mod form;
mod map;
mod payload;
mod verify;

use std::sync::Arc;

use url::Url;

use crate::event::ProviderId;
use crate::providers::options::choice_of;
use crate::providers::signature::digest::HashAlgorithm;
use crate::providers::{
    Demo, Inbound, Options, ParsedPayload, Platform, Provider, Scrubbed, SignatureScheme, require,
};
use verify::ServerAuth;

/// Keys of secrets and personal data; their values are masked. `voice-conf` is a number for joining by telephone, and
/// `metadata` arbitrary data of the meeting's creator: return links with tokens, names.
const MASKED: &str = include_str!("masked_keys.txt");
/// Event type in HubSpot unless the source sets another.
const EVENT_TYPE: &str = "MEETING";

/// The `BigBlueButton` platform, independent of any source.
pub static PLATFORM: Platform = Platform {
    id: ProviderId::new("bigbluebutton"),
    unconfigured: || Some(Arc::new(BigBlueButton::default())),
    configure,
    scrub: |body| form::mask(body, MASKED),
    demos: || vec![Demo::parse(include_str!("demo.json"))],
};

fn configure(options: &mut dyn Options) -> Option<Arc<dyn Provider>> {
    let bearer = options.choice("auth", &["checksum", "bearer"]) == Some("bearer");
    let checksum = choice_of(options, "checksum", HashAlgorithm::NAMED);
    if bearer {
        let callback = options.text("callback_url");
        if callback.is_some() || checksum.is_some() {
            options.report("auth", "is \"bearer\", which excludes callback_url and checksum");
            return None;
        }
        return Some(Arc::new(BigBlueButton { auth: ServerAuth::Bearer }));
    }
    let remedy =
        "Set the URL exactly as it was registered in BigBlueButton: it is part of the signature";
    let callback = require(options, "callback_url", |o, key| o.text(key), remedy)?;
    if !is_callback_url(&callback) {
        let what = "must be the URL of this source, https://HOST/webhooks/NAME, without a checksum";
        options.report("callback_url", what);
        return None;
    }
    let checksum = checksum.unwrap_or(HashAlgorithm::Sha1);
    let auth = ServerAuth::Checksum { checksum, callback: Some(callback) };
    Some(Arc::new(BigBlueButton { auth }))
}

fn is_callback_url(text: &str) -> bool {
    let signed = |url: &Url| url.query_pairs().any(|(name, _)| name == verify::CHECKSUM);
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && !signed(&url))
}

/// `BigBlueButton` as configured for one source.
#[derive(Debug, Clone, Default)]
pub struct BigBlueButton {
    auth: ServerAuth,
}

impl Provider for BigBlueButton {
    fn platform(&self) -> &'static Platform {
        &PLATFORM
    }

    fn scheme(&self) -> &dyn SignatureScheme {
        &self.auth
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>, _secrets: &[&[u8]]) -> ParsedPayload {
        match map::read(&request.body) {
            Ok((names, content)) => ParsedPayload::new(&names, content),
            Err(reason) => ParsedPayload::unreadable(reason),
        }
    }
}

#[cfg(test)]
mod tests;

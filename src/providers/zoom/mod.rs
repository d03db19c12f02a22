//! Zoom webinars and Zoom Events. Both belong to one Zoom app, with one secret token and one endpoint.
//!
//! Promises: reads only requests signed with the app's secret token. A body changes only the fields that it carries, so
//! an update of one field writes one field. Nothing is cancelled unless Zoom reports it, or does not have it any more.
//! Personal links, passwords and e-mail addresses are masked before a body is read, so the stored body yields the same
//! when it is read again. Relies on the raw bytes of the request. On a crash: nothing is lost, because nothing is held.
//!
//! Known from Zoom's published documentation and types, without a live account:
//! * Zoom retries a delivery for up to 85 minutes, and is not documented to renew `x-zm-request-timestamp`
//!   (<https://developers.zoom.us/docs/api/webhooks>): hence a tolerance of hours;
//! * occurrence ids are opaque, and `webinar.ended` names none.
//!
//! Assumed:
//! * `start_time` of `webinar.started` and `webinar.ended` is the actual start;
//! * an API answer to `show_previous_occurrences=true` lists past and future occurrences. An answer without a future
//!   occurrence therefore cancels nothing.

mod api;
mod events;
mod fetched;
mod map;
mod object;
mod payload;
mod verify;

use std::sync::Arc;

use serde::Serialize;

use crate::event::{ChangeKind, ProviderId};
use crate::providers::options::read_table;
use crate::providers::signature::hmac;
use crate::providers::{
    Demo, FetchedAnswers, HandshakeReply, Inbound, ParsedPayload, PayloadContent, Platform,
    PlatformApi, Provider, Scrubbed, SignatureScheme, scrub,
};
use api::ZoomApi;

/// Keys of secrets and personal data, in webhooks and in the API's answers; their values are masked. The host's name
/// stays: it becomes the organizer.
const MASKED: &str = include_str!("masked_keys.txt");

/// Longest `plainToken` that is answered. Zoom's tokens have 22 characters.
const TOKEN_MAX: usize = 64;

/// The Zoom platform, independent of any source.
pub static PLATFORM: Platform = Platform {
    id: ProviderId::new("zoom"),
    unconfigured: || Some(Arc::new(Zoom::default())),
    configure: |options| {
        let api = read_table(options, "api", ZoomApi::from_options);
        Some(Arc::new(Zoom { api }))
    },
    scrub: |body| scrub::mask(body, MASKED.lines()),
    demos: || vec![Demo::parse(include_str!("demo.json"))],
};

/// Zoom as configured for one source.
#[derive(Debug, Clone, Default)]
pub struct Zoom {
    api: Option<ZoomApi>,
}

impl Provider for Zoom {
    fn platform(&self) -> &'static Platform {
        &PLATFORM
    }

    fn scheme(&self) -> &dyn SignatureScheme {
        &verify::SCHEME
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>, secrets: &[&[u8]]) -> ParsedPayload {
        let (event, text) = match payload::parse_event_name(&request.body) {
            Ok(head) => head,
            Err(reason) => return ParsedPayload::unreadable(reason),
        };
        let topic = Topic::from_event_name(&event);
        let content = match topic {
            Topic::UrlValidation => {
                answer_url_validation(text, secrets.get(request.verified_by()).copied())
            }
            Topic::Webinar(action) => map::read(text, action),
            Topic::Event(kind) => events::read_event(text, kind),
            Topic::Session(kind) => events::read_session(text, kind),
            Topic::Other => Ok(PayloadContent::Ignored),
        };
        let mut parsed = ParsedPayload::from_result(&event, content);
        if let (Some(api), Topic::Webinar(action), PayloadContent::Changes { changes, .. }) =
            (&self.api, topic, &parsed.content)
        {
            parsed.fetch_requests =
                changes.iter().filter_map(|change| api.fetch_request_for(action, change)).collect();
        }
        parsed
    }

    fn api(&self) -> Option<&dyn PlatformApi> {
        self.api.as_ref().map(|api| api as &dyn PlatformApi)
    }

    fn read_fetched(&self, fetched: &FetchedAnswers<'_>) -> ParsedPayload {
        ParsedPayload::fetched(fetched::read(fetched))
    }
}

/// The subject of a webhook, derived from its event name.
#[derive(Clone, Copy)]
enum Topic {
    UrlValidation,
    Webinar(map::ZoomWebinarAction),
    Event(ChangeKind),
    Session(ChangeKind),
    /// Registrations, participants, alerts, and event names that Zoom adds later.
    Other,
}

impl Topic {
    fn from_event_name(event: &str) -> Self {
        use map::ZoomWebinarAction;
        match event {
            "endpoint.url_validation" => Self::UrlValidation,
            "webinar.created" => Self::Webinar(ZoomWebinarAction::Created),
            "meeting.converted_to_webinar" => Self::Webinar(ZoomWebinarAction::ConvertedToWebinar),
            "webinar.updated" => Self::Webinar(ZoomWebinarAction::Updated),
            "webinar.deleted" | "webinar.permanently_deleted" => {
                Self::Webinar(ZoomWebinarAction::Deleted)
            }
            "webinar.recovered" => Self::Webinar(ZoomWebinarAction::Recovered),
            "webinar.converted_to_meeting" => Self::Webinar(ZoomWebinarAction::ConvertedToMeeting),
            "webinar.started" => Self::Webinar(ZoomWebinarAction::Started),
            "webinar.ended" => Self::Webinar(ZoomWebinarAction::Ended),
            "zoom_events.event_published" => Self::Event(ChangeKind::Created),
            "zoom_events.event_updated" => Self::Event(ChangeKind::Updated),
            "zoom_events.event_cancelled" => Self::Event(ChangeKind::Cancelled),
            "zoom_events.session_created" => Self::Session(ChangeKind::Created),
            "zoom_events.session_updated" => Self::Session(ChangeKind::Updated),
            "zoom_events.session_deleted" => Self::Session(ChangeKind::Cancelled),
            "zoom_events.session_ended" => Self::Session(ChangeKind::Completed),
            _ => Self::Other,
        }
    }
}

/// Answers Zoom's URL validation, which Zoom repeats every 72 hours (<https://developers.zoom.us/docs/api/webhooks>).
///
/// Answers only verified requests and well-formed tokens: the answer is a MAC under the secret that also signs
/// webhooks, so a caller who could have `v0:{time}:{body}` answered could forge that body.
fn answer_url_validation(text: &str, secret: Option<&[u8]>) -> Result<PayloadContent, String> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer<'a> {
        plain_token: &'a str,
        encrypted_token: String,
    }
    let token = payload::parse_plain_token(text)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if token.is_empty() || token.len() > TOKEN_MAX || !token.bytes().all(allowed) {
        return Err(
            "payload.plainToken has characters that are not allowed, or a wrong length".to_owned()
        );
    }
    let secret = secret.ok_or("no secret is configured to answer the URL validation")?;
    let encrypted_token = hex::encode(hmac::sha256(secret, &[token.as_bytes()]));
    let body = serde_json::to_vec(&Answer { plain_token: &token, encrypted_token })
        .expect("an answer of two texts can be written as JSON");
    Ok(PayloadContent::Handshake(HandshakeReply {
        status: 200,
        content_type: "application/json",
        body,
    }))
}

#[cfg(test)]
mod tests;

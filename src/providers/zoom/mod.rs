//! Zoom webinars and Zoom Events, which share an app, its secret token and its endpoint.
//!
//! Promises: only what Zoom's secret token signed is read; a body says what it carries and nothing else, so that an
//! update of one field writes one field; nothing is called off that was not said to be. Personal links, passwords and
//! e-mail addresses are masked before a body is read, so that the stored body says the same when it is read again.
//! Relies on the raw bytes of the request. Holds nothing, so a crash loses nothing.
//!
//! Known from Zoom's published documentation and types, without a live account:
//! * the time in `x-zm-request-timestamp` is not known to be renewed when a delivery is tried again, up to 85 minutes
//!   later (<https://developers.zoom.us/docs/api/webhooks>): hence a tolerance of hours;
//! * `start_time` of `webinar.started` and `webinar.ended` is taken for the actual start;
//! * the ids of occurrences are opaque, and `webinar.ended` names none;
//! * an answer of its API to `show_previous_occurrences=true` lists all occurrences, those to come too: hence one without
//!   any to come calls nothing off.

mod api;
mod events;
mod facts;
mod fetched;
mod map;
mod payload;
mod samples;
mod verify;

use std::sync::Arc;

use serde::Serialize;

use crate::event::{Millis, ProviderId};
use crate::providers::signature::hmac;
use crate::providers::{
    Demo, DemoApi, Fetched, Inbound, Keys, Meaning, Options, Platform, PlatformApi, Provider,
    Reading, Refusal, Reply, Sample, Signed, Traits, Unsigned, Unverified, Verified, scrub,
};
use api::ZoomApi;

/// Keys whose values are secret or tell of a person.
const MASKED: [&str; 24] = [
    "password",
    "passcode",
    "encrypted_password",
    "h323_password",
    "h323_passcode",
    "pstn_password",
    "registrant",
    "participant",
    "interpreters",
    "alternative_hosts",
    "email",
    "user_email",
    "host_email",
    "operator",
    "contact_name",
    "contact_email",
    // Of the API's answers. The host's name is what is asked for.
    "start_url",
    "host_key",
    "personal_meeting_url",
    "vanity_url",
    "pmi",
    "pic_url",
    "phone_number",
    "phone_numbers",
];

/// Longest `plainToken` that is answered. Zoom's have 22 characters.
const TOKEN_MAX: usize = 64;

/// Zoom, before anything is configured.
pub struct ZoomPlatform;

impl Platform for ZoomPlatform {
    fn id(&self) -> ProviderId {
        ProviderId::new("zoom")
    }

    fn bare(&self) -> Option<Arc<dyn Provider>> {
        Some(Arc::new(Zoom::default()))
    }

    fn configured(&self, options: &mut dyn Options) -> Option<Arc<dyn Provider>> {
        let mut api = None;
        options.table("api", &mut |table| api = ZoomApi::configured(table));
        Some(Arc::new(Zoom { api }))
    }

    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        scrub::mask(body, &MASKED)
    }

    fn demos(&self) -> Vec<Demo> {
        vec![Demo {
            source: "zoom",
            settings: "secret = \"sandbox-secret-of-no-platform\"",
            signs_with: "sandbox-secret-of-no-platform",
            path_token: None,
            api: DemoApi::None,
        }]
    }
}

/// Zoom, as a source configures it.
#[derive(Debug, Clone, Default)]
pub struct Zoom {
    api: Option<ZoomApi>,
}

impl Provider for Zoom {
    fn platform(&self) -> &'static dyn Platform {
        &ZoomPlatform
    }

    fn traits(&self) -> Traits {
        Traits::FULL
    }

    fn verify<'a>(
        &self,
        request: Inbound<'a, Unverified>,
        keys: Keys<'_>,
        now: Millis,
    ) -> Result<Inbound<'a, Verified>, Refusal> {
        verify::verify(request, keys, now)
    }

    fn read(&self, request: &Inbound<'_, Verified>, secrets: &[&[u8]]) -> Reading {
        let body = ZoomPlatform.scrub(request.body);
        let (event, text) = match payload::head(&body) {
            Ok(head) => head,
            Err(why) => return Reading::new("", Meaning::Unmappable(why)),
        };
        let topic = Topic::of(&event);
        let meaning = match topic {
            Topic::UrlValidation => validate(text, secrets.get(request.verified_by()).copied()),
            Topic::Webinar(what) => map::read(text, what),
            Topic::Event(what) => events::read_event(text, what),
            Topic::Session(what) => events::read_session(text, what),
            Topic::Other => Ok(Meaning::Ignored),
        };
        let mut reading = Reading::new(&event, meaning.unwrap_or_else(Meaning::Unmappable));
        if let (Some(api), Topic::Webinar(what), Meaning::Changes { changes, .. }) =
            (&self.api, topic, &reading.meaning)
        {
            reading.wanted = changes.iter().filter_map(|change| api.wanted(what, change)).collect();
        }
        reading
    }

    fn sign(&self, request: Unsigned<'_>) -> Result<Signed, String> {
        let headers = verify::sign(request.body, request.secret, request.now);
        Ok(Signed::with_headers(request, headers))
    }

    fn samples(&self, now: Millis) -> Vec<Sample> {
        samples::samples(now)
    }

    fn api(&self) -> Option<&dyn PlatformApi> {
        self.api.as_ref().map(|api| api as &dyn PlatformApi)
    }

    fn read_fetched(&self, fetched: &Fetched<'_>) -> Reading {
        let meaning = fetched::read(fetched).unwrap_or_else(Meaning::Unmappable);
        Reading::new("fetched", meaning)
    }
}

/// What a webhook is about, by its name.
#[derive(Clone, Copy)]
enum Topic {
    UrlValidation,
    Webinar(map::Lifecycle),
    Event(events::Step),
    Session(events::SessionStep),
    /// Registrations, participants, alerts, and whatever Zoom adds.
    Other,
}

impl Topic {
    fn of(event: &str) -> Self {
        use events::{SessionStep, Step};
        use map::Lifecycle;
        match event {
            "endpoint.url_validation" => Self::UrlValidation,
            "webinar.created" => Self::Webinar(Lifecycle::Created),
            "meeting.converted_to_webinar" => Self::Webinar(Lifecycle::ConvertedToWebinar),
            "webinar.updated" => Self::Webinar(Lifecycle::Updated),
            "webinar.deleted" | "webinar.permanently_deleted" => Self::Webinar(Lifecycle::Deleted),
            "webinar.recovered" => Self::Webinar(Lifecycle::Recovered),
            "webinar.converted_to_meeting" => Self::Webinar(Lifecycle::ConvertedToMeeting),
            "webinar.started" => Self::Webinar(Lifecycle::Started),
            "webinar.ended" => Self::Webinar(Lifecycle::Ended),
            "zoom_events.event_published" => Self::Event(Step::Published),
            "zoom_events.event_updated" => Self::Event(Step::Updated),
            "zoom_events.event_cancelled" => Self::Event(Step::Cancelled),
            "zoom_events.session_created" => Self::Session(SessionStep::Created),
            "zoom_events.session_updated" => Self::Session(SessionStep::Updated),
            "zoom_events.session_deleted" => Self::Session(SessionStep::Deleted),
            "zoom_events.session_ended" => Self::Session(SessionStep::Ended),
            _ => Self::Other,
        }
    }
}

/// Answers Zoom's demand to prove the secret token, which it repeats every 72 hours
/// (<https://developers.zoom.us/docs/api/webhooks>).
///
/// Only for a verified request and a token that looks like one: the answer is a MAC under the very secret that signs
/// webhooks, so whoever could have `v0:{time}:{body}` answered could forge that body.
fn validate(text: &str, secret: Option<&[u8]>) -> Result<Meaning, String> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer<'a> {
        plain_token: &'a str,
        encrypted_token: String,
    }
    let token = payload::plain_token(text)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if token.is_empty() || token.len() > TOKEN_MAX || !token.bytes().all(allowed) {
        return Err("payload.plainToken is not a token".to_owned());
    }
    let secret = secret.ok_or("no secret to answer with")?;
    let encrypted_token = hex::encode(hmac::sha256(secret, &[token.as_bytes()]));
    let body = serde_json::to_vec(&Answer { plain_token: &token, encrypted_token })
        .expect("an answer holds only text, so it can be written");
    Ok(Meaning::Handshake(Reply { status: 200, content_type: "application/json", body }))
}

#[cfg(test)]
mod tests;

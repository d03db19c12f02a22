//! Luma's events.
//!
//! Promises: only what the webhook's secret signed is read. Links to join, addresses and personal data are masked before a
//! body is read, so that the stored body says the same when it is read again. Relies on the raw bytes of the request.
//! Holds nothing, so a crash loses nothing.
//!
//! `event.created`, `event.updated` and `event.canceled` show the whole event but its hosts
//! (<https://docs.luma.com/reference/webhook_event_updated>), who are asked for where an API key is given. Luma tells of no
//! end. Calling off is for good: it deletes the event (<https://docs.luma.com/reference/post_v1-events-cancel-request>), so
//! that its API has none any more.
//!
//! A body holds no time of the change and no id of the delivery. So the change's time is the signed one of the delivery
//! ([`Scheme::sent_at`]; of `event.created` the event's own `created_at`), and a delivery is known again by its signature, not by its body: an event
//! that is changed and changed back has the same body twice. `webhook-id` is not signed, so that it proves nothing: whoever
//! repeats a webhook under the id of one to come would have that one taken for a repetition.
//!
//! Known from Luma's OpenAPI document and, as to signatures, from receivers that others run, without a live account. Assumed:
//! * the scheme is that of [`mod@verify`]; one project has the Standard Webhooks scheme, so there is `signature =
//!   "standard_webhooks"`;
//! * the signed time is that of the change, or of a first attempt soon after.

mod api;
mod map;
mod payload;
mod samples;
mod verify;

use std::sync::Arc;

use crate::event::{FetchCondition, FetchRequest, Millis, ProviderId};
use crate::providers::{
    Capabilities, Demo, DemoApi, FetchedAnswers, Inbound, Keys, Options, ParsedPayload,
    PayloadContent, Platform, PlatformApi, Provider, Sample, SignedRequest, UnsignedRequest,
    Unverified, Verified, VerifyError, scrub,
};
use api::LumaApi;
use verify::LumaScheme;

/// Keys whose values are secret, admit to an event, tell where somebody lives, or tell of a person. The names of hosts are
/// not among them: they are organizers.
const MASKED: [&str; 22] = [
    "password",
    "registrant",
    "participant",
    "operator",
    "email",
    "meeting_url",
    "zoom_meeting_url",
    "geo_address_json",
    "coordinate",
    "geo_latitude",
    "geo_longitude",
    "guest",
    "user_email",
    "user_name",
    "user_first_name",
    "user_last_name",
    "first_name",
    "last_name",
    "phone_number",
    "registration_answers",
    "check_in_qr_code",
    "avatar_url",
];

/// Luma, before anything is configured.
pub struct LumaPlatform;

impl Platform for LumaPlatform {
    fn id(&self) -> ProviderId {
        ProviderId::new("luma")
    }

    fn unconfigured(&self) -> Option<Arc<dyn Provider>> {
        Some(Arc::new(Luma::new(LumaScheme::Native)))
    }

    fn from_options(&self, options: &mut dyn Options) -> Option<Arc<dyn Provider>> {
        let scheme = match options.choice("signature", &["luma", "standard_webhooks"]) {
            Some("standard_webhooks") => LumaScheme::StandardWebhooks,
            Some(_) | None => LumaScheme::Native,
        };
        let calendar_events = options.flag("calendar_events").unwrap_or(false);
        let mut api = None;
        options.table("api", &mut |table| api = LumaApi::from_options(table));
        Some(Arc::new(Luma { calendar_events, api, ..Luma::new(scheme) }))
    }

    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        scrub::mask(body, &MASKED)
    }

    fn demos(&self) -> Vec<Demo> {
        vec![Demo {
            source: "luma",
            settings: "secret = \"whsec_sandbox-of-no-calendar\"\n\
                       api = { key = \"sandbox-key\", base_url = \"{api}\" }",
            signing_key: "whsec_sandbox-of-no-calendar",
            path_token: None,
            api: DemoApi::Header("x-luma-api-key", "sandbox-key"),
        }]
    }
}

/// Luma, as a source configures it.
#[derive(Debug, Clone)]
pub struct Luma {
    scheme: LumaScheme,
    /// Whether events that are added to the calendar are taken, which may be other people's.
    calendar_events: bool,
    api: Option<LumaApi>,
    /// The header with the signed time.
    time_header: [String; 1],
}

impl Luma {
    fn new(scheme: LumaScheme) -> Self {
        let time_header = [scheme.time_header().to_owned()];
        Self { scheme, calendar_events: false, api: None, time_header }
    }
}

impl Provider for Luma {
    fn platform(&self) -> &'static dyn Platform {
        &LumaPlatform
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { reports_end: false, ..Capabilities::FULL }
    }

    fn verify<'a>(
        &self,
        request: Inbound<'a, Unverified>,
        keys: Keys<'_>,
        now: Millis,
    ) -> Result<Inbound<'a, Verified>, VerifyError> {
        self.scheme.verify(request, keys, now)
    }

    fn read(&self, request: &Inbound<'_, Verified>, _secrets: &[&[u8]]) -> ParsedPayload {
        let body = LumaPlatform.scrub(request.body);
        let (name, text) = match payload::parse_webhook_type(&body) {
            Ok(head) => head,
            Err(why) => return ParsedPayload::new("", PayloadContent::Unmappable(why)),
        };
        let sent_at = self.scheme.sent_at(request.headers, request.received_at);
        let meaning = match &*name {
            "event.created" => map::read(text, map::LumaAction::Created, sent_at),
            "event.updated" => map::read(text, map::LumaAction::Updated, sent_at),
            "event.canceled" => map::read(text, map::LumaAction::Cancelled, sent_at),
            "calendar.event.added" if self.calendar_events => {
                map::read(text, map::LumaAction::Added, sent_at)
            }
            // Guests, tickets, subscribers, others' events, and whatever Luma adds.
            _ => Ok(PayloadContent::Ignored),
        };
        let mut reading =
            ParsedPayload::new(&name, meaning.unwrap_or_else(PayloadContent::Unmappable));
        reading.delivery_id = self.scheme.delivery_id(request.headers);
        // Of others' events nothing more can be asked, and of those that were called off there is nothing more.
        if let ("event.created" | "event.updated", PayloadContent::Changes { changes, .. }) =
            (&*name, &reading.content)
        {
            let wanted = changes.iter().map(|change| FetchRequest {
                account: change.account.clone(),
                webinar: change.webinar.clone(),
                condition: FetchCondition::Always,
            });
            reading.fetch_requests = wanted.collect();
        }
        reading
    }

    fn read_headers(&self) -> &[String] {
        &self.time_header
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let headers = self.scheme.sign(request.body, request.secret, request.now)?;
        Ok(SignedRequest::with_headers(request, headers))
    }

    fn samples(&self, now: Millis) -> Vec<Sample> {
        samples::samples(now)
    }

    fn api(&self) -> Option<&dyn PlatformApi> {
        self.api.as_ref().map(|api| api as &dyn PlatformApi)
    }

    fn read_fetched(&self, fetched: &FetchedAnswers<'_>) -> ParsedPayload {
        let meaning = map::read_fetched(fetched).unwrap_or_else(PayloadContent::Unmappable);
        ParsedPayload::new("fetched", meaning)
    }
}

#[cfg(test)]
mod tests;

//! Riverside's webinars.
//!
//! Promises: only what the subscription's signing secret signed is read; test events say nothing. Personal data is masked
//! before a body is read, so that the stored body says the same when it is read again. Relies on the raw bytes of the
//! request. Holds nothing, so a crash loses nothing.
//!
//! Every body shows the whole webinar as it is planned at `event_ts`, and the times at which it really began and ended
//! stand beside the plan in fields of their own (<https://docs.riverside.fm/webhooks/event-types>). So `webinar.started`
//! and `webinar.ended` write what they show of the plan too, unlike Zoom's, whose start and length are the run's:
//! Riverside has no webhook for a change of title or date, and these are the only ones that tell of it.
//!
//! Known from Riverside's documentation, without a live account. Assumed: `webinar.started` and `webinar.ended` show the
//! plan as it is then, not as it was when the webinar was created. If they do not, they write what was known before.
//! Riverside tells neither of a calling off nor of a webinar's public page.

mod map;
mod payload;
mod samples;
mod verify;

use std::sync::Arc;

use crate::event::{Millis, ProviderId};
use crate::providers::envelope::Envelope;
use crate::providers::{
    Capabilities, Demo, DemoApi, Inbound, Keys, Options, ParsedPayload, PayloadContent, Platform,
    Provider, Sample, SignedRequest, UnsignedRequest, Unverified, Verified, VerifyError, scrub,
};

/// Keys whose values are secret or tell of a person. The host's name is not among them: it is the organizer.
const MASKED: [&str; 10] = [
    "password",
    "registrant",
    "participant",
    "operator",
    "email",
    "first_name",
    "last_name",
    "phone",
    "custom_fields",
    "join_url",
];

/// Riverside, before anything is configured.
pub struct RiversidePlatform;

impl Platform for RiversidePlatform {
    fn id(&self) -> ProviderId {
        ProviderId::new("riverside")
    }

    fn unconfigured(&self) -> Option<Arc<dyn Provider>> {
        Some(Arc::new(Riverside))
    }

    fn from_options(&self, _options: &mut dyn Options) -> Option<Arc<dyn Provider>> {
        self.unconfigured()
    }

    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        scrub::mask(body, &MASKED)
    }

    fn demos(&self) -> Vec<Demo> {
        vec![Demo {
            source: "riverside",
            settings: "secret = \"sandbox-secret-of-no-studio\"",
            signing_key: "sandbox-secret-of-no-studio",
            path_token: None,
            api: DemoApi::None,
        }]
    }
}

/// Riverside.
#[derive(Debug, Clone, Copy)]
pub struct Riverside;

impl Provider for Riverside {
    fn platform(&self) -> &'static dyn Platform {
        &RiversidePlatform
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::FULL
    }

    fn verify<'a>(
        &self,
        request: Inbound<'a, Unverified>,
        keys: Keys<'_>,
        now: Millis,
    ) -> Result<Inbound<'a, Verified>, VerifyError> {
        verify::verify(request, keys, now)
    }

    fn read(&self, request: &Inbound<'_, Verified>, _secrets: &[&[u8]]) -> ParsedPayload {
        let body = RiversidePlatform.scrub(request.body);
        let (head, text) = match Envelope::parse(&body) {
            Ok(head) => head,
            Err(why) => return ParsedPayload::new("", PayloadContent::Unmappable(why)),
        };
        let meaning = match &*head.event {
            "webinar.created" => map::read(text, map::RiversideAction::Created),
            "webinar.started" => map::read(text, map::RiversideAction::Started),
            "webinar.ended" => map::read(text, map::RiversideAction::Ended),
            // Registrants, attendees, and whatever Riverside adds.
            _ => Ok(PayloadContent::Ignored),
        };
        let reading =
            ParsedPayload::new(&head.event, meaning.unwrap_or_else(PayloadContent::Unmappable));
        // "Deduplicate on this value": the same in each attempt (https://docs.riverside.fm/webhooks/overview).
        ParsedPayload { delivery_id: head.delivery_id(), ..reading }
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let headers = verify::sign(request.body, request.secret, request.now);
        Ok(SignedRequest::with_headers(request, headers))
    }

    fn samples(&self, now: Millis) -> Vec<Sample> {
        samples::samples(now)
    }
}

#[cfg(test)]
mod tests;

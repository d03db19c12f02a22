//! Eventbrite: webhooks that are not signed and say nothing but that something happened to an event.
//!
//! Promises: nothing that a webhook says is believed but an event's id, and that only to ask the API about it, at the
//! configured address; `api_url` is never called. Of another organization's event nothing is taken. A draft is not shown;
//! nothing is called off that Eventbrite does not say is. The endpoint's own URL, which a webhook repeats, is masked: it
//! holds the path token. Relies on that token, and on the API. Holds nothing, so a crash loses nothing.
//!
//! Known from Eventbrite's published documentation, and where that is silent from public code, without a live account:
//! * that an event ended is told by no webhook, but by its `status` once it is asked for, or by the timer;
//! * that one was called off is thought to be told by `event.updated`, and shown by its `status`;
//! * an event that was deleted is thought to be answered with 404;
//! * each date of a series (`is_series`) is an event of its own, and thought to send webhooks of its own;
//! * the list of an organization's events cannot be asked for a time.

mod api;
mod map;
mod payload;
mod samples;

use std::sync::Arc;

use crate::event::{FetchCondition, FetchRequest, Millis, ProviderId};
use crate::providers::{
    Capabilities, Demo, DemoApi, FetchedAnswers, Inbound, Keys, Options, ParsedPayload,
    PayloadContent, Platform, PlatformApi, Provider, Requirement, Sample, SignedRequest,
    UnsignedRequest, Unverified, Verified, VerifyError, require, scrub,
};

/// Keys whose values are secret or tell of a person. `endpoint_url` holds the source's path token.
const MASKED: [&str; 6] =
    ["endpoint_url", "password", "email", "registrant", "participant", "operator"];

/// Eventbrite, before anything is configured.
pub struct EventbritePlatform;

impl Platform for EventbritePlatform {
    fn id(&self) -> ProviderId {
        ProviderId::new("eventbrite")
    }

    fn unconfigured(&self) -> Option<Arc<dyn Provider>> {
        Some(Arc::new(Eventbrite { api: None }))
    }

    fn from_options(&self, options: &mut dyn Options) -> Option<Arc<dyn Provider>> {
        let read = |options: &mut dyn Options, key| {
            let mut api = None;
            options.table(key, &mut |table| api = api::EventbriteApi::from_options(table));
            api
        };
        let remedy = "Eventbrite's webhooks hold nothing but an id: set \
                      { token = { env = \"NAME\" }, organization = \"ID\" }";
        // Without it the configuration is wrong, but the rest can be judged as well.
        let api = require(options, "api", read, remedy);
        Some(Arc::new(Eventbrite { api }))
    }

    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        scrub::mask(body, &MASKED)
    }

    fn demos(&self) -> Vec<Demo> {
        vec![Demo {
            source: "eventbrite",
            settings: "path_token = \"sandbox-path-token\"\n\
                       api = { token = \"sandbox-token-of-no-platform\", organization = \"171000000001\", base_url = \"{api}\" }",
            signing_key: "",
            path_token: Some("sandbox-path-token"),
            api: DemoApi::Header("authorization", "Bearer sandbox-token-of-no-platform"),
        }]
    }
}

/// Eventbrite, for one organization.
struct Eventbrite {
    api: Option<api::EventbriteApi>,
}

impl Provider for Eventbrite {
    fn platform(&self) -> &'static dyn Platform {
        &EventbritePlatform
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            secret: Requirement::Unused,
            path_token: Requirement::Required,
            // What is fetched does, and the configuration.
            names_account: true,
            reports_end: false,
            signs_time: false,
            ..Capabilities::FULL
        }
    }

    /// Nothing is signed: who knows the path token, which was compared before, may have us ask about events of ours.
    fn verify<'a>(
        &self,
        request: Inbound<'a, Unverified>,
        _keys: Keys<'_>,
        _now: Millis,
    ) -> Result<Inbound<'a, Verified>, VerifyError> {
        Ok(request.into_verified(0))
    }

    fn read(&self, request: &Inbound<'_, Verified>, _secrets: &[&[u8]]) -> ParsedPayload {
        let body = EventbritePlatform.scrub(request.body);
        let (action, webhook) = match payload::parse_webhook(&body) {
            Ok(said) => said,
            Err(why) => return ParsedPayload::new("", PayloadContent::Unmappable(why)),
        };
        // `test`, orders, attendees, organizers, venues, ticket classes, and whatever Eventbrite adds.
        let known = ["event.created", "event.published", "event.updated", "event.unpublished"];
        if !known.contains(&&*action) {
            return ParsedPayload::new(&action, PayloadContent::Ignored);
        }
        let webinar = match payload::parse_event_id(webhook.api_url) {
            Ok(id) => id,
            Err(why) => return ParsedPayload::new(&action, PayloadContent::Unmappable(why)),
        };
        let nothing = PayloadContent::Changes { changes: Vec::new(), bad_fields: Vec::new() };
        let mut reading = ParsedPayload::new(&action, nothing);
        // All updates of an event have one and the same body, and `X-Eventbrite-Delivery` is the webhook's own id in what
        // was seen of it. So a repetition cannot be told from news; taken for such, it costs a call and loses nothing.
        let arrived = request.received_at.get();
        reading.delivery_id = Some(format!("{action} {webinar} {arrived}"));
        reading.fetch_requests.push(FetchRequest {
            account: None,
            webinar,
            condition: FetchCondition::Always,
        });
        reading
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        Ok(SignedRequest::with_headers(request, Vec::new()))
    }

    fn samples(&self, now: Millis) -> Vec<Sample> {
        samples::samples(now)
    }

    fn api(&self) -> Option<&dyn PlatformApi> {
        self.api.as_ref().map(|api| api as &dyn PlatformApi)
    }

    fn read_fetched(&self, fetched: &FetchedAnswers<'_>) -> ParsedPayload {
        ParsedPayload::new(
            "fetched",
            map::map_fetched(fetched).unwrap_or_else(PayloadContent::Unmappable),
        )
    }
}

#[cfg(test)]
mod tests;

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

use crate::event::{Millis, ProviderId, Wanted, WantedWhen};
use crate::providers::{
    Demo, DemoApi, Fetched, Inbound, Keys, Meaning, Need, Options, Platform, PlatformApi, Provider,
    Reading, Refusal, Sample, Signed, Traits, Unsigned, Unverified, Verified, required, scrub,
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

    fn bare(&self) -> Option<Arc<dyn Provider>> {
        Some(Arc::new(Eventbrite { api: None }))
    }

    fn configured(&self, options: &mut dyn Options) -> Option<Arc<dyn Provider>> {
        let read = |options: &mut dyn Options, key| {
            let mut api = None;
            options.table(key, &mut |table| api = api::Api::configured(table));
            api
        };
        let remedy = "Eventbrite's webhooks hold nothing but an id: set \
                      { token = { env = \"NAME\" }, organization = \"ID\" }";
        // Without it the configuration is wrong, but the rest can be judged as well.
        let api = required(options, "api", read, remedy);
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
            signs_with: "",
            path_token: Some("sandbox-path-token"),
            api: DemoApi::Header("authorization", "Bearer sandbox-token-of-no-platform"),
        }]
    }
}

/// Eventbrite, for one organization.
struct Eventbrite {
    api: Option<api::Api>,
}

impl Provider for Eventbrite {
    fn platform(&self) -> &'static dyn Platform {
        &EventbritePlatform
    }

    fn traits(&self) -> Traits {
        Traits {
            secret: Need::Unused,
            path_token: Need::Required,
            // What is fetched does, and the configuration.
            names_account: true,
            tells_end: false,
            signs_time: false,
            ..Traits::FULL
        }
    }

    /// Nothing is signed: who knows the path token, which was compared before, may have us ask about events of ours.
    fn verify<'a>(
        &self,
        request: Inbound<'a, Unverified>,
        _keys: Keys<'_>,
        _now: Millis,
    ) -> Result<Inbound<'a, Verified>, Refusal> {
        Ok(request.proved_by(0))
    }

    fn read(&self, request: &Inbound<'_, Verified>, _secrets: &[&[u8]]) -> Reading {
        let body = EventbritePlatform.scrub(request.body);
        let (action, webhook) = match payload::webhook(&body) {
            Ok(said) => said,
            Err(why) => return Reading::new("", Meaning::Unmappable(why)),
        };
        // `test`, orders, attendees, organizers, venues, ticket classes, and whatever Eventbrite adds.
        let known = ["event.created", "event.published", "event.updated", "event.unpublished"];
        if !known.contains(&&*action) {
            return Reading::new(&action, Meaning::Ignored);
        }
        let webinar = match payload::event_id(webhook.api_url) {
            Ok(id) => id,
            Err(why) => return Reading::new(&action, Meaning::Unmappable(why)),
        };
        let nothing = Meaning::Changes { changes: Vec::new(), bad_fields: Vec::new() };
        let mut reading = Reading::new(&action, nothing);
        // All updates of an event have one and the same body, and `X-Eventbrite-Delivery` is the webhook's own id in what
        // was seen of it. So a repetition cannot be told from news; taken for such, it costs a call and loses nothing.
        let arrived = request.received_at.get();
        reading.delivery = Some(format!("{action} {webinar} {arrived}"));
        reading.wanted.push(Wanted { account: None, webinar, when: WantedWhen::Always });
        reading
    }

    fn sign(&self, request: Unsigned<'_>) -> Result<Signed, String> {
        Ok(Signed::with_headers(request, Vec::new()))
    }

    fn samples(&self, now: Millis) -> Vec<Sample> {
        samples::samples(now)
    }

    fn api(&self) -> Option<&dyn PlatformApi> {
        self.api.as_ref().map(|api| api as &dyn PlatformApi)
    }

    fn read_fetched(&self, fetched: &Fetched<'_>) -> Reading {
        Reading::new("fetched", map::fetched(fetched).unwrap_or_else(Meaning::Unmappable))
    }
}

#[cfg(test)]
mod tests;

//! Eventbrite: unsigned webhooks that only report that something happened to an event.
//!
//! Promises: a webhook contributes nothing but an event's id, which is used only to fetch the event at the configured
//! address; `api_url` is never called. Events of another organization are ignored. A draft is not shown, and nothing is
//! cancelled unless Eventbrite reports it. A webhook repeats the endpoint's URL, which holds the path token; it is
//! masked. Relies on the path token and on the API. On a crash: nothing is lost, because nothing is held.
//!
//! Known from Eventbrite's published documentation and, where that is silent, from public code, without a live account:
//! * no webhook reports the end of an event; its fetched `status` or the timer completes it;
//! * the list of an organization's events cannot be restricted to a time range.
//!
//! Assumed:
//! * a cancellation sends `event.updated`, and the fetched `status` shows it;
//! * a deleted event is answered with 404;
//! * each date of a series (`is_series`) is an event with its own webhooks.

mod api;
mod map;
mod payload;

use std::sync::Arc;

use crate::event::{FetchCondition, FetchRequest, ProviderId};
use crate::providers::options::require_table;
use crate::providers::signature::path_token::PathToken;
use crate::providers::{
    Capabilities, Demo, FetchedAnswers, Inbound, ParsedPayload, PayloadContent, Platform,
    PlatformApi, Provider, Scrubbed, SignatureScheme, scrub,
};
use api::EventbriteApi;

/// Keys of secrets and personal data; their values are masked. `endpoint_url` holds the source's path token.
const MASKED: &str = include_str!("masked_keys.txt");

/// The Eventbrite platform, independent of any source.
pub static PLATFORM: Platform = Platform {
    id: ProviderId::new("eventbrite"),
    unconfigured: || Some(Arc::new(Eventbrite { api: None })),
    configure: |options| {
        let remedy = "Eventbrite's webhooks hold nothing but an id: set \
                      { token = { env = \"NAME\" }, organization = \"ID\" }";
        // A missing table is reported; the remaining keys are still checked.
        let api = require_table(options, "api", EventbriteApi::from_options, remedy);
        Some(Arc::new(Eventbrite { api }))
    },
    scrub: |body| scrub::mask(body, MASKED.lines()),
    demos: || vec![Demo::parse(include_str!("demo.json"))],
};

/// Eventbrite as configured for one organization.
struct Eventbrite {
    api: Option<EventbriteApi>,
}

impl Provider for Eventbrite {
    fn platform(&self) -> &'static Platform {
        &PLATFORM
    }

    fn capabilities(&self) -> Capabilities {
        // The fetched event and the configuration name the account.
        Capabilities { reports_end: false, ..Capabilities::FULL }
    }

    /// A caller who knows the path token can only cause fetches of this organization's events.
    fn scheme(&self) -> &dyn SignatureScheme {
        &PathToken
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>, _secrets: &[&[u8]]) -> ParsedPayload {
        let (action, webhook) = match payload::parse_webhook(&request.body) {
            Ok(webhook) => webhook,
            Err(reason) => return ParsedPayload::unreadable(reason),
        };
        // Ignored: `test`, orders, attendees, organizers, venues, ticket classes, and actions that Eventbrite adds
        // later.
        let known = ["event.created", "event.published", "event.updated", "event.unpublished"];
        if !known.contains(&&*action) {
            return ParsedPayload::new(&action, PayloadContent::Ignored);
        }
        let webinar = match payload::parse_event_id(webhook.api_url) {
            Ok(id) => id,
            Err(reason) => return ParsedPayload::new(&action, PayloadContent::Unmappable(reason)),
        };
        let nothing = PayloadContent::Changes { changes: Vec::new(), bad_fields: Vec::new() };
        let mut parsed = ParsedPayload::new(&action, nothing);
        // All updates of an event have the same body, and `X-Eventbrite-Delivery` was seen to hold the webhook's own
        // id. A repeated delivery cannot be distinguished from a new one: the ledger merges it into a fetch that is
        // still requested, and fetches again otherwise.
        parsed.fetch_requests.push(FetchRequest {
            account: None,
            webinar,
            condition: FetchCondition::Always,
        });
        parsed
    }

    fn api(&self) -> Option<&dyn PlatformApi> {
        self.api.as_ref().map(|api| api as &dyn PlatformApi)
    }

    fn read_fetched(&self, fetched: &FetchedAnswers<'_>) -> ParsedPayload {
        ParsedPayload::fetched(map::map_fetched(fetched))
    }
}

#[cfg(test)]
mod tests;

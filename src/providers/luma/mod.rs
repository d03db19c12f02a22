//! Luma's events.
//!
//! Promises: reads only requests signed with the webhook's secret. Join links, addresses and personal data are masked
//! before a body is read, so the stored body yields the same when it is read again. Relies on the raw bytes of the
//! request. On a crash: nothing is lost, because nothing is held.
//!
//! `event.created`, `event.updated` and `event.canceled` show the whole event except its hosts
//! (<https://docs.luma.com/reference/webhook_event_updated>). With an API key, the hosts are fetched. No webhook
//! reports the end of an event. A cancellation is permanent: it deletes the event
//! (<https://docs.luma.com/reference/post_v1-events-cancel-request>), so the API no longer has it.
//!
//! A body holds neither the time of the change nor a delivery id. So the time of the change is the delivery's signed
//! time ([`LumaScheme::sent_at`]), or the event's own `created_at` for `event.created`. A delivery is identified by its
//! signature and not by its body: an event that is changed and changed back has the same body twice. `webhook-id` is
//! not signed and proves nothing: an attacker could resend a webhook under the id of a future one, which would then
//! count as a duplicate.
//!
//! Known from Luma's OpenAPI document and, for signatures, from public receivers, without a live account. Assumed:
//! * the scheme is that of [`mod@verify`]. One project uses the Standard Webhooks scheme, hence `signature =
//!   "standard_webhooks"`;
//! * the signed time is that of the change, or of a first attempt soon after it.

mod api;
mod map;
mod payload;
mod verify;

use std::borrow::Cow;
use std::sync::Arc;

use crate::event::{FetchCondition, FetchRequest, ProviderId};
use crate::providers::options::{choice_of, read_table};
use crate::providers::{
    Capabilities, Demo, FetchedAnswers, Inbound, Options, ParsedPayload, PayloadContent, Platform,
    PlatformApi, Provider, Scrubbed, SignatureScheme, scrub,
};
use api::LumaApi;
use verify::LumaScheme;

/// Keys of secrets, of links that admit to an event, of home addresses and of personal data; their values are masked.
/// Hosts' names are not among them: they become the organizer.
const MASKED: &str = include_str!("masked_keys.txt");

/// The Luma platform, independent of any source.
pub static PLATFORM: Platform = Platform {
    id: ProviderId::new("luma"),
    unconfigured: || Some(Arc::new(Luma::default())),
    configure: |options| Some(Arc::new(Luma::from_options(options))),
    scrub: |body| scrub::mask(body, MASKED.lines()),
    demos: || vec![Demo::parse(include_str!("demo.json"))],
};

/// Luma as configured for one source.
#[derive(Debug, Clone, Default)]
pub struct Luma {
    scheme: LumaScheme,
    /// Whether events of other calendars that were added to this one are accepted.
    calendar_events: bool,
    api: Option<LumaApi>,
}

impl Luma {
    fn from_options(options: &mut dyn Options) -> Self {
        let schemes =
            [("luma", LumaScheme::Native), ("standard_webhooks", LumaScheme::StandardWebhooks)];
        let scheme = choice_of(options, "signature", schemes).unwrap_or_default();
        let calendar_events = options.flag("calendar_events").unwrap_or(false);
        let api =
            read_table(options, "api", |options| LumaApi::from_options(options, calendar_events));
        Self { scheme, calendar_events, api }
    }
}

impl Provider for Luma {
    fn platform(&self) -> &'static Platform {
        &PLATFORM
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { reports_end: false, ..Capabilities::FULL }
    }

    fn scheme(&self) -> &dyn SignatureScheme {
        &self.scheme
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>, _secrets: &[&[u8]]) -> ParsedPayload {
        let (name, text) = match payload::parse_webhook_type(&request.body) {
            Ok(head) => head,
            Err(reason) => return ParsedPayload::unreadable(reason),
        };
        let sent_at = self.scheme.sent_at(request.headers);
        let content = match &*name {
            "event.created" => map::read(text, map::LumaAction::Created, sent_at),
            "event.updated" => map::read(text, map::LumaAction::Updated, sent_at),
            "event.canceled" => map::read(text, map::LumaAction::Cancelled, sent_at),
            "calendar.event.added" if self.calendar_events => {
                map::read(text, map::LumaAction::Added, sent_at)
            }
            "calendar.event.added" => Ok(PayloadContent::Excluded),
            // Guests, tickets, subscribers, and types that Luma adds later.
            _ => Ok(PayloadContent::Ignored),
        };
        let mut parsed = ParsedPayload::from_result(&name, content);
        parsed.delivery_id = self.scheme.delivery_id(request.headers);
        // Other calendars' events and cancelled ones are not in the API.
        if let ("event.created" | "event.updated", PayloadContent::Changes { changes, .. }) =
            (&*name, &parsed.content)
        {
            let wanted = changes.iter().map(|change| FetchRequest {
                account: change.account.clone(),
                webinar: change.webinar.clone(),
                condition: FetchCondition::Always,
            });
            parsed.fetch_requests = wanted.collect();
        }
        parsed
    }

    fn read_headers(&self) -> Cow<'_, [String]> {
        Cow::Owned(vec![self.scheme.time_header().to_owned()])
    }

    fn api(&self) -> Option<&dyn PlatformApi> {
        self.api.as_ref().map(|api| api as &dyn PlatformApi)
    }

    fn read_fetched(&self, fetched: &FetchedAnswers<'_>) -> ParsedPayload {
        ParsedPayload::fetched(map::read_fetched(fetched))
    }
}

#[cfg(test)]
mod tests;

//! Wix Events: a webhook's whole body is a JSON Web Token.
//!
//! Promises: reads only tokens signed with the app's key, by the one algorithm that Wix uses. The claims are stored
//! decoded: Wix nests JSON as text inside JSON, several levels deep. Links to online rooms, addresses and identities
//! are masked before a body is read, so the stored body yields the same when it is read again. Relies on the raw bytes
//! of the request. On a crash: nothing is lost, because nothing is held.
//!
//! Known from Wix's documentation (<https://dev.wix.com/docs/rest/articles/getting-started/webhooks>,
//! <https://dev.wix.com/docs/rest/business-solutions/events/events-v3/event-object>) and from the published code and
//! types of its own SDK (`@wix/sdk`, `@wix/auto_sdk_events_wix-events-v-2`), without a live account:
//! * `event_created` and `event_updated` show the whole event, `event_published` and `event_cloned` most of it,
//!   `event_canceled`, `event_deleted`, `event_started` and `event_ended` almost nothing;
//! * each date of a recurring event is an event of its own;
//! * a published event never becomes a draft again, and a cancelled one is never restored.
//!
//! Assumed:
//! * a token that is sent again, up to 48 hours later, is newly signed or not yet expired: Wix's own SDK refuses
//!   expired ones;
//! * `event_cloned` names the new event in `eventId`;
//! * an entity is either JSON in `entity` or text in `entityAsJson`: both are read.

mod decode;
mod map;
mod payload;
mod verify;

use std::sync::Arc;

use crate::event::ProviderId;
use crate::providers::{
    Demo, Inbound, ParsedPayload, Platform, Provider, Scrubbed, SignatureScheme,
};

/// The Wix Events platform, independent of any source.
pub static PLATFORM: Platform = Platform {
    id: ProviderId::new("wix"),
    unconfigured: || Some(Arc::new(Wix)),
    configure: |_| Some(Arc::new(Wix)),
    scrub: |body| decode::decode(body),
    demos: || vec![Demo::parse(include_str!("demo.json"))],
};

/// Wix Events as configured for a source; it has no options.
#[derive(Debug, Clone, Copy)]
pub struct Wix;

impl Provider for Wix {
    fn platform(&self) -> &'static Platform {
        &PLATFORM
    }

    fn scheme(&self) -> &dyn SignatureScheme {
        &verify::WixScheme
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>, _secrets: &[&[u8]]) -> ParsedPayload {
        map::read(&request.body).unwrap_or_else(ParsedPayload::unreadable)
    }
}

#[cfg(test)]
mod tests;

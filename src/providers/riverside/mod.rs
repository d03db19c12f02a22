//! Riverside's webinars.
//!
//! Promises: reads only requests signed with the subscription's signing secret; test events are ignored. Personal data
//! is masked before a body is read, so the stored body yields the same when it is read again. Relies on the raw bytes
//! of the request. On a crash: nothing is lost, because nothing is held.
//!
//! Every body shows the whole webinar as planned at `event_ts`; the actual start and end are in separate fields
//! (<https://docs.riverside.fm/webhooks/event-types>). So `webinar.started` and `webinar.ended` write the plan too,
//! unlike Zoom's, which carry the session's start and length. Riverside has no webhook for a changed title or date;
//! these two are the only ones that report it.
//!
//! Known from Riverside's documentation, without a live account:
//! * no webhook reports a cancellation, and none holds the URL of a webinar's public page.
//!
//! Assumed:
//! * `webinar.started` and `webinar.ended` show the plan at that time, not the plan at the webinar's creation. If they
//!   show the latter, they repeat what was known before.

mod map;
mod payload;
mod verify;

use std::sync::Arc;

use crate::event::{ChangeKind, ProviderId};
use crate::providers::envelope::Envelope;
use crate::providers::{
    Demo, Inbound, ParsedPayload, PayloadContent, Platform, Provider, Scrubbed, SignatureScheme,
    scrub,
};

/// Keys of secrets and personal data; their values are masked. The host's name stays: it becomes the organizer.
const MASKED: &str = include_str!("masked_keys.txt");

/// The Riverside platform, independent of any source.
pub static PLATFORM: Platform = Platform {
    id: ProviderId::new("riverside"),
    unconfigured: || Some(Arc::new(Riverside)),
    configure: |_| Some(Arc::new(Riverside)),
    scrub: |body| scrub::mask(body, MASKED.lines()),
    demos: || vec![Demo::parse(include_str!("demo.json"))],
};

/// Riverside as configured for a source; it has no options.
#[derive(Debug, Clone, Copy)]
pub struct Riverside;

impl Provider for Riverside {
    fn platform(&self) -> &'static Platform {
        &PLATFORM
    }

    fn scheme(&self) -> &dyn SignatureScheme {
        &verify::SCHEME
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>, _secrets: &[&[u8]]) -> ParsedPayload {
        let (head, text) = match Envelope::parse(&request.body) {
            Ok(head) => head,
            Err(reason) => return ParsedPayload::unreadable(reason),
        };
        let content = match &*head.event {
            "webinar.created" => map::read(text, ChangeKind::Created),
            "webinar.started" => map::read(text, ChangeKind::Started),
            "webinar.ended" => map::read(text, ChangeKind::Completed),
            // Registrants, attendees, and events that Riverside adds later.
            _ => Ok(PayloadContent::Ignored),
        };
        let parsed = ParsedPayload::from_result(&head.event, content);
        // "Deduplicate on this value": equal in all attempts (https://docs.riverside.fm/webhooks/overview).
        ParsedPayload { delivery_id: head.delivery_id(), ..parsed }
    }
}

#[cfg(test)]
mod tests;

//! Ticket Tailor's events.
//!
//! Promises: reads only requests signed with the webhook's shared secret. Access codes, join links and personal data
//! are masked before a body is read, so the stored body yields the same when it is read again. Relies on the raw bytes
//! of the request. On a crash: nothing is lost, because nothing is held.
//!
//! Every webhook shows the whole event. An event (`ev_`) is one date. The series (`es_`) that it belongs to is ignored.
//!
//! Known from Ticket Tailor's documentation (<https://developers.tickettailor.com/docs/webhook/configuration>), without
//! a live account:
//! * webhooks name no box office, and none reports the end of an event;
//! * an event cannot be cancelled, only deleted.
//!
//! Assumed:
//! * the payload of `EVENT.*` is the event in the API's format
//!   (<https://developers.tickettailor.com/docs/api/get-all-events>), as is documented for the other webhooks;
//! * `created_at` of a webhook, which has no zone, is UTC, or in the source's `time_zone`. It only orders webhooks, and
//!   a time ahead of the receipt counts as the time of receipt;
//! * publishing may send no webhook, so drafts are events too, unless the source sets `drafts = false`.

mod map;
mod payload;
mod verify;

use std::sync::Arc;

use crate::event::{ChangeKind, Millis, ProviderId};
use crate::providers::envelope::Envelope;
use crate::providers::{
    Capabilities, Demo, Inbound, Options, ParsedPayload, PayloadContent, Platform, Provider,
    Scrubbed, SignatureScheme, scrub,
};

/// Keys of secrets, of codes that admit to an event and of personal data; their values are masked.
const MASKED: &str = include_str!("masked_keys.txt");

/// The Ticket Tailor platform, independent of any source.
pub static PLATFORM: Platform = Platform {
    id: ProviderId::new("ticket_tailor"),
    unconfigured: || Some(Arc::new(TicketTailor::default())),
    configure,
    scrub: |body| scrub::mask(body, MASKED.lines()),
    demos: || vec![Demo::parse(include_str!("demo.json"))],
};

fn configure(options: &mut dyn Options) -> Option<Arc<dyn Provider>> {
    let TicketTailor { zone, drafts } = TicketTailor::default();
    let zone = options.text("time_zone").unwrap_or(zone);
    let drafts = options.flag("drafts").unwrap_or(drafts);
    if Millis::parse("2026-01-01 12:00:00", Some(&zone)).is_none() {
        let remedy = "Set an IANA name, such as \"Europe/London\"";
        options.report("time_zone", &format!("is not a time zone. {remedy}"));
        return None;
    }
    Some(Arc::new(TicketTailor { zone, drafts }))
}

/// Ticket Tailor as configured for one source.
#[derive(Debug, Clone)]
pub struct TicketTailor {
    /// Time zone of a webhook's time.
    zone: String,
    /// Whether drafts are events.
    drafts: bool,
}

impl Default for TicketTailor {
    fn default() -> Self {
        Self { zone: "UTC".to_owned(), drafts: true }
    }
}

impl Provider for TicketTailor {
    fn platform(&self) -> &'static Platform {
        &PLATFORM
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { names_account: false, reports_end: false, ..Capabilities::FULL }
    }

    fn scheme(&self) -> &dyn SignatureScheme {
        &verify::SCHEME
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>, _secrets: &[&[u8]]) -> ParsedPayload {
        let (head, text) = match Envelope::parse(&request.body) {
            Ok(head) => head,
            Err(reason) => return ParsedPayload::unreadable(reason),
        };
        let mapped = match &*head.event {
            "EVENT.CREATED" => map::read(text, ChangeKind::Created, self),
            "EVENT.UPDATED" => map::read(text, ChangeKind::Updated, self),
            "EVENT.DELETED" => map::read(text, ChangeKind::Cancelled, self),
            // Orders, tickets, waiting lists, and events that Ticket Tailor adds later.
            _ => Ok(PayloadContent::Ignored),
        };
        let parsed = ParsedPayload::from_result(&head.event, mapped);
        // `wh_15`, "to not execute tasks more than once" (https://developers.tickettailor.com/docs/webhook/security).
        ParsedPayload { delivery_id: head.delivery_id(), ..parsed }
    }
}

#[cfg(test)]
mod tests;

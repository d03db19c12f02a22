//! Livestorm: the webhooks that its REST API manages, because only those are signed.
//!
//! A Livestorm event has dated sessions, and each session is one event in HubSpot. A webhook shows the current state of
//! a session or an event, without half of the fields that HubSpot needs. So each webhook causes requests to the API:
//! for a session, the session and its event; for an event, the event and all its sessions.
//!
//! Promises: reads only requests signed with the secret. A draft is not shown, and nothing is cancelled unless
//! Livestorm reports it. E-mail addresses and personal links are masked before a body is read. Relies on the raw bytes
//! of the request and on the API. On a crash: nothing is lost, because nothing is held.
//!
//! Known from Livestorm's published documentation and, where that is silent, from public code, without a live account:
//! * the signed time is in seconds; a number of 12 digits or more is read as milliseconds;
//! * no webhook reports edits and cancellations. The next webhook about the session or its event, or `backfill`, brings
//!   them;
//! * an `on_demand` session has no date.
//!
//! Assumed:
//! * webhooks about sessions and events have the same bodies as the API (the documentation shows no complete webhook);
//! * `data.meta.webhook` holds the trigger and the workspace. It is used where present; nothing depends on it.

mod api;
mod map;
mod payload;
mod verify;

use std::sync::Arc;

use crate::event::{Change, FetchCondition, FetchRequest, ProviderId, WebinarId};
use crate::providers::lenient::{self, FieldReader};
use crate::providers::options::require_table;
use crate::providers::{
    Capabilities, Demo, FetchedAnswers, Inbound, ParsedPayload, PayloadContent, Platform,
    PlatformApi, Provider, Scrubbed, SignatureScheme, scrub,
};
use api::LivestormApi;

/// Keys of secrets and personal data; their values are masked. `included` holds other resources, which are never read.
const MASKED: &str = include_str!("masked_keys.txt");

/// The Livestorm platform, independent of any source.
pub static PLATFORM: Platform = Platform {
    id: ProviderId::new("livestorm"),
    unconfigured: || Some(Arc::new(Livestorm { api: None })),
    configure: |options| {
        let remedy = "Livestorm's webhooks leave out titles: set { token = { env = \"NAME\" } }";
        // A missing table is reported; the remaining keys are still checked.
        let api = require_table(options, "api", LivestormApi::from_options, remedy);
        Some(Arc::new(Livestorm { api }))
    },
    scrub: |body| scrub::mask(body, MASKED.lines()),
    demos: || vec![Demo::parse(include_str!("demo.json"))],
};

/// Livestorm as configured for one workspace.
struct Livestorm {
    api: Option<LivestormApi>,
}

impl Provider for Livestorm {
    fn platform(&self) -> &'static Platform {
        &PLATFORM
    }

    fn capabilities(&self) -> Capabilities {
        // The documentation does not show that webhooks name the workspace.
        Capabilities { names_account: false, ..Capabilities::FULL }
    }

    fn scheme(&self) -> &dyn SignatureScheme {
        &verify::LivestormScheme
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>, _secrets: &[&[u8]]) -> ParsedPayload {
        let webhook = match lenient::body_text(&request.body).and_then(payload::parse_webhook) {
            Ok(webhook) => webhook,
            Err(reason) => return ParsedPayload::unreadable(reason),
        };
        let name = webhook.trigger.as_deref().unwrap_or(&webhook.kind);
        let mut reader = FieldReader::default();
        match map_webhook(&webhook, &mut reader) {
            Ok(None) => ParsedPayload::new(name, PayloadContent::Ignored),
            Err(reason) => ParsedPayload::new(name, PayloadContent::Unmappable(reason)),
            Ok(Some((changes, webinar))) => {
                let content =
                    PayloadContent::Changes { changes, bad_fields: reader.into_bad_fields() };
                let account = webhook.account.clone();
                let mut parsed = ParsedPayload::new(name, content);
                parsed.fetch_requests.push(FetchRequest {
                    account,
                    webinar,
                    condition: FetchCondition::Always,
                });
                parsed
            }
        }
    }

    fn api(&self) -> Option<&dyn PlatformApi> {
        self.api.as_ref().map(|api| api as &dyn PlatformApi)
    }

    fn read_fetched(&self, fetched: &FetchedAnswers<'_>) -> ParsedPayload {
        ParsedPayload::fetched(map::map_fetched(fetched))
    }
}

/// Maps a webhook to its changes and to the webinar to fetch because of it.
fn map_webhook(
    webhook: &payload::LivestormWebhook<'_>,
    reader: &mut FieldReader,
) -> Result<Option<(Vec<Change>, WebinarId)>, String> {
    match &*webhook.kind {
        "sessions" => {
            let ended = webhook.trigger.as_deref() == Some("session.ended");
            let account = webhook.account.as_ref();
            let session = map::map_session(&webhook.resource, account, ended, reader)?;
            Ok(session.map(|(change, _)| {
                let session = change.webinar.clone();
                (vec![change], session)
            }))
        }
        "events" => {
            let id = payload::parse_id("data.id", webhook.resource.id)?;
            Ok(Some((Vec::new(), payload::event_subject_id(&id)?)))
        }
        // Registrants, attendees, jobs, and types that Livestorm adds later.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;

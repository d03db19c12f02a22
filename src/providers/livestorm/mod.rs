//! Livestorm: webhooks that its REST API manages, which are the ones it signs.
//!
//! An event of Livestorm's has dated sessions; each session is one event in HubSpot. A webhook shows a session or an event
//! as it is and leaves out half of what HubSpot needs, so each is an occasion to ask: of a session for that and its event,
//! of an event for that and all its sessions.
//!
//! Promises: only what the secret signed is read; a draft is not shown; nothing is called off that Livestorm does not say
//! is. E-mail addresses and personal links are masked before a body is read. Relies on the raw bytes of the request, and on
//! the API. Holds nothing, so a crash loses nothing.
//!
//! Known from Livestorm's published documentation, and where that is silent from public code, without a live account:
//! * the bodies of webhooks about sessions and events are taken for those of the API (the documentation shows no whole one);
//! * `data.meta.webhook` with the trigger's name and the workspace is used where it is, and nothing rests on it;
//! * the signed time is in seconds; one of 12 digits or more is taken for milliseconds;
//! * edits and cancellations are told by no webhook: the next one about the session or its event brings them, or `backfill`;
//! * a session that is `on_demand` has no date.

mod api;
mod map;
mod payload;
mod samples;
mod verify;

use std::sync::Arc;

use crate::event::{Change, FetchCondition, FetchRequest, Millis, ProviderId, WebinarId};
use crate::providers::lenient::{self, FieldReader};
use crate::providers::{
    Capabilities, Demo, DemoApi, FetchedAnswers, Inbound, Keys, Options, ParsedPayload,
    PayloadContent, Platform, PlatformApi, Provider, Sample, SignedRequest, UnsignedRequest,
    Unverified, Verified, VerifyError, require, scrub,
};

/// Keys whose values are secret or tell of a person. `included` has whole other resources, which are not read.
const MASKED: [&str; 9] = [
    "email",
    "avatar_link",
    "registrant_detail",
    "connection_link",
    "password",
    "registrant",
    "participant",
    "operator",
    "included",
];

/// Livestorm, before anything is configured.
pub struct LivestormPlatform;

impl Platform for LivestormPlatform {
    fn id(&self) -> ProviderId {
        ProviderId::new("livestorm")
    }

    fn unconfigured(&self) -> Option<Arc<dyn Provider>> {
        Some(Arc::new(Livestorm { api: None }))
    }

    fn from_options(&self, options: &mut dyn Options) -> Option<Arc<dyn Provider>> {
        let read = |options: &mut dyn Options, key| {
            let mut api = None;
            options.table(key, &mut |table| api = api::LivestormApi::from_options(table));
            api
        };
        let remedy = "Livestorm's webhooks leave out titles: set { token = { env = \"NAME\" } }";
        // Without it the configuration is wrong, but the rest can be judged as well.
        let api = require(options, "api", read, remedy);
        Some(Arc::new(Livestorm { api }))
    }

    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        scrub::mask(body, &MASKED)
    }

    fn demos(&self) -> Vec<Demo> {
        vec![Demo {
            source: "livestorm",
            settings: "secret = \"sandbox-secret-of-no-platform\"\n\
                       external_account_id = \"sandbox-workspace\"\n\
                       api = { token = \"sandbox-token-of-no-platform\", base_url = \"{api}\" }",
            signing_key: "sandbox-secret-of-no-platform",
            path_token: None,
            api: DemoApi::Header("authorization", "sandbox-token-of-no-platform"),
        }]
    }
}

/// Livestorm, for one workspace.
struct Livestorm {
    api: Option<api::LivestormApi>,
}

impl Provider for Livestorm {
    fn platform(&self) -> &'static dyn Platform {
        &LivestormPlatform
    }

    fn capabilities(&self) -> Capabilities {
        // That a webhook names the workspace is not documented.
        Capabilities { names_account: false, ..Capabilities::FULL }
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
        read(&LivestormPlatform.scrub(request.body))
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let headers = verify::sign(request.body, request.secret, request.now);
        Ok(SignedRequest::with_headers(request, headers))
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

/// Reads a webhook, of which nothing personal is left.
fn read(body: &[u8]) -> ParsedPayload {
    let said = match lenient::body_text(body).and_then(payload::parse_webhook) {
        Ok(said) => said,
        Err(why) => return ParsedPayload::new("", PayloadContent::Unmappable(why)),
    };
    let name = said.trigger.as_deref().unwrap_or(&said.kind);
    let mut lenient = FieldReader::default();
    match map_webhook(&said, &mut lenient) {
        Ok(None) => ParsedPayload::new(name, PayloadContent::Ignored),
        Err(why) => ParsedPayload::new(name, PayloadContent::Unmappable(why)),
        Ok(Some((changes, webinar))) => {
            let meaning =
                PayloadContent::Changes { changes, bad_fields: lenient.into_bad_fields() };
            let account = said.account.clone();
            let mut reading = ParsedPayload::new(name, meaning);
            reading.fetch_requests.push(FetchRequest {
                account,
                webinar,
                condition: FetchCondition::Always,
            });
            reading
        }
    }
}

/// What a webhook says, and what is to be asked about because of it.
fn map_webhook(
    said: &payload::LivestormWebhook<'_>,
    lenient: &mut FieldReader,
) -> Result<Option<(Vec<Change>, WebinarId)>, String> {
    match &*said.kind {
        "sessions" => {
            let ended = said.trigger.as_deref() == Some("session.ended");
            let change =
                map::map_session_webhook(&said.resource, said.account.as_ref(), ended, lenient)?;
            Ok(change.map(|change| {
                let session = change.webinar.clone();
                (vec![change], session)
            }))
        }
        "events" => {
            let id = payload::parse_id("data.id", said.resource.id)?;
            Ok(Some((Vec::new(), payload::event_subject_id(&id)?)))
        }
        // Registrants and attendees, jobs, and whatever Livestorm adds.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;

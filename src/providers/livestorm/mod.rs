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

use crate::event::{Change, Millis, ProviderId, Wanted, WantedWhen, WebinarId};
use crate::providers::lenient::{self, Lenient};
use crate::providers::{
    Demo, DemoApi, Fetched, Inbound, Keys, Meaning, Options, Platform, PlatformApi, Provider,
    Reading, Refusal, Sample, Signed, Traits, Unsigned, Unverified, Verified, required, scrub,
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

    fn bare(&self) -> Option<Arc<dyn Provider>> {
        Some(Arc::new(Livestorm { api: None }))
    }

    fn configured(&self, options: &mut dyn Options) -> Option<Arc<dyn Provider>> {
        let read = |options: &mut dyn Options, key| {
            let mut api = None;
            options.table(key, &mut |table| api = api::Api::configured(table));
            api
        };
        let remedy = "Livestorm's webhooks leave out titles: set { token = { env = \"NAME\" } }";
        // Without it the configuration is wrong, but the rest can be judged as well.
        let api = required(options, "api", read, remedy);
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
            signs_with: "sandbox-secret-of-no-platform",
            path_token: None,
            api: DemoApi::Header("authorization", "sandbox-token-of-no-platform"),
        }]
    }
}

/// Livestorm, for one workspace.
struct Livestorm {
    api: Option<api::Api>,
}

impl Provider for Livestorm {
    fn platform(&self) -> &'static dyn Platform {
        &LivestormPlatform
    }

    fn traits(&self) -> Traits {
        // That a webhook names the workspace is not documented.
        Traits { names_account: false, ..Traits::FULL }
    }

    fn verify<'a>(
        &self,
        request: Inbound<'a, Unverified>,
        keys: Keys<'_>,
        now: Millis,
    ) -> Result<Inbound<'a, Verified>, Refusal> {
        verify::verify(request, keys, now)
    }

    fn read(&self, request: &Inbound<'_, Verified>, _secrets: &[&[u8]]) -> Reading {
        read(&LivestormPlatform.scrub(request.body))
    }

    fn sign(&self, request: Unsigned<'_>) -> Result<Signed, String> {
        let headers = verify::sign(request.body, request.secret, request.now);
        Ok(Signed::with_headers(request, headers))
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

/// Reads a webhook, of which nothing personal is left.
fn read(body: &[u8]) -> Reading {
    let said = match lenient::document(body).and_then(payload::said) {
        Ok(said) => said,
        Err(why) => return Reading::new("", Meaning::Unmappable(why)),
    };
    let name = said.trigger.as_deref().unwrap_or(&said.kind);
    let mut lenient = Lenient::default();
    match occasion(&said, &mut lenient) {
        Ok(None) => Reading::new(name, Meaning::Ignored),
        Err(why) => Reading::new(name, Meaning::Unmappable(why)),
        Ok(Some((changes, webinar))) => {
            let meaning = Meaning::Changes { changes, bad_fields: lenient.into_bad() };
            let account = said.account.clone();
            let mut reading = Reading::new(name, meaning);
            reading.wanted.push(Wanted { account, webinar, when: WantedWhen::Always });
            reading
        }
    }
}

/// What a webhook says, and what is to be asked about because of it.
fn occasion(
    said: &payload::Said<'_>,
    lenient: &mut Lenient,
) -> Result<Option<(Vec<Change>, WebinarId)>, String> {
    match &*said.kind {
        "sessions" => {
            let ended = said.trigger.as_deref() == Some("session.ended");
            let change = map::session(&said.resource, said.account.as_ref(), ended, lenient)?;
            Ok(change.map(|change| {
                let session = change.webinar.clone();
                (vec![change], session)
            }))
        }
        "events" => {
            let id = payload::id("data.id", said.resource.id)?;
            Ok(Some((Vec::new(), payload::event(&id)?)))
        }
        // Registrants and attendees, jobs, and whatever Livestorm adds.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;

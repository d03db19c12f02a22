//! One fixed story: a bridge with several sources, and webhooks that lead to every state. Bodies are the same in every
//! run; only the clock's times and the ids differ.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};
use webinar_bridge::clock::SystemClock;
use webinar_bridge::providers::DemoApi;
use webinar_bridge::sandbox::emulator::EmulatorFault;
use webinar_bridge::sandbox::platform_server::PlatformServer;

use super::Snapshot;
use super::exchange::{Answer, Request, exchange};
use super::redact::Redactor;
use crate::harness::eventually;
use crate::harness::http::scrape;
use crate::harness::process::{Bridge, SECRET, Setting};
use crate::harness::zoom::{self, seconds};

/// When something is reported to have happened, in milliseconds: long ago.
pub(super) const THEN: i64 = 1_700_000_000_000;
/// Largest body that the bridge takes.
const MAX_BODY: (&str, &str) = ("BRIDGE__LISTEN__MAX_BODY", "4KiB");
/// Characters of a request line that a heading shows.
const LONGEST: usize = 100;
/// Keeps what is stored in spite of the age of a store that lies in the repository.
pub(super) const KEEP: [(&str, &str); 2] =
    [("BRIDGE__STORE__KEEP_RECEIPTS", "36500d"), ("BRIDGE__STORE__KEEP_EVENTS", "36500d")];

pub(super) struct Scenario {
    pub(super) bridge: Bridge,
    pub(super) setting: Setting,
    pub(super) platform: PlatformServer,
    pub(super) redactor: Redactor,
}

impl Scenario {
    /// Starts a bridge with an empty store.
    pub(super) fn new() -> Self {
        let platform = platform();
        let api = platform.base_url();
        Self::start(platform, &api, &[])
    }

    /// The same with an API of the platform's at that address.
    pub(super) fn with_api(api: &str) -> Self {
        Self::start(platform(), api, &[])
    }

    /// The same with these environment variables.
    pub(super) fn with_variables(variables: &[(&str, &str)]) -> Self {
        let platform = platform();
        let api = platform.base_url();
        Self::start(platform, &api, variables)
    }

    fn start(platform: PlatformServer, api: &str, variables: &[(&str, &str)]) -> Self {
        let setting = setting(api);
        setting.hubspot.emulator().inject_standing(EmulatorFault::RejectNames("Bad".into()));
        let bridge = setting.start_with(&[&[MAX_BODY, KEEP[0], KEEP[1]], variables].concat());
        let redactor = Redactor::new(vec![
            (bridge.ops.clone(), "[ops]"),
            (bridge.webhooks.clone(), "[webhooks]"),
            (platform.base_url(), "[platform]"),
            (setting.hubspot.base_url(), "[hubspot]"),
            (setting.folder.path().display().to_string(), "[folder]"),
        ]);
        Self { bridge, setting, platform, redactor }
    }

    /// Sends a webhook signed as Zoom does; the word of its answer.
    pub(super) async fn send(&self, source: &str, body: &Value) -> String {
        let body = body.to_string().into_bytes();
        let headers = zoom::signature(SECRET, &body, seconds());
        let line = format!("POST /webhooks/{source}");
        let request = Request { line: &line, headers: &headers, body: &body };
        let answer = exchange(&self.bridge.webhooks, &request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["status"].as_str().expect("a word").to_owned()
    }

    /// Sends a webhook that is accepted, and waits until nothing waits to be sent to `main`.
    pub(super) async fn deliver(&self, source: &str, body: &Value) {
        assert_eq!(self.send(source, body).await, "accepted", "{body}");
        self.settled().await;
    }

    /// Waits until nothing waits to be sent to `main`.
    pub(super) async fn settled(&self) {
        settled(&self.bridge).await;
    }

    /// The whole story.
    pub(super) async fn send_webhooks(&self) {
        self.tell_webhooks().await;
        self.tell_fetches().await;
    }

    /// The webhooks that lead to every state.
    pub(super) async fn tell_webhooks(&self) {
        self.deliver("zoom", &created(1, "Calm releases")).await;
        self.deliver("zoom", &updated(1, json!({ "topic": "Calmer releases" }), THEN + 10_000))
            .await;
        assert_eq!(self.send("zoom", &created(1, "Calm releases")).await, "duplicate");
        self.deliver("zoom", &created(2, "Bad luck")).await;
        self.deliver("zoom", &updated(3, json!({ "topic": "Half known" }), THEN)).await;
        self.deliver("zoom", &created(4, "Internal rehearsal")).await;
        self.deliver("zoom", &series(5, "Course")).await;
        self.deliver("zoom", &created(6, "Called off")).await;
        self.deliver("zoom", &event("webinar.deleted", THEN + 10_000, webinar(6, "Called off")))
            .await;
        assert_eq!(self.send("zoom", &ignored()).await, "ignored");
        assert_eq!(self.send("zoom", &quarantined()).await, "quarantined");
        self.deliver("zoom-shadow", &of_account(created(7, "Held back"), "acct-shadow")).await;
    }

    /// The platform is asked about two webinars.
    async fn tell_fetches(&self) {
        // It answers for 8 and fails for 9.
        let known = webinar(8, "Told by the platform");
        self.platform.answer("/v2/webinars/8?show_previous_occurrences=true", known);
        self.platform.fail("/v2/webinars/9?show_previous_occurrences=true", 402);
        let eighth = of_account(updated(8, json!({ "topic": "Eighth" }), THEN), "acct-api");
        self.deliver("zoom-api", &eighth).await;
        eventually("the platform answered for the first", async || {
            let line = "GET /api/v1/events/shadow/acct-api/8";
            self.get(line).await.json()["state"] == "pending"
        })
        .await;
        let ninth = of_account(updated(9, json!({ "topic": "Ninth" }), THEN), "acct-api");
        self.deliver("zoom-api", &ninth).await;
        eventually("the platform failed for the second", async || {
            let status = self.get("GET /api/v1/status").await.json();
            let sources = status["sources"].as_array().expect("a list").clone();
            let source = sources.iter().find(|source| source["source"] == "zoom-api");
            let fetch = &source.expect("it is configured")["fetch"];
            fetch["pending"] == 1 && fetch["last_error"].is_string()
        })
        .await;
    }

    /// Asks the private listener.
    pub(super) async fn get(&self, line: &str) -> Answer {
        exchange(&self.bridge.ops, &Request { line, headers: &[], body: b"" }).await
    }

    /// The same, recorded.
    pub(super) async fn ask(&mut self, snapshot: &mut Snapshot, line: &str) -> Answer {
        self.ask_with(snapshot, line, &[], b"").await
    }

    pub(super) async fn ask_with(
        &mut self,
        snapshot: &mut Snapshot,
        line: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let owned = owned(headers);
        let request = Request { line, headers: &owned, body };
        let answer = exchange(&self.bridge.ops, &request).await;
        let shown: String = line.chars().take(LONGEST).collect();
        let mut heading = shown.clone();
        if shown != line {
            write!(heading, "... [{} characters]", line.len()).expect("text can be written");
        }
        for (name, value) in headers {
            write!(heading, " [{name}: {value}]").expect("text can be written");
        }
        snapshot.add_redacted(&heading, &answer.shown(), &mut self.redactor);
        answer
    }
}

/// Headers as requests take them.
pub(super) fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An emulated API of Zoom that knows nothing yet.
pub(super) fn platform() -> PlatformServer {
    let api = DemoApi::Client("client-1", "hush-1");
    PlatformServer::open(api, Arc::new(SystemClock)).expect("it listens")
}

/// A folder, a configuration and a HubSpot for the story.
pub(super) fn setting(api: &str) -> Setting {
    Setting::new(&format!(
        "hubspot = 'main'\nonly = '!event.name.startsWith(\"Internal\")'\n\
         custom_properties = {{ webinar_platform = 'zoom', length = {{ cel = 'string(size(event.name))' }} }}\n\
         platform_accounts = ['{account}']\n\
         [hubspot.shadow]\naccess_token = {{ env = 'TEST_TOKEN' }}\nbase_url = '{{hubspot}}'\ndeliver = false\n\
         [source.zoom-shadow]\nprovider = 'zoom'\nsecret = {{ env = 'TEST_SECRET' }}\nhubspot = 'shadow'\n\
         organizer = 'Acme GmbH'\n\
         [source.zoom-api]\nprovider = 'zoom'\nsecret = {{ env = 'TEST_SECRET' }}\nhubspot = 'shadow'\n\
         organizer = 'Acme GmbH'\n\
         api = {{ account_id = 'acct-api', client_id = 'client-1', client_secret = 'hush-1', \
         base_url = '{api}', token_url = '{api}/oauth/token' }}\n\
         [source.hidden]\nprovider = 'custom'\nhubspot = 'shadow'\norganizer = 'Acme GmbH'\n\
         path_token = 'a-path-token-of-the-tests'\nverify = {{ scheme = 'path_token' }}\n\
         external_account_id = 'acct-hidden'\n\
         map = {{ event_id = 'payload.id', name = 'payload.title', start = 'payload.start', \
         full_picture = 'true', created_at = 'received_at' }}\n",
        account = zoom::ACCOUNT,
    ))
}

/// Waits until nothing waits to be read at HubSpot, nor to be sent to `main`.
pub(super) async fn settled(bridge: &Bridge) {
    eventually("all that is pending for main is delivered", async || {
        if bridge.waits_for_hubspots_events().await {
            return false;
        }
        let scrape = scrape(&bridge.ops).await;
        scrape.events("main", "pending") + scrape.events("main", "in_flight") == 0
    })
    .await;
}

/// A webhook of Zoom's.
pub(super) fn event(name: &str, at: i64, object: Value) -> Value {
    zoom::webhook(name, at, object)
}

pub(super) fn created(id: u64, topic: &str) -> Value {
    event("webinar.created", THEN, webinar(id, topic))
}

/// A webinar created under the bridge's eyes.
pub(super) fn created_now(id: u64, topic: &str) -> Value {
    event("webinar.created", zoom::at(0), webinar(id, topic))
}

pub(super) fn updated(id: u64, more: Value, at: i64) -> Value {
    event("webinar.updated", at, zoom::with(json!({ "id": id }), more))
}

/// Of another account at Zoom.
pub(super) fn of_account(body: Value, account: &str) -> Value {
    zoom::payload(body, json!({ "account_id": account }))
}

/// About people, so of no interest.
pub(super) fn ignored() -> Value {
    event("webinar.participant_joined", THEN, json!({ "id": 1 }))
}

/// About a webinar without an id.
pub(super) fn quarantined() -> Value {
    event("webinar.created", THEN, json!({ "topic": "No id" }))
}

/// An hour in 2040.
fn webinar(id: u64, topic: &str) -> Value {
    json!({
        "uuid": format!("uuid-{id}=="), "id": id, "host_id": "host-1", "topic": topic, "type": 5,
        "start_time": "2040-10-01T15:00:00Z", "duration": 60, "timezone": "UTC",
        "join_url": format!("https://example.zoom.us/j/{id}?pwd=secret-pwd-of-{id}"),
    })
}

/// Two half hours in 2040.
fn series(id: u64, topic: &str) -> Value {
    let occurrence = |number: u32| {
        json!({
            "occurrence_id": format!("o{number}"), "duration": 30, "status": "available",
            "start_time": format!("2040-10-0{number}T15:00:00Z"),
        })
    };
    let more = json!({
        "type": 9, "duration": 30, "occurrences": [occurrence(1), occurrence(2)],
        "recurrence": { "type": 1, "repeat_interval": 1, "end_times": 2 },
    });
    event("webinar.created", THEN, zoom::with(webinar(id, topic), more))
}

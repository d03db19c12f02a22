//! Destinations: both versions of HubSpot's API, several accounts and sources, and OAuth.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use webinar_bridge::clock::SystemClock;
use webinar_bridge::sandbox::emulator::{
    EmulatorCall, EmulatorOperation, EmulatorSettings, OAuthApp,
};
use webinar_bridge::sandbox::hubspot_server::HubSpotServer;

use super::{FAST, generous};
use crate::harness::http::{request, scrape};
use crate::harness::process::{Bridge, Setting, TOKEN};
use crate::harness::zoom::{ACCOUNT, Zoom, at, created, renamed};
use crate::harness::{eventually, eventually_within};

const PREFIXES: [&str; 2] =
    ["/marketing/v3/marketing-events", "/marketing/marketing-events/2026-03"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_delivered_to_both_api_versions() {
    for prefix in PREFIXES {
        let line = format!("path_prefix = \"{prefix}\"");
        let setting = Setting::with(EmulatorSettings::new(TOKEN), &line, "");
        let bridge = setting.start();
        Zoom::to(&bridge).story([created(1, "Calm releases", at(0))]).await;
        bridge.settled().await;
        assert_eq!(setting.event("1").input.event_name, "Calm releases", "{prefix}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_calls_the_configured_path() {
    for prefix in PREFIXES {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the server listens");
        let address = listener.local_addr().expect("an address");
        let more = format!(
            "hubspot = \"heard\"\n[hubspot.heard]\naccess_token = \"pat-heard\"\n\
             base_url = \"http://{address}\"\npath_prefix = \"{prefix}\"\nmax_linger = \"10ms\""
        );
        let setting = Setting::new(&more);
        let bridge = setting.start();
        Zoom::to(&bridge).story([created(1, "Calm releases", at(0))]).await;
        // The first request identifies the account, which this server cannot do.
        let (mut asking, _) = listener.accept().await.expect("a call arrives");
        let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let mut piece = [0; 1024];
        assert!(asking.read(&mut piece).await.expect("the caller sends bytes") > 0);
        asking.write_all(answer).await.expect("the server listens");
        drop(asking);
        let (mut caller, _) = listener.accept().await.expect("a call arrives");
        let mut piece = [0; 16];
        let mut heard = Vec::new();
        while !heard.contains(&b'\n') {
            let read = caller.read(&mut piece).await.expect("the caller sends bytes");
            assert!(read > 0, "the caller sends a line");
            heard.extend_from_slice(&piece[..read]);
        }
        let heard = String::from_utf8_lossy(&heard);
        let expected = format!("POST {prefix}/events/upsert HTTP/1.1\r");
        assert_eq!(heard.lines().next().map(str::trim_end), Some(expected.trim_end()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_sources_and_accounts_stay_apart() {
    let other = HubSpotServer::open(EmulatorSettings::new("pat-other"), Arc::new(SystemClock))
        .expect("the server listens");
    let more = format!(
        "hubspot = \"main\"\n\
         [source.second]\nprovider = \"zoom\"\nsecret = {{ env = \"TEST_SECRET\" }}\nhubspot = \"main\"\n\
         organizer = \"Second GmbH\"\nexternal_account_id = \"second\"\n\
         [source.third]\nprovider = \"zoom\"\nsecret = {{ env = \"TEST_SECRET\" }}\nhubspot = \"other\"\n\
         organizer = \"Third GmbH\"\nevent_type = \"WORKSHOP\"\n\
         custom_properties = {{ webinar_platform = \"zoom\" }}\n\
         [hubspot.other]\naccess_token = \"pat-other\"\nbase_url = \"{}\"\nmax_linger = \"50ms\"\n",
        other.base_url()
    );
    let setting = Setting::new(&more);
    let bridge = setting.start();
    Zoom::to(&bridge).story([created(1, "First", at(0))]).await;
    Zoom::to_source(&bridge, "second").story([created(1, "Second", at(0))]).await;
    Zoom::to_source(&bridge, "third").story([created(1, "Third", at(0))]).await;
    bridge.settled().await;
    let scrape = scrape(&bridge.ops).await;
    assert_eq!(scrape.events("main", "delivered"), 2);
    assert_eq!(scrape.events("other", "delivered"), 1);
    assert_eq!(setting.event("1").input.event_organizer, "Acme GmbH");
    assert_eq!(setting.held_of("second")["1"].input.event_organizer, "Second GmbH");
    assert_eq!(setting.hubspot.emulator().events().len(), 2);
    let emulator = other.emulator();
    assert_eq!(emulator.events().len(), 1);
    let third = &emulator.events()[&(ACCOUNT.to_owned(), "1".to_owned())];
    assert_eq!(
        (third.input.event_name.as_str(), third.input.event_organizer.as_str()),
        ("Third", "Third GmbH")
    );
    assert_eq!(third.input.event_type.as_deref(), Some("WORKSHOP"));
    let platform = &third.input.custom_properties[0];
    assert_eq!((platform.name.as_str(), platform.value.as_str()), ("webinar_platform", "zoom"));
    assert!(emulator.violations().is_empty(), "{:?}", emulator.violations());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expiring_oauth_tokens_are_renewed_and_every_event_is_delivered() {
    let app = OAuthApp {
        client_id: "app".into(),
        client_secret: "app-secret".into(),
        refresh_token: "refresh-first".into(),
        token_lifetime: Duration::from_secs(2),
        rotate: true,
    };
    let more = "hubspot = \"app\"\n[hubspot.app]\nbase_url = \"{hubspot}\"\nmax_linger = \"50ms\"\n\
                rate_limit = { requests = 10000, window = \"10s\" }\n\
                oauth = { client_id = \"app\", client_secret = \"app-secret\", \
                refresh_token = \"refresh-first\", token_url = \"{hubspot}/oauth/2026-03/token\" }";
    let setting = Setting::with(EmulatorSettings { oauth: Some(app), ..generous() }, FAST, more);
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    zoom.story([created(1, "Version 0", at(0))]).await;
    let tokens = || {
        let emulator = setting.hubspot.emulator();
        emulator
            .calls()
            .iter()
            .filter(|call| call.operation == Some(EmulatorOperation::Token))
            .count()
    };
    let versions = std::sync::atomic::AtomicI64::new(0);
    eventually("the token was renewed three times", async || {
        let version = versions.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        zoom.story([renamed(1, &format!("Version {version}"), at(version))]).await;
        bridge.settled().await;
        assert_eq!(setting.event("1").input.event_name, format!("Version {version}"));
        tokens() >= 4
    })
    .await;
    let emulator = setting.hubspot.emulator();
    let refused = emulator.calls().iter().filter(|call| call.status != 200).count();
    assert_eq!(refused, 0, "tokens are renewed before they end");
}

/// B9: after a restart with the same credentials nothing waits for HubSpot to say whose account it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unanswered_question_for_the_account_delays_nothing_with_the_same_credentials() {
    let setting = Setting::with(generous(), FAST, "");
    let bridge = setting.start();
    Zoom::to(&bridge).story([created(1, "One", at(0))]).await;
    bridge.settled().await;
    bridge.kill();

    setting.hubspot.emulator().set_details_status(Some(500));
    let bridge = setting.start();
    Zoom::to(&bridge).story([created(2, "Two", at(0))]).await;
    bridge.settled_within(Duration::from_secs(5)).await;
    assert_eq!(setting.event("2").input.event_name, "Two");
    let account = async |bridge: &Bridge| {
        let status = request(&bridge.ops, "GET /api/v1/status", &[], &[]).await.expect("an answer");
        status.json()["accounts"][0].clone()
    };
    eventually("the status shows the failure", async || {
        account(&bridge).await["check_failed"].as_str().is_some_and(|text| text.contains("500"))
    })
    .await;
    let shown = account(&bridge).await;
    assert_eq!((&shown["paused"], &shown["failures"]), (&Value::Null, &Value::from(0)));
    assert!(bridge.logged().contains("the credentials are those of the last check"));
    bridge.kill();
    let store = std::fs::read(setting.store()).expect("a store");
    let holds = |text: &str| store.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!holds(TOKEN), "the token is not stored");

    setting.hubspot.emulator().set_details_status(None);
    let bridge = setting.start();
    Zoom::to(&bridge).story([created(3, "Three", at(0))]).await;
    bridge.settled().await;
    let is_well = async || account(&bridge).await["check_failed"].is_null();
    eventually_within(Duration::from_secs(90), "the failure is over", is_well).await;
}

/// B9: another token, or another address, may be another account's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_with_other_credentials_before_their_account_is_known() {
    let setting = Setting::with(generous(), FAST, "");
    let other =
        HubSpotServer::open(EmulatorSettings { portal_id: 7, ..generous() }, Arc::new(SystemClock))
            .expect("the server listens");
    let bridge = setting.start();
    Zoom::to(&bridge).story([created(1, "One", at(0))]).await;
    bridge.settled().await;
    bridge.kill();

    setting.hubspot.emulator().set_details_status(Some(500));
    other.emulator().set_details_status(Some(500));
    let upserts = |server: &HubSpotServer| {
        let emulator = server.emulator();
        let sent = emulator.calls().iter().filter(|call| call.inputs > 0).count();
        let asked = |call: &&EmulatorCall| call.operation == Some(EmulatorOperation::Details);
        (sent, emulator.calls().iter().filter(asked).count())
    };
    let url = other.base_url();
    let cases = [
        (("TEST_TOKEN", "pat-another"), &setting.hubspot, 2),
        (("BRIDGE__HUBSPOT__MAIN__BASE_URL", url.as_str()), &other, 3),
    ];
    for (variable, server, id) in cases {
        let (sent, asked) = upserts(server);
        let bridge = setting.start_with(&[variable]);
        Zoom::to(&bridge).story([created(id, "Later", at(0))]).await;
        eventually("it was asked three times", async || upserts(server).1 >= asked + 3).await;
        assert_eq!(upserts(server).0, sent, "{}", variable.0);
        let status = request(&bridge.ops, "GET /api/v1/status", &[], &[]).await.expect("an answer");
        let account = &status.json()["accounts"][0];
        assert!(account["failures"].as_u64() > Some(0), "it is shown: {account}");
        bridge.kill();
    }
    other.close();
    setting.hubspot.emulator().set_details_status(None);
    let bridge = setting.start();
    bridge.settled().await;
    assert_eq!(setting.held().len(), 3);
}

//! Adaptation of delivery to changed credentials, another portal, the rate limit and a slow account.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use webinar_bridge::clock::{Clock, SystemClock};
use webinar_bridge::event::{EndTime, Millis, WebinarFields};
use webinar_bridge::ledger::sqlite::{Rekey, Settings, SqliteLedger, Threading};
use webinar_bridge::ledger::{CommitObserver, Heirs, Intake as _};
use webinar_bridge::sandbox::emulator::{EmulatorFault, EmulatorOperation, EmulatorSettings, HANG};
use webinar_bridge::sandbox::hubspot_server::HubSpotServer;

use super::{FAST, generous};
use crate::harness::http::{request, scrape};
use crate::harness::process::{Bridge, Setting, TOKEN};
use crate::harness::zoom::{Zoom, at, created};
use crate::harness::{build, eventually, tell};

/// Waits until the account is paused for this reason.
async fn wait_for_pause(bridge: &Bridge, labels: &[(&str, &str)]) {
    eventually("the account is paused", async || {
        scrape(&bridge.ops).await.count("bridge_account_paused", labels) == 1
    })
    .await;
}

/// HubSpot answers 401 for a static token. The account is paused, and resumed once the file holds the right token. A
/// paused account is probed every minute, twice as long as this test waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_changed_on_disk_resumes_the_account_at_once() {
    let more = "hubspot = \"filed\"\n[hubspot.filed]\nbase_url = \"{hubspot}\"\nmax_linger = \"50ms\"\n\
                access_token = { file = \"{folder}/token\" }";
    let setting = Setting::new(more);
    let file = setting.folder.path().join("token");
    std::fs::write(&file, "pat-revoked").expect("a file can be written");
    let bridge = setting.start();
    let zoom = Zoom::to(&bridge);
    for id in 1..=3 {
        zoom.story([created(id, "Patient", at(0))]).await;
    }
    let labels = [("hubspot", "filed"), ("reason", "unauthorized")];
    wait_for_pause(&bridge, &labels).await;
    // The bridge still accepts webhooks, and is ready.
    zoom.story([created(4, "Patient", at(0))]).await;
    let ready = request(&bridge.ops, "GET /readyz", &[], &[]).await;
    assert_eq!(ready.expect("the request is answered").status, 200);
    let fresh = setting.folder.path().join("token.new");
    std::fs::write(&fresh, TOKEN).expect("a file can be written");
    std::fs::rename(&fresh, &file).expect("the file can be replaced");
    bridge.settled().await;
    assert_eq!(setting.held().len(), 4);
    let seen = scrape(&bridge.ops).await;
    assert_eq!(seen.count("bridge_account_paused", &labels), 0);
    assert_eq!((seen.events("filed", "delivered"), seen.events("filed", "dead")), (4, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_another_portal_pause_the_account_until_corrected() {
    let setting = Setting::with(generous(), FAST, "");
    let other_portal = EmulatorSettings { portal_id: 7, ..generous() };
    let other_portal =
        HubSpotServer::open(other_portal, Arc::new(SystemClock)).expect("the server listens");
    let bridge = setting.start();
    Zoom::to(&bridge).story([created(1, "One", at(0))]).await;
    bridge.settled().await;
    bridge.kill();

    let elsewhere_url = other_portal.base_url();
    let bridge = setting.start_with(&[("BRIDGE__HUBSPOT__MAIN__BASE_URL", &elsewhere_url)]);
    Zoom::to(&bridge).story([created(2, "Two", at(0))]).await;
    wait_for_pause(&bridge, &[("hubspot", "main"), ("reason", "misconfigured")]).await;
    assert_eq!(scrape(&bridge.ops).await.events("main", "pending"), 1);
    let operations = |operation| {
        let emulator = other_portal.emulator();
        emulator.calls().iter().filter(|call| call.operation == Some(operation)).count()
    };
    assert_eq!(
        (operations(EmulatorOperation::Details), operations(EmulatorOperation::Upsert)),
        (1, 0)
    );
    assert!(bridge.logged().contains("portal 7 by an access token"), "the found portal is logged");
    bridge.kill();

    let bridge = setting.start();
    bridge.settled().await;
    assert_eq!(setting.held().len(), 2);
    other_portal.close();
}

struct NoObserver;

impl CommitObserver for NoObserver {
    fn committed(&self, _jobs: usize, _took: Duration) {}
}

/// Stores this many webinars before the bridge starts.
async fn seed(setting: &Setting, webinars: usize) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ledger = SqliteLedger::open(Settings {
        path: setting.folder.path().join("data/bridge.db"),
        accounts: vec![build::account("main")],
        policies: BTreeMap::from([(build::source("zoom"), build::policy("main"))]),
        heirs: Heirs::default(),
        migrate: true,
        rekey: Rekey::Refuse,
        clock: Arc::clone(&clock),
        observer: Arc::new(NoObserver),
        threading: Threading::Dedicated,
    })
    .expect("the store opens");
    let now = clock.now();
    let start = Millis::new(now.get() + 86_400_000);
    for receipt in 0..webinars / 100 {
        let changes = (0..100).map(|number| {
            let id = (receipt * 100 + number + 1).to_string();
            let mut change = build::created(&id, &format!("Webinar {id}"), now);
            change.whole = WebinarFields {
                start: Some(start),
                end: EndTime::after_minutes(60),
                ..change.whole
            };
            change
        });
        let mut receipt = build::receipt(&format!("seed {receipt}"), changes.collect());
        receipt.received_at = now;
        ledger.accept(receipt).await.expect("the receipt is stored");
    }
}

/// Delivery uses the rate limit and never exceeds it. Tests on virtual time measure how long that takes; this test only
/// shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backlog_is_delivered_in_full_batches_without_429() {
    let rate = (20, Duration::from_secs(2));
    let limited = EmulatorSettings { rate, ..EmulatorSettings::new(TOKEN) };
    let account = "rate_limit = { requests = 20, window = \"2s\" }";
    let setting = Setting::with(limited, account, "");
    seed(&setting, 6_000).await;
    let began = tokio::time::Instant::now();
    let bridge = setting.start();
    bridge.settled().await;
    let took = began.elapsed();
    assert_eq!(scrape(&bridge.ops).await.events("main", "delivered"), 6_000);
    let emulator = setting.hubspot.emulator();
    let calls = emulator.calls();
    let (first, last) = (calls[0].at, calls[calls.len() - 1].at);
    tell(&format!(
        "6,000 pending at 20 calls in 2 s, with the real program: {} calls in {:?}, {took:?} with its start; the \
         window's own time for them is 6 s",
        calls.len(),
        last.since(first),
    ));
    assert_eq!(
        calls.len(),
        61,
        "one call identifies the account, and sixty carry a hundred events each"
    );
    assert!(calls.iter().all(|call| call.status == 200), "no 429");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_account_does_not_delay_another() {
    let slow = HubSpotServer::open(generous(), Arc::new(SystemClock)).expect("the server listens");
    let hang = EmulatorFault::Transport { fault: HANG, stored: false };
    slow.emulator().inject_standing(hang);
    // A hanging call times out after longer than this test waits for anything.
    let more = format!(
        "hubspot = \"main\"\n\
         [source.slow]\nprovider = \"zoom\"\nsecret = {{ env = \"TEST_SECRET\" }}\nhubspot = \"slow\"\n\
         organizer = \"Acme GmbH\"\n\
         [hubspot.slow]\naccess_token = \"{TOKEN}\"\nbase_url = \"{}\"\nmax_linger = \"10ms\"\n\
         max_batch = 1\nmax_in_flight = 4\nrequest_timeout = \"2m\"\n",
        slow.base_url()
    );
    let setting = Setting::with(generous(), FAST, &more);
    let bridge = setting.start();
    let (quick, stuck) = (Zoom::to(&bridge), Zoom::to_source(&bridge, "slow"));
    for id in 1..=20 {
        stuck.story([created(id, "Stuck", at(0))]).await;
    }
    eventually("every allowed call hangs", async || {
        scrape(&bridge.ops).await.events("slow", "in_flight") == 4
    })
    .await;
    for id in 1..=50 {
        quick.story([created(id, "Quick", at(0))]).await;
    }
    eventually("the other account delivered everything", async || {
        scrape(&bridge.ops).await.events("main", "delivered") == 50
    })
    .await;
    let seen = scrape(&bridge.ops).await;
    assert_eq!((seen.events("slow", "in_flight"), seen.events("slow", "pending")), (4, 16));
    slow.close();
}

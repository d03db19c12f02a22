//! Delivery adapts: to credentials that change, to an account that is another, to the window, to a slow neighbour.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use webinar_bridge::clock::{Clock, SystemClock};
use webinar_bridge::event::{EndTime, Millis, WebinarFields};
use webinar_bridge::ledger::sqlite::{Rekey, Settings, SqliteLedger, Threading};
use webinar_bridge::ledger::{CommitObserver, Intake as _};
use webinar_bridge::sandbox::emulator::{
    EmulatorFault, EmulatorOperation, EmulatorSettings, TransportFault,
};
use webinar_bridge::sandbox::hubspot_server::HubSpotServer;

use super::{FAST, generous};
use crate::harness::http::{request, scrape};
use crate::harness::process::{Bridge, Setting, TOKEN};
use crate::harness::zoom::{Zoom, at, created};
use crate::harness::{build, eventually, tell};

/// Waits until the account is paused for that reason.
async fn paused(bridge: &Bridge, labels: &[(&str, &str)]) {
    eventually("the account is paused", async || {
        scrape(&bridge.ops).await.count("bridge_account_paused", labels) == 1
    })
    .await;
}

/// 401 for a static token: paused, visible, and resumed once the file holds the right one. A pause is probed every
/// minute, which is twice as long as is waited here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_changes_on_disk_is_tried_at_once() {
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
    paused(&bridge, &labels).await;
    // It goes on accepting, and says that it is well.
    zoom.story([created(4, "Patient", at(0))]).await;
    let ready = request(&bridge.ops, "GET /readyz", &[], &[]).await;
    assert_eq!(ready.expect("it is answered").status, 200);
    let fresh = setting.folder.path().join("token.new");
    std::fs::write(&fresh, TOKEN).expect("a file can be written");
    std::fs::rename(&fresh, &file).expect("it can be replaced");
    bridge.settled().await;
    assert_eq!(setting.held().len(), 4);
    let seen = scrape(&bridge.ops).await;
    assert_eq!(seen.count("bridge_account_paused", &labels), 0);
    assert_eq!((seen.events("filed", "delivered"), seen.events("filed", "dead")), (4, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_portal_is_sent_nothing_and_the_old_one_goes_on() {
    let setting = Setting::with(generous(), FAST, "");
    let elsewhere = EmulatorSettings { portal_id: 7, ..generous() };
    let elsewhere = HubSpotServer::open(elsewhere, Arc::new(SystemClock)).expect("it listens");
    let bridge = setting.start();
    Zoom::to(&bridge).story([created(1, "One", at(0))]).await;
    bridge.settled().await;
    bridge.kill();

    let elsewhere_url = elsewhere.base_url();
    let bridge = setting.start_with(&[("BRIDGE__HUBSPOT__MAIN__BASE_URL", &elsewhere_url)]);
    Zoom::to(&bridge).story([created(2, "Two", at(0))]).await;
    paused(&bridge, &[("hubspot", "main"), ("reason", "misconfigured")]).await;
    assert_eq!(scrape(&bridge.ops).await.events("main", "pending"), 1);
    let operations = |operation| {
        let emulator = elsewhere.emulator();
        emulator.calls().iter().filter(|call| call.operation == operation).count()
    };
    assert_eq!(
        (operations(EmulatorOperation::Details), operations(EmulatorOperation::Upsert)),
        (1, 0)
    );
    assert!(bridge.logged().contains("portal 7 by an access token"), "it says what it found");
    bridge.kill();

    let bridge = setting.start();
    bridge.settled().await;
    assert_eq!(setting.held().len(), 2);
    elsewhere.close();
}

struct Unwatched;

impl CommitObserver for Unwatched {
    fn committed(&self, _jobs: usize, _took: Duration) {}
}

/// Puts so many webinars into the store before the bridge starts.
async fn seed(setting: &Setting, webinars: usize) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ledger = SqliteLedger::open(Settings {
        path: setting.folder.path().join("data/bridge.db"),
        accounts: vec![build::account("main")],
        policies: BTreeMap::from([(build::source("zoom"), build::policy("main"))]),
        migrate: true,
        rekey: Rekey::Refuse,
        clock: Arc::clone(&clock),
        observer: Arc::new(Unwatched),
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
        ledger.accept(receipt).await.expect("kept");
    }
}

/// What the window allows is used, and no more. How long that takes is measured on virtual time, elsewhere; here it is
/// only shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_drains_in_as_few_calls_as_there_are_batches_and_without_a_429() {
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
    assert_eq!(calls.len(), 61, "one asks whose account it is, sixty bring a hundred each");
    assert!(calls.iter().all(|call| call.status == 200), "no 429");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_slow_account_never_slows_another() {
    let slow = HubSpotServer::open(generous(), Arc::new(SystemClock)).expect("it listens");
    let hang = EmulatorFault::Transport { fault: TransportFault::Hang, stored: false };
    slow.emulator().inject_standing(hang);
    // A call that hangs is given up after longer than this test waits for anything.
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
    eventually("all that may be in flight hangs", async || {
        scrape(&bridge.ops).await.events("slow", "in_flight") == 4
    })
    .await;
    for id in 1..=50 {
        quick.story([created(id, "Quick", at(0))]).await;
    }
    eventually("the other account has everything", async || {
        scrape(&bridge.ops).await.events("main", "delivered") == 50
    })
    .await;
    let seen = scrape(&bridge.ops).await;
    assert_eq!((seen.events("slow", "in_flight"), seen.events("slow", "pending")), (4, 16));
    slow.close();
}

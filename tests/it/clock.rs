//! A machine's clock that is wrong, jumps, and is right again (M10): the real process, whose wall clock a test sets.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use webinar_bridge::clock::{Clock as _, SystemClock};
use webinar_bridge::event::Millis;
use webinar_bridge::sandbox::emulator::{EmulatorFault, EmulatorSettings};

use crate::harness::http::{Answer, request, scrape};
use crate::harness::process::{Bridge, SECRET, Setting, TOKEN};
use crate::harness::wall_clock::WallClock;
use crate::harness::zoom::{self, at};
use crate::harness::{eventually, eventually_within};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(24 * 365);

/// A bridge with a clock of its own.
struct ClockedSetting {
    setting: Setting,
    clock: WallClock,
}

impl ClockedSetting {
    fn new(account: &str, more: &str) -> Self {
        let setting = Setting::with(EmulatorSettings::new(TOKEN), account, more);
        let clock = WallClock::new(setting.folder.path());
        Self { setting, clock }
    }

    fn start(&self) -> Bridge {
        self.setting.start_with(&self.clock.variables())
    }
}

/// Sends a webhook that Zoom signed this long after now, by the right time.
async fn send_signed(bridge: &Bridge, body: &Value, seconds: i64) -> Answer {
    let body = body.to_string().into_bytes();
    let signed_at = SystemClock.now().get() / 1_000 + seconds;
    let mut headers = zoom::signature(SECRET, &body, signed_at);
    headers.push(("content-type".into(), "application/json".into()));
    request(&bridge.webhooks, "POST /webhooks/zoom", &headers, &body).await.expect("an answer")
}

async fn send(bridge: &Bridge, body: &Value) -> u16 {
    send_signed(bridge, body, 0).await.status
}

async fn api(bridge: &Bridge, path: &str) -> Value {
    let line = format!("GET /api/v1/{path}");
    request(&bridge.ops, &line, &[], &[]).await.expect("it answers").json()
}

async fn doubt(bridge: &Bridge) -> Value {
    api(bridge, "status").await["clock"]["doubt"].clone()
}

async fn receipts(bridge: &Bridge) -> usize {
    api(bridge, "receipts").await["receipts"].as_array().map_or(0, Vec::len)
}

/// B4: two years ahead for two seconds at a start, everything was deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_two_years_ahead_at_a_start_deletes_nothing() {
    let setting = ClockedSetting::new("", "");
    let bridge = setting.start();
    for id in 1..=3 {
        assert_eq!(send(&bridge, &zoom::created(id, "Name", at(0))).await, 200);
    }
    bridge.settled().await;
    assert_eq!(bridge.terminate(), Some(0));
    setting.clock.set_ahead(2 * YEAR);
    let bridge = setting.start();
    // Housekeeping begins 100 ms after the start.
    sleep(Duration::from_secs(2)).await;
    assert_eq!(receipts(&bridge).await, 3);
    assert_eq!(scrape(&bridge.ops).await.events("main", "delivered"), 3);
    assert!(doubt(&bridge).await.is_string());
    assert!(bridge.logged().contains("the machine's clock is doubted"));
    assert_eq!(bridge.terminate(), Some(0));

    setting.clock.set_right();
    let bridge = setting.start();
    assert_eq!(receipts(&bridge).await, 3);
    assert_eq!(doubt(&bridge).await, Value::Null);
}

/// B4 without HubSpot's word: the ledger knows when it was written last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_far_ahead_of_the_ledgers_last_write_is_doubted_without_a_witness() {
    let setting = ClockedSetting::new("deliver = false", "");
    let bridge = setting.start();
    assert_eq!(send(&bridge, &zoom::created(1, "Name", at(0))).await, 200);
    assert_eq!(bridge.terminate(), Some(0));
    setting.clock.set_ahead(40 * DAY);
    for _ in 0..2 {
        let bridge = setting.start();
        let reason = doubt(&bridge).await.to_string();
        assert!(reason.contains("the store was written last at about"), "{reason}");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(receipts(&bridge).await, 1);
        assert_eq!(bridge.terminate(), Some(0));
    }
    setting.clock.set_right();
    let bridge = setting.start();
    assert_eq!(
        doubt(&bridge).await,
        Value::Null,
        "the wrong clock wrote nothing that speaks for it"
    );
}

/// M10: without HubSpot's word, a signed time that is ahead of ours speaks against our clock, whether the webhook is taken
/// or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_time_ahead_of_ours_is_a_witness_against_the_clock() {
    for (behind, status) in [(Duration::from_mins(90), 200), (3 * HOUR, 503)] {
        let setting = ClockedSetting::new("deliver = false", "");
        setting.clock.set_behind(behind);
        let bridge = setting.start();
        assert_eq!(doubt(&bridge).await, Value::Null);
        assert_eq!(send(&bridge, &zoom::created(1, "Name", at(0))).await, status);
        let reason = doubt(&bridge).await.to_string();
        assert!(reason.contains("a signed webhook says that it is"), "{behind:?}: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skew_is_shown_and_logged_once() {
    let setting = ClockedSetting::new("", "");
    setting.clock.set_ahead(Duration::from_mins(10));
    let bridge = setting.start();
    let skew = async || {
        let skew = api(&bridge, "status").await["clock"]["skew_seconds"].clone();
        skew.as_f64()
    };
    assert_eq!(skew().await, None, "nobody has told it yet");
    let metrics = request(&bridge.ops, "GET /metrics", &[], &[]).await.expect("it answers");
    assert!(!String::from_utf8_lossy(&metrics.body).contains("bridge_clock_skew_seconds{"));
    assert!(!String::from_utf8_lossy(&metrics.body).contains("\nbridge_clock_skew_seconds "));
    for id in 1..=3 {
        assert_eq!(send(&bridge, &zoom::created(id, "Name", at(0))).await, 200);
        bridge.settled().await;
    }
    let shown = skew().await.expect("HubSpot has told it");
    assert!((597.0..602.0).contains(&shown), "{shown}");
    let gauge = scrape(&bridge.ops).await.sum("bridge_clock_skew_seconds", &[]);
    assert!((597.0..602.0).contains(&gauge), "{gauge}");
    assert_eq!(doubt(&bridge).await, Value::Null, "ten minutes are no reason to doubt");
    let log = bridge.logged();
    assert_eq!(log.matches("the machine's clock is wrong").count(), 1, "{log}");
}

/// B8: Zoom never repeats what is answered 401.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn right_signature_out_of_time_is_answered_503_until_our_clock_is_proven() {
    let body = zoom::created(1, "Name", at(0));
    let hours = |hours: i64| hours * 3_600;
    // Nobody confirms our clock. The tolerance is two hours.
    let setting = ClockedSetting::new("deliver = false", "");
    let bridge = setting.start();
    for (signed, expected) in [(-3, 503), (3, 503), (-25, 503), (-27, 401), (27, 401)] {
        let answer = send_signed(&bridge, &body, hours(signed)).await;
        assert_eq!(answer.status, expected, "{signed} hours");
    }
    let metrics = scrape(&bridge.ops).await;
    for (reason, count) in [("stale", 3), ("future", 2)] {
        assert_eq!(metrics.count("bridge_webhooks_rejected_total", &[("reason", reason)]), count);
    }
    let setting = ClockedSetting::new("", "");
    let bridge = setting.start();
    assert_eq!(send(&bridge, &body).await, 200);
    bridge.settled().await;
    for signed in [-3, 3] {
        let answer = send_signed(&bridge, &body, hours(signed)).await;
        assert_eq!(answer.status, 401, "HubSpot has confirmed our clock");
    }
    // A wrong signature is answered 401 in any case.
    for ahead in [Duration::ZERO, 3 * HOUR] {
        setting.clock.set_ahead(ahead);
        let other = json!({ "event": "webinar.created" }).to_string();
        let mut headers = zoom::signature(SECRET, body.to_string().as_bytes(), 1_700_000_000);
        headers.push(("content-type".into(), "application/json".into()));
        let line = "POST /webhooks/zoom";
        let answer = request(&bridge.webhooks, line, &headers, other.as_bytes()).await;
        assert_eq!(answer.expect("an answer").status, 401);
    }
    // Our clock, three hours ahead, refuses what the platform signed just now.
    assert_eq!(send(&bridge, &zoom::renamed(1, "Second", at(1))).await, 503);
    setting.clock.set_right();
    assert_eq!(send(&bridge, &zoom::renamed(1, "Second", at(1))).await, 200);
    bridge.settled().await;
    assert_eq!(setting.setting.event("1").input.event_name, "Second");
}

/// A quiet bridge asks HubSpot for the time once a webhook comes that would be right by another clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_that_is_ahead_shows_after_the_first_webhook_that_it_refuses() {
    let setting = ClockedSetting::new("", "");
    let bridge = setting.start();
    assert_eq!(send(&bridge, &zoom::created(1, "Name", at(0))).await, 200);
    bridge.settled().await;
    assert_eq!(bridge.terminate(), Some(0));
    setting.clock.set_ahead(3 * HOUR);
    let bridge = setting.start();
    assert_eq!(doubt(&bridge).await, Value::Null, "HubSpot was not asked");
    assert_eq!(send(&bridge, &zoom::renamed(1, "Second", at(1))).await, 503);
    eventually_within(Duration::from_mins(1), "the clock is doubted", async || {
        doubt(&bridge).await != Value::Null
    })
    .await;
    let reason = doubt(&bridge).await.to_string();
    assert!(reason.contains("HubSpot says that it is"), "{reason}");
}

/// The receipt that came last.
async fn last_received_at(bridge: &Bridge) -> String {
    let receipts = api(bridge, "receipts").await;
    receipts["receipts"][0]["received_at"].as_str().expect("a time").to_owned()
}

/// M10: a machine slept for three days, and its monotonic clock with it. HubSpot is not reached.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machine_that_slept_is_believed_once_a_signed_webhook_agrees() {
    let setting = ClockedSetting::new("", "");
    let bridge = setting.start();
    assert_eq!(send(&bridge, &zoom::created(1, "Name", at(0))).await, 200);
    bridge.settled().await;
    setting.setting.hubspot.close();
    setting.clock.set_ahead(3 * DAY);
    let reason = doubt(&bridge).await.to_string();
    assert!(reason.contains("HubSpot says that it is"), "{reason}");
    let awake = |seconds: i64| 3 * 24 * 3_600 + seconds;
    // What was signed before it slept, or long ago, proves nothing of the time that it slept.
    assert_eq!(
        send_signed(&bridge, &zoom::renamed(1, "Old", at(1)), awake(-90 * 60)).await.status,
        200
    );
    assert!(doubt(&bridge).await.is_string());
    assert_eq!(send_signed(&bridge, &zoom::renamed(1, "New", at(2)), awake(-60)).await.status, 200);
    assert_eq!(doubt(&bridge).await, Value::Null);
    let received_at = Millis::parse(&last_received_at(&bridge).await, None).expect("a time");
    let by_right_clock = SystemClock.now().plus(3 * DAY);
    assert!(received_at.distance(by_right_clock) < HOUR, "{received_at}");
    let uptime = api(&bridge, "status").await["uptime_seconds"].as_u64();
    assert!(uptime.is_some_and(|seconds| seconds < 3_600), "it ran for a moment: {uptime:?}");
}

/// M10: HubSpot contradicted this very clock, which another one that is as wrong does not prove.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_time_does_not_overrule_hubspot() {
    let setting = ClockedSetting::new("", "");
    setting.clock.set_ahead(3 * DAY);
    let bridge = setting.start();
    let signed_ahead = 3 * 24 * 3_600 - 60;
    let created = send_signed(&bridge, &zoom::created(1, "Name", at(0)), signed_ahead).await;
    assert_eq!(created.status, 200);
    bridge.settled().await;
    eventually("HubSpot contradicts it", async || doubt(&bridge).await != Value::Null).await;
    setting.setting.hubspot.close();
    for signed in [signed_ahead, signed_ahead + 120] {
        let body = zoom::renamed(1, &signed.to_string(), at(1));
        assert_eq!(send_signed(&bridge, &body, signed).await.status, 200);
        assert!(doubt(&bridge).await.is_string(), "{signed}");
    }
}

/// M10: nothing comes in, and nothing is to be sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hubspot_is_asked_for_the_time_once_the_clock_jumps() {
    let setting = ClockedSetting::new("", "");
    let bridge = setting.start();
    assert_eq!(send(&bridge, &zoom::created(1, "Name", at(0))).await, 200);
    bridge.settled().await;
    let calls = || setting.setting.hubspot.emulator().calls().len();
    let account = || api(&bridge, "status");
    eventually("the account is checked", async || {
        account().await["accounts"][0]["check_failed"] == Value::Null && calls() >= 2
    })
    .await;
    let before = calls();
    setting.clock.set_ahead(3 * DAY);
    eventually_within(Duration::from_mins(2), "HubSpot is asked", async || calls() > before).await;
}

/// B10: the account was silent for as long as the step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_set_back_amid_a_backoff_silences_no_account() {
    let setting = ClockedSetting::new("", "");
    let bridge = setting.start();
    assert_eq!(send(&bridge, &zoom::created(1, "Name", at(0))).await, 200);
    bridge.settled().await;
    let outage = EmulatorFault::Status { status: 503, retry_after: None };
    setting.setting.hubspot.emulator().inject_standing(outage);
    assert_eq!(send(&bridge, &zoom::renamed(1, "Second", at(1))).await, 200);
    eventually("some calls have failed", async || {
        api(&bridge, "status").await["accounts"][0]["failures"].as_u64() >= Some(3)
    })
    .await;
    setting.clock.set_behind(HOUR);
    setting.setting.hubspot.emulator().clear_faults();
    // The longest wait of a brief outage is five seconds.
    bridge.settled_within(Duration::from_secs(15)).await;
    assert_eq!(setting.setting.event("1").input.event_name, "Second");
    assert!(bridge.logged().contains("the machine's clock was set back"));
}

/// A webinar that begins in so many hours, for one hour.
fn begins_in(hours: i64) -> Value {
    let object = zoom::webinar(1, "Name");
    let object = zoom::with(object, json!({ "start_time": zoom::ago(-60 * hours).to_string() }));
    zoom::webhook("webinar.created", at(0), object)
}

/// B4b: ten days ahead for some seconds, and next week's webinar was completed for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_ten_days_ahead_completes_nothing() {
    let setting = ClockedSetting::new("", "complete_after_end = \"30m\"");
    let bridge = setting.start();
    assert_eq!(send(&bridge, &begins_in(24 * 7)).await, 200);
    bridge.settled().await;
    assert_eq!(bridge.terminate(), Some(0));
    setting.clock.set_ahead(10 * DAY);
    let bridge = setting.start();
    sleep(Duration::from_secs(2)).await;
    bridge.settled().await;
    assert!(!setting.setting.event("1").input.event_completed);
    assert!(doubt(&bridge).await.is_string());
}

/// B4b: a clock that is not far enough ahead to be doubted at a start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completion_by_a_clock_hours_ahead_is_taken_back_when_it_is_right() {
    let setting = ClockedSetting::new("", "complete_after_end = \"30m\"");
    let bridge = setting.start();
    assert_eq!(send(&bridge, &begins_in(2)).await, 200);
    bridge.settled().await;
    assert_eq!(bridge.terminate(), Some(0));
    setting.clock.set_ahead(5 * HOUR);
    let bridge = setting.start();
    let completed = || setting.setting.event("1").input.event_completed;
    eventually("nobody has contradicted the clock yet", async || completed()).await;
    setting.clock.set_right();
    eventually_within(Duration::from_mins(1), "it is taken back", async || !completed()).await;
    assert_eq!(doubt(&bridge).await, Value::Null);
}

/// B4b, M18: nothing was sent while the clock was ahead, and the next start has the right one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsent_completion_by_a_clock_hours_ahead_is_never_sent() {
    let setting = ClockedSetting::new("deliver = true", "complete_after_end = \"30m\"");
    let bridge = setting.start();
    assert_eq!(send(&bridge, &begins_in(2)).await, 200);
    bridge.settled().await;
    assert_eq!(bridge.terminate(), Some(0));
    setting.setting.configure("deliver = true", "deliver = false");
    setting.clock.set_ahead(5 * HOUR);
    let bridge = setting.start();
    eventually("its timer ran out", async || {
        scrape(&bridge.ops).await.events("main", "pending") == 1
    })
    .await;
    bridge.kill();
    setting.clock.set_right();
    setting.setting.configure("deliver = false", "deliver = true");
    let bridge = setting.start();
    assert_eq!(send(&bridge, &zoom::created(2, "Other", at(0))).await, 200);
    bridge.settled().await;
    assert_eq!(setting.setting.event("2").input.event_name, "Other");
    let event = setting.setting.event("1");
    assert_eq!((event.input.event_completed, event.writes), (false, 1));
}

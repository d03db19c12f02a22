//! The recipes over time: what is reported again and again, late, twice in a second, or of another date.

use serde_json::{Value, json};
use webinar_bridge::event::Millis;
use webinar_bridge::sandbox::emulator::UpsertInput;

use super::super::{hmac_sha256, send};
use super::header;
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{ago, planned};

const DAY: i64 = 24 * 60;
/// In the middle of a second.
const HALF: i64 = 500;

/// A source of each recipe.
const SOURCES: &str = "[source.zuddl]\nprovider = \"custom\"\nrecipe = \"zuddl\"\nsecret = \"z\"\n\
    organizer = \"Acme\"\n[source.geek]\nprovider = \"custom\"\nrecipe = \"webinargeek\"\nsecret = \"g\"\n\
    organizer = \"Acme\"\nexternal_account_id = \"geek\"\n[source.sequel]\nprovider = \"custom\"\n\
    recipe = \"sequel\"\nsecret = \"s\"\n[source.sessions]\nprovider = \"custom\"\nrecipe = \"sessions_us\"\n\
    path_token = \"a-path-of-sessions\"\nexternal_account_id = \"sessions\"\norganizer = \"Acme\"\n\
    [source.airmeet]\nprovider = \"custom\"\nrecipe = \"airmeet\"\npath_token = \"a-path-of-airmeet\"\n";

/// A bridge that all recipes report to.
struct Scene {
    setting: Setting,
    bridge: Bridge,
}

impl Scene {
    fn new() -> Self {
        let setting = Setting::new(SOURCES);
        let bridge = setting.start();
        Self { setting, bridge }
    }

    async fn zuddl(&self, action: &str, at: Millis, event: Value) {
        let event = merged(json!({ "id": "1", "organizationId": "zuddl" }), event);
        let body = json!({ "action": action, "actionCreatedAt": at.to_string(), "event": event });
        let body = body.to_string().into_bytes();
        let code = hex::encode(hmac_sha256(b"z", &[&body]));
        let headers = header("x-webhook-signature", format!("sha256={code}"));
        assert_eq!(send(&self.bridge, "zuddl", &headers, &body).await, "accepted");
    }

    async fn webinargeek(&self, at: Millis, title: &str, start: Millis, has_ended: bool) {
        let broadcast = json!({ "id": 1, "date": start.get() / 1_000, "has_ended": has_ended });
        let entity = json!({ "broadcast": broadcast, "webinar": { "title": title } });
        let body = json!({ "event": "viewed", "timestamp": at.get(), "entity": entity });
        let body = body.to_string().into_bytes();
        let headers = header("signature", hex::encode(hmac_sha256(b"g", &[&body])));
        assert_eq!(send(&self.bridge, "geek", &headers, &body).await, "accepted");
    }

    async fn sequel(&self, event: &str, at: Millis, name: &str) {
        let details = json!({
            "companyId": "sequel", "companyName": "Acme", "eventId": "1", "eventName": name,
        });
        let kind = format!("virtual-stage-{event}");
        let body = json!({ "eventType": kind, "timestamp": at.to_string(), "details": details });
        let key = header("x-introvoke-web-hook-auth", "s");
        let body = body.to_string();
        assert_eq!(send(&self.bridge, "sequel", &key, body.as_bytes()).await, "accepted");
    }

    async fn sessions(&self, trigger: &str, session: Value) -> String {
        let session = merged(json!({ "id": "1", "name": "Knots" }), session);
        let body = json!({ "trigger": trigger, "data": { "session": session } }).to_string();
        send(&self.bridge, "sessions/a-path-of-sessions", &[], body.as_bytes()).await
    }

    async fn airmeet(&self, name: &str, more: Value) -> String {
        let body = json!({
            "airmeet_id": "1", "community_id": "airmeet", "airmeetName": name,
            "organiser_name": "Acme", "timezone": "Europe/Dublin",
        });
        let body = merged(body, more).to_string();
        send(&self.bridge, "airmeet/a-path-of-airmeet", &[], body.as_bytes()).await
    }

    /// HubSpot's event of that external account.
    async fn held(&self, account: &str) -> UpsertInput {
        self.bridge.settled().await;
        self.setting.held_of(account).remove("1").expect("the event is in HubSpot").input
    }
}

fn merged(mut object: Value, more: Value) -> Value {
    if let Value::Object(more) = more {
        object.as_object_mut().expect("an object").extend(more);
    }
    object
}

/// Name, times and status of an event of Zuddl's of one hour.
fn zuddl_event(name: &str, start: Millis, status: &str) -> Value {
    let end = start.plus(std::time::Duration::from_hours(1));
    json!({
        "name": name, "startDate": start.to_string(), "endDate": end.to_string(), "status": status,
        "type": "WEBINAR",
    })
}

/// A1, M9: what was called off before its date stays so, however often and late that is repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_cancellation_stays() {
    let scene = Scene::new();
    let event = |status: &str| zuddl_event("Ink", ago(DAY), status);
    scene.zuddl("EVENT_CREATED", ago(5 * DAY), event("UPCOMING")).await;
    for hours in 0..19 {
        let at = ago(3 * DAY - hours * 240);
        scene.zuddl("EVENT_UPDATED", at, event("CANCELLED")).await;
    }
    let zuddl = scene.held("zuddl").await;
    assert!(zuddl.event_cancelled && !zuddl.event_completed);

    scene.sequel("created", ago(5 * DAY), "Stage").await;
    for hours in 0..19 {
        scene.sequel("deleted", ago(3 * DAY - hours * 240), "Stage").await;
    }
    assert!(scene.held("sequel").await.event_cancelled);
}

/// A3, M15: held, planned again for another date, and (where the platform can tell) called off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_that_was_held_and_is_planned_anew_is_open() {
    let scene = Scene::new();
    scene.webinargeek(ago(600), "Evening class", ago(120), false).await;
    scene.webinargeek(ago(30), "Evening class", ago(120), true).await;
    assert!(scene.held("geek").await.event_completed);
    scene.webinargeek(ago(20), "Evening class", planned(30 * DAY), false).await;
    let geek = scene.held("geek").await;
    assert_eq!((geek.start_date_time, geek.event_completed), (Some(planned(30 * DAY)), false));

    let session = |start: Millis, ended: Option<Millis>| {
        let ended = ended.map(|at| at.to_string());
        json!({ "startAt": start.to_string(), "endedAt": ended, "createdAt": ago(1).to_string() })
    };
    scene.sessions("EVENT_CREATED", session(ago(120), None)).await;
    scene.sessions("EVENT_STARTED", session(ago(120), None)).await;
    scene.sessions("EVENT_ENDED", session(ago(120), Some(ago(60)))).await;
    let held = scene.held("sessions").await;
    assert_eq!((held.end_date_time, held.event_completed), (Some(ago(60)), true));
    scene.sessions("EVENT_PUBLISHED", session(planned(30 * DAY), None)).await;
    assert!(!scene.held("sessions").await.event_completed);
    assert_eq!(
        scene.setting.reads(),
        1,
        "M19: of WebinarGeek's, of which nothing says when it was made"
    );

    scene.sequel("created", ago(600), "Stage").await;
    for page in 0..3 {
        scene.sequel("event-ended", ago(60 - page), "Stage").await;
    }
    let sequel = scene.held("sequel").await;
    assert!(sequel.event_completed && !sequel.event_cancelled);
    scene.sequel("deleted", ago(10), "Stage").await;
    assert!(!scene.held("sequel").await.event_cancelled, "M17: it was tidied up");
}

/// A3b, M15: an end before the start, with its time, was a rehearsal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rehearsed_session_is_not_completed() {
    let scene = Scene::new();
    let session = |ended: Option<Millis>| {
        let ended = ended.map(|at| at.to_string());
        json!({ "startAt": planned(0).to_string(), "endedAt": ended })
    };
    scene.sessions("EVENT_CREATED", session(None)).await;
    scene.sessions("EVENT_STARTED", session(None)).await;
    scene.sessions("EVENT_ENDED", session(Some(ago(5)))).await;
    let held = scene.held("sessions").await;
    assert_eq!((held.end_date_time, held.event_completed), (None, false));
}

/// A7, M33: A, B, A ends as A where nothing that is signed tells two deliveries apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn title_that_is_changed_back_is_the_last() {
    let scene = Scene::new();
    for name in ["Knots", "Ropes", "Knots"] {
        let session = json!({ "name": name, "startAt": planned(0).to_string() });
        assert_eq!(scene.sessions("EVENT_PUBLISHED", session).await, "accepted");
        let start = planned(0).get();
        assert_eq!(scene.airmeet(name, json!({ "start_time": start })).await, "accepted");
    }
    assert_eq!(scene.held("sessions").await.event_name, "Knots");
    let airmeet = scene.held("airmeet").await;
    assert_eq!(
        (airmeet.event_name.as_str(), airmeet.start_date_time),
        ("Knots", Some(planned(0))),
        "M3: a number is read as well as its digits in a text"
    );
    // Of those with a time of their own, each body is another.
    for (minutes, name) in [(3, "Ink"), (2, "Paint"), (1, "Ink")] {
        let action = if minutes == 3 { "EVENT_CREATED" } else { "EVENT_UPDATED" };
        scene.zuddl(action, ago(minutes), zuddl_event(name, planned(0), "UPCOMING")).await;
        scene.webinargeek(ago(minutes), name, planned(0), false).await;
        scene.sequel(if minutes == 3 { "created" } else { "updated" }, ago(minutes), name).await;
    }
    for account in ["zuddl", "geek", "sequel"] {
        assert_eq!(scene.held(account).await.event_name, "Ink", "{account}");
    }
}

/// A9b, M4: of two reports of one second the later arrival wins; A22, M5: nothing comes before the creation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_arrival_wins_within_a_second_and_the_creation_loses() {
    let scene = Scene::new();
    let second = ago(9);
    let later = Millis::new(second.get() + HALF);
    for name in ["Ink", "Paint", "Chalk"] {
        scene.zuddl("EVENT_UPDATED", second, zuddl_event(name, planned(0), "UPCOMING")).await;
        scene.webinargeek(second, name, planned(0), false).await;
        scene.sequel("updated", second, name).await;
    }
    scene.zuddl("EVENT_CREATED", later, zuddl_event("First", planned(0), "UPCOMING")).await;
    scene.sequel("created", later, "First").await;
    for account in ["zuddl", "geek", "sequel"] {
        assert_eq!(scene.held(account).await.event_name, "Chalk", "{account}");
    }
    // A cancellation and its reversal within a second.
    scene.zuddl("EVENT_UPDATED", later, zuddl_event("Chalk", planned(0), "CANCELLED")).await;
    scene.zuddl("EVENT_UPDATED", later, zuddl_event("Chalk", planned(0), "UPCOMING")).await;
    assert!(!scene.held("zuddl").await.event_cancelled);
}

//! Wix Events: a body is a JSON Web Token signed with the app's key.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use webinar_bridge::clock::{Clock as _, SystemClock};

use super::{assert_not_stored, send, status_of};
use crate::harness::process::{Bridge, Setting};
use crate::harness::zoom::{at, planned};

const PRIVATE: &str = include_str!("../../fixtures/jwt/rsa.private.pem");
const PUBLIC: &str = include_str!("../../fixtures/jwt/rsa.public.pem");
const SITE: &str = "1f0c3d2e-77aa-4b4e-9a51-6b3b8c1d2e3f";
const SUPPER: &str = "9d3a5b7c-0e1f-4a2b-8c3d-4e5f6a7b8c9d";

fn setting() -> Setting {
    Setting::new(&format!(
        "[source.wix]\nprovider = 'wix'\norganizer = 'Acme GmbH'\nsecret = '''\n{PUBLIC}'''"
    ))
}

/// The claims of a webhook about the supper at [`at`] this many seconds, nested as Wix nests them.
fn claims(slug: &str, kind: &str, event: &Value, seconds: i64) -> Value {
    let time = webinar_bridge::event::Millis::new(at(seconds)).to_string();
    let domain_event = json!({
        "id": format!("{slug}-{seconds}"), "entityFqdn": "wix.events.v3.event", "slug": slug,
        "entityId": SUPPER, "eventTime": time, kind: event,
    });
    let message = json!({
        "eventType": format!("wix.events.v3.event_{slug}"), "instanceId": SITE,
        "data": domain_event.to_string(),
        "identity": json!({ "identityType": "WIX_USER", "wixUserId": "secret-user" }).to_string(),
    });
    let now = SystemClock.now().get() / 1_000;
    json!({ "data": message.to_string(), "iat": now, "exp": now + 600 })
}

fn entity(title: &str, status: &str, minutes: i64) -> Value {
    json!({
        "id": SUPPER, "title": title, "status": status, "shortDescription": "Twelve seats.",
        "location": { "type": "ONLINE", "address": { "addressLine1": "secret-street" } },
        "dateAndTimeSettings": {
            "startDate": planned(minutes).to_string(), "endDate": planned(minutes + 90).to_string(),
            "timeZoneId": "Europe/Dublin",
        },
        "eventPageUrl": { "base": "https://barn.example", "path": "/event-details/supper" },
        "onlineConferencing": { "session": { "guestLink": "https://rooms.example/secret-room" } },
    })
}

/// Signs the claims with the app's key, without the product's code.
fn token(claims: &Value) -> Vec<u8> {
    let key = EncodingKey::from_rsa_pem(PRIVATE.as_bytes()).expect("a private key");
    encode(&Header::new(Algorithm::RS256), claims, &key).expect("the claims are valid").into_bytes()
}

async fn send_signed(bridge: &Bridge, claims: &Value) -> String {
    send(bridge, "wix", &[], &token(claims)).await
}

async fn status(bridge: &Bridge, body: &[u8]) -> u16 {
    status_of(bridge, "wix", &[], body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_lifecycle_is_delivered() {
    let setting = setting();
    let bridge = setting.start();
    let held = || setting.held_of(SITE).remove(SUPPER);
    let draft = json!({ "entity": entity("Supper", "DRAFT", 0) });
    assert_eq!(
        send_signed(&bridge, &claims("created", "createdEvent", &draft, 0)).await,
        "accepted"
    );
    bridge.settled().await;
    assert!(held().is_none(), "a draft is not shown");

    let mut body = entity("Harvest supper", "UPCOMING", 0);
    body["eventId"] = SUPPER.into();
    let published = claims("published", "actionEvent", &json!({ "body": body }), 10);
    assert_eq!(send_signed(&bridge, &published).await, "accepted");
    assert_eq!(send_signed(&bridge, &published).await, "duplicate");
    bridge.settled().await;
    let event = held().expect("the event is in HubSpot");
    assert_eq!(
        (event.input.event_name.as_str(), event.input.event_organizer.as_str()),
        ("Harvest supper", "Acme GmbH")
    );
    assert_eq!(event.input.event_type.as_deref(), Some("WEBINAR"));
    assert_eq!(event.input.event_description.as_deref(), Some("Twelve seats."));
    assert_eq!(event.input.event_url.as_deref(), Some("https://barn.example/event-details/supper"));
    assert_eq!(
        (event.input.start_date_time, event.input.end_date_time),
        (Some(planned(0)), Some(planned(90)))
    );

    let moved = json!({ "currentEntity": entity("Harvest supper", "UPCOMING", 60) });
    assert_eq!(
        send_signed(&bridge, &claims("updated", "updatedEvent", &moved, 20)).await,
        "accepted"
    );
    assert_eq!(
        send_signed(&bridge, &claims("started", "actionEvent", &json!({ "body": {} }), 21)).await,
        "accepted"
    );
    bridge.settled().await;
    let event = held().expect("the event is in HubSpot");
    assert_eq!(
        (event.input.start_date_time, event.input.end_date_time),
        (Some(planned(60)), Some(planned(150)))
    );
    assert!(!event.input.event_cancelled);

    let off = json!({ "body": { "eventId": SUPPER, "title": "Harvest supper" } });
    assert_eq!(
        send_signed(&bridge, &claims("canceled", "actionEvent", &off, 30)).await,
        "accepted"
    );
    let late = json!({ "currentEntity": entity("Harvest supper, late", "UPCOMING", 60) });
    assert_eq!(
        send_signed(&bridge, &claims("updated", "updatedEvent", &late, 25)).await,
        "accepted"
    );
    bridge.settled().await;
    let event = held().expect("the event is in HubSpot");
    assert!(event.input.event_cancelled && !event.input.event_completed);
    assert_eq!(event.input.event_name, "Harvest supper");

    let secrets = ["secret-user", "secret-street", "secret-room"];
    assert!(assert_not_stored(&bridge, "wix", &secrets).await > 0);
    assert_eq!(setting.reads(), 0, "M19: it was created under the bridge's eyes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_event_is_completed_and_deleted_one_cancelled() {
    let setting = setting();
    let bridge = setting.start();
    let created = json!({ "entityAsJson": entity("Supper", "UPCOMING", 0).to_string() });
    assert_eq!(
        send_signed(&bridge, &claims("created", "createdEvent", &created, 0)).await,
        "accepted"
    );
    let ended = json!({ "body": { "eventId": SUPPER } });
    assert_eq!(send_signed(&bridge, &claims("ended", "actionEvent", &ended, 10)).await, "accepted");
    bridge.settled().await;
    let event = setting.held_of(SITE).remove(SUPPER).expect("the event is in HubSpot");
    assert!(event.input.event_completed && !event.input.event_cancelled);
    // A deletion after the end does not cancel.
    assert_eq!(
        send_signed(&bridge, &claims("deleted", "deletedEvent", &json!({}), 20)).await,
        "accepted"
    );
    bridge.settled().await;
    assert!(!setting.held_of(SITE)[SUPPER].input.event_cancelled);
    // A deletion before the end cancels.
    assert_eq!(
        send_signed(&bridge, &claims("deleted", "deletedEvent", &json!({}), 5)).await,
        "accepted"
    );
    bridge.settled().await;
    assert!(setting.held_of(SITE)[SUPPER].input.event_cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_not_signed_with_the_app_key_is_refused() {
    let setting = setting();
    let bridge = setting.start();
    let created = json!({ "entity": entity("Supper", "UPCOMING", 0) });
    let right = claims("created", "createdEvent", &created, 0);
    let by = |algorithm: Algorithm, key: EncodingKey| {
        encode(&Header::new(algorithm), &right, &key).expect("the claims are valid").into_bytes()
    };
    let rsa = || EncodingKey::from_rsa_pem(PRIVATE.as_bytes()).expect("a private key");
    let mut ended = right.clone();
    ended["exp"] = (SystemClock.now().get() / 1_000 - 30 * 3_600).into();
    let mut flipped = token(&right);
    let last = flipped.len() - 10;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    for forged in [
        flipped,
        by(Algorithm::HS256, EncodingKey::from_secret(PUBLIC.as_bytes())),
        by(Algorithm::RS512, rsa()),
        token(&ended),
        right.to_string().into_bytes(),
        Vec::new(),
    ] {
        let shown = String::from_utf8_lossy(&forged).into_owned();
        assert_eq!(status(&bridge, &forged).await, 401, "{shown}");
    }
    bridge.settled().await;
    assert!(setting.held_of(SITE).is_empty());
    assert_eq!(send_signed(&bridge, &right).await, "accepted");
}

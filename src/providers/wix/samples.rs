//! Sample webhooks and a key pair made up for the sandbox: what Wix sends while two events are created, changed and
//! end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::event::Millis;
use crate::providers::Sample;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Interval between two samples: each is later than the one before it, and all are in the past.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(2);

const INSTANCE: &str = "5c0f2f4e-8f0b-4f7d-9a35-0d1d6f0e4b11";
const CONCERT: &str = "7a1e9d52-3b64-4c0f-8d2a-6e5b4c3d2f10";
const WORKSHOP: &str = "b2d4f6a8-1c3e-4a5b-9d7f-0e1f2a3b4c5d";

/// Settings of the sandbox's source: the public key of [`PRIVATE_KEY`].
pub(super) const SETTINGS: &str = "secret = '''
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtiPKh89rVabi8uCHQQik
P7qAqvxTA8UuDr4P/7jo5MwC70Pzi2MUrmzlu9pYbCSEqF4roosI6hTiTp3qxMSs
qJq+L9aGXoY+m+Pd6ddZ86Z395ZOk37Zwni0FT2208K4uewBoGO4pE0fCqW1c6A9
KRbL54ygQSH9xfI/qF7BKQHJgOFQJ7LQwuThc0Am+YE/TXCYmG2+sbDkqB9z+215
WpKYnHoWYTxMV+etxgKrK/rclKD2JZrEaOMu5Y1gTm51iwXXJ/ciJlzr0xHWsTcb
mSo8191Yun36ebYk/fZ0YRJotlKx27Ygv/VQX7JrG93QdTkt58vh/FuJWbRXS9Hb
wQIDAQAB
-----END PUBLIC KEY-----
'''";
/// Made up for the sandbox (`openssl genpkey -algorithm RSA`); grants access to nothing.
pub(super) const PRIVATE_KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC2I8qHz2tVpuLy
4IdBCKQ/uoCq/FMDxS4Ovg//uOjkzALvQ/OLYxSubOW72lhsJISoXiuiiwjqFOJO
nerExKyomr4v1oZehj6b493p11nzpnf3lk6TftnCeLQVPbbTwri57AGgY7ikTR8K
pbVzoD0pFsvnjKBBIf3F8j+oXsEpAcmA4VAnstDC5OFzQCb5gT9NcJiYbb6xsOSo
H3P7bXlakpicehZhPExX563GAqsr+tyUoPYlmsRo4y7ljWBObnWLBdcn9yImXOvT
EdaxNxuZKjzX3Vi6ffp5tiT99nRhEmi2UrHbtiC/9VBfsmsb3dB1OS3ny+H8W4lZ
tFdL0dvBAgMBAAECggEALJ8NFYN/qK6nZ9gQ2qJa1tACiKEjV0edtnfipIPw7mh6
iZJsnmfKH8dG6uQdiHTT2QmlB/+m0e4G2Tq/0q/aGr46PK8CITMjMH69FXYwL8xH
FK1Kl8DaaVW3zIJfgXZxWf8TEO+NQxcvtSSOlQKbKS9QCex+MCa7LJzh8oYwLTK7
n4CNRYo2eiVpbQ+XeQDnkCnE3uli+JaQzTpNKqTNd0O3cCQ4TXPM2XhWqD19B6tg
3EExUpdQ0si9eWYc5BqQYcdCpJlaB8aqpbwftYMzvvweQJsvTQQAIF6G71ofRnhW
MPRPKbmyw/VYvG5a/OtqkCT35GtQcHeGzet8qcUKaQKBgQD3Bxjj4D5HkmfschyW
1eEl0xlBibpSRmIkn2XEqzuTZWJ93goNSdg/r22gqAmpARmkSHxfpN8CEdTP7vCM
z12p+qp6v21UmbcfBb4xTEQZJYndiCxN3z73vtsLiCIV9v0AdMADac6LrDBdKO5g
ayDptrOxqNWcOSxPRAC6kSi+RQKBgQC8wVsYBJdmEMSWYZBsxbaOep1qnFdol8TQ
efJq73FphjnT1xHVzXIXhzBwxzMI7O+kM3WubmszL+EHMYz/Fe9cAFusU0zP+ptp
y4lfYxG3BbbBP3wbhf43lrDba+ERFMcZrRJzzMBwMdTNz6yGTiElWZ93dNPuDd61
uIQkv8ytTQKBgAnSoGy/R/q0malPSE+/JXrJkCGJBn2rCtAF/pf5bx8HUwlKQQAS
RaUSprtSsz+jKY/cygVLmwqMBvhVuf7/Z+wQaaMD5acNjbiQE+YF8FdHpNnIRmq6
S9iyICevPBu/fIP+IHyCQpJPQIUT0ZbH68EfYLnZytSxeU+VlqnUh9g5AoGBAKx6
DnAi+ekU114Gpr8N5yPIXQFm/OQhEoHhfKdERqDDOyIcuzpfsapYKOZUz4iPYObs
8tLCKQir7nbxS0Jn28F4vkv4Dg9ZkxuYFd3om+5etUFeblyEEujetJq7t/wwvUH0
CRFxfkLG9gpegupyiA0mGPZB9cnoOKJaib0+2ZtdAoGBAJro/ONHLrDWbAbVrtUF
gx3G4RHpJGzx+gqaUhj/DjpmwpuiwgPJA0M3zs5Fkc73WAjarUaBYRnKWmkW5wZv
25CDN8QMAp5neH9E+OwpHJNm2HRZdQlnbBDnaakGKdr9FP/v9B/sb49ox692R+3O
cvM7wZgFQweStkfjtiJBQP0X
-----END PRIVATE KEY-----
";

/// Samples of two events, one published, moved and held, the other cancelled; sent just before `now`.
pub(super) fn samples(now: Millis) -> Vec<Sample> {
    let scenes = scenes(now);
    let last = u32::try_from(scenes.len()).unwrap_or(u32::MAX);
    let sample =
        |(place, (story, slug, id, happened)): (u32, (&'static str, &str, &str, Value))| {
            let at = now.minus(SAMPLE_INTERVAL * (last - place));
            Sample::new(story, body(slug, id, &happened, at))
        };
    (0..).zip(scenes).map(sample).collect()
}

fn scenes(now: Millis) -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let event = |id: &str, title: &str, status: &str, start: Millis| {
        json!({
            "id": id, "title": title, "shortDescription": "Bring a friend.", "status": status,
            "location": { "type": "ONLINE" }, "instanceId": INSTANCE,
            "dateAndTimeSettings": {
                "startDate": start.to_string(), "endDate": start.plus(HOUR).to_string(),
                "timeZoneId": "Europe/Dublin", "recurrenceStatus": "ONE_TIME",
            },
            "eventPageUrl": { "base": "https://site.example", "path": "/event-details/sample" },
            "onlineConferencing": { "session": { "guestLink": "https://rooms.example/sample" } },
        })
    };
    let (first, held, later) = (now.plus(DAY), now.minus(HOUR), now.plus(DAY * 3));
    let created = |entity: Value| json!({ "createdEvent": { "entity": entity } });
    let updated = |entity: Value| json!({ "updatedEvent": { "currentEntity": entity } });
    let action = |body: Value| json!({ "actionEvent": { "body": body } });
    let mut published = event(CONCERT, "Songs from the kitchen", "UPCOMING", first);
    published["eventId"] = CONCERT.into();
    vec![
        (
            "a concert is drafted",
            "created",
            CONCERT,
            created(event(CONCERT, "Songs from the kitchen", "DRAFT", first)),
        ),
        ("it is published", "published", CONCERT, action(published)),
        (
            "it is moved to the last hour",
            "updated",
            CONCERT,
            updated(event(CONCERT, "Songs from the kitchen, live", "STARTED", held)),
        ),
        ("it ends", "ended", CONCERT, action(json!({ "eventId": CONCERT, "hasGuests": true }))),
        (
            "a workshop is announced",
            "created",
            WORKSHOP,
            created(event(WORKSHOP, "Bread for beginners", "UPCOMING", later)),
        ),
        (
            "the workshop is cancelled",
            "canceled",
            WORKSHOP,
            action(json!({ "eventId": WORKSHOP, "title": "Bread for beginners" })),
        ),
    ]
}

/// The claims of a webhook, nested as Wix nests them: JSON as text inside JSON as text.
fn body(slug: &str, id: &str, happened: &Value, at: Millis) -> Vec<u8> {
    let mut happening = json!({
        "id": format!("sample-{}", at.get()), "entityFqdn": "wix.events.v3.event", "slug": slug,
        "entityId": id, "eventTime": at.to_string(), "triggeredByAnonymizeRequest": false,
    });
    for (key, value) in happened.as_object().into_iter().flatten() {
        happening[key] = value.clone();
    }
    let message = json!({
        "eventType": format!("wix.events.v3.event_{slug}"), "instanceId": INSTANCE,
        "data": happening.to_string(),
        "identity": json!({ "identityType": "WIX_USER", "wixUserId": "sample-user" }).to_string(),
    });
    json!({ "data": message.to_string() }).to_string().into_bytes()
}

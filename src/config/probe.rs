//! A platform for the tests of the configuration and the command line.

use serde::Deserialize;

use crate::event::{Change, End, ExternalAccountId, Kind, Millis, ProviderId, Shape, WebinarId};
use crate::providers::{
    Inbound, Keys, Meaning, Provider, Reading, Refusal, Reply, Sample, Unverified, Verified,
};

/// Speaks `{"event": "...", "id": "...", "account": "...", "name": "..."}`.
pub(crate) struct Probe;

#[derive(Deserialize)]
struct Body {
    event: String,
    id: Option<String>,
    account: Option<String>,
    name: Option<String>,
}

impl Provider for Probe {
    fn id(&self) -> ProviderId {
        ProviderId::new("probe")
    }

    fn verify<'a>(
        &self,
        _request: Inbound<'a, Unverified>,
        _keys: Keys<'_>,
        _now: Millis,
    ) -> Result<Inbound<'a, Verified>, Refusal> {
        Err(Refusal::Mismatch)
    }

    fn read(&self, request: &Inbound<'_, Verified>, _secrets: &[&[u8]]) -> Reading {
        let Ok(body) = serde_json::from_slice::<Body>(request.body) else {
            let meaning = Meaning::Unmappable("it is not an object with an event".to_owned());
            return Reading { event_type: "unknown".to_owned(), meaning };
        };
        let meaning = match body.event.as_str() {
            "created" => {
                let id = WebinarId::parse(body.id.unwrap_or_default()).expect("the test gives one");
                let mut change = Change::new(id, Kind::Created);
                change.account = body.account.and_then(|id| ExternalAccountId::parse(id).ok());
                change.full_picture = true;
                change.shape = Some(Shape::Single);
                change.whole.name = body.name;
                change.whole.start = Some(Millis::new(1_900_000_000_000));
                change.whole.end = End::after_minutes(60);
                Meaning::Changes { changes: vec![change], bad_fields: vec!["start_time"] }
            }
            "handshake" => {
                Meaning::Handshake(Reply { status: 200, content_type: "text/plain", body: vec![] })
            }
            _ => Meaning::Ignored,
        };
        Reading { event_type: body.event, meaning }
    }

    fn scrub(&self, body: &[u8]) -> Vec<u8> {
        body.to_vec()
    }

    fn sign(&self, body: &[u8], secret: &[u8], now: Millis) -> Vec<(String, String)> {
        let signature = format!("it's {} of {}", body.len(), secret.len());
        vec![
            ("x-probe-signature".to_owned(), signature),
            ("x-probe-time".to_owned(), now.get().to_string()),
        ]
    }

    fn samples(&self, _now: Millis) -> Vec<Sample> {
        Vec::new()
    }
}

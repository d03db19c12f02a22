//! A platform for tests of the configuration and the command line.

use std::sync::Arc;

use serde::Deserialize;

use crate::event::{Change, ChangeKind, EndTime, ExternalAccountId, Millis, Shape, WebinarId};
use crate::providers::{
    HandshakeReply, Inbound, Keys, ParsedPayload, PayloadContent, Platform, Provider, Scrubbed,
    SignedRequest, UnsignedRequest, Unverified, VerifyError,
};
use crate::stub_platform::{StubBehavior, StubProvider, stub_platform};

/// A platform whose webhooks are `{"event": "...", "id": "...", "account": "...", "name": "..."}`.
pub(crate) struct Probe;

#[derive(Deserialize)]
struct Body {
    event: String,
    id: Option<String>,
    account: Option<String>,
    name: Option<String>,
}

/// The platform of that provider.
pub(crate) static PROBE: Platform = stub_platform::<Probe>();

impl StubBehavior for Probe {
    const ID: &'static str = "probe";

    fn unconfigured() -> Option<Arc<dyn Provider>> {
        Some(Arc::new(StubProvider(Self)))
    }

    fn verify(
        &self,
        _request: &Inbound<'_, Unverified>,
        _keys: Keys<'_>,
    ) -> Result<usize, VerifyError> {
        Err(VerifyError::Mismatch)
    }

    fn read(&self, request: &Inbound<'_, Scrubbed>) -> ParsedPayload {
        let Ok(body) = serde_json::from_slice::<Body>(&request.body) else {
            let meaning =
                PayloadContent::Unmappable("it is not an object with an event".to_owned());
            return ParsedPayload::new("", meaning);
        };
        let meaning = match body.event.as_str() {
            "created" => {
                let id = WebinarId::parse(body.id.unwrap_or_default()).expect("the test gives one");
                let mut change = Change::new(id, ChangeKind::Created);
                change.account = body.account.and_then(|id| ExternalAccountId::parse(id).ok());
                change.full_picture = true;
                change.shape = Some(Shape::Single);
                change.whole.name = body.name;
                change.whole.start = Some(Millis::new(1_900_000_000_000));
                change.whole.end = EndTime::after_minutes(60);
                PayloadContent::Changes { changes: vec![change], bad_fields: vec!["start_time"] }
            }
            "handshake" => PayloadContent::Handshake(HandshakeReply {
                status: 200,
                content_type: "text/plain",
                body: vec![],
            }),
            _ => PayloadContent::Ignored,
        };
        ParsedPayload::new(&body.event, meaning)
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let signature = format!("it's {} of {}", request.body.len(), request.secret.len());
        let headers = vec![
            ("x-probe-signature".to_owned(), signature),
            ("x-probe-time".to_owned(), request.now.get().to_string()),
        ];
        Ok(SignedRequest::with_headers(request, headers))
    }
}

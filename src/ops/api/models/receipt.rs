//! Receipts, and replaying them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::event::EventKey;
use crate::ledger::{ReceiptDetail, ReceiptSummary};
use crate::providers::by_id;
use crate::replay::ReplayProgress;

/// A page of `GET /receipts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceiptListModel {
    /// The receipts, newest first.
    pub receipts: Vec<ReceiptSummary>,
    /// The cursor of the next page; none at the end.
    pub next: Option<String>,
}

/// `GET /receipts/{id}`: a receipt with its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceiptDetailModel {
    /// The receipt as lists show it.
    #[serde(flatten)]
    pub receipt: ReceiptSummary,
    /// Body with personal links and passwords masked; none if it is not kept.
    pub body: Option<String>,
    /// Form of `body`: `utf-8`, or `base64` if it is not text.
    pub body_encoding: Option<&'static str>,
    /// Events that the receipt contributes to.
    pub events: Vec<EventKey>,
}

/// `POST /receipts/replay`: replaying many receipts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BulkReplayModel {
    /// Number of receipts that were replayed.
    pub replayed: u64,
    /// The same by outcome, and the number of those that could not be replayed.
    #[serde(flatten)]
    pub progress: ReplayProgress,
    /// Cursor at which to continue; none when all are done.
    pub next: Option<String>,
}

impl From<ReceiptDetail> for ReceiptDetailModel {
    /// Scrubs the body again: the code that scrubbed it before it was stored may have known less than today's. The body
    /// of a platform that this version does not know is left out, since its secret parts are unknown.
    fn from(detail: ReceiptDetail) -> Self {
        let ReceiptDetail { record, events } = detail;
        let platform = by_id(record.summary.provider.as_str());
        let body = record.body.as_deref().zip(platform);
        let body = body.map(|(body, platform)| (platform.scrub)(body));
        let (body, body_encoding) = match body.map(String::from_utf8) {
            None => (None, None),
            Some(Ok(text)) => (Some(text), Some("utf-8")),
            Some(Err(bytes)) => (Some(STANDARD.encode(bytes.as_bytes())), Some("base64")),
        };
        Self { receipt: record.summary, body, body_encoding, events }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::{BodyHash, Millis, ProviderId, ReceiptId, SourceName};
    use crate::ledger::{ReceiptKind, ReceiptOutcome, ReceiptRecord};

    fn shown(provider: &'static str, body: Option<&[u8]>) -> Value {
        let record = ReceiptRecord {
            seq: 1,
            summary: ReceiptSummary {
                id: ReceiptId::from_bytes([7; 16]),
                kind: ReceiptKind::Webhook,
                source: SourceName::parse("zoom").expect("a name"),
                provider: ProviderId::new(provider),
                event_type: "webinar.created".to_owned(),
                received_at: Millis::new(1_700_000_000_007),
                outcome: ReceiptOutcome::Accepted,
                reason: None,
                hash: BodyHash::from_bytes([0xab; 16]),
            },
            headers: Vec::new(),
            body: body.map(<[u8]>::to_vec),
        };
        let detail = ReceiptDetailModel::from(ReceiptDetail { record, events: Vec::new() });
        serde_json::to_value(detail).expect("JSON")
    }

    /// The body was stored by code that masked less.
    #[test]
    fn receipt_shown_is_scrubbed_again() {
        let body = br#"{"payload":{"object":{"password":"hunter2","join_url":"https://z.us/j/1?pwd=hunter3"}}}"#;
        let shown = shown("zoom", Some(body));
        let text = shown["body"].as_str().expect("text");
        assert!(!text.contains("hunter") && text.contains("https://z.us/j/1"), "{text}");
        assert_eq!(shown["body_encoding"], "utf-8");
    }

    #[test]
    fn body_that_is_not_text_is_base64_and_an_unknown_platforms_is_left_out() {
        let bytes = shown("zoom", Some(b"\xff\xfe"));
        assert_eq!((&bytes["body"], &bytes["body_encoding"]), (&json!("//4="), &json!("base64")));
        for shown in [shown("zoom", None), shown("a-platform-of-old", Some(b"pwd=hunter2"))] {
            assert!(shown["body"].is_null() && shown["body_encoding"].is_null(), "{shown}");
        }
    }

    #[test]
    fn receipt_shows_times_with_milliseconds_and_ids_as_text() {
        let shown = shown("zoom", None);
        assert_eq!(shown["received_at"], "2023-11-14T22:13:20.007Z");
        assert_eq!(shown["id"], "07070707-0707-0707-0707-070707070707");
        assert_eq!(shown["hash"], "ab".repeat(16));
    }
}

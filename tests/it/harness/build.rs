//! Changes and receipts as platform code makes them.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use webinar_bridge::event::{
    AccountName, BodyHash, Change, ChangeKind, EndTime, EventOwnership, ExternalAccountId, Millis,
    Policy, ProviderId, ReceiptId, RecurringMode, Shape, SourceName, WebinarFields, WebinarId,
};
use webinar_bridge::ledger::{DuplicateRule, NewReceipt, Policies, ReceiptContent, ReceiptKind};

/// Reference time of the tests, in 2027.
pub(crate) const NOON: Millis = Millis::new(1_800_000_000_000);

pub(crate) fn account(name: &str) -> AccountName {
    AccountName::parse(name).expect("a valid name")
}

pub(crate) fn source(name: &str) -> SourceName {
    SourceName::parse(name).expect("a valid name")
}

pub(crate) fn minutes(count: i64) -> Millis {
    Millis::new(NOON.get() + count * 60_000)
}

/// One source `zoom` for the account `main`.
pub(crate) fn policies() -> Policies {
    BTreeMap::from([(source("zoom"), policy("main"))])
}

pub(crate) fn policy(hubspot: &str) -> Policy {
    Policy {
        hubspot: account(hubspot),
        provider: ProviderId::new("zoom"),
        organizer: Some("Acme GmbH".into()),
        event_type: None,
        external_account_id: None,
        recurring: RecurringMode::Occurrence,
        complete_after_end: None,
        only: Vec::new(),
        ownership: EventOwnership::Platform,
        custom_properties: BTreeMap::new(),
    }
}

/// A webinar is created: one hour long, one day after [`NOON`].
pub(crate) fn created(id: &str, name: &str, at: Millis) -> Change {
    let whole = WebinarFields {
        name: Some(name.into()),
        start: Some(minutes(24 * 60)),
        end: EndTime::after_minutes(60),
        cancelled: Some(false),
        ..WebinarFields::default()
    };
    Change {
        account: Some(ExternalAccountId::parse("acct-1").expect("valid")),
        created_at: Some(at),
        occurred_at: Some(at),
        full_picture: true,
        shape: Some(Shape::Single),
        whole,
        ..Change::new(WebinarId::parse(id).expect("valid"), ChangeKind::Created)
    }
}

/// Only the name changes.
pub(crate) fn renamed(id: &str, name: &str, at: Millis) -> Change {
    Change {
        created_at: None,
        full_picture: false,
        shape: None,
        whole: WebinarFields { name: Some(name.into()), ..WebinarFields::default() },
        kind: ChangeKind::Updated,
        ..created(id, name, at)
    }
}

/// A receipt with these changes; equal `seed`s give equal bodies.
pub(crate) fn receipt(seed: &str, changes: Vec<Change>) -> NewReceipt {
    let body = format!("{{\"seed\":\"{seed}\"}}").into_bytes();
    let digest: [u8; 32] = Sha256::digest(&body).into();
    NewReceipt {
        id: ReceiptId::generate(),
        kind: ReceiptKind::Webhook,
        source: source("zoom"),
        provider: ProviderId::new("zoom"),
        received_at: NOON,
        event_type: "webinar.test".into(),
        dedupe_key: digest,
        duplicates: DuplicateRule::Delivery,
        hash: BodyHash::from_digest(&digest),
        headers: Vec::new(),
        body,
        content: ReceiptContent::Changes(changes),
        fetch_requests: Vec::new(),
    }
}

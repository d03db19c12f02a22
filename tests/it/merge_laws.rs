//! The law of merging: the same changes, in any order and with any repetition, give the same events.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use webinar_bridge::event::webinar::{Provenance, ReceiptOrder};
use webinar_bridge::event::{
    AccountName, Change, ChangeKind, EndTime, EventOwnership, ExternalAccountId, FoldedEvent,
    HeldEvents, Millis, OccurrenceChange, OccurrenceId, OccurrenceListing, Origin, Policy,
    ProviderId, ReceiptId, RecurringMode, RunChange, RunPhase, Shape, SourceName, Webinar,
    WebinarFields, WebinarId, field_origins, fold,
};

const HOUR: i64 = 3_600_000;
const BASE: i64 = 1_800_000_000_000;

fn millis(steps: i64) -> Millis {
    Millis::new(BASE + steps * HOUR)
}

/// Few values, so that equal times, equal fields and contradictions are common.
fn fields() -> impl Strategy<Value = WebinarFields> {
    let text =
        || proptest::option::of(prop_oneof![Just(String::new()), "[ab]".prop_map(String::from)]);
    let time = || proptest::option::of((0i64..30).prop_map(millis));
    let end = proptest::option::of(prop_oneof![
        (1u64..4).prop_map(|h| EndTime::After(h * 3_600_000)),
        (0i64..30).prop_map(|h| EndTime::At(millis(h))),
    ]);
    let flag = || proptest::option::of(any::<bool>());
    (text(), text(), text(), time(), end, time(), flag(), flag()).prop_map(
        |(name, description, join_url, start, end, actual_end, cancelled, completed)| {
            WebinarFields {
                name,
                description,
                join_url,
                start,
                end,
                actual_end,
                cancelled,
                completed,
                custom: BTreeMap::new(),
                ..WebinarFields::default()
            }
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let kind = prop_oneof![
        Just(ChangeKind::Created),
        Just(ChangeKind::Updated),
        Just(ChangeKind::Cancelled),
        Just(ChangeKind::Recovered),
        Just(ChangeKind::Started),
        Just(ChangeKind::Completed),
    ];
    let shape = proptest::option::of(prop_oneof![
        3 => Just(Shape::Series),
        2 => Just(Shape::Single),
        1 => Just(Shape::Timeless),
        1 => any::<bool>().prop_map(|one_session| Shape::Program { one_session }),
    ]);
    let occurrences = proptest::collection::btree_map("[xyz]", fields(), 0..3);
    let listing = prop_oneof![
        Just(OccurrenceListing::Partial),
        Just(OccurrenceListing::Full),
        Just(OccurrenceListing::Unknown)
    ];
    let session = proptest::option::of((any::<bool>(), 0i64..30, proptest::option::of(0i64..30)));
    (
        kind,
        proptest::option::of(0i64..6),
        any::<bool>(),
        shape,
        fields(),
        occurrences,
        listing,
        session,
    )
        .prop_map(|(kind, at, full_picture, shape, whole, occurrences, listing, session)| {
            Change {
                account: None,
                webinar: WebinarId::parse("100").expect("valid"),
                kind,
                is_creation: kind == ChangeKind::Created,
                created_at: None,
                occurred_at: at.map(millis),
                full_picture,
                is_answer: false,
                shape,
                whole,
                occurrences: occurrences
                    .into_iter()
                    .map(|(id, fields)| OccurrenceChange {
                        id: OccurrenceId::parse(id).expect("valid"),
                        fields,
                    })
                    .collect(),
                listing,
                session: session.map(|(ended, start, end)| RunChange {
                    phase: if ended { RunPhase::Ended } else { RunPhase::Started },
                    started_at: Some(millis(start)),
                    ended_at: end.map(millis),
                }),
            }
        })
}

/// A webhook: a change, and everything that is the same in each delivery.
#[derive(Debug, Clone)]
struct Webhook {
    change: Change,
    seq: u64,
    source: SourceName,
}

fn webhooks() -> impl Strategy<Value = Vec<Webhook>> {
    proptest::collection::vec((change(), any::<bool>()), 1..10).prop_map(|changes| {
        changes
            .into_iter()
            .zip(0u8..)
            .map(|((change, second), n)| {
                Webhook {
                    change,
                    // Not in the order of the list: the order of the first arrivals is another one.
                    seq: u64::from(n.wrapping_mul(89)),
                    source: SourceName::parse(if second { "b" } else { "a" }).expect("valid"),
                }
            })
            .collect()
    })
}

fn policy(recurring: RecurringMode) -> Policy {
    Policy {
        hubspot: AccountName::parse("main").expect("valid"),
        provider: ProviderId::new("zoom"),
        organizer: Some("Acme".into()),
        event_type: None,
        external_account_id: None,
        recurring,
        complete_after_end: None,
        only: Vec::new(),
        ownership: EventOwnership::Platform,
        custom_properties: BTreeMap::new(),
    }
}

fn deliver(webhooks: &[&Webhook]) -> Webinar {
    let mut webinar = Webinar::default();
    for (n, webhook) in (0..).zip(webhooks) {
        webinar
            .merge(&webhook.change, &provenance(webhook, n))
            .expect("one provider, few occurrences");
    }
    webinar
}

/// Rebuilds the webinar: removes the writes of these receipts and merges these changes.
fn rebuild(
    webinar: &Webinar,
    receipts: &BTreeSet<ReceiptId>,
    keep_others: bool,
    changes: &[(&Change, Provenance)],
) -> Webinar {
    let mut rebuild = webinar.begin_rebuild(receipts, keep_others);
    for (change, provenance) in changes {
        rebuild.merge(change, provenance).expect("it was merged before");
    }
    rebuild.finish()
}

/// The provenance of a webhook, with the receipt of this number.
fn provenance(webhook: &Webhook, number: u8) -> Provenance {
    let mut id = [1; 16];
    id[15] = number;
    Provenance {
        receipt: ReceiptId::from_bytes(id),
        order: ReceiptOrder { seq: webhook.seq, at: millis(100) },
        place: 0,
        origin: Origin {
            source: webhook.source.clone(),
            provider: ProviderId::new("zoom"),
            event_type: "test".into(),
            reported_at: webhook.change.occurred_at.or(Some(millis(2))),
            received_at: millis(100),
        },
    }
}

fn events(webinar: &Webinar, recurring: RecurringMode) -> Vec<FoldedEvent> {
    let account = ExternalAccountId::parse("acct").expect("valid");
    let id = WebinarId::parse("100").expect("valid");
    fold(webinar, &account, &id, &policy(recurring), &HeldEvents::new(), millis(200))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn order_and_repetition_change_nothing(
        webhooks in webhooks(),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        shuffle in any::<u64>(),
    ) {
        let in_order: Vec<&Webhook> = webhooks.iter().collect();
        // Every webhook at least once, in another order, and some repeated.
        let mut mixed: Vec<&Webhook> = order.iter().map(|pick| pick.get(&webhooks)).collect();
        mixed.extend(in_order.iter());
        let mut state = shuffle | 1;
        for at in (1..mixed.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let other = usize::try_from(state >> 33).expect("31 bits") % (at + 1);
            mixed.swap(at, other);
        }
        let one = deliver(&in_order);
        let other = deliver(&mixed);
        for recurring in [RecurringMode::Occurrence, RecurringMode::Series] {
            prop_assert_eq!(events(&one, recurring), events(&other, recurring));
        }
    }

    #[test]
    fn webinar_survives_serialization(webhooks in webhooks()) {
        let webinar = deliver(&webhooks.iter().collect::<Vec<_>>());
        let stored = serde_json::to_vec(&webinar).expect("it can be written");
        let back: Webinar = serde_json::from_slice(&stored).expect("it can be read");
        prop_assert_eq!(webinar, back);
    }

    #[test]
    fn sent_event_is_complete_and_does_not_end_before_its_start(webhooks in webhooks()) {
        let webinar = deliver(&webhooks.iter().collect::<Vec<_>>());
        for event in events(&webinar, RecurringMode::Occurrence) {
            if let Ok(input) = &event.content {
                prop_assert!(webinar.full_picture);
                prop_assert!(!input.event_name.is_empty());
                if let (Some(start), Some(end)) = (input.start_date_time, input.end_date_time) {
                    prop_assert!(start <= end);
                }
            }
        }
    }

    #[test]
    fn rebuild_from_unchanged_receipts_restores_the_webinar(
        webhooks in proptest::collection::vec(webhooks(), 1..4),
        selection in any::<u64>(),
        order in any::<u64>(),
    ) {
        // The same bodies repeated, each delivery a receipt of its own, as from several sources.
        let all: Vec<(u8, &Webhook)> = (0..).zip(webhooks.iter().flatten()).collect();
        let before = deliver(&all.iter().map(|(_, webhook)| *webhook).collect::<Vec<_>>());
        let mut readable: Vec<_> =
            all.iter().filter(|(n, _)| selection >> (n % 64) & 1 == 1).copied().collect();
        readable.sort_by_key(|(n, _)| order.rotate_left(u32::from(*n)));
        let changes: Vec<(&Change, Provenance)> =
            readable.iter().map(|(n, webhook)| (&webhook.change, provenance(webhook, *n))).collect();
        let receipts = changes.iter().map(|(_, provenance)| provenance.receipt).collect();
        let keep_others = readable.len() < all.len();
        prop_assert_eq!(rebuild(&before, &receipts, keep_others, &changes), before);
    }

    #[test]
    fn rebuild_without_receipts_leaves_no_trace_of_them(webhooks in webhooks(), selection in any::<u64>()) {
        // The removed receipts yield nothing any more, and the kept ones yield the same again: the result must be as if
        // only the kept ones had been merged.
        let all: Vec<(u8, &Webhook)> = (0..).zip(&webhooks).collect();
        let webinar = deliver(&webhooks.iter().collect::<Vec<_>>());
        let (removed, kept): (Vec<_>, Vec<_>) =
            all.iter().partition(|(n, _)| selection >> (n % 64) & 1 == 1);
        let changes: Vec<(&Change, Provenance)> =
            kept.iter().map(|(n, webhook)| (&webhook.change, provenance(webhook, *n))).collect();
        let receipts = removed
            .iter()
            .map(|(n, webhook)| provenance(webhook, *n).receipt)
            .chain(changes.iter().map(|(_, provenance)| provenance.receipt))
            .collect();
        let webinar = rebuild(&webinar, &receipts, false, &changes);
        let mut alone = Webinar::default();
        for (change, provenance) in &changes {
            alone.merge(change, provenance).expect("it was merged before");
        }
        prop_assert_eq!(webinar, alone);
    }

    #[test]
    fn field_origins_match_the_input_for_hubspot(webhooks in webhooks()) {
        let webinar = deliver(&webhooks.iter().collect::<Vec<_>>());
        let id = WebinarId::parse("100").expect("valid");
        for recurring in [RecurringMode::Occurrence, RecurringMode::Series] {
            for event in events(&webinar, recurring) {
                let origins = field_origins(&webinar, &id, &event.id, &policy(recurring), millis(200));
                let value = |field: &str| {
                    origins.iter().find(|origin| origin.field == field).map(|origin| &origin.value)
                };
                for origin in &origins {
                    prop_assert!(webinar.origins.contains_key(&origin.receipt), "{}", origin.field);
                }
                let text = |at: Option<Millis>| at.map(|at| at.to_string());
                let origin_text = |field: &str| value(field).and_then(|v| v.as_str()).map(str::to_owned);
                prop_assert_eq!(origin_text("start"), text(event.start));
                prop_assert_eq!(origin_text("end"), text(event.end));
                prop_assert_eq!(origin_text("name"), event.name);
                if let Ok(input) = event.content {
                    prop_assert_eq!(origin_text("description"), input.event_description);
                    prop_assert_eq!(origin_text("join_url"), input.event_url);
                    let flag = |field: &str| value(field).is_some_and(|v| v == true);
                    prop_assert_eq!(flag("cancelled"), input.event_cancelled);
                    prop_assert_eq!(flag("completed"), input.event_completed);
                }
            }
        }
    }
}

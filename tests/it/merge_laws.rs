//! The law that everything rests on: any order and any repetition of the same changes ends in the same events.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use webinar_bridge::event::webinar::Provenance;
use webinar_bridge::event::{
    AccountName, BodyHash, Change, ChangeKind, EndTime, ExternalAccountId, FoldedEvent, Millis,
    OccurrenceChange, OccurrenceId, OccurrenceListing, Origin, Policy, ProviderId, ReceiptId,
    RecurringMode, RunChange, RunPhase, Shape, SourceName, Webinar, WebinarFields, WebinarId, fold,
    value_origins,
};

const HOUR: i64 = 3_600_000;
const BASE: i64 = 1_800_000_000_000;

fn millis(steps: i64) -> Millis {
    Millis::new(BASE + steps * HOUR)
}

/// Few values, so that equal times, equal fields and contradictions are the rule.
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
                occurred_at: at.map(millis),
                full_picture,
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

/// A webhook: a change and everything that stays the same however often it is delivered.
#[derive(Debug, Clone)]
struct Webhook {
    change: Change,
    hash: BodyHash,
    source: SourceName,
}

fn webhooks() -> impl Strategy<Value = Vec<Webhook>> {
    proptest::collection::vec((change(), any::<bool>()), 1..10).prop_map(|changes| {
        changes
            .into_iter()
            .zip(0u8..)
            .map(|((change, second), n)| {
                let mut digest = [0; 32];
                // Not in the order of the list: the order by hash must not be the order of arrival.
                digest[0] = n.wrapping_mul(89);
                digest[1] = n;
                Webhook {
                    change,
                    hash: BodyHash::from_digest(&digest),
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
        only: None,
        custom_properties: BTreeMap::new(),
    }
}

fn deliver(webhooks: &[&Webhook]) -> Webinar {
    let mut webinar = Webinar::default();
    for (n, webhook) in (0..).zip(webhooks) {
        webinar.merge(&webhook.change, &said(webhook, n)).expect("one provider, few occurrences");
    }
    webinar
}

/// The webinar after these receipts were forgotten and this was said instead.
fn retold(
    webinar: &Webinar,
    receipts: &BTreeSet<ReceiptId>,
    based: bool,
    sayings: &[(&Change, Provenance)],
) -> Webinar {
    let mut retelling = webinar.begin_rebuild(receipts, based);
    for (change, said) in sayings {
        retelling.merge(change, said).expect("it was merged before");
    }
    retelling.finish()
}

/// Who says it, with the receipt of that number.
fn said(webhook: &Webhook, number: u8) -> Provenance {
    let mut id = [1; 16];
    id[15] = number;
    Provenance {
        receipt: ReceiptId::from_bytes(id),
        hash: webhook.hash,
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
    fold(webinar, &account, &id, &policy(recurring), millis(200))
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
        // Every webhook at least once, in another order, and some again.
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
    fn a_state_survives_being_stored(webhooks in webhooks()) {
        let webinar = deliver(&webhooks.iter().collect::<Vec<_>>());
        let stored = serde_json::to_vec(&webinar).expect("it can be written");
        let back: Webinar = serde_json::from_slice(&stored).expect("it can be read");
        prop_assert_eq!(webinar, back);
    }

    #[test]
    fn no_end_is_before_its_start_and_nothing_is_sent_with_a_gap(webhooks in webhooks()) {
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
    fn said_again_by_those_who_can_a_webinar_is_what_it_was(
        webhooks in proptest::collection::vec(webhooks(), 1..4),
        able in any::<u64>(),
        order in any::<u64>(),
    ) {
        // The same bodies again and again, each delivery a receipt of its own, as from several sources.
        let all: Vec<(u8, &Webhook)> = (0..).zip(webhooks.iter().flatten()).collect();
        let before = deliver(&all.iter().map(|(_, webhook)| *webhook).collect::<Vec<_>>());
        let mut telling: Vec<_> =
            all.iter().filter(|(n, _)| able >> (n % 64) & 1 == 1).copied().collect();
        telling.sort_by_key(|(n, _)| order.rotate_left(u32::from(*n)));
        let sayings: Vec<(&Change, Provenance)> =
            telling.iter().map(|(n, webhook)| (&webhook.change, said(webhook, *n))).collect();
        let receipts = sayings.iter().map(|(_, said)| said.receipt).collect();
        let based = telling.len() < all.len();
        prop_assert_eq!(retold(&before, &receipts, based, &sayings), before);
    }

    #[test]
    fn what_was_forgotten_leaves_no_trace(webhooks in webhooks(), able in any::<u64>()) {
        // Those who can tell now say nothing, and the others are there to say it again: as if they alone had spoken.
        let all: Vec<(u8, &Webhook)> = (0..).zip(&webhooks).collect();
        let webinar = deliver(&webhooks.iter().collect::<Vec<_>>());
        let (silent, told): (Vec<_>, Vec<_>) =
            all.iter().partition(|(n, _)| able >> (n % 64) & 1 == 1);
        let sayings: Vec<(&Change, Provenance)> =
            told.iter().map(|(n, webhook)| (&webhook.change, said(webhook, *n))).collect();
        let receipts = silent
            .iter()
            .map(|(n, webhook)| said(webhook, *n).receipt)
            .chain(sayings.iter().map(|(_, said)| said.receipt))
            .collect();
        let webinar = retold(&webinar, &receipts, false, &sayings);
        let mut alone = Webinar::default();
        for (change, said) in &sayings {
            alone.merge(change, said).expect("it was merged before");
        }
        prop_assert_eq!(webinar, alone);
    }

    #[test]
    fn what_a_field_rests_on_is_what_hubspot_gets(webhooks in webhooks()) {
        let webinar = deliver(&webhooks.iter().collect::<Vec<_>>());
        let id = WebinarId::parse("100").expect("valid");
        for recurring in [RecurringMode::Occurrence, RecurringMode::Series] {
            for event in events(&webinar, recurring) {
                let bases = value_origins(&webinar, &id, &event.id, &policy(recurring), millis(200));
                let value = |field: &str| {
                    bases.iter().find(|basis| basis.field == field).map(|basis| &basis.value)
                };
                for basis in &bases {
                    prop_assert!(webinar.origins.contains_key(&basis.receipt), "{}", basis.field);
                }
                let text = |at: Option<Millis>| at.map(|at| at.to_string());
                let told = |field: &str| value(field).and_then(|v| v.as_str()).map(str::to_owned);
                prop_assert_eq!(told("start"), text(event.start));
                prop_assert_eq!(told("end"), text(event.end));
                prop_assert_eq!(told("name"), event.name);
                if let Ok(input) = event.content {
                    prop_assert_eq!(told("description"), input.event_description);
                    prop_assert_eq!(told("join_url"), input.event_url);
                    let flag = |field: &str| value(field).is_some_and(|v| v == true);
                    prop_assert_eq!(flag("cancelled"), input.event_cancelled);
                    prop_assert_eq!(flag("completed"), input.event_completed);
                }
            }
        }
    }
}

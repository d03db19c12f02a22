use super::*;
use crate::event::policy::tests::policy;
use crate::event::{
    BodyHash, ChangeKind, ExternalAccountId, Millis, ReceiptId, SourceName, WebinarId,
};
use crate::ledger::{DuplicateRule, ReceiptKind};

fn account(name: &str) -> ExternalAccountId {
    ExternalAccountId::parse(name).expect("valid")
}

fn change(account: Option<ExternalAccountId>) -> Change {
    let webinar = WebinarId::parse("7").expect("valid");
    Change { account, ..Change::new(webinar, ChangeKind::Created) }
}

fn receipt(content: ReceiptContent) -> NewReceipt {
    let policy = policy();
    NewReceipt {
        id: ReceiptId::from_bytes([1; 16]),
        kind: ReceiptKind::Webhook,
        source: SourceName::parse("zoom-eu").expect("valid"),
        provider: policy.provider,
        received_at: Millis::new(10),
        event_type: "webinar.created".into(),
        dedupe_key: [1; 32],
        duplicates: DuplicateRule::Delivery,
        hash: BodyHash::from_bytes([1; 16]),
        headers: Vec::new(),
        body: Vec::new(),
        content,
        fetch_requests: Vec::new(),
    }
}

#[test]
fn change_joins_the_webinar_of_the_sources_account_or_else_of_its_own() {
    let receipt = receipt(ReceiptContent::Changes(vec![change(Some(account("a"))), change(None)]));
    let own = Policy { external_account_id: Some(account("own")), ..policy() };
    let AcceptPlan::Merge(targets) = plan_receipt(&receipt, Some(&own)) else {
        panic!("it can be merged")
    };
    assert!(targets.iter().all(|(key, _)| key.account == account("own")));
    assert_eq!(targets.len(), 2);
}

#[test]
fn receipt_that_merges_nothing_is_stored_with_its_reason() {
    let quarantined = |reason: &str| (ReceiptOutcome::Quarantined, Some(reason.to_owned()));
    let changes = || ReceiptContent::Changes(vec![change(None)]);
    let policy = policy();
    for (content, policy, expected) in [
        (ReceiptContent::Ignored, Some(&policy), (ReceiptOutcome::Ignored, None)),
        (ReceiptContent::Quarantined("odd".into()), Some(&policy), quarantined("odd")),
        (changes(), None, quarantined("its source is not in the configuration")),
        (changes(), Some(&policy), quarantined(&MissingExternalAccount.to_string())),
    ] {
        let receipt = receipt(content);
        let AcceptPlan::Store(outcome, reason) = plan_receipt(&receipt, policy) else {
            panic!("there is nothing to merge")
        };
        assert_eq!((outcome, reason), expected);
    }
}

use super::*;
use crate::event::policy::tests::policy;
use crate::event::{ChangeKind, ExternalAccountId, WebinarId};

fn account(name: &str) -> ExternalAccountId {
    ExternalAccountId::parse(name).expect("valid")
}

fn change(account: Option<ExternalAccountId>) -> Change {
    let webinar = WebinarId::parse("7").expect("valid");
    Change { account, ..Change::new(webinar, ChangeKind::Created) }
}

#[test]
fn change_joins_the_webinar_of_the_sources_account_or_else_of_its_own() {
    let receipt =
        NewReceipt::empty(ReceiptContent::Changes(vec![change(Some(account("a"))), change(None)]));
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
        let receipt = NewReceipt::empty(content);
        let AcceptPlan::Store(outcome, reason) = plan_receipt(&receipt, policy) else {
            panic!("there is nothing to merge")
        };
        assert_eq!((outcome, reason), expected);
    }
}

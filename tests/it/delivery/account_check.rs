//! Whose account it is: nothing goes to another than the one that was sent to before.

use std::path::Path;
use std::time::Duration;

use webinar_bridge::event::{Identity, PauseReason, StatusChange};
use webinar_bridge::hubspot::AccountCredentials;
use webinar_bridge::sandbox::emulator::{EmulatorOperation, EmulatorSettings};
use webinar_bridge::secret::Secret;

use super::{MINUTE, upserts};
use crate::harness::delivery::DeliveryHarness;
use crate::harness::process::TOKEN;

const PORTAL: u64 = 48_201_377;

fn rig() -> DeliveryHarness {
    DeliveryHarness::new(EmulatorSettings::new(TOKEN))
}

fn write(path: &Path, token: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, token).expect("a file can be written");
    std::fs::rename(next, path).expect("it can be replaced");
}

fn details(rig: &DeliveryHarness) -> usize {
    rig.hubspot.calls(EmulatorOperation::Details)
}

fn reason(rig: &DeliveryHarness) -> Option<PauseReason> {
    rig.ledger.status().paused.map(|pause| pause.reason)
}

fn remember(rig: &DeliveryHarness, portal_id: u64, client_id: Option<&str>) {
    let client_id = client_id.map(str::to_owned);
    let identity = Some(Identity { portal_id, client_id });
    rig.ledger.change_status(&StatusChange::IdentityConfirmed { identity, daily_remaining: None });
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_once_before_the_first_batch_and_remembered() {
    let mut rig = rig();
    rig.start();
    tokio::time::sleep(MINUTE).await;
    assert_eq!(rig.hubspot.emulator().calls().len(), 0, "while nothing is to be sent");
    for _ in 0..3 {
        rig.ledger.add("Webinar");
        rig.drained(MINUTE).await;
    }
    let operations: Vec<_> =
        rig.hubspot.emulator().calls().iter().map(|call| call.operation).collect();
    let upsert = EmulatorOperation::Upsert;
    assert_eq!(operations, [EmulatorOperation::Details, upsert, upsert, upsert]);
    let expected = Some(Identity { portal_id: PORTAL, client_id: None });
    assert_eq!(rig.ledger.status().identity, expected);
}

#[tokio::test(start_paused = true)]
async fn another_portal_or_app_is_sent_nothing_until_an_operator_confirms_it() {
    for (portal, client_id) in [(1, None), (PORTAL, Some("an-app"))] {
        let mut rig = rig();
        rig.ledger.add("Webinar");
        rig.start();
        rig.drained(MINUTE).await;
        rig.stop().await;
        let sent = upserts(&rig);
        remember(&rig, portal, client_id);
        rig.ledger.add("Another");
        rig.start();
        let paused = || reason(&rig) == Some(PauseReason::Misconfigured);
        rig.until(MINUTE, "it is paused", paused).await;
        let asked = details(&rig);
        tokio::time::sleep(10 * MINUTE).await;
        assert_eq!((upserts(&rig), details(&rig)), (sent, asked), "nothing, not even a probe");
        assert_eq!(rig.ledger.counts().pending, 1);

        rig.ledger.change_status(&StatusChange::Resumed);
        rig.drained(MINUTE).await;
        assert_eq!(rig.ledger.counts().delivered, 2);
        // What the account before was sent goes to this one too.
        let inputs: usize =
            rig.hubspot.emulator().calls()[sent + asked..].iter().map(|call| call.inputs).sum();
        assert_eq!(inputs, 2);
        let now = rig.ledger.status();
        assert_eq!(now.identity, Some(Identity { portal_id: PORTAL, client_id: None }));
        assert_eq!((now.paused, now.unconfirmed_identity, now.resync_pending), (None, None, false));
    }
}

#[tokio::test(start_paused = true)]
async fn old_credentials_that_are_put_back_go_on_by_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    write(&path, TOKEN);
    let mut rig = rig();
    rig.start_with(AccountCredentials::Token(Secret::file(&path)));
    // What is remembered is another portal than the emulator is; its tokens are unknown here.
    remember(&rig, 1, None);
    rig.ledger.add("Webinar");
    rig.until(MINUTE, "it is paused", || reason(&rig) == Some(PauseReason::Misconfigured)).await;
    write(&path, &format!("{TOKEN}\n"));
    tokio::time::sleep(MINUTE).await;
    assert_eq!(details(&rig), 1, "the same token with another newline is the same token");
    write(&path, "unknown");
    let unauthorized = || reason(&rig) == Some(PauseReason::Unauthorized);
    rig.until(MINUTE, "it is asked with the new one", unauthorized).await;
    assert_eq!(upserts(&rig), 0);
    // As if that portal's token were back.
    remember(&rig, PORTAL, None);
    write(&path, TOKEN);
    let took = rig.drained(MINUTE).await;
    assert!(took <= Duration::from_secs(2), "at once, not at the next probe: {took:?}");
    assert_eq!((rig.ledger.counts().delivered, reason(&rig)), (1, None));
}

#[tokio::test(start_paused = true)]
async fn credentials_that_change_on_disk_are_tried_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    write(&path, "revoked");
    let mut rig = rig();
    (0..3).for_each(|_| rig.ledger.add("Webinar"));
    rig.start_with(AccountCredentials::Token(Secret::file(&path)));
    rig.until(MINUTE, "it is paused", || reason(&rig) == Some(PauseReason::Unauthorized)).await;
    write(&path, TOKEN);
    let took = rig.drained(MINUTE).await;
    assert!(took <= Duration::from_secs(2), "at once, not at the next probe: {took:?}");
    assert_eq!(reason(&rig), None);
}

/// Another app's credentials while calls are under way: what is left of a batch does not go to it.
#[tokio::test(start_paused = true)]
async fn credentials_that_change_amid_a_batch_end_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    write(&path, TOKEN);
    let mut rig = rig();
    let refuse = webinar_bridge::sandbox::emulator::EmulatorFault::RejectNames("poison".into());
    rig.hubspot.emulator().inject_standing(refuse);
    *rig.hubspot.latency.lock().expect("not poisoned") = Duration::from_secs(1);
    (0..99).for_each(|_| rig.ledger.add("Webinar"));
    rig.ledger.add("poison");
    rig.start_with(AccountCredentials::Token(Secret::file(&path)));
    rig.until(MINUTE, "the batch was refused", || upserts(&rig) == 1).await;
    write(&path, "another-apps");
    rig.until(MINUTE, "it is paused", || reason(&rig) == Some(PauseReason::Unauthorized)).await;
    assert_eq!(upserts(&rig), 1, "no half went with the new token");
    assert_eq!(rig.ledger.counts().pending, 100);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_may_not_be_asked_is_delivered_to_all_the_same() {
    for status in [403, 404] {
        let mut rig = rig();
        *rig.hubspot.details.lock().expect("not poisoned") = Some(status);
        rig.ledger.add("Webinar");
        rig.start();
        rig.drained(MINUTE).await;
        assert_eq!((rig.ledger.counts().delivered, rig.ledger.status().identity), (1, None));
    }
}

/// Not to get an answer is not to be refused one.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_the_question_fails() {
    let mut rig = rig();
    *rig.hubspot.details.lock().expect("not poisoned") = Some(503);
    rig.ledger.add("Webinar");
    rig.start();
    rig.until(10 * MINUTE, "it was asked often", || rig.ledger.status().failures > 5).await;
    assert_eq!(upserts(&rig), 0);
    *rig.hubspot.details.lock().expect("not poisoned") = None;
    rig.drained(MINUTE).await;
    assert_eq!(rig.ledger.status().failures, 0);
}

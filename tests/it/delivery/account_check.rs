//! Checking the account: nothing is sent to another account than the one before.

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

fn harness() -> DeliveryHarness {
    DeliveryHarness::new(EmulatorSettings::new(TOKEN))
}

fn write(path: &Path, token: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, token).expect("a file can be written");
    std::fs::rename(next, path).expect("it can be replaced");
}

fn details(harness: &DeliveryHarness) -> usize {
    harness.hubspot.calls(EmulatorOperation::Details)
}

fn reason(harness: &DeliveryHarness) -> Option<PauseReason> {
    harness.ledger.status().paused.map(|pause| pause.reason)
}

fn remember(harness: &DeliveryHarness, portal_id: u64, client_id: Option<&str>) {
    let client_id = client_id.map(str::to_owned);
    let identity = Some(Identity { portal_id, client_id });
    harness.ledger.change_status(&StatusChange::IdentityConfirmed {
        identity,
        credentials: None,
        daily_remaining: None,
    });
}

#[tokio::test(start_paused = true)]
async fn account_is_checked_once_before_the_first_batch_and_remembered() {
    let mut harness = harness();
    harness.start();
    tokio::time::sleep(MINUTE).await;
    assert_eq!(harness.hubspot.emulator().calls().len(), 0, "while nothing is to be sent");
    for _ in 0..3 {
        harness.ledger.add("Webinar");
        harness.drained(MINUTE).await;
    }
    let operations: Vec<_> =
        harness.hubspot.emulator().calls().iter().filter_map(|call| call.operation).collect();
    let upsert = EmulatorOperation::Upsert;
    assert_eq!(operations, [EmulatorOperation::Details, upsert, upsert, upsert]);
    let expected = Some(Identity { portal_id: PORTAL, client_id: None });
    assert_eq!(harness.ledger.status().identity, expected);
}

#[tokio::test(start_paused = true)]
async fn another_portal_or_app_is_sent_nothing_until_an_operator_confirms_it() {
    for (portal, client_id) in [(1, None), (PORTAL, Some("an-app"))] {
        let mut harness = harness();
        harness.ledger.add("Webinar");
        harness.start();
        harness.drained(MINUTE).await;
        harness.stop().await;
        let sent = upserts(&harness);
        remember(&harness, portal, client_id);
        harness.ledger.add("Another");
        harness.start();
        let paused = || reason(&harness) == Some(PauseReason::Misconfigured);
        harness.until(MINUTE, "it is paused", paused).await;
        let asked = details(&harness);
        tokio::time::sleep(10 * MINUTE).await;
        assert_eq!(
            (upserts(&harness), details(&harness)),
            (sent, asked),
            "nothing, not even a probe"
        );
        assert_eq!(harness.ledger.counts().pending, 1);

        harness.ledger.change_status(&StatusChange::Resumed);
        harness.drained(MINUTE).await;
        assert_eq!(harness.ledger.counts().delivered, 2);
        // The events that the account before was sent go to this one too.
        let inputs: usize =
            harness.hubspot.emulator().calls()[sent + asked..].iter().map(|call| call.inputs).sum();
        assert_eq!(inputs, 2);
        let now = harness.ledger.status();
        assert_eq!(now.identity, Some(Identity { portal_id: PORTAL, client_id: None }));
        assert_eq!((now.paused, now.unconfirmed_identity, now.resync_pending), (None, None, false));
    }
}

#[tokio::test(start_paused = true)]
async fn old_credentials_that_are_put_back_resume_by_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    write(&path, TOKEN);
    let mut harness = harness();
    harness.start_with(AccountCredentials::Token(Secret::file(&path)));
    // The remembered portal is not the emulator's, which does not know its tokens.
    remember(&harness, 1, None);
    harness.ledger.add("Webinar");
    harness
        .until(MINUTE, "it is paused", || reason(&harness) == Some(PauseReason::Misconfigured))
        .await;
    write(&path, &format!("{TOKEN}\n"));
    tokio::time::sleep(MINUTE).await;
    assert_eq!(details(&harness), 1, "the same token with another newline is the same token");
    write(&path, "unknown");
    let unauthorized = || reason(&harness) == Some(PauseReason::Unauthorized);
    harness.until(MINUTE, "the new token is tried", unauthorized).await;
    assert_eq!(upserts(&harness), 0);
    // As if the token of the remembered portal were back.
    remember(&harness, PORTAL, None);
    write(&path, TOKEN);
    let took = harness.drained(MINUTE).await;
    assert!(took <= Duration::from_secs(2), "at once, not at the next probe: {took:?}");
    assert_eq!((harness.ledger.counts().delivered, reason(&harness)), (1, None));
}

#[tokio::test(start_paused = true)]
async fn credentials_that_change_on_disk_are_tried_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    write(&path, "revoked");
    let mut harness = harness();
    (0..3).for_each(|_| harness.ledger.add("Webinar"));
    harness.start_with(AccountCredentials::Token(Secret::file(&path)));
    harness
        .until(MINUTE, "it is paused", || reason(&harness) == Some(PauseReason::Unauthorized))
        .await;
    write(&path, TOKEN);
    let took = harness.drained(MINUTE).await;
    assert!(took <= Duration::from_secs(2), "at once, not at the next probe: {took:?}");
    assert_eq!(reason(&harness), None);
}

/// Another app's credentials while calls are under way: the rest of a batch is not sent with them.
#[tokio::test(start_paused = true)]
async fn credentials_that_change_during_a_batch_end_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    write(&path, TOKEN);
    let mut harness = harness();
    let refuse = webinar_bridge::sandbox::emulator::EmulatorFault::RejectNames("poison".into());
    harness.hubspot.emulator().inject_standing(refuse);
    *harness.hubspot.latency.lock().expect("not poisoned") = Duration::from_secs(1);
    (0..99).for_each(|_| harness.ledger.add("Webinar"));
    harness.ledger.add("poison");
    harness.start_with(AccountCredentials::Token(Secret::file(&path)));
    harness.until(MINUTE, "the batch was refused", || upserts(&harness) == 1).await;
    write(&path, "another-apps");
    harness
        .until(MINUTE, "it is paused", || reason(&harness) == Some(PauseReason::Unauthorized))
        .await;
    assert_eq!(upserts(&harness), 1, "no half went with the new token");
    assert_eq!(harness.ledger.counts().pending, 100);
}

#[tokio::test(start_paused = true)]
async fn account_that_does_not_disclose_itself_is_delivered_to() {
    for status in [403, 404] {
        let mut harness = harness();
        *harness.hubspot.details.lock().expect("not poisoned") = Some(status);
        harness.ledger.add("Webinar");
        harness.start();
        harness.drained(MINUTE).await;
        assert_eq!(
            (harness.ledger.counts().delivered, harness.ledger.status().identity),
            (1, None)
        );
    }
}

/// A failed check differs from a refusal to disclose the account.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_the_check_fails() {
    let mut harness = harness();
    *harness.hubspot.details.lock().expect("not poisoned") = Some(503);
    harness.ledger.add("Webinar");
    harness.start();
    harness
        .until(10 * MINUTE, "it was checked often", || harness.ledger.status().failures > 5)
        .await;
    assert_eq!(upserts(&harness), 0);
    *harness.hubspot.details.lock().expect("not poisoned") = None;
    harness.drained(MINUTE).await;
    assert_eq!(harness.ledger.status().failures, 0);
}

/// B9: after a restart with the same credentials nothing waits for the check, which is repeated until it succeeds.
#[tokio::test(start_paused = true)]
async fn known_credentials_are_checked_beside_the_deliveries() {
    let mut harness = harness();
    harness.ledger.add("Webinar");
    harness.start();
    harness.drained(MINUTE).await;
    harness.stop().await;
    harness.hubspot.emulator().set_details_status(Some(500));
    harness.ledger.add("Another");
    harness.start();
    let took = harness.drained(MINUTE).await;
    assert!(took < Duration::from_secs(2), "at once: {took:?}");
    let unchecked = || harness.ledger.status().check_failed.is_some();
    harness.until(MINUTE, "the failure shows", unchecked).await;
    let operations: Vec<_> =
        harness.hubspot.emulator().calls().iter().filter_map(|call| call.operation).collect();
    let (details_call, upsert) = (EmulatorOperation::Details, EmulatorOperation::Upsert);
    assert_eq!(operations, [details_call, upsert, upsert, details_call], "the batch goes first");
    tokio::time::sleep(10 * MINUTE).await;
    let status = harness.ledger.status();
    assert_eq!((status.paused, status.failures, status.retry_at), (None, 0, None));
    let asked = details(&harness);
    assert!((8..=13).contains(&asked), "about once a minute: {asked}");
    harness.hubspot.emulator().set_details_status(None);
    let checked = || harness.ledger.status().check_failed.is_none();
    harness.until(2 * MINUTE, "it is checked", checked).await;
    let asked = details(&harness);
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(details(&harness), asked, "and then no more");
}

/// A known credential that another portal turns out to own ends the deliveries.
#[tokio::test(start_paused = true)]
async fn check_beside_the_deliveries_still_finds_another_account() {
    let mut harness = harness();
    harness.ledger.add("Webinar");
    harness.start();
    harness.drained(MINUTE).await;
    harness.stop().await;
    let credentials = harness.ledger.status().checked_credentials;
    assert!(credentials.is_some());
    harness.ledger.change_status(&StatusChange::IdentityConfirmed {
        identity: Some(Identity { portal_id: 1, client_id: None }),
        credentials,
        daily_remaining: None,
    });
    harness.ledger.add("Another");
    harness.start();
    let paused = || reason(&harness) == Some(PauseReason::Misconfigured);
    harness.until(MINUTE, "it is paused", paused).await;
    let sent = upserts(&harness);
    harness.ledger.add("Yet another");
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(upserts(&harness), sent);
}

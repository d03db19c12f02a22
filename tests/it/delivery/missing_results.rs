//! A HubSpot that answers 2xx and does nothing, for all events or for one.

use std::time::Duration;

use webinar_bridge::ledger::EventState;
use webinar_bridge::sandbox::emulator::EmulatorOperation;

use super::{MINUTE, generous, upserts};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn account_that_does_nothing_costs_a_few_calls_a_probe_and_no_event() {
    let mut harness = generous();
    *harness.hubspot.leaves_out.lock().expect("not poisoned") = Some("Webinar".into());
    (0..100).for_each(|_| harness.ledger.add("Webinar"));
    harness.start();
    let failing = || harness.ledger.status().failures == 1;
    harness.until(MINUTE, "the account is left alone for a while", failing).await;
    // The batch, the same once more, and one event alone, which is read before and after: then it is clear that it is no
    // event's fault.
    let calls = |operation| harness.hubspot.calls(operation);
    assert_eq!((upserts(&harness), calls(EmulatorOperation::Read)), (0, 2));
    let error = harness.ledger.status().last_error.unwrap_or_default();
    assert!(error.contains("does not show it as it was sent"), "{error}");
    harness.until(2 * MINUTE, "probes", || harness.ledger.status().failures >= 10).await;
    let probes = usize::try_from(harness.ledger.status().failures).expect("a few");
    let reads = harness.hubspot.calls(EmulatorOperation::Read);
    assert!(reads <= 2 * (probes + 1), "{reads} reads in {probes} probes");
    let rows = harness.ledger.rows();
    assert!(rows.iter().all(|row| row.state == EventState::Pending && row.attempts == 0));
    assert_eq!(harness.ledger.status().batches_ignored, None, "it takes no single events either");
    *harness.hubspot.leaves_out.lock().expect("not poisoned") = None;
    harness.drained(2 * MINUTE).await;
    assert_eq!(harness.ledger.counts().delivered, 100);
    assert_eq!(harness.ledger.status().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn event_without_result_becomes_a_dead_letter_while_others_are_accepted() {
    for company in [true, false] {
        let mut harness = generous();
        *harness.hubspot.leaves_out.lock().expect("not poisoned") = Some("ghost".into());
        harness.ledger.add("ghost");
        if company {
            (0..99).for_each(|_| harness.ledger.add("Webinar"));
        }
        harness.start();
        let ghost = || harness.ledger.rows()[0].clone();
        let began = tokio::time::Instant::now();
        let mut others = 0;
        let dead = || {
            // Other events come now and then, one at a time.
            if began.elapsed() >= 20 * SECOND * others {
                others += 1;
                harness.ledger.add("Webinar");
            }
            ghost().state == EventState::Dead
        };
        let took = harness.until(10 * MINUTE, "it is dead", dead).await;
        assert!(took >= Duration::from_mins(2), "not at the first time: {took:?}");
        let refused = ghost().refused.expect("HubSpot's words, or ours");
        assert_eq!((refused.status, refused.category.as_str()), (200, "NO_RESULT"));
        let message =
            "HubSpot answered 5 times without a result and without an error for this event";
        assert!(refused.message.starts_with(message), "{}", refused.message);
        harness.drained(MINUTE).await;
        let expected = u64::from(others) + if company { 99 } else { 0 };
        assert_eq!(
            (harness.ledger.counts().delivered, harness.ledger.counts().dead),
            (expected, 1)
        );
    }
}

/// While it is the only event, the account may be the one that does nothing.
#[tokio::test(start_paused = true)]
async fn only_event_without_result_is_not_blamed() {
    let mut harness = generous();
    *harness.hubspot.leaves_out.lock().expect("not poisoned") = Some("ghost".into());
    harness.ledger.add("ghost");
    harness.start();
    harness
        .until(60 * MINUTE, "it was probed often", || harness.ledger.status().failures >= 30)
        .await;
    let ghost = &harness.ledger.rows()[0];
    assert_eq!((ghost.state, ghost.attempts), (EventState::Pending, 0));
    *harness.hubspot.leaves_out.lock().expect("not poisoned") = None;
    harness.drained(2 * MINUTE).await;
    assert_eq!(harness.ledger.counts().delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn unfinished_batch_is_sent_again_and_refuses_no_event() {
    for word in ["PENDING", "PROCESSING", "CANCELED", "SOMETHING_NEW"] {
        let mut harness = generous();
        *harness.hubspot.batch_status.lock().expect("not poisoned") = Some(word);
        (0..10).for_each(|_| harness.ledger.add("Webinar"));
        harness.start();
        harness.until(10 * MINUTE, "probes", || harness.ledger.status().failures >= 5).await;
        let error = harness.ledger.status().last_error.unwrap_or_default();
        assert!(error.contains(word), "{error}");
        assert_eq!(harness.ledger.counts().dead, 0, "{word}");
        *harness.hubspot.batch_status.lock().expect("not poisoned") = None;
        harness.drained(2 * MINUTE).await;
        assert_eq!(harness.ledger.counts().delivered, 10, "{word}");
    }
}

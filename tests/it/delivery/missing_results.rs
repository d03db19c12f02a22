//! A HubSpot that answers 2xx and does nothing, for all events or for one.

use std::time::Duration;

use webinar_bridge::ledger::EventState;
use webinar_bridge::sandbox::emulator::EmulatorFault;

use super::{MINUTE, generous, upserts};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_account_that_does_nothing_costs_a_few_calls_a_probe_and_no_event() {
    let mut rig = generous();
    rig.hubspot.emulator().inject_standing(EmulatorFault::EmptyResults);
    (0..100).for_each(|_| rig.ledger.add("Webinar"));
    rig.start();
    let failing = || rig.ledger.status().failures == 1;
    rig.until(MINUTE, "it is asked again later", failing).await;
    // 100, 50, 25, 13, 7, 4, 2, 1: then it is clear that it is no event's fault.
    assert_eq!(upserts(&rig), 8);
    let error = rig.ledger.status().last_error.unwrap_or_default();
    assert_eq!(error, "0 results for 1 inputs");
    rig.until(2 * MINUTE, "probes", || rig.ledger.status().failures >= 10).await;
    let probes = usize::try_from(rig.ledger.status().failures).expect("a few");
    assert!(upserts(&rig) <= 8 * (probes + 1), "{} calls in {probes} probes", upserts(&rig));
    let rows = rig.ledger.rows();
    assert!(rows.iter().all(|row| row.state == EventState::Pending && row.attempts == 0));
    rig.hubspot.emulator().clear_faults();
    rig.drained(2 * MINUTE).await;
    assert_eq!(rig.ledger.counts().delivered, 100);
    assert_eq!(rig.ledger.status().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_passed_over_while_others_are_taken_is_a_dead_letter_in_the_end() {
    for company in [true, false] {
        let mut rig = generous();
        *rig.hubspot.passes_over.lock().expect("not poisoned") = Some("ghost".into());
        rig.ledger.add("ghost");
        if company {
            (0..99).for_each(|_| rig.ledger.add("Webinar"));
        }
        rig.start();
        let ghost = || rig.ledger.rows()[0].clone();
        let began = tokio::time::Instant::now();
        let mut others = 0;
        let dead = || {
            // Others come now and then, each by itself.
            if began.elapsed() >= 20 * SECOND * others {
                others += 1;
                rig.ledger.add("Webinar");
            }
            ghost().state == EventState::Dead
        };
        let took = rig.until(10 * MINUTE, "it is dead", dead).await;
        assert!(took >= Duration::from_mins(2), "not at the first time: {took:?}");
        let refused = ghost().refused.expect("HubSpot's words, or ours");
        assert_eq!((refused.status, refused.category.as_str()), (200, "NO_RESULT"));
        let said = "HubSpot answered 5 times without a result and without an error for this event";
        assert!(refused.message.starts_with(said), "{}", refused.message);
        rig.drained(MINUTE).await;
        let expected = u64::from(others) + if company { 99 } else { 0 };
        assert_eq!((rig.ledger.counts().delivered, rig.ledger.counts().dead), (expected, 1));
    }
}

/// Alone, it may be the account that does nothing.
#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_else_was_taken_beside_is_not_blamed() {
    let mut rig = generous();
    *rig.hubspot.passes_over.lock().expect("not poisoned") = Some("ghost".into());
    rig.ledger.add("ghost");
    rig.start();
    rig.until(60 * MINUTE, "it was asked often", || rig.ledger.status().failures >= 30).await;
    let ghost = &rig.ledger.rows()[0];
    assert_eq!((ghost.state, ghost.attempts), (EventState::Pending, 0));
    *rig.hubspot.passes_over.lock().expect("not poisoned") = None;
    rig.drained(2 * MINUTE).await;
    assert_eq!(rig.ledger.counts().delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_hubspot_has_not_finished_is_asked_for_again_and_kills_no_event() {
    for word in ["PENDING", "PROCESSING", "CANCELED", "SOMETHING_NEW"] {
        let mut rig = generous();
        *rig.hubspot.says.lock().expect("not poisoned") = Some(word);
        (0..10).for_each(|_| rig.ledger.add("Webinar"));
        rig.start();
        rig.until(10 * MINUTE, "probes", || rig.ledger.status().failures >= 5).await;
        let error = rig.ledger.status().last_error.unwrap_or_default();
        assert!(error.contains(word), "{error}");
        assert_eq!(rig.ledger.counts().dead, 0, "{word}");
        *rig.hubspot.says.lock().expect("not poisoned") = None;
        rig.drained(2 * MINUTE).await;
        assert_eq!(rig.ledger.counts().delivered, 10, "{word}");
    }
}

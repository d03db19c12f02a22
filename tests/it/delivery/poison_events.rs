//! A HubSpot that fails whenever it is sent a certain event.

use std::time::Duration;

use webinar_bridge::ledger::EventState;

use super::{MINUTE, generous, upserts};

/// Ways to fail: an internal error, an overload, a success that confirms nothing, no answer at all.
const WAYS: [u16; 4] = [500, 503, 200, 0];

#[tokio::test(start_paused = true)]
async fn poison_event_does_not_hold_up_other_events() {
    for status in WAYS {
        let mut harness = generous();
        *harness.hubspot.fails_over.lock().expect("not poisoned") = Some(("poison", status));
        let is_poison = |at: usize| [0, 1, 57, 120].contains(&at);
        (0..250)
            .for_each(|at| harness.ledger.add(if is_poison(at) { "poison" } else { "Webinar" }));
        harness.start();
        // One time-out takes half a minute, and it takes several to be sure.
        let delivered = |count| harness.ledger.counts().delivered == count;
        harness.until(30 * MINUTE, "the others are delivered", || delivered(246)).await;
        for (at, row) in harness.ledger.rows().iter().enumerate() {
            let state = if is_poison(at) { EventState::Pending } else { EventState::Delivered };
            assert_eq!((row.state, row.attempts), (state, 0), "{status}: event {at}");
        }
        // It does not hold up later events either.
        for more in 1..=20 {
            harness.ledger.add("Webinar");
            harness.until(2 * MINUTE, "another is delivered", || delivered(246 + more)).await;
        }
        assert_eq!(harness.ledger.counts().dead, 0, "no event is blamed");
        *harness.hubspot.fails_over.lock().expect("not poisoned") = None;
        harness.drained(2 * MINUTE).await;
        assert_eq!(harness.ledger.counts().delivered, 270, "{status}");
    }
}

/// HubSpot may fail over a whole kind of events that are many and the oldest.
#[tokio::test(start_paused = true)]
async fn many_poison_events_leave_the_others_delivered() {
    let mut harness = generous();
    *harness.hubspot.fails_over.lock().expect("not poisoned") = Some(("poison", 500));
    (0..150).for_each(|_| harness.ledger.add("poison"));
    (0..150).for_each(|_| harness.ledger.add("Webinar"));
    harness.start();
    let delivered = |count| harness.ledger.counts().delivered == count;
    harness.until(120 * MINUTE, "the others are delivered", || delivered(150)).await;
    assert_eq!(harness.ledger.counts().dead, 0, "no event is blamed");
    *harness.hubspot.fails_over.lock().expect("not poisoned") = None;
    harness.drained(5 * MINUTE).await;
    assert_eq!(harness.ledger.counts().delivered, 300);
}

/// After an outage nothing is held against the events that were sent in it.
#[tokio::test(start_paused = true)]
async fn outage_leaves_no_suspects_behind() {
    for status in WAYS {
        let mut harness = generous();
        *harness.hubspot.fails_over.lock().expect("not poisoned") = Some(("Webinar", status));
        (0..1_000).for_each(|_| harness.ledger.add("Webinar"));
        harness.start();
        harness.until(120 * MINUTE, "probes", || harness.ledger.status().failures >= 40).await;
        let before = upserts(&harness);
        *harness.hubspot.fails_over.lock().expect("not poisoned") = None;
        harness.drained(2 * MINUTE).await;
        assert_eq!(harness.ledger.counts().delivered, 1_000);
        // Ten batches, seven that grow to full size, and one call more for each event that was sent alone.
        let calls = upserts(&harness) - before;
        assert!(calls <= 10 + 7 + 40, "{status}: {calls} calls");
        assert_eq!(harness.ledger.status().failures, 0);
        let began = tokio::time::Instant::now();
        harness.ledger.add("Webinar");
        harness.drained(MINUTE).await;
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}

//! A HubSpot that fails whenever it is sent a certain event.

use std::time::Duration;

use webinar_bridge::ledger::EventState;

use super::{MINUTE, generous, upserts};

/// Ways to fail: an internal error, an overload, a success that is none, no answer at all.
const WAYS: [u16; 4] = [500, 503, 200, 0];

#[tokio::test(start_paused = true)]
async fn an_event_that_hubspot_fails_over_does_not_hold_up_the_others() {
    for status in WAYS {
        let mut rig = generous();
        *rig.hubspot.fails_over.lock().expect("not poisoned") = Some(("poison", status));
        let is_poison = |at: usize| [0, 1, 57, 120].contains(&at);
        (0..250).for_each(|at| rig.ledger.add(if is_poison(at) { "poison" } else { "Webinar" }));
        rig.start();
        // A time-out alone takes half a minute, and it takes some to be sure.
        let delivered = |count| rig.ledger.counts().delivered == count;
        rig.until(30 * MINUTE, "the others are delivered", || delivered(246)).await;
        for (at, row) in rig.ledger.rows().iter().enumerate() {
            let state = if is_poison(at) { EventState::Pending } else { EventState::Delivered };
            assert_eq!((row.state, row.attempts), (state, 0), "{status}: event {at}");
        }
        // Nor does it hold up those that come later.
        for more in 1..=20 {
            rig.ledger.add("Webinar");
            rig.until(2 * MINUTE, "another is delivered", || delivered(246 + more)).await;
        }
        assert_eq!(rig.ledger.counts().dead, 0, "no event is blamed");
        *rig.hubspot.fails_over.lock().expect("not poisoned") = None;
        rig.drained(2 * MINUTE).await;
        assert_eq!(rig.ledger.counts().delivered, 270, "{status}");
    }
}

/// HubSpot may fail over a whole kind of events, of which there are many, and they are the oldest.
#[tokio::test(start_paused = true)]
async fn however_many_events_hubspot_fails_over_the_others_are_delivered() {
    let mut rig = generous();
    *rig.hubspot.fails_over.lock().expect("not poisoned") = Some(("poison", 500));
    (0..150).for_each(|_| rig.ledger.add("poison"));
    (0..150).for_each(|_| rig.ledger.add("Webinar"));
    rig.start();
    let delivered = |count| rig.ledger.counts().delivered == count;
    rig.until(120 * MINUTE, "the others are delivered", || delivered(150)).await;
    assert_eq!(rig.ledger.counts().dead, 0, "no event is blamed");
    *rig.hubspot.fails_over.lock().expect("not poisoned") = None;
    rig.drained(5 * MINUTE).await;
    assert_eq!(rig.ledger.counts().delivered, 300);
}

/// After an outage nothing is held against the events that were tried in it.
#[tokio::test(start_paused = true)]
async fn an_outage_leaves_nothing_behind() {
    for status in WAYS {
        let mut rig = generous();
        *rig.hubspot.fails_over.lock().expect("not poisoned") = Some(("Webinar", status));
        (0..1_000).for_each(|_| rig.ledger.add("Webinar"));
        rig.start();
        rig.until(120 * MINUTE, "probes", || rig.ledger.status().failures >= 40).await;
        let before = upserts(&rig);
        *rig.hubspot.fails_over.lock().expect("not poisoned") = None;
        rig.drained(2 * MINUTE).await;
        assert_eq!(rig.ledger.counts().delivered, 1_000);
        // Ten batches, as many that grow to their size, and those that were tried alone once more.
        let calls = upserts(&rig) - before;
        assert!(calls <= 10 + 7 + 40, "{status}: {calls} calls");
        assert_eq!(rig.ledger.status().failures, 0);
        let began = tokio::time::Instant::now();
        rig.ledger.add("Webinar");
        rig.drained(MINUTE).await;
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}

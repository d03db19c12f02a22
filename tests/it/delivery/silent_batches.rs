//! A HubSpot that answers batches with success and does nothing with them, and takes single events (A21).

use std::time::Duration;

use webinar_bridge::sandbox::emulator::{EmulatorFault, EmulatorOperation};

use super::{MINUTE, generous, upserts};
use crate::harness::delivery::DeliveryHarness;
use crate::harness::tell;

fn reads(harness: &DeliveryHarness) -> usize {
    harness.hubspot.calls(EmulatorOperation::Read)
}

fn puts(harness: &DeliveryHarness) -> usize {
    harness.hubspot.calls(EmulatorOperation::Put)
}

fn ignores_batches(harness: &DeliveryHarness) -> bool {
    harness.ledger.status().batches_ignored.is_some()
}

#[tokio::test(start_paused = true)]
async fn events_arrive_one_by_one_while_batches_do_nothing() {
    let mut harness = generous();
    harness.hubspot.emulator().inject_standing(EmulatorFault::NoResults("COMPLETE"));
    (0..250).for_each(|_| harness.ledger.add("Webinar"));
    harness.start();
    let took = harness.drained(2 * MINUTE).await;
    assert_eq!(harness.ledger.counts().delivered, 250);
    assert_eq!(harness.hubspot.emulator().events().len(), 250);
    assert!(ignores_batches(&harness));
    assert_eq!(harness.ledger.status().paused, None);
    // Three batches, each sent twice; each of their events is read before it is sent alone.
    assert_eq!((upserts(&harness), puts(&harness)), (6, 250));
    // Beside them the first event and every hundredth are read back.
    assert!((251..=254).contains(&reads(&harness)), "{} reads", reads(&harness));
    tell(&format!("250 events past batches that do nothing: {took:?}"));

    // From now on nothing is read before.
    let before = reads(&harness);
    (0..50).for_each(|_| harness.ledger.add("Webinar"));
    harness.drained(MINUTE).await;
    assert_eq!((upserts(&harness), puts(&harness)), (6, 300));
    assert!(reads(&harness) <= before + 1, "{} reads", reads(&harness) - before);
}

#[tokio::test(start_paused = true)]
async fn batch_is_tried_again_after_ten_minutes_and_then_at_doubling_distances() {
    let mut harness = generous();
    harness.hubspot.emulator().inject_standing(EmulatorFault::NoResults("COMPLETE"));
    harness.ledger.add("Webinar");
    harness.start();
    harness.drained(MINUTE).await;
    assert!(ignores_batches(&harness));
    // An event a minute: a batch is tried in the 11th and in the 31st minute.
    for minute in 1..=35 {
        tokio::time::sleep(MINUTE).await;
        harness.ledger.add("Webinar");
        harness.drained(MINUTE).await;
        let tried = match minute {
            ..10 => 0,
            12..30 => 1,
            32.. => 2,
            _ => continue,
        };
        assert_eq!(upserts(&harness), 2 + tried, "minute {minute}");
    }
    // Once one has results, batches are used again.
    harness.hubspot.emulator().clear_faults();
    tokio::time::sleep(40 * MINUTE).await;
    (0..50).for_each(|_| harness.ledger.add("Webinar"));
    harness.drained(MINUTE).await;
    assert!(!ignores_batches(&harness));
    assert!(upserts(&harness) >= 5);
    assert_eq!(harness.ledger.counts().delivered, 86);
}

#[tokio::test(start_paused = true)]
async fn single_silent_answer_changes_nothing_else() {
    let mut harness = generous();
    harness.hubspot.emulator().inject(EmulatorFault::NoResults("COMPLETE"));
    (0..100).for_each(|_| harness.ledger.add("Webinar"));
    harness.start();
    harness.drained(MINUTE).await;
    assert_eq!((upserts(&harness), reads(&harness), puts(&harness)), (2, 0, 0));
    assert!(!ignores_batches(&harness));
    assert_eq!(harness.ledger.status().failures, 0);
}

/// The batches take effect, and their answers do not show it.
#[tokio::test(start_paused = true)]
async fn events_that_reading_shows_as_sent_are_confirmed() {
    let mut harness = generous();
    let reply = Box::new(EmulatorFault::NoResults("COMPLETE"));
    let stored = EmulatorFault::StoredLater { after: Duration::ZERO, reply };
    harness.hubspot.emulator().inject_standing(stored);
    (0..10).for_each(|_| harness.ledger.add("Webinar"));
    harness.start();
    harness.drained(MINUTE).await;
    assert_eq!((upserts(&harness), reads(&harness), puts(&harness)), (2, 10, 0));
    assert!(!ignores_batches(&harness), "it does work on them");
    assert_eq!(harness.ledger.counts().delivered, 10);
}

/// A credential without the scope for reading still delivers.
#[tokio::test(start_paused = true)]
async fn events_arrive_one_by_one_where_nothing_can_be_read() {
    let mut harness = generous();
    harness.hubspot.emulator().set_read_status(Some(403));
    harness.hubspot.emulator().inject_standing(EmulatorFault::NoResults("COMPLETE"));
    (0..10).for_each(|_| harness.ledger.add("Webinar"));
    harness.start();
    harness.drained(MINUTE).await;
    assert_eq!(harness.hubspot.emulator().events().len(), 10);
    assert_eq!(harness.ledger.status().paused, None);
}

#[tokio::test(start_paused = true)]
async fn conflict_is_over_with_the_next_try() {
    let mut harness = generous();
    harness.hubspot.emulator().inject(EmulatorFault::Conflict);
    (0..10).for_each(|_| harness.ledger.add("Webinar"));
    harness.start();
    harness.drained(MINUTE).await;
    let counts = harness.ledger.counts();
    assert_eq!((counts.delivered, counts.dead), (10, 0));
    assert_eq!((upserts(&harness), puts(&harness)), (2, 0));
}

/// A HubSpot that confirms single events and does not hold them is not believed.
#[tokio::test(start_paused = true)]
async fn single_event_that_reading_back_does_not_show_stays_pending() {
    let mut harness = generous();
    harness.hubspot.emulator().inject_standing(EmulatorFault::NoResults("COMPLETE"));
    *harness.hubspot.forgets_singles.lock().expect("not poisoned") = true;
    harness.ledger.add("Webinar");
    harness.start();
    harness.until(MINUTE, "it fails", || harness.ledger.status().failures >= 2).await;
    assert_eq!(harness.ledger.counts().delivered, 0);
    *harness.hubspot.forgets_singles.lock().expect("not poisoned") = false;
    harness.drained(5 * MINUTE).await;
    assert_eq!(harness.hubspot.emulator().events().len(), 1);
}

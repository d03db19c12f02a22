//! What is older than it is kept.

use std::time::Duration;

use crate::event::{FoldedEvent, Millis};
use crate::ledger::Retention;

/// The least time for which a webinar with an event without any time is kept after its last change: nobody knows when it
/// takes place.
const TIMELESS: Duration = Duration::from_hours(400 * 24);

/// The receipts that may be deleted, as far as a piece of them shows, in the order of their arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldReceipts {
    /// All up to this number, except those that [`is_receipt_young`] keeps.
    UpTo(i64),
    /// The piece holds only receipts that a wrong clock dated; the next piece begins after this number.
    LookAfter(i64),
    /// None.
    None,
}

/// Looks for old receipts in a piece, by number and received time; none if the clock was doubted then.
///
/// Such a receipt, and
/// one from the future, was dated by a clock that was wrong: it is as old as its neighbours, so that it neither is old by
/// itself nor stops anything (B11).
#[must_use]
pub fn old_receipts(piece: &[(i64, Option<Millis>)], before: Millis, now: Millis) -> OldReceipts {
    let is_old = |(_, at): &&(i64, Option<Millis>)| at.is_some_and(|at| at < before);
    let old = piece.iter().rev().find(is_old);
    match (old, piece.last()) {
        (Some((seq, _)), _) => OldReceipts::UpTo(*seq),
        (None, Some((last, _))) if piece.iter().all(|(_, at)| at.is_none_or(|at| at > now)) => {
            OldReceipts::LookAfter(*last)
        }
        (None, _) => OldReceipts::None,
    }
}

/// Whether a receipt before an old one is kept: it is young by its own date, which was not doubted and is not in the
/// future.
#[must_use]
pub fn is_receipt_young(received_at: Option<Millis>, before: Millis, now: Millis) -> bool {
    received_at.is_some_and(|received_at| (before..=now).contains(&received_at))
}

/// The bounds of the last dates of webinars that are deleted: of usual ones, and of those with an event without any time.
#[must_use]
pub fn webinar_bounds(keep: Retention, now: Millis) -> (Millis, Millis) {
    (now.minus(keep.events), now.minus(keep.events.max(TIMELESS)))
}

/// Whether nothing says when the event takes place.
#[must_use]
pub fn is_timeless(event: &FoldedEvent) -> bool {
    event.over_at().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis::new(1_000_000);
    const BEFORE: Millis = Millis::new(900_000);

    /// Receipts of these times; a doubted one at 0.
    fn piece(times: &[i64]) -> Vec<(i64, Option<Millis>)> {
        let at = |time: &i64| (*time > 0).then(|| Millis::new(*time));
        (1..).zip(times.iter().map(at)).collect()
    }

    #[test]
    fn receipts_from_the_future_stop_nothing() {
        for (times, expected) in [
            (&[800_000, 899_999, 900_000][..], OldReceipts::UpTo(2)),
            (&[2_000_000, 800_000, 950_000], OldReceipts::UpTo(2)),
            (&[2_000_000, 1_000_001], OldReceipts::LookAfter(2)),
            (&[0, 2_000_000], OldReceipts::LookAfter(2)),
            (&[0, 800_000, 0], OldReceipts::UpTo(2)),
            (&[0, 950_000], OldReceipts::None),
            (&[2_000_000, 1_000_000], OldReceipts::None),
            (&[950_000], OldReceipts::None),
            (&[], OldReceipts::None),
        ] {
            assert_eq!(old_receipts(&piece(times), BEFORE, NOW), expected, "{times:?}");
        }
        for (at, young) in
            [(899_999, false), (900_000, true), (1_000_000, true), (1_000_001, false)]
        {
            assert_eq!(is_receipt_young(Some(Millis::new(at)), BEFORE, NOW), young, "{at}");
        }
        assert!(!is_receipt_young(None, BEFORE, NOW));
    }

    #[test]
    fn webinar_without_a_time_is_kept_for_400_days_or_longer() {
        let day = Duration::from_hours(24);
        let now = Millis::new(1_764_590_400_000);
        for (events, timeless) in [(30, 400), (500, 500)] {
            let keep = Retention { receipts: day, events: events * day };
            assert_eq!(
                webinar_bounds(keep, now),
                (now.minus(events * day), now.minus(timeless * day))
            );
        }
    }
}

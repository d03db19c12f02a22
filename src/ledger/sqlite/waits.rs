//! Stored waits across steps of the clock, by [`crate::ledger::rules::waits`].

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::event_rows;
use super::statements::Statements as _;
use super::timers::derive_again;
use crate::clock::ClockStep;
use crate::event::Millis;
use crate::ledger::rules::event_row::EventRow;
use crate::ledger::rules::waits::{LONGEST_FETCH_WAIT, cut_event, move_event, move_event_ahead};

/// Cuts the waits at the start. What a timer completed by the clock of then is derived again.
pub(super) fn cut_at_start(connection: &mut Connection, now: Millis) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    change_events(&transaction, (now, None), |row| cut_event(row, now))?;
    transaction.run(
        "UPDATE fetches SET not_before = ?1 WHERE not_before > ?1",
        [now.plus(LONGEST_FETCH_WAIT)],
    )?;
    derive_again(&transaction)?;
    transaction.commit()
}

/// Moves the waits after a step of the clock, which reads `now`. What a timer completed before a step back is derived
/// again.
pub(super) fn follow_step(
    connection: &Connection,
    now: Millis,
    step: ClockStep,
) -> rusqlite::Result<()> {
    match step {
        ClockStep::Back(by) => move_back(connection, now, by),
        ClockStep::Ahead(by) => {
            let since = now.minus(by);
            change_events(connection, (since, Some(since)), |row| move_event_ahead(row, now, by))
        }
    }
}

fn move_back(connection: &Connection, now: Millis, by: Duration) -> rusqlite::Result<()> {
    change_events(connection, (now, Some(now)), |row| move_event(row, now, by))?;
    derive_again(connection)?;
    connection.run(
        "UPDATE fetches SET not_before = not_before - ?2 WHERE not_before > ?1",
        (now, i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
    )
}

/// Changes the events of which some time of a wait comes after that time; second sendings after another, or all.
fn change_events(
    connection: &Connection,
    (after, resends_after): (Millis, Option<Millis>),
    change: impl Fn(EventRow) -> EventRow,
) -> rusqlite::Result<()> {
    let mut waiting: BTreeSet<i64> = BTreeSet::new();
    for (query, after) in [
        ("SELECT id FROM events WHERE state = 0 AND not_before > 0 AND not_before > ?1", after),
        ("SELECT id FROM events WHERE resend_at > ?1", resends_after.unwrap_or(Millis::new(-1))),
        ("SELECT id FROM events WHERE sending_since > ?1", after),
    ] {
        waiting.extend(connection.all(query, [after], |row| row.get::<_, i64>(0))?);
    }
    for id in waiting {
        if let Some((_, row)) = event_rows::load(connection, id)? {
            event_rows::store(connection, id, &change(row))?;
        }
    }
    Ok(())
}

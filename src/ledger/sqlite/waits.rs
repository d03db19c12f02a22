//! Stored waits across steps of the clock, by [`crate::ledger::rules::waits`].

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::event_rows;
use super::statements::Statements as _;
use crate::event::Millis;
use crate::ledger::rules::event_row::EventRow;
use crate::ledger::rules::waits::{LONGEST_FETCH_WAIT, cut_event, move_event};

/// Cuts the waits at the start.
pub(super) fn cut_at_start(connection: &mut Connection, now: Millis) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    change_events(&transaction, now, |row| cut_event(row, now))?;
    transaction.run(
        "UPDATE fetches SET not_before = ?1 WHERE not_before > ?1",
        [now.plus(LONGEST_FETCH_WAIT)],
    )?;
    transaction.commit()
}

/// Moves the waits after the clock was set back by that much, and reads `now`.
pub(super) fn move_back(
    connection: &Connection,
    now: Millis,
    by: Duration,
) -> rusqlite::Result<()> {
    change_events(connection, now, |row| move_event(row, now, by))?;
    connection.run(
        "UPDATE fetches SET not_before = not_before - ?2 WHERE not_before > ?1",
        (now, i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
    )
}

/// Changes the events of which some time of a wait is still to come.
fn change_events(
    connection: &Connection,
    now: Millis,
    change: impl Fn(EventRow) -> EventRow,
) -> rusqlite::Result<()> {
    let mut waiting: BTreeSet<i64> = BTreeSet::new();
    for query in [
        "SELECT id FROM events WHERE state = 0 AND not_before > 0 AND not_before > ?1",
        "SELECT id FROM events WHERE resend_at > ?1",
        "SELECT id FROM events WHERE sending_since > ?1",
    ] {
        waiting.extend(connection.all(query, [now], |row| row.get::<_, i64>(0))?);
    }
    for id in waiting {
        if let Some((_, row)) = event_rows::load(connection, id)? {
            event_rows::store(connection, id, &change(row))?;
        }
    }
    Ok(())
}

//! The columns of an event's row, and what they mean.

use rusqlite::Row;
use rusqlite::types::FromSql;
use serde::Serialize;

use super::values::{Json, TimeOrZero};
use crate::event::{Base, BaseFields, BasePosition, BaseState};
use crate::ledger::rules::event_row::EventRow;

/// The columns that [`event_row`] reads, in its order. They come first in a query.
macro_rules! row_columns {
    () => {
        "state, version, input_hash, gaps, changed_at, pending_since, not_before, attempts, \
         sending_since, resend_at, held_hash, confirmed_hash, confirmed_at, object_id, refused, \
         last_error, frozen, base, base_rank, base_above, base_fields"
    };
}
pub(super) use row_columns;

/// The columns of a row in the order of the query: every webhook reads a row, and finding each of so many columns by its
/// name costs more than reading it.
pub(super) struct Columns<'r> {
    row: &'r Row<'r>,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) fn new(row: &'r Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    /// The next column.
    pub(super) fn next<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let value = self.row.get(self.next);
        self.next += 1;
        value
    }
}

/// Reads an event's row.
pub(super) fn event_row(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    read_event_row(&mut Columns::new(row))
}

/// Reads an event's row, whose columns come next.
pub(super) fn read_event_row(columns: &mut Columns<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        state: columns.next()?,
        version: columns.next()?,
        input_hash: columns.next()?,
        // Gaps and a refusal that cannot be read count as none here: they must not hold up what does not need them.
        // Showing the event reports the error.
        gaps: columns.next().map(|Json(gaps)| gaps).unwrap_or_default(),
        changed_at: columns.next()?,
        pending_since: columns.next()?,
        not_before: columns.next().map(|TimeOrZero(time)| time)?,
        attempts: columns.next()?,
        sending_since: columns.next()?,
        resend_at: columns.next()?,
        held_hash: columns.next()?,
        confirmed_hash: columns.next()?,
        confirmed_at: columns.next()?,
        object_id: columns.next()?,
        refused: columns.next::<Option<Json<_>>>().unwrap_or_default().map(|Json(refusal)| refusal),
        last_error: columns.next()?,
        is_frozen: columns.next()?,
        base: read_base(columns)?,
    })
}

/// Reads an event's base.
fn read_base(columns: &mut Columns<'_>) -> rusqlite::Result<BaseState> {
    let (code, rank): (i64, Option<i64>) = (columns.next()?, columns.next()?);
    let above: Option<i64> = columns.next()?;
    let json: Option<String> = columns.next().unwrap_or_default();
    let position = above.map_or(BasePosition::AboveCreation, |above| {
        BasePosition::AboveReceipt(u64::try_from(above).unwrap_or(0))
    });
    Ok(match code {
        1 => {
            let earlier = json.and_then(|json| serde_json::from_str(&json).ok());
            BaseState::Unread { position, is_urgent: rank == Some(0), earlier }
        }
        2 => BaseState::Absent,
        // What cannot be read is read again at HubSpot.
        3 => match json.and_then(|json| serde_json::from_str(&json).ok()) {
            Some(fields) => BaseState::Read(Box::new(Base { position, fields })),
            None => BaseState::unread(position),
        },
        _ => BaseState::NotNeeded,
    })
}

/// The columns of a base.
#[derive(Default)]
pub(super) struct BaseColumns<'a> {
    pub(super) code: i64,
    pub(super) rank: Option<i64>,
    pub(super) above: Option<i64>,
    pub(super) fields: Option<Json<ReadBase<'a>>>,
}

/// What the column `base_fields` holds.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum ReadBase<'a> {
    /// What was read.
    Present(&'a BaseFields),
    /// What was known when the copy was made that waits to be read again.
    Earlier(&'a BaseState),
}

impl<'a> BaseColumns<'a> {
    pub(super) fn new(base: &'a BaseState) -> Self {
        let above = |position: BasePosition| match position {
            BasePosition::AboveCreation => None,
            BasePosition::AboveReceipt(number) => Some(i64::try_from(number).unwrap_or(i64::MAX)),
        };
        match base {
            BaseState::NotNeeded => Self::default(),
            BaseState::Unread { position, is_urgent, earlier } => Self {
                code: 1,
                rank: Some(i64::from(!is_urgent)),
                above: above(*position),
                fields: earlier.as_deref().map(|base| Json(ReadBase::Earlier(base))),
            },
            BaseState::Absent => Self { code: 2, ..Self::default() },
            BaseState::Read(base) => Self {
                code: 3,
                above: above(base.position),
                fields: Some(Json(ReadBase::Present(&base.fields))),
                ..Self::default()
            },
        }
    }
}

//! Putting webinars that were told anew in the place of what they were.

use rusqlite::OptionalExtension;

use super::accept::MergeRefused;
use super::job::{TxError, WriteTx};
use super::receipts::outcome_code;
use super::{events, webinar_state, webinars};
use crate::event::Webinar;
use crate::ledger::{RebuildRequest, RebuildResult, RebuiltWebinar, WebinarKey};

/// Why nothing is rebuilt.
enum RebuildStop {
    Stale,
    Refused(MergeRefused),
}

/// Rebuilds all of it, or nothing.
pub(super) fn rebuild(
    desk: &mut WriteTx<'_>,
    rebuild: &RebuildRequest,
) -> Result<RebuildResult, TxError> {
    let replayed: Option<i64> = desk
        .connection
        .prepare_cached("SELECT seq FROM receipts WHERE id = ?1")?
        .query_row([rebuild.receipt.as_bytes().as_slice()], |row| row.get(0))
        .optional()?;
    let Some(replayed) = replayed else { return Ok(RebuildResult::Unknown) };
    if !covers_all_webinars(desk, replayed, rebuild)? {
        return Ok(RebuildResult::Stale);
    }
    let done = desk.attempt(|desk| {
        for rewritten in &rebuild.webinars {
            if let Err(stop) = replace_webinar(desk, rewritten, replayed)? {
                return Ok(Err(stop));
            }
        }
        desk.connection
            .prepare_cached("UPDATE receipts SET outcome = ?2, reason = ?3 WHERE seq = ?1")?
            .execute((replayed, outcome_code(rebuild.outcome), &rebuild.reason))?;
        Ok(Ok(()))
    })?;
    Ok(match done {
        Ok(()) => RebuildResult::Done,
        Err(RebuildStop::Stale) => RebuildResult::Stale,
        Err(RebuildStop::Refused(why)) => RebuildResult::Refused(why.to_string()),
    })
}

/// Whether every webinar that the receipt built is among those to rebuild.
fn covers_all_webinars(
    desk: &WriteTx<'_>,
    receipt: i64,
    rebuild: &RebuildRequest,
) -> Result<bool, TxError> {
    let named = |key: &(String, String, String)| {
        rebuild.webinars.iter().any(|rewritten| {
            webinars::sql_key(&rewritten.before.key)
                == (key.0.as_str(), key.1.as_str(), key.2.as_str())
        })
    };
    let mut statement = desk.connection.prepare_cached(
        "SELECT hubspot, account, webinars.webinar FROM webinar_receipts AS link
             JOIN webinars ON webinars.id = link.webinar WHERE link.receipt = ?1",
    )?;
    let mut keys =
        statement.query_map([receipt], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    keys.try_fold(true, |all, key| Ok(all && named(&key?)))
}

/// Rebuilds one webinar.
fn replace_webinar(
    desk: &mut WriteTx<'_>,
    rewritten: &RebuiltWebinar,
    replayed: i64,
) -> Result<Result<(), RebuildStop>, TxError> {
    let RebuiltWebinar { before, webinar, contributes: built } = rewritten;
    let (id, now) = webinar_state::read(desk.connection, before.key.clone())?;
    if now != *before {
        return Ok(Err(RebuildStop::Stale));
    }
    let changed = *webinar != before.webinar;
    let key = webinars::sql_key(&before.key);
    let id = match id {
        Some(id) if !changed => id,
        None if !changed => return Ok(Ok(())),
        id => webinars::store(desk, id, key, webinar, desk.now)?,
    };
    if *built {
        webinars::link(desk, id, replayed)?;
    } else {
        webinars::unlink(desk, id, replayed)?;
    }
    if !changed {
        return Ok(Ok(()));
    }
    let WebinarKey { hubspot, account, webinar: name } = &before.key;
    let named = events::WebinarRow { id, hubspot, account, webinar: name };
    if *webinar == Webinar::default() {
        events::retire_all(desk, &named)?;
        return Ok(Ok(()));
    }
    let at = desk.now;
    let derived = events::reconcile(desk, &named, webinar, at, events::RefoldScope::All)?;
    Ok(derived.map_err(|event| RebuildStop::Refused(MergeRefused::ForeignEvent(event))))
}

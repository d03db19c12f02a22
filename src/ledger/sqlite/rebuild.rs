//! Putting webinars that were told anew in the place of what they were.

use rusqlite::OptionalExtension;

use super::accept::Refused;
use super::job::{Desk, JobError};
use super::receipts::outcome_code;
use super::{dossier, events, webinars};
use crate::event::Webinar;
use crate::ledger::{Rebuild, Rebuilt, Rewritten, WebinarKey};

/// Why nothing is rebuilt.
enum Stop {
    Stale,
    Refused(Refused),
}

/// Rebuilds all of it, or nothing.
pub(super) fn rebuild(desk: &mut Desk<'_>, rebuild: &Rebuild) -> Result<Rebuilt, JobError> {
    let replayed: Option<i64> = desk
        .connection
        .prepare_cached("SELECT seq FROM receipts WHERE id = ?1")?
        .query_row([rebuild.receipt.as_bytes().as_slice()], |row| row.get(0))
        .optional()?;
    let Some(replayed) = replayed else { return Ok(Rebuilt::Unknown) };
    if !knows_all(desk, replayed, rebuild)? {
        return Ok(Rebuilt::Stale);
    }
    let done = desk.attempt(|desk| {
        for rewritten in &rebuild.webinars {
            if let Err(stop) = rewrite(desk, rewritten, replayed)? {
                return Ok(Err(stop));
            }
        }
        desk.connection
            .prepare_cached("UPDATE receipts SET outcome = ?2, reason = ?3 WHERE seq = ?1")?
            .execute((replayed, outcome_code(rebuild.outcome), &rebuild.reason))?;
        Ok(Ok(()))
    })?;
    Ok(match done {
        Ok(()) => Rebuilt::Done,
        Err(Stop::Stale) => Rebuilt::Stale,
        Err(Stop::Refused(why)) => Rebuilt::Refused(why.to_string()),
    })
}

/// Whether every webinar that the receipt built is among those to rebuild.
fn knows_all(desk: &Desk<'_>, receipt: i64, rebuild: &Rebuild) -> Result<bool, JobError> {
    let named = |key: &(String, String, String)| {
        rebuild.webinars.iter().any(|rewritten| {
            webinars::key(&rewritten.before.key) == (key.0.as_str(), key.1.as_str(), key.2.as_str())
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
fn rewrite(
    desk: &mut Desk<'_>,
    rewritten: &Rewritten,
    replayed: i64,
) -> Result<Result<(), Stop>, JobError> {
    let Rewritten { before, webinar, built } = rewritten;
    let (id, now) = dossier::read(desk.connection, before.key.clone())?;
    if now != *before {
        return Ok(Err(Stop::Stale));
    }
    let changed = *webinar != before.webinar;
    let key = webinars::key(&before.key);
    let id = match id {
        Some(id) if !changed => id,
        None if !changed => return Ok(Ok(())),
        id => webinars::keep(desk, id, key, webinar, desk.now)?,
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
    let named = events::Named { id, hubspot, account, webinar: name };
    if *webinar == Webinar::default() {
        events::retire_all(desk, &named)?;
        return Ok(Ok(()));
    }
    let at = desk.now;
    let derived = events::derive(desk, &named, webinar, at, events::Reach::All)?;
    Ok(derived.map_err(|event| Stop::Refused(Refused::ForeignEvent(event))))
}

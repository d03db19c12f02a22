//! What operators see of the queue of fetches, and what they do with dead ones.

use super::fetches::{fetch_row, replace, task};
use super::statements::{MAX_ROWS_READ, Statements as _, read_page};
use super::transaction::{ReadTx, WriteTx};
use super::webinars;
use crate::event::{ExternalAccountId, SourceName, WebinarId};
use crate::ledger::rules::fetch::{FetchRow, is_coming, redrive_fetch, try_once_more};
use crate::ledger::{
    FetchQuery, FetchRedrive, FetchState, FetchSummary, LedgerError, PAGE_MAX, Page,
    RedriveProgress,
};

/// The most webinars read for one page: each state is parsed.
const COMING_ROWS: usize = 2_000;
/// The most fetches redriven in one piece, so that webhooks are not delayed.
const PIECE: usize = 500;

/// A page of the queue, the newest rows first.
pub(super) fn page(tx: &ReadTx<'_>, query: &FetchQuery) -> Result<Page<FetchSummary>, LedgerError> {
    let sql = match query.state {
        Some(FetchState::GivenUp | FetchState::Dead) => {
            "SELECT * FROM fetches INDEXED BY fetches_ended
             WHERE state IN (1, 2) AND id < ?1 ORDER BY id DESC"
        }
        Some(FetchState::Pending | FetchState::Answered) | None => {
            "SELECT * FROM fetches WHERE id < ?1 ORDER BY id DESC"
        }
    };
    let mut statement = tx.connection.prepare_cached(sql)?;
    let rows = statement.query([query.after.unwrap_or(i64::MAX)])?;
    read_page(rows, query.limit.clamp(1, PAGE_MAX), MAX_ROWS_READ, |row| {
        let task = task(row)?;
        let is_wanted = query.source.as_ref().is_none_or(|wanted| *wanted == task.source)
            && query.state.is_none_or(|wanted| wanted == task.row.state);
        Ok(is_wanted.then(|| task.into()))
    })
}

/// A page of the source's webinars that are to come. The last date of such a webinar is later than now, so that the old
/// ones, which are most, are not read.
pub(super) fn coming(
    tx: &ReadTx<'_>,
    source: &SourceName,
    after: Option<i64>,
) -> Result<Page<WebinarId>, LedgerError> {
    let Some(policy) = tx.policies.get(source) else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    let mut statement = tx.connection.prepare_cached(
        "SELECT id, hubspot, webinar, state FROM webinars
         WHERE id IN (SELECT id FROM webinars INDEXED BY webinars_by_age WHERE last_at > ?2 AND id > ?1)
         ORDER BY id",
    )?;
    let rows = statement.query((after.unwrap_or(0), tx.now))?;
    read_page(rows, PAGE_MAX, COMING_ROWS, |row| {
        let hubspot = row.get_ref("hubspot")?.as_str().map_err(rusqlite::Error::from)?;
        if hubspot != policy.hubspot.as_str() {
            return Ok(None);
        }
        let state = row.get_ref("state")?.as_blob().map_err(rusqlite::Error::from)?;
        let webinar = webinars::parse_state(row.get("id")?, state)?;
        let is_coming = is_coming(&webinar, source, tx.now);
        Ok(is_coming.then(|| row.get("webinar")).transpose()?)
    })
}

/// The external accounts under which the source has reported a webinar.
pub(super) fn accounts_of(
    tx: &ReadTx<'_>,
    source: &SourceName,
    webinar: &WebinarId,
) -> Result<Vec<ExternalAccountId>, LedgerError> {
    let Some(policy) = tx.policies.get(source) else { return Ok(Vec::new()) };
    let mut statement = tx.connection.prepare_cached(
        "SELECT id, account, state FROM webinars WHERE hubspot = ?1 AND webinar = ?2",
    )?;
    let mut rows = statement.query((&policy.hubspot, webinar))?;
    let mut accounts = Vec::new();
    while let Some(row) = rows.next()? {
        let state = row.get_ref("state")?.as_blob().map_err(rusqlite::Error::from)?;
        let webinar = webinars::parse_state(row.get("id")?, state)?;
        if webinar.sources.contains(source) {
            accounts.push(row.get("account")?);
        }
    }
    Ok(accounts)
}

/// Makes a piece of the dead fetches pending.
pub(super) fn redrive(
    tx: &mut WriteTx<'_>,
    request: &FetchRedrive,
) -> Result<RedriveProgress, LedgerError> {
    let Page { items: dead, next } = dead(tx, request, PIECE)?;
    for (id, source, row) in &dead {
        replace(tx, source, *id, row.state, &redrive_fetch(row.clone(), tx.now))?;
    }
    Ok(RedriveProgress { redriven: dead.len() as u64, next })
}

/// Notes how the source is configured; tries its dead fetches once more if that changed.
pub(super) fn note_config(
    tx: &mut WriteTx<'_>,
    source: &SourceName,
    digest: [u8; 32],
) -> Result<u64, LedgerError> {
    let sql = "SELECT config FROM fetch_sources WHERE source = ?1";
    let found: Option<Option<[u8; 32]>> = tx.connection.first(sql, [source], |row| row.get(0))?;
    if found.flatten() == Some(digest) {
        return Ok(0);
    }
    tx.connection.run(
        "INSERT INTO fetch_sources (source, config) VALUES (?1, ?2)
         ON CONFLICT (source) DO UPDATE SET config = excluded.config",
        (source, digest),
    )?;
    let request = FetchRedrive { source: Some(source.clone()), after: None };
    let Page { items: dead, next: _ } = dead(tx, &request, usize::MAX)?;
    for (id, source, row) in &dead {
        replace(tx, source, *id, row.state, &try_once_more(row.clone()))?;
    }
    Ok(dead.len() as u64)
}

type DeadFetch = (i64, SourceName, FetchRow);

/// A piece of the dead fetches of sources in the configuration.
fn dead(
    tx: &WriteTx<'_>,
    request: &FetchRedrive,
    limit: usize,
) -> Result<Page<DeadFetch>, LedgerError> {
    let mut statement = tx.connection.prepare_cached(
        "SELECT * FROM fetches INDEXED BY fetches_ended
         WHERE state IN (1, 2) AND state = 2 AND id > ?1 ORDER BY id",
    )?;
    let rows = statement.query([request.after.unwrap_or(0)])?;
    read_page(rows, limit, usize::MAX, |row| {
        let source: SourceName = row.get("source")?;
        let is_wanted = request.source.as_ref().is_none_or(|wanted| *wanted == source)
            && tx.policies.contains_key(&source);
        if !is_wanted {
            return Ok(None);
        }
        Ok(Some((row.get("id")?, source, fetch_row(row)?)))
    })
}

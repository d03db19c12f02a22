//! Storing one receipt and merging what it says.

use rusqlite::OptionalExtension;

use super::events;
use super::job::{Desk, JobError};
use crate::event::webinar::Said;
use crate::event::{
    Change, ExternalAccountId, MergeError, Millis, NoAccount, Origin, Policy, Webinar,
};
use crate::ledger::{Acceptance, Content, NewReceipt};

/// How a stored receipt turned out: the numbers in `receipts.outcome`.
#[derive(Clone, Copy)]
enum Stored {
    Accepted = 0,
    Ignored = 1,
    Quarantined = 2,
}

/// Stores a receipt, once, with everything that follows from it.
pub(super) fn accept(desk: &mut Desk<'_>, receipt: &NewReceipt) -> Result<Acceptance, JobError> {
    match &receipt.content {
        Content::Ignored => {
            let stored = store(desk, receipt, Stored::Ignored, None)?;
            Ok(stored.map_or(Acceptance::Duplicate, |_| Acceptance::Ignored))
        }
        Content::Quarantined(reason) => quarantine(desk, receipt, reason),
        Content::Changes(changes) => {
            desk.connection.prepare_cached("SAVEPOINT merging")?.execute(())?;
            let mark = desk.segment.mark();
            let Some(seq) = store(desk, receipt, Stored::Accepted, None)? else {
                desk.connection.prepare_cached("RELEASE merging")?.execute(())?;
                return Ok(Acceptance::Duplicate);
            };
            let refused = merge_all(desk, receipt, changes, seq)?.err();
            let Some(refused) = refused else {
                desk.connection.prepare_cached("RELEASE merging")?.execute(())?;
                return Ok(Acceptance::Accepted);
            };
            // What it did say before it was refused must leave no trace: it is kept whole, for replaying.
            desk.connection.prepare_cached("ROLLBACK TO merging")?.execute(())?;
            desk.connection.prepare_cached("RELEASE merging")?.execute(())?;
            desk.segment.rewind(mark);
            desk.tally = super::shared::Tally::default();
            desk.turned.clear();
            desk.woken.clear();
            quarantine(desk, receipt, &refused.to_string())
        }
    }
}

/// Why a readable receipt cannot be merged.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error(transparent)]
    NoAccount(#[from] NoAccount),
    #[error("its source is not in the configuration")]
    UnknownSource,
    #[error("the event id {0} belongs to another webinar")]
    ForeignEvent(String),
}

fn quarantine(
    desk: &mut Desk<'_>,
    receipt: &NewReceipt,
    reason: &str,
) -> Result<Acceptance, JobError> {
    let stored = store(desk, receipt, Stored::Quarantined, Some(reason))?;
    Ok(stored.map_or(Acceptance::Duplicate, |_| Acceptance::Quarantined))
}

/// Stores the receipt; none if it was there already.
fn store(
    desk: &mut Desk<'_>,
    receipt: &NewReceipt,
    stored: Stored,
    reason: Option<&str>,
) -> Result<Option<i64>, JobError> {
    let place = (!receipt.body.is_empty()).then(|| desk.segment.push(&receipt.body));
    let mut insert = desk.connection.prepare_cached(
        "INSERT INTO receipts (id, source, dedupe_key, provider, event_type, outcome, reason,
             received_at, hash, body_id, body_offset, body_length)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (source, dedupe_key) DO NOTHING",
    )?;
    let inserted = insert.execute((
        receipt.id.as_bytes().as_slice(),
        receipt.source.as_str(),
        receipt.dedupe_key.as_slice(),
        receipt.provider.as_str(),
        &receipt.event_type,
        stored as u8,
        reason,
        receipt.received_at.get(),
        receipt.hash.to_bytes().as_slice(),
        place.map(|place| place.id),
        place.map(|place| place.offset),
        place.map(|place| place.length),
    ))?;
    if inserted == 0 {
        if let Some(place) = place {
            desk.segment.rewind(usize::try_from(place.offset).unwrap_or(0));
        }
        return Ok(None);
    }
    Ok(Some(desk.connection.last_insert_rowid()))
}

fn merge_all(
    desk: &mut Desk<'_>,
    receipt: &NewReceipt,
    changes: &[Change],
    seq: i64,
) -> Result<Result<(), Refused>, JobError> {
    let Some(policy) = desk.policies.get(&receipt.source) else {
        return Ok(Err(Refused::UnknownSource));
    };
    for change in changes {
        let account = match policy.account_of(change) {
            Ok(account) => account,
            Err(none) => return Ok(Err(none.into())),
        };
        if let Err(refused) = merge_one(desk, receipt, change, policy, account, seq)? {
            return Ok(Err(refused));
        }
    }
    Ok(Ok(()))
}

fn merge_one(
    desk: &mut Desk<'_>,
    receipt: &NewReceipt,
    change: &Change,
    policy: &Policy,
    account: &ExternalAccountId,
    seq: i64,
) -> Result<Result<(), Refused>, JobError> {
    let key = (policy.hubspot.as_str(), account.as_str(), change.webinar.as_str());
    let found: Option<(i64, Vec<u8>)> = desk
        .connection
        .prepare_cached(
            "SELECT id, state FROM webinars WHERE hubspot = ?1 AND account = ?2 AND webinar = ?3",
        )?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (id, mut webinar) = match found {
        Some((id, state)) => (Some(id), events::read_state(id, &state)?),
        None => (None, Webinar::default()),
    };
    let said = Said {
        receipt: receipt.id,
        hash: receipt.hash,
        origin: Origin {
            source: receipt.source.clone(),
            provider: receipt.provider.clone(),
            event_type: receipt.event_type.clone(),
            reported_at: change.occurred_at,
            received_at: receipt.received_at,
        },
    };
    if let Err(refused) = webinar.merge(change, &said) {
        return Ok(Err(refused.into()));
    }
    let state = serde_json::to_vec(&webinar)
        .map_err(|error| JobError::Corrupt(format!("webinar: {error}")))?;
    let id = keep(desk, id, key, &state, receipt.received_at)?;
    desk.connection
        .prepare_cached(
            "INSERT OR IGNORE INTO webinar_receipts (webinar, receipt) VALUES (?1, ?2)",
        )?
        .execute((id, seq))?;
    let named = events::Named { id, hubspot: &policy.hubspot, account, webinar: &change.webinar };
    let at: Millis = receipt.received_at;
    Ok(events::derive(desk, &named, &webinar, at, events::Reach::All)?
        .map_err(Refused::ForeignEvent))
}

/// Keeps a webinar's state; says which row it is.
fn keep(
    desk: &Desk<'_>,
    id: Option<i64>,
    key: (&str, &str, &str),
    state: &[u8],
    at: Millis,
) -> Result<i64, JobError> {
    if let Some(id) = id {
        desk.connection
            .prepare_cached("UPDATE webinars SET state = ?2 WHERE id = ?1")?
            .execute((id, state))?;
        return Ok(id);
    }
    desk.connection
        .prepare_cached(
            "INSERT INTO webinars (hubspot, account, webinar, state, last_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((key.0, key.1, key.2, state, at.get()))?;
    Ok(desk.connection.last_insert_rowid())
}

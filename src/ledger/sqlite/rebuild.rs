//! Building webinars anew from what their receipts say today.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, Row};

use super::accept::Refused;
use super::job::{Desk, JobError};
use super::receipts::outcome_code;
use super::{events, webinars};
use crate::event::webinar::Said;
use crate::event::{BodyHash, Change, Millis, Origin, ProviderId, ReceiptId, SourceName, Webinar};
use crate::ledger::{Rebuild, Rebuilt, Rewritten, WebinarKey};

/// Why nothing is rebuilt.
enum Stop {
    Stale,
    Refused(Refused),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Rebuilds all of it, or nothing.
pub(super) fn rebuild(desk: &mut Desk<'_>, rebuild: &Rebuild) -> Result<Rebuilt, JobError> {
    let Some(replayed) = teller(desk, rebuild.receipt)? else { return Ok(Rebuilt::Unknown) };
    if !knows_all(desk, replayed.seq, rebuild)? {
        return Ok(Rebuilt::Stale);
    }
    let done = desk.attempt(|desk| {
        for rewritten in &rebuild.webinars {
            if let Err(stop) = rewrite(desk, rewritten, &replayed)? {
                return Ok(Err(stop));
            }
        }
        desk.connection
            .prepare_cached("UPDATE receipts SET outcome = ?2, reason = ?3 WHERE seq = ?1")?
            .execute((replayed.seq, outcome_code(rebuild.outcome), &rebuild.reason))?;
        Ok(Ok(()))
    })?;
    Ok(match done {
        Ok(()) => Rebuilt::Done,
        Err(Stop::Stale) => Rebuilt::Stale,
        Err(Stop::Refused(why)) => Rebuilt::Refused(why.to_string()),
    })
}

/// A receipt, as far as what it says rests on it.
struct Teller {
    seq: i64,
    id: ReceiptId,
    hash: BodyHash,
    source: String,
    provider: ProviderId,
    event_type: String,
    received_at: Millis,
}

const TELLER: &str = "receipts.seq, receipts.id, receipts.hash, receipts.source, \
                      receipts.provider, receipts.event_type, receipts.received_at";

impl Teller {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            id: ReceiptId::from_bytes(row.get(1)?),
            hash: BodyHash::from_bytes(row.get(2)?),
            source: row.get(3)?,
            provider: ProviderId::stored(row.get(4)?),
            event_type: row.get(5)?,
            received_at: Millis::new(row.get(6)?),
        })
    }

    /// Who says this change, and when it came: as it did then.
    fn said(&self, change: &Change) -> Result<Said, JobError> {
        let source = SourceName::parse(self.source.as_str())
            .map_err(|error| JobError::Corrupt(format!("receipt {}: {error}", self.id)))?;
        let origin = Origin {
            source,
            provider: self.provider.clone(),
            event_type: self.event_type.clone(),
            reported_at: change.occurred_at,
            received_at: self.received_at,
        };
        Ok(Said { receipt: self.id, hash: self.hash, origin })
    }
}

fn teller(desk: &Desk<'_>, id: ReceiptId) -> Result<Option<Teller>, JobError> {
    let found = desk
        .connection
        .prepare_cached(&format!("SELECT {TELLER} FROM receipts WHERE id = ?1"))?
        .query_row([id.as_bytes().as_slice()], Teller::read)
        .optional()?;
    Ok(found)
}

/// Whether every webinar that the receipt built is among those to rebuild.
fn knows_all(desk: &Desk<'_>, receipt: i64, rebuild: &Rebuild) -> Result<bool, JobError> {
    let named = |key: &(String, String, String)| {
        rebuild.webinars.iter().any(
            |Rewritten { key: WebinarKey { hubspot, account, webinar }, .. }| {
                (hubspot.as_str(), account.as_str(), webinar.as_str())
                    == (key.0.as_str(), key.1.as_str(), key.2.as_str())
            },
        )
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
    replayed: &Teller,
) -> Result<Result<(), Stop>, JobError> {
    let WebinarKey { hubspot, account, webinar: name } = &rewritten.key;
    let key = (hubspot.as_str(), account.as_str(), name.as_str());
    let found = webinars::find(desk, key)?;
    let retained = match &found {
        Some(found) => retained(desk, found.id)?,
        None => BTreeMap::new(),
    };
    let read: BTreeSet<ReceiptId> = rewritten.read.iter().copied().collect();
    if !retained.keys().eq(&read) {
        return Ok(Err(Stop::Stale));
    }
    let sayings = match sayings(desk, rewritten, &retained, replayed)? {
        Ok(sayings) => sayings,
        Err(stop) => return Ok(Err(stop)),
    };
    let retold: BTreeSet<ReceiptId> = rewritten.said.iter().map(|retold| retold.receipt).collect();
    let (id, before, base) = match found {
        Some(found) => (Some(found.id), found.webinar, found.base),
        None if sayings.is_empty() => return Ok(Ok(())),
        None => (None, Webinar::default(), false),
    };
    let based = base || !read.is_subset(&retold);
    let mut webinar = before.clone();
    let pairs = sayings.iter().map(|(change, said)| (*change, said));
    if let Err(refused) = webinar.retell(&retold, based, pairs) {
        return Ok(Err(Refused::from(refused).into()));
    }
    let id = match id {
        Some(id) if webinar == before => id,
        id => webinars::keep(desk, id, key, &webinar, desk.now)?,
    };
    for retold in &rewritten.said {
        let seq = retained.get(&retold.receipt).map_or(replayed.seq, |known| known.seq);
        if retold.changes.is_empty() {
            desk.connection
                .prepare_cached("DELETE FROM webinar_receipts WHERE webinar = ?1 AND receipt = ?2")?
                .execute((id, seq))?;
        } else if !read.contains(&retold.receipt) {
            webinars::link(desk, id, seq)?;
        }
    }
    if webinar == before {
        return Ok(Ok(()));
    }
    let named = events::Named { id, hubspot, account, webinar: name };
    if webinar == Webinar::default() {
        events::retire_all(desk, &named)?;
        return Ok(Ok(()));
    }
    let at = desk.now;
    let derived = events::derive(desk, &named, &webinar, at, events::Reach::All)?;
    Ok(derived.map_err(|event| Refused::ForeignEvent(event).into()))
}

/// A change and who says it.
type Saying<'a> = (&'a Change, Said);

/// What is said today, each by the receipt that says it.
fn sayings<'a>(
    desk: &Desk<'_>,
    rewritten: &'a Rewritten,
    retained: &BTreeMap<ReceiptId, Teller>,
    replayed: &Teller,
) -> Result<Result<Vec<Saying<'a>>, Stop>, JobError> {
    let mut sayings = Vec::new();
    for retold in &rewritten.said {
        let by = if retold.receipt == replayed.id {
            Some(replayed)
        } else {
            retained.get(&retold.receipt)
        };
        let Some(by) = by else { return Ok(Err(Stop::Stale)) };
        for change in &retold.changes {
            if change.webinar != rewritten.key.webinar {
                let what = format!("{} was told of {}", change.webinar, rewritten.key.webinar);
                return Err(JobError::Corrupt(what));
            }
            let said = by.said(change)?;
            if !desk.policies.contains_key(&said.origin.source) {
                return Ok(Err(Refused::UnknownSource.into()));
            }
            sayings.push((change, said));
        }
    }
    Ok(Ok(sayings))
}

/// The retained receipts that built a webinar.
fn retained(desk: &Desk<'_>, webinar: i64) -> Result<BTreeMap<ReceiptId, Teller>, JobError> {
    let mut statement = desk.connection.prepare_cached(&format!(
        "SELECT {TELLER} FROM webinar_receipts AS link
             JOIN receipts ON receipts.seq = link.receipt WHERE link.webinar = ?1"
    ))?;
    let tellers = statement.query_map([webinar], Teller::read)?;
    tellers.map(|teller| teller.map(|teller| (teller.id, teller)).map_err(JobError::from)).collect()
}

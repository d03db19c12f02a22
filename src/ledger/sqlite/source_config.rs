//! The sources' configuration at the last start, and the consequences of a change since.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use serde::Deserialize;

use super::open::OpenError;
use super::statements::Statements as _;
use super::transaction::WriteTx;
use super::{Settings, events, inherit, webinars};
use crate::event::{AccountName, AccountStatus, Millis, ProviderId, SourceName};
use crate::ledger::rules::orphans::{ConfigRefused, KnownNames, Orphans};
use crate::ledger::rules::reconcile::ReconcileScope;
use crate::ledger::rules::source_config::{HeldWebinar, StoredSource, check_rekey, is_reshaped};
use crate::ledger::rules::timers::TIMER_RETRY;
use crate::ledger::{LedgerError, Policies};

/// Webinars folded again in one piece.
const PIECE: i64 = 200;

/// The reaction to a configuration under which events would get new ids in HubSpot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rekey {
    /// Refuse to open the store: HubSpot would hold those events twice.
    Refuse,
    /// Open the store: the operator has confirmed the change.
    Accept,
}

/// Folds a piece of the webinars again that were passed by before the start; returns whether there are more.
fn retry_unfolded(tx: &mut WriteTx<'_>) -> Result<bool, LedgerError> {
    let piece: Vec<i64> = tx.connection.all(
        "SELECT webinar FROM unfolded WHERE tried = 0 LIMIT ?1",
        [PIECE],
        |row| row.get(0),
    )?;
    for id in &piece {
        events::refold(tx, *id, ReconcileScope::NotOver)?;
        tx.connection.run("DELETE FROM unfolded WHERE webinar = ?1 AND tried = 0", [id])?;
    }
    Ok(!piece.is_empty())
}

/// Compares the configuration with the last one, makes what the store holds of renamed sources and accounts their heirs',
/// and stores the configuration.
pub(super) fn compare_and_store(
    connection: &mut Connection,
    settings: &Settings,
) -> Result<(), OpenError> {
    let Settings { policies, heirs, accounts, rekey, clock, .. } = settings;
    let now = clock.now();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let orphans = check(&transaction, settings, now)?;
    if *rekey == Rekey::Refuse {
        orphans.refused?;
    }
    for warning in orphans.found.warnings() {
        tracing::warn!("{warning}");
    }
    let mut is_changed = inherit::inherit(&transaction, policies, heirs)?;
    is_changed |= mark_gone(&transaction, policies)?;
    for (name, policy) in policies {
        let now = StoredSource::from_policy(policy);
        is_changed |= is_reshaped(stored(&transaction, name)?.as_ref(), &now);
        transaction.run(
            "INSERT INTO sources (name, identity, defaults) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET identity = ?2, defaults = ?3",
            (name, now.identity, now.defaults),
        )?;
    }
    for account in accounts {
        transaction.run("INSERT OR IGNORE INTO accounts (name) VALUES (?1)", [account])?;
    }
    if is_changed {
        transaction.run("INSERT OR REPLACE INTO revision (id, after) VALUES (0, 0)", ())?;
        // A timer that waits for its source is looked at again.
        transaction.run(
            "UPDATE events SET due_at = ?1 WHERE due_at > ?1 AND due_at <= ?2",
            (now, now.plus(TIMER_RETRY)),
        )?;
    }
    transaction.run("UPDATE unfolded SET tried = 0", ())?;
    transaction.commit()?;
    Ok(())
}

/// Refuses a configuration that does not fit what the store holds, without changing it.
pub(super) fn refuse(connection: &Connection, settings: &Settings) -> Result<(), OpenError> {
    let orphans = check(connection, settings, settings.clock.now())?;
    if settings.rekey == Rekey::Refuse {
        orphans.refused?;
    }
    Ok(())
}

/// Looks whether a store that is there would be opened with these settings, without changing it, even while it is in
/// use; returns warnings for operators.
///
/// # Errors
/// [`OpenError::Config`] if it would not; another if the store cannot be read.
pub fn check_sources(settings: &Settings) -> Result<Vec<String>, OpenError> {
    let connection = Connection::open_with_flags(&settings.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let orphans = check(&connection, settings, settings.clock.now())?;
    orphans.refused?;
    Ok(orphans.found.warnings())
}

/// The accounts in a store.
#[derive(Debug, Default)]
pub struct StoredAccounts {
    /// Those that it was opened with before, or holds anything of.
    pub known: BTreeSet<AccountName>,
    /// Those that it holds events of.
    pub with_events: BTreeSet<AccountName>,
    /// The statuses that it holds and that can be read.
    pub statuses: BTreeMap<AccountName, AccountStatus>,
}

/// Reads the accounts of a store that is there, without changing it, even while it is in use.
///
/// # Errors
/// The store cannot be read.
pub fn stored_accounts(path: &Path) -> Result<StoredAccounts, OpenError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let statuses: Vec<(AccountName, String)> =
        connection.all("SELECT hubspot, standing FROM standings", (), |row| row.try_into())?;
    let with_events = BTreeSet::from_iter(accounts_with_events(&connection)?);
    let mut known = known_accounts(&connection)?.unwrap_or_default();
    known.extend(statuses.iter().map(|(name, _)| name.clone()));
    known.extend(with_events.iter().cloned());
    // A status that cannot be read recognises nobody.
    let readable = |(name, json): (_, String)| Some((name, serde_json::from_str(&json).ok()?));
    let statuses = statuses.into_iter().filter_map(readable).collect();
    Ok(StoredAccounts { known, with_events, statuses })
}

fn accounts_with_events(connection: &Connection) -> rusqlite::Result<Vec<AccountName>> {
    let sql = "SELECT DISTINCT hubspot FROM event_counts WHERE count > 0";
    connection.all(sql, (), |row| row.get(0))
}

/// The orphans of a store, and whether they are a reason not to open it.
struct CheckedOrphans {
    found: Orphans,
    refused: Result<(), ConfigRefused>,
}

fn check(
    connection: &Connection,
    settings: &Settings,
    now: Millis,
) -> Result<CheckedOrphans, OpenError> {
    let Settings { policies, heirs, accounts, rekey, .. } = settings;
    let sources = connection.all("SELECT name, identity, defaults FROM sources", (), |row| {
        let stored = StoredSource { identity: row.get(1)?, defaults: row.get(2)? };
        Ok((row.get::<_, SourceName>(0)?, stored))
    })?;
    let known = KnownNames {
        sources: sources.iter().map(|(name, _)| name.clone()).collect(),
        accounts: known_accounts(connection)?,
    };
    let found = Orphans {
        sources: orphan_sources(connection, &known.gone(policies, heirs).collect())?,
        accounts: accounts_with_events(connection)?
            .into_iter()
            .filter(|account| !accounts.contains(heirs.account(account)))
            .collect(),
    };
    let refused = found.check(&known, policies, accounts, heirs);
    // What is gone comes first: its remedy is another than that of an id that changes.
    for (name, stored) in sources.iter().filter(|_| *rekey == Rekey::Refuse && refused.is_ok()) {
        if let Some(policy) = policies.get(heirs.source(name)) {
            check_rekey((name, stored.clone()), policy, heirs, now, |visit| {
                for_each_held(connection, name, visit)
            })?;
        }
    }
    Ok(CheckedOrphans { found, refused })
}

/// The sources of a stored webinar, and its platform.
#[derive(Deserialize)]
pub(super) struct WebinarSources {
    provider: Option<ProviderId>,
    #[serde(default)]
    pub(super) sources: BTreeSet<SourceName>,
}

/// Calls `visit` for every webinar whose sources can be read.
pub(super) fn for_each_webinar(
    connection: &Connection,
    mut visit: impl FnMut(i64, WebinarSources, &[u8]) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let mut statement = connection.prepare_cached("SELECT id, state FROM webinars ORDER BY id")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let state = row.get_ref(1)?.as_blob().unwrap_or_default();
        if let Ok(sources) = serde_json::from_slice(state) {
            visit(row.get(0)?, sources, state)?;
        }
    }
    Ok(())
}

/// Those of the sources that the store holds events of, with the platform of one.
fn orphan_sources(
    connection: &Connection,
    gone: &BTreeSet<&SourceName>,
) -> Result<BTreeMap<SourceName, Option<ProviderId>>, OpenError> {
    let mut found = BTreeMap::new();
    if gone.is_empty() {
        return Ok(found);
    }
    for_each_webinar(connection, |id, WebinarSources { provider, sources }, _| {
        let is_new = |name: &SourceName| gone.contains(name) && !found.contains_key(name);
        let new: Vec<SourceName> = sources.into_iter().filter(is_new).collect();
        let has_events =
            || connection.value("SELECT EXISTS (SELECT 1 FROM events WHERE webinar = ?1)", [id]);
        if !new.is_empty() && has_events()? {
            found.extend(new.into_iter().map(|name| (name, provider.clone())));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Visits the webinars that a source spoke of, one at a time: together they may be larger than the memory.
fn for_each_held(
    connection: &Connection,
    source: &SourceName,
    visit: &mut dyn FnMut(HeldWebinar) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    for_each_webinar(connection, |id, WebinarSources { sources, .. }, state| {
        if sources.contains(source)
            && let Ok(webinar) = webinars::parse_state(id, state)
        {
            let key = "SELECT hubspot, account, webinar FROM webinars WHERE id = ?1";
            let key = connection.prepare_cached(key)?.query_row([id], webinars::webinar_key)?;
            let events = connection.all(
                "SELECT external_event_id, ends_at FROM events WHERE webinar = ?1",
                [id],
                |row| row.try_into(),
            )?;
            visit(HeldWebinar { key, webinar, events })?;
        }
        Ok(())
    })
}

/// The accounts that the store was opened with before; none if an earlier version opened it last.
fn known_accounts(connection: &Connection) -> rusqlite::Result<Option<BTreeSet<AccountName>>> {
    let remembers = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'accounts')";
    if !connection.value(remembers, ())? {
        return Ok(None);
    }
    let known = connection.all("SELECT name FROM accounts", (), |row| row.get(0))?;
    Ok((!known.is_empty()).then(|| known.into_iter().collect()))
}

/// Marks the sources that are not configured; returns whether one went or came back.
fn mark_gone(connection: &Connection, policies: &Policies) -> rusqlite::Result<bool> {
    let mut is_changed = false;
    let marked: Vec<(SourceName, bool)> =
        connection.all("SELECT name, gone FROM sources", (), |row| row.try_into())?;
    for (name, was_gone) in marked {
        let is_gone = !policies.contains_key(&name);
        if is_gone != was_gone {
            is_changed = true;
            connection.run("UPDATE sources SET gone = ?2 WHERE name = ?1", (name, is_gone))?;
        }
    }
    Ok(is_changed)
}

fn stored(connection: &Connection, name: &SourceName) -> rusqlite::Result<Option<StoredSource>> {
    connection.first("SELECT identity, defaults FROM sources WHERE name = ?1", [name], |row| {
        Ok(StoredSource { identity: row.get(0)?, defaults: row.get(1)? })
    })
}

/// Folds a piece of the webinars again after the defaults changed; returns whether there are more.
pub(super) fn refold_piece(tx: &mut WriteTx<'_>) -> Result<bool, LedgerError> {
    let after: Option<i64> =
        tx.connection.first("SELECT after FROM revision", (), |row| row.get(0))?;
    let Some(after) = after else { return retry_unfolded(tx) };
    let piece: Vec<i64> = tx.connection.all(
        "SELECT id FROM webinars WHERE id > ?1 ORDER BY id LIMIT ?2",
        (after, PIECE),
        |row| row.get(0),
    )?;
    for id in &piece {
        events::refold(tx, *id, ReconcileScope::NotOver)?;
    }
    match piece.last() {
        Some(last) => tx.connection.run("UPDATE revision SET after = ?1", [last])?,
        None => tx.connection.run("DELETE FROM revision", ())?,
    }
    Ok(!piece.is_empty())
}

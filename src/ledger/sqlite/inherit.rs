//! What the store holds of renamed sources and accounts becomes their heirs'.
//!
//! A row of the former name stays where the heir has one of the same key already.

use rusqlite::Connection;

use super::open::OpenError;
use super::source_config::{WebinarSources, for_each_webinar};
use super::statements::Statements as _;
use super::webinars;
use crate::event::{AccountName, ProviderId, SourceName};
use crate::ledger::rules::source_config::StoredSource;
use crate::ledger::{Heirs, LedgerError, Policies};

/// Renames what the store holds of former sources and accounts; returns whether there was any of a source.
pub(super) fn inherit(
    connection: &Connection,
    policies: &Policies,
    heirs: &Heirs,
) -> Result<bool, OpenError> {
    let mut is_any = false;
    for (from, to) in &heirs.sources {
        let is_known = "SELECT EXISTS (SELECT 1 FROM sources WHERE name = ?1)";
        if connection.value(is_known, [from])?
            && let Some(policy) = policies.get(to)
        {
            rename_source(connection, from, to, &policy.provider)?;
            is_any = true;
        }
    }
    for (from, to) in &heirs.accounts {
        rename_account(connection, from, to)?;
    }
    rename_accounts_of_sources(connection, heirs)?;
    Ok(is_any)
}

fn rename_source(
    connection: &Connection,
    from: &SourceName,
    to: &SourceName,
    provider: &ProviderId,
) -> Result<(), OpenError> {
    for sql in [
        "UPDATE OR IGNORE receipts SET source = ?2 WHERE source = ?1",
        // What is left is known to the heir by the same key, which it keeps.
        "UPDATE receipts SET source = ?2, dedupe_key = randomblob(32), lasting = 0 WHERE source = ?1",
        "UPDATE OR IGNORE lasting_keys SET source = ?2 WHERE source = ?1",
        "UPDATE OR IGNORE fetches SET source = ?2 WHERE source = ?1",
        "UPDATE OR IGNORE fetch_sources SET source = ?2 WHERE source = ?1",
        "UPDATE OR IGNORE sources SET name = ?2 WHERE name = ?1",
    ] {
        connection.run(sql, (from, to))?;
    }
    for sql in [
        "DELETE FROM lasting_keys WHERE source = ?1",
        "DELETE FROM fetches WHERE source = ?1",
        "DELETE FROM fetch_sources WHERE source = ?1",
        "DELETE FROM sources WHERE name = ?1",
        "DELETE FROM fetch_counts WHERE source = ?1",
    ] {
        connection.run(sql, [from])?;
    }
    connection.run("DELETE FROM fetch_counts WHERE source = ?1", [to])?;
    connection.run(
        "INSERT INTO fetch_counts (source, state, count)
         SELECT source, state, count(*) FROM fetches WHERE source = ?1 GROUP BY state",
        [to],
    )?;
    let mut renamed = Vec::new();
    for_each_webinar(connection, |id, WebinarSources { sources, .. }, _| {
        renamed.extend(sources.contains(from).then_some(id));
        Ok(())
    })?;
    for id in renamed {
        let state: Vec<u8> = connection.value("SELECT state FROM webinars WHERE id = ?1", [id])?;
        // A state that cannot be read is reported where it is needed.
        let Ok(mut webinar) = webinars::parse_state(id, &state) else { continue };
        webinar.inherit(from, to, provider);
        let state =
            serde_json::to_vec(&webinar).map_err(|error| LedgerError::corrupt("webinar", error))?;
        connection.run("UPDATE webinars SET state = ?2 WHERE id = ?1", (id, state))?;
    }
    tracing::info!(source.name = %to, "the store's source.{from} is source.{to} from now on");
    Ok(())
}

fn rename_account(
    connection: &Connection,
    from: &AccountName,
    to: &AccountName,
) -> Result<(), OpenError> {
    let is_known = "SELECT EXISTS (SELECT 1 FROM webinars WHERE hubspot = ?1)
            OR EXISTS (SELECT 1 FROM standings WHERE hubspot = ?1)";
    if !connection.value(is_known, [from])? {
        return Ok(());
    }
    for sql in [
        "UPDATE OR IGNORE webinars SET hubspot = ?2 WHERE hubspot = ?1",
        "UPDATE OR IGNORE events SET hubspot = ?2
         WHERE hubspot = ?1 AND webinar IN (SELECT id FROM webinars WHERE hubspot = ?2)",
        "UPDATE OR IGNORE standings SET hubspot = ?2 WHERE hubspot = ?1",
        "DELETE FROM event_counts WHERE hubspot IN (?1, ?2)",
        "INSERT INTO event_counts (hubspot, state, count)
         SELECT hubspot, state, count(*) FROM events WHERE hubspot IN (?1, ?2)
         GROUP BY hubspot, state",
    ] {
        connection.run(sql, (from, to))?;
    }
    connection.run("DELETE FROM standings WHERE hubspot = ?1", [from])?;
    connection.run("DELETE FROM accounts WHERE name = ?1", [from])?;
    tracing::info!(hubspot.account = %to, "the store's hubspot.{from} is hubspot.{to} from now on");
    Ok(())
}

/// The identities of the sources hold their accounts' names.
fn rename_accounts_of_sources(connection: &Connection, heirs: &Heirs) -> rusqlite::Result<()> {
    if heirs.accounts.is_empty() {
        return Ok(());
    }
    let sources: Vec<(SourceName, String, String)> =
        connection.all("SELECT name, identity, defaults FROM sources", (), |row| row.try_into())?;
    for (name, identity, defaults) in sources {
        let stored = StoredSource { identity, defaults }.with_renamed_account(heirs);
        connection
            .run("UPDATE sources SET identity = ?2 WHERE name = ?1", (name, stored.identity))?;
    }
    Ok(())
}

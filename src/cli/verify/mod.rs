//! `verify`: compares the delivered events with HubSpot, and sends again those that differ.
//!
//! * [`reader`]: reads events from HubSpot.

mod reader;

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::ledger_access::{DeliveredEvent, LedgerAccess};
use super::{CommandError, ConfigArg, Io};
use crate::config::{AccountSettings, Config, load_and_check};
use crate::event::{AccountName, EventKey};
use crate::hubspot::differences;
use crate::ledger::sqlite::{self, StoreState};
use crate::net::Http;
use reader::EventReader;

/// Most events read at the same time.
const MAX_CONCURRENT_READS: usize = 8;
/// Most comparisons of an event that changes meanwhile.
const MAX_COMPARISONS: usize = 3;
/// Number of events from which their complete absence at HubSpot is taken for a wrong account.
const SUSPICIOUS_COUNT: usize = 10;
/// Printed for an event that HubSpot does not have.
const MISSING: &str = "not there";

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    #[command(flatten)]
    file: ConfigArg,
    /// Only this HubSpot account
    #[arg(long, value_name = "NAME")]
    hubspot: Option<String>,
    /// Sends nothing again; exit code 1 if something differs
    #[arg(long)]
    dry_run: bool,
}

/// An event that differs at HubSpot.
struct EventDifference {
    key: EventKey,
    fields: Vec<String>,
}

/// The result of comparing an account.
#[derive(Default)]
struct Comparison {
    compared: usize,
    differing: Vec<EventDifference>,
}

impl Verify {
    pub(super) fn run(self, io: &mut Io<'_>) -> Result<(), CommandError> {
        let config = load_and_check(self.file.config.as_deref(), io.variables)?;
        let accounts: Vec<(&AccountName, &AccountSettings)> = config
            .accounts
            .iter()
            .filter(|(name, _)| self.hubspot.as_ref().is_none_or(|only| only == name.as_str()))
            .collect();
        if let (Some(only), true) = (&self.hubspot, accounts.is_empty()) {
            let message = format!("--hubspot {only:?} is not an account of the configuration");
            return Err(CommandError::Usage(message));
        }
        super::runtime()?.block_on(async {
            let http = super::http_client()?;
            let ledger = open_ledger(&config, &http)?;
            let mut failed = Vec::new();
            for (name, account) in accounts {
                let reader = EventReader::new(name, account, Arc::clone(&http));
                let verified = self.verify_account(io, &ledger, name, account, &reader).await;
                if let Err(error) = verified {
                    failed.push(format!("hubspot.{name}: {error:#}"));
                }
            }
            if failed.is_empty() { Ok(()) } else { Err(anyhow!(failed.join("\n")).into()) }
        })
    }

    /// Verifies one account. After a failure the others are still verified.
    async fn verify_account(
        &self,
        io: &mut Io<'_>,
        ledger: &LedgerAccess,
        name: &AccountName,
        account: &AccountSettings,
        reader: &EventReader,
    ) -> anyhow::Result<()> {
        let at_once = account.delivery.max_in_flight.min(MAX_CONCURRENT_READS);
        let compared = compare(ledger, name, reader, at_once).await;
        let Comparison { compared, differing } = compared.context("it could not be compared")?;
        for line in format_table(&differing) {
            io.print(&line)?;
        }
        if compared == 0 {
            io.print(&format!("hubspot.{name}: no events are delivered: nothing was compared"))?;
            return Ok(());
        }
        let summary = format!("hubspot.{name}: {compared} delivered events compared");
        if differing.is_empty() {
            io.print(&format!("{summary}, all equal"))?;
            return Ok(());
        }
        let count = differing.len();
        if self.dry_run {
            io.print(&format!("{summary}, {count} differ; none is sent again (--dry-run)"))?;
            bail!("{count} events differ");
        }
        if compared >= SUSPICIOUS_COUNT && differing.iter().all(|found| found.fields == [MISSING]) {
            io.print(&format!("{summary}, none is there; none is sent again"))?;
            bail!(
                "HubSpot has none of {count} events. With a credential of another app they would all be made a \
                 second time. If that is what you want, POST /api/v1/events/redrive?hubspot={name}&state=delivered"
            );
        }
        for found in &differing {
            let sent = ledger.redrive(&found.key).await;
            sent.context("not all that differ are sent again")?;
        }
        let moment = ledger.redrive_moment();
        io.print(&format!("{summary}, {count} differ; they are sent again {moment}"))?;
        Ok(())
    }
}

fn open_ledger(config: &Config, http: &Arc<dyn Http>) -> Result<LedgerAccess, CommandError> {
    let path = &config.store.path;
    if sqlite::inspect(path).context("the store cannot be opened")? == StoreState::Absent {
        return Err(anyhow!("there is no store at {} yet", path.display()).into());
    }
    LedgerAccess::open(config, http)
}

/// Compares all delivered events of an account.
async fn compare(
    ledger: &LedgerAccess,
    account: &AccountName,
    reader: &EventReader,
    at_once: usize,
) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison::default();
    let mut cursor = None;
    loop {
        let (events, next) = ledger.list_delivered(account, cursor).await?;
        comparison.compared += events.len();
        let found: Vec<Option<EventDifference>> = stream::iter(events)
            .map(|event| compare_event(ledger, reader, event))
            .buffered(at_once)
            .try_collect()
            .await?;
        comparison.differing.extend(found.into_iter().flatten());
        cursor = next;
        if cursor.is_none() {
            return Ok(comparison);
        }
    }
}

/// Compares one event; none if it is equal, or waits for delivery by now.
async fn compare_event(
    ledger: &LedgerAccess,
    reader: &EventReader,
    mut event: DeliveredEvent,
) -> anyhow::Result<Option<EventDifference>> {
    for _ in 0..MAX_COMPARISONS {
        let fields = match reader.read(&event.key).await? {
            None => vec![MISSING.to_owned()],
            Some(shown) => differences(&event.input, &shown),
        };
        if fields.is_empty() {
            return Ok(None);
        }
        // It may have been delivered again between reading the ledger and reading HubSpot.
        match ledger.find_delivered(&event.key).await? {
            None => return Ok(None),
            Some(now) if now == event => return Ok(Some(EventDifference { key: now.key, fields })),
            Some(now) => event = now,
        }
    }
    bail!("{} changes faster than it can be compared", event.key.external_event_id)
}

/// A table with columns as wide as their longest cell; empty if nothing differs.
fn format_table(differing: &[EventDifference]) -> Vec<String> {
    if differing.is_empty() {
        return Vec::new();
    }
    let head = ["EXTERNAL ACCOUNT", "EXTERNAL EVENT", "DIFFERS"].map(str::to_owned);
    let rows = differing.iter().map(|found| {
        let EventKey { external_account_id, external_event_id, .. } = &found.key;
        [external_account_id.to_string(), external_event_id.to_string(), found.fields.join(", ")]
    });
    let rows: Vec<[String; 3]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let (first, second) = (width(0), width(1));
    rows.iter()
        .map(|[account, event, fields]| format!("{account:first$}  {event:second$}  {fields}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ExternalAccountId, ExternalEventId};

    #[test]
    fn table_of_differences_is_aligned() {
        let finding = |account: &str, event: &str, fields: &[&str]| EventDifference {
            key: EventKey {
                hubspot: AccountName::parse("main").expect("a name"),
                external_account_id: ExternalAccountId::parse(account).expect("an id"),
                external_event_id: ExternalEventId::from_stored(event.to_owned()),
            },
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        };
        assert!(format_table(&[]).is_empty());
        let lines = format_table(&[
            finding("a", "1", &["eventName", "eventUrl"]),
            finding("aäaäaäaäaäaäaäaäaä", "1-1700000000000", &[MISSING]),
        ]);
        let expected = [
            "EXTERNAL ACCOUNT    EXTERNAL EVENT   DIFFERS",
            "a                   1                eventName, eventUrl",
            "aäaäaäaäaäaäaäaäaä  1-1700000000000  not there",
        ];
        assert_eq!(lines, expected);
    }
}

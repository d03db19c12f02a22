//! `verify`: does HubSpot hold what it confirmed? What it does not is sent again.
//!
//! * [`mod@books`]: the ledger, in this process or through the running service.
//! * [`reader`]: reading events from HubSpot.

mod ledger_access;
mod reader;

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::health::connect_address;
use super::ops_client::OpsClient;
use super::{CommandError, ConfigArg, Io, store};
use crate::config::{AccountSettings, Config, load_and_check};
use crate::event::{AccountName, EventKey};
use crate::hubspot::differences;
use crate::ledger::sqlite::{self, StoreState};
use crate::net::{Http, HttpClient};
use ledger_access::{DeliveredEvent, LedgerAccess, LocalLedger};
use reader::EventReader;

/// Events that are read at a time, at most.
const MAX_CONCURRENT_READS: usize = 8;
/// How often an event is compared that changes while it is looked at.
const MAX_COMPARISONS: usize = 3;
/// From so many events on it is no accident if HubSpot holds none of them.
const SUSPICIOUS_COUNT: usize = 10;
/// What is told of an event that HubSpot does not have.
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

/// An event in which HubSpot differs.
struct EventDifference {
    key: EventKey,
    fields: Vec<String>,
}

/// What was found in an account.
#[derive(Default)]
struct Comparison {
    compared: usize,
    differing: Vec<EventDifference>,
}

impl Verify {
    pub(super) fn run(self, world: &mut Io<'_>) -> Result<(), CommandError> {
        let config = load_and_check(self.file.config.as_deref(), world.variables)?;
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
            let http: Arc<dyn Http> =
                Arc::new(HttpClient::new().context("cannot make an HTTP client")?);
            let books = open_ledger(&config, &http)?;
            let mut failed = Vec::new();
            for (name, account) in accounts {
                let reader = EventReader::new(account, Arc::clone(&http));
                let verified =
                    self.verify_account(world, books.as_ref(), name, account, &reader).await?;
                if let Err(error) = verified {
                    failed.push(format!("hubspot.{name}: {error:#}"));
                }
            }
            if failed.is_empty() { Ok(()) } else { Err(anyhow!(failed.join("\n")).into()) }
        })
    }

    /// Verifies one account. The inner error is the account's, and the others are verified all the same.
    async fn verify_account(
        &self,
        world: &mut Io<'_>,
        books: &dyn LedgerAccess,
        name: &AccountName,
        account: &AccountSettings,
        reader: &EventReader,
    ) -> Result<anyhow::Result<()>, CommandError> {
        let at_once = account.delivery.max_in_flight.min(MAX_CONCURRENT_READS);
        let findings = match compare(books, name, reader, at_once).await {
            Ok(findings) => findings,
            Err(error) => return Ok(Err(error.context("it could not be compared"))),
        };
        for line in format_table(&findings.differing) {
            world.print(&line)?;
        }
        let Comparison { compared, differing } = findings;
        if compared == 0 {
            world
                .print(&format!("hubspot.{name}: no events are delivered: nothing was compared"))?;
            return Ok(Ok(()));
        }
        let told = format!("hubspot.{name}: {compared} delivered events compared");
        if differing.is_empty() {
            world.print(&format!("{told}, all equal"))?;
            return Ok(Ok(()));
        }
        let count = differing.len();
        if self.dry_run {
            world.print(&format!("{told}, {count} differ; none is sent again (--dry-run)"))?;
            return Ok(Err(anyhow!("{count} events differ")));
        }
        if compared >= SUSPICIOUS_COUNT && differing.iter().all(|found| found.fields == [MISSING]) {
            world.print(&format!("{told}, none is there; none is sent again"))?;
            return Ok(Err(anyhow!(
                "HubSpot has none of {count} events. With a credential of another app they would all be made a \
                 second time. If that is what you want, POST /api/v1/events/redrive?hubspot={name}&state=delivered"
            )));
        }
        for found in &differing {
            if let Err(error) = books.redrive(&found.key).await {
                return Ok(Err(error.context("not all that differ are sent again")));
            }
        }
        world.print(&format!(
            "{told}, {count} differ; they are sent again {}",
            books.redrive_moment()
        ))?;
        Ok(Ok(()))
    }
}

/// The store, if nobody has it, else the service that has.
fn open_ledger(
    config: &Config,
    http: &Arc<dyn Http>,
) -> Result<Box<dyn LedgerAccess>, CommandError> {
    let path = &config.store.path;
    if sqlite::inspect(path).context("the store cannot be opened")? == StoreState::Absent {
        return Err(anyhow!("there is no store at {} yet", path.display()).into());
    }
    Ok(match store::open_unless_in_use(config)? {
        Some(ledger) => Box::new(LocalLedger(Arc::new(ledger))),
        None => Box::new(OpsClient::new(connect_address(config.listen.ops), Arc::clone(http))?),
    })
}

/// Compares all delivered events of an account.
async fn compare(
    books: &dyn LedgerAccess,
    account: &AccountName,
    reader: &EventReader,
    at_once: usize,
) -> anyhow::Result<Comparison> {
    let mut findings = Comparison::default();
    let mut after = None;
    loop {
        let (entries, next) = books.delivered_page(account, after).await?;
        findings.compared += entries.len();
        let found: Vec<Option<EventDifference>> = stream::iter(entries)
            .map(|entry| compare_event(books, reader, entry))
            .buffered(at_once)
            .try_collect()
            .await?;
        findings.differing.extend(found.into_iter().flatten());
        after = next;
        if after.is_none() {
            return Ok(findings);
        }
    }
}

/// Compares one event; none if it is equal, or on its way to HubSpot by now.
async fn compare_event(
    books: &dyn LedgerAccess,
    reader: &EventReader,
    mut entry: DeliveredEvent,
) -> anyhow::Result<Option<EventDifference>> {
    for _ in 0..MAX_COMPARISONS {
        let fields = match reader.read(&entry.key).await? {
            None => vec![MISSING.to_owned()],
            Some(shown) => differences(&entry.input, &shown),
        };
        if fields.is_empty() {
            return Ok(None);
        }
        // It may have been delivered anew between the two looks.
        match books.delivered_event(&entry.key).await? {
            None => return Ok(None),
            Some(now) if now == entry => return Ok(Some(EventDifference { key: now.key, fields })),
            Some(now) => entry = now,
        }
    }
    bail!("{} changes faster than it can be compared", entry.key.external_event_id)
}

/// Columns as wide as what stands in them; nothing if nothing differs.
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
    fn tables_are_aligned() {
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

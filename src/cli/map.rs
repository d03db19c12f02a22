//! `map`: shows the content of a body and the inputs it yields, without network and store.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;

use super::body_arg::BodyArg;
use super::{CommandError, ConfigArg, Io};
use crate::clock::{Clock, SystemClock};
use crate::config::load;
use crate::event::webinar::Provenance;
use crate::event::{
    AccountName, Change, EventInput, EventOwnership, ExternalAccountId, Gap, HeldEvents, Millis,
    Origin, Policy, ReceiptId, RecurringMode, SourceName, Webinar, fold,
};
use crate::intake::Source;
use crate::providers::{PayloadContent, Provider};

#[derive(Debug, clap::Args)]
pub(super) struct Map {
    /// The platform that sent it
    #[arg(long)]
    provider: String,
    #[command(flatten)]
    file: ConfigArg,
    /// The configured source whose defaults apply
    #[arg(long)]
    source: Option<String>,
    #[command(flatten)]
    body: BodyArg,
}

impl Map {
    pub(super) fn run(self, io: &mut Io<'_>) -> Result<(), CommandError> {
        let platform = super::find_platform(&self.provider)?;
        let source = match &self.source {
            Some(name) => {
                let config = load(self.file.config.as_deref(), io.variables)?;
                DryRunSource::from_config(super::find_source(&config, name, platform)?)
            }
            None if self.file.config.is_some() => {
                return Err(CommandError::Usage("--config has no effect without --source".into()));
            }
            None => DryRunSource::unconfigured(super::unconfigured_provider(platform)?),
        };
        let body = self.body.read(io)?;
        let report = map_body(&source, &body, SystemClock.now())?;
        let json = serde_json::to_string_pretty(&report).context("cannot write the result")?;
        io.print(&json)?;
        match report.unmappable {
            None => Ok(()),
            Some(why) => {
                Err(CommandError::Failed(anyhow::anyhow!("the body cannot be mapped: {why}")))
            }
        }
    }
}

/// The source that would have received the body.
pub(super) struct DryRunSource {
    source: Arc<Source>,
    /// The external account of webinars for which neither the body nor the policy names one.
    account: Option<ExternalAccountId>,
}

impl DryRunSource {
    pub(super) fn from_config(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), account: None }
    }

    /// A source without options.
    pub(super) fn unconfigured(provider: Arc<dyn Provider>) -> Self {
        let policy = Policy {
            hubspot: AccountName::parse("none").expect("it is a name"),
            provider: provider.id(),
            organizer: None,
            event_type: None,
            external_account_id: None,
            recurring: RecurringMode::default(),
            complete_after_end: None,
            only: Vec::new(),
            ownership: EventOwnership::Platform,
            custom_properties: BTreeMap::new(),
        };
        let name = SourceName::parse("none").expect("it is a name");
        let source = Source::new(name, provider, policy);
        Self { source: Arc::new(source), account: ExternalAccountId::parse("unknown").ok() }
    }
}

/// The printed result.
#[derive(Debug, Default, Serialize)]
pub(super) struct MapReport {
    event_type: String,
    meaning: &'static str,
    changes: Vec<Change>,
    bad_fields: Vec<&'static str>,
    /// The webinars that the service would fetch from the platform's API.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    asked: Vec<String>,
    inputs: Vec<EventInput>,
    /// Gaps that do not keep an input from being sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<EventGaps>,
    incomplete: Vec<EventGaps>,
    /// The reason why the body is unmappable. It goes to standard error.
    #[serde(skip)]
    pub(super) unmappable: Option<String>,
}

#[derive(Debug, Serialize)]
struct EventGaps {
    id: String,
    gaps: Vec<Gap>,
}

/// Maps the body, and folds each of its changes as the first one of its webinar.
pub(super) fn map_body(
    source: &DryRunSource,
    body: &[u8],
    now: Millis,
) -> anyhow::Result<MapReport> {
    let DryRunSource { source, account } = source;
    let policy = &source.policy;
    let reading = source.dry_run(body, now);
    let fetches = reading.fetch_requests.iter();
    let mut report = MapReport {
        event_type: reading.event_type,
        asked: fetches.map(|wanted| wanted.webinar.to_string()).collect(),
        ..MapReport::default()
    };
    report.meaning = match reading.content {
        PayloadContent::Changes { changes, bad_fields } => {
            (report.changes, report.bad_fields) = (changes, bad_fields);
            "changes"
        }
        PayloadContent::Ignored | PayloadContent::Excluded => "ignored",
        PayloadContent::Handshake(_) => "handshake",
        PayloadContent::Unmappable(why) => {
            report.unmappable = Some(why);
            "unmappable"
        }
    };
    for change in &report.changes {
        let mut webinar = Webinar::default();
        let provenance = Provenance {
            receipt: ReceiptId::generate(),
            order: webinar.next_order(0, now),
            place: 0,
            origin: Origin {
                source: source.name.clone(),
                provider: source.provider.id(),
                event_type: report.event_type.clone(),
                reported_at: change.occurred_at,
                received_at: now,
            },
        };
        webinar.merge(change, &provenance)?;
        let named = change.account.as_ref().or(account.as_ref());
        let account = match policy.external_account(named) {
            Ok(account) => account,
            Err(none) => {
                (report.meaning, report.unmappable) = ("unmappable", Some(none.to_string()));
                break;
            }
        };
        for event in fold(&webinar, account, &change.webinar, policy, &HeldEvents::new(), now) {
            let of = |gaps| EventGaps { id: event.id.as_str().to_owned(), gaps };
            match event.content {
                Ok(input) => report.inputs.push(input),
                Err(gaps) => report.incomplete.push(of(gaps)),
            }
            if !event.warnings.is_empty() {
                report.remarks.push(of(event.warnings));
            }
        }
    }
    Ok(report)
}

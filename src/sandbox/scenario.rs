//! The scenario: sends sample webhooks, and shows the bridge's changes and HubSpot's events.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::emulator::{EmulatorOperation, EmulatorSettings, UpsertInput};
use super::hubspot_server::HubSpotServer;
use super::sources::{SandboxSource, build_config, open_sources};
use crate::app::App;
use crate::clock::{Clock, SystemClock};
use crate::event::Millis;
use crate::ledger::sqlite::Rekey;
use crate::ledger::{EventQuery, EventState, EventSummary, Ledger, LedgerError, PAGE_MAX};
use crate::net::{Http, HttpClient, HttpMethod, HttpRequest};
use crate::providers::{Provider, Sample, SignedRequest, UnsignedRequest};

/// Time limit for delivery, which takes two or three seconds.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Interval between checks.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const TOKEN: &str = "sandbox-token";

/// Runs the scenario and reports on `out`. With `once` it ends after everything was delivered; otherwise it goes on
/// until `stop`, so that a reader can send webhooks of their own.
///
/// # Errors
/// A step failed, or not everything was delivered.
pub async fn run(out: &mut dyn Write, once: bool, stop: CancellationToken) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let hubspot = HubSpotServer::open(EmulatorSettings::new(TOKEN), Arc::clone(&clock))
        .context("the emulated HubSpot cannot listen")?;
    let folder = tempfile::Builder::new()
        .prefix("webinar-bridge-sandbox-")
        .tempdir()
        .context("cannot make a temporary folder")?;
    let http: Arc<dyn Http> = Arc::new(HttpClient::new().context("cannot create an HTTP client")?);
    let sources = open_sources(&clock)?;
    let config = build_config(&hubspot.base_url(), TOKEN, folder.path(), &sources)?;
    let provider = |source: &SandboxSource| {
        let settings = config.sources.get(source.demo.source);
        settings.map(|settings| Arc::clone(&settings.provider))
    };
    let providers: Option<Vec<_>> = sources.iter().map(provider).collect();
    let providers = providers.context("two sources of the sandbox have the same name")?;
    let sources: Vec<_> = sources.into_iter().zip(providers).collect();
    let app = App::build(config, &http, Arc::clone(&clock), Rekey::Refuse)?;
    let scenario = Scenario {
        webhooks: format!("http://{}/webhooks", app.webhooks_address),
        ops: format!("http://{}", app.ops_address),
        ledger: Arc::clone(&app.ledger),
        http,
        clock,
        hubspot,
        sources,
    };
    let app_stop = CancellationToken::new();
    let running = tokio::spawn(app.run_until(app_stop.clone()));
    let outcome = scenario.run(out).await;
    if outcome.is_ok() && !once {
        writeln!(
            out,
            "\nThe sandbox runs until Ctrl-C. Commands to try:\n{}",
            scenario.suggest_commands(folder.path()).await?
        )?;
        out.flush()?;
        stop.cancelled().await;
    }
    app_stop.cancel();
    running.await.context("the bridge ended unexpectedly")??;
    scenario.hubspot.close();
    for api in scenario.sources.iter().filter_map(|(source, _)| source.api.as_ref()) {
        api.close();
    }
    if let Err(error) = folder.close() {
        tracing::warn!(%error, "cannot delete the sandbox's folder");
    }
    outcome
}

struct Scenario {
    webhooks: String,
    ops: String,
    ledger: Arc<dyn Ledger>,
    http: Arc<dyn Http>,
    clock: Arc<dyn Clock>,
    hubspot: HubSpotServer,
    sources: Vec<(SandboxSource, Arc<dyn Provider>)>,
}

impl Scenario {
    async fn run(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        writeln!(out, "Everything runs on this machine. Times are in UTC.")?;
        writeln!(
            out,
            "Emulated HubSpot account, with the access token {TOKEN}: {}",
            self.hubspot.base_url()
        )?;
        writeln!(out, "Webhook addresses of the bridge: {}/SOURCE", self.webhooks)?;
        let mut sent = 0;
        writeln!(out, "\n1. Webhooks from the platforms, and the changes that follow")?;
        for (source, provider) in &self.sources {
            writeln!(out, "\n  {} (source {})\n", source.platform, source.demo.source)?;
            for sample in source.demo.samples(self.clock.now()) {
                self.send_sample(out, source, provider.as_ref(), &sample).await?;
                sent += 1;
            }
        }
        writeln!(out, "\n2. Calls to HubSpot, and the events that HubSpot then holds\n")?;
        let delivered_all = self.wait_for_delivery().await?;
        self.show_hubspot(out)?;
        let violations = self.hubspot.emulator().violations().to_vec();
        writeln!(out, "\n3. Summary\n")?;
        writeln!(
            out,
            "  {sent} webhooks were sent, each proved as its platform does it (by a signature or the secret address), and \
             answered after they were on disk"
        )?;
        let held = self.events().await?;
        let delivered = held.iter().filter(|event| event.state == EventState::Delivered).count();
        writeln!(
            out,
            "  {} followed; HubSpot confirmed {delivered} of them",
            counted(held.len(), "event")
        )?;
        out.flush()?;
        anyhow::ensure!(
            violations.is_empty(),
            "the bridge violated HubSpot's rules: {violations:?}"
        );
        anyhow::ensure!(delivered_all, "not every event was delivered within {TIMEOUT:?}");
        Ok(())
    }

    /// Sends one webhook and shows its answer and its changes.
    async fn send_sample(
        &self,
        out: &mut dyn Write,
        source: &SandboxSource,
        provider: &dyn Provider,
        sample: &Sample,
    ) -> anyhow::Result<()> {
        let before = self.inputs().await?;
        if let Some(api) = &source.api {
            for (path, answer) in &sample.answers {
                api.answer(path, answer.clone());
            }
        }
        let calls = source.calls();
        let (status, outcome) = self.post_webhook(source, provider, sample).await?;
        writeln!(out, "  {}", sample.summary)?;
        writeln!(out, "    -> {status} {outcome}")?;
        self.wait_for_fetches(source).await?;
        for path in source.calls().iter().skip(calls.len()) {
            writeln!(out, "       the bridge asks the platform's API: {path}")?;
        }
        let changes = diff_events(&before, &self.inputs().await?);
        if changes.is_empty() {
            writeln!(out, "       no change for HubSpot")?;
        }
        for (id, change) in changes {
            writeln!(out, "       {id}: {change}")?;
        }
        anyhow::ensure!(
            status == 200 && outcome != "quarantined",
            "the bridge refused a sample of {}: {status} {outcome}",
            provider.id(),
        );
        Ok(())
    }

    /// The status and the outcome of the bridge's answer.
    async fn post_webhook(
        &self,
        source: &SandboxSource,
        provider: &dyn Provider,
        sample: &Sample,
    ) -> anyhow::Result<(u16, String)> {
        let url = source.url(&self.webhooks)?;
        let unsigned = UnsignedRequest {
            url: &url,
            body: &sample.body,
            secret: source.demo.signing_key().as_bytes(),
            now: self.clock.now(),
        };
        let SignedRequest { url, headers, body } =
            provider.sign(unsigned).map_err(|why| anyhow!(why))?;
        let headers =
            headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let request = HttpRequest {
            method: HttpMethod::Post,
            url,
            headers,
            body,
            timeout: Duration::from_secs(5),
            max_response_bytes: 64 * 1024,
        };
        let answer = self.http.send(request).await?;
        let word = serde_json::from_slice::<Value>(&answer.body).ok();
        let word = word.and_then(|answer| answer.get("status")?.as_str().map(str::to_owned));
        Ok((answer.status, word.unwrap_or_default()))
    }

    /// Every event: the samples bring fewer than one page.
    async fn events(&self) -> Result<Vec<EventSummary>, LedgerError> {
        let query = EventQuery { limit: PAGE_MAX, ..EventQuery::default() };
        Ok(self.ledger.list_events(query).await?.items)
    }

    /// The input for HubSpot of each event.
    async fn inputs(&self) -> anyhow::Result<BTreeMap<String, BTreeMap<String, String>>> {
        let events = self.events().await?;
        Ok(events
            .iter()
            .map(|event| (event.key.external_event_id.to_string(), event_fields(event)))
            .collect())
    }

    /// Waits for the bridge to ask the platform for fields that a webhook leaves out.
    async fn wait_for_fetches(&self, source: &SandboxSource) -> anyhow::Result<bool> {
        wait_until(async || {
            let fetches = self.ledger.fetch_statuses().await?;
            Ok(fetches.get(source.demo.source).is_none_or(|status| status.pending == 0))
        })
        .await
    }

    async fn wait_for_delivery(&self) -> anyhow::Result<bool> {
        wait_until(async || {
            let events = self.events().await?;
            Ok(!events.is_empty() && events.iter().all(|event| self.is_in_hubspot(event)))
        })
        .await
    }

    /// Whether HubSpot's event equals the ledger's.
    fn is_in_hubspot(&self, event: &EventSummary) -> bool {
        let key =
            (event.key.external_account_id.to_string(), event.key.external_event_id.to_string());
        let input = event.input.as_deref().and_then(|input| serde_json::from_slice(input).ok());
        let emulator = self.hubspot.emulator();
        let stored: Option<&UpsertInput> = emulator.events().get(&key).map(|event| &event.input);
        event.state == EventState::Delivered && stored.is_some() && stored == input.as_ref()
    }

    fn show_hubspot(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let emulator = self.hubspot.emulator();
        let calls = |operation| {
            emulator.calls().iter().filter(move |call| call.operation == Some(operation))
        };
        let reads = calls(EmulatorOperation::Read).count();
        if reads > 0 {
            writeln!(
                out,
                "  {} of what HubSpot held before the first send (GET .../events/ID)",
                counted(reads, "read")
            )?;
        }
        for call in calls(EmulatorOperation::Upsert) {
            writeln!(
                out,
                "  one call to HubSpot with {} (POST .../events/upsert) -> {}",
                counted(call.inputs, "event"),
                call.status
            )?;
        }
        writeln!(out)?;
        let when = |at: Option<Millis>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        for ((_, id), event) in emulator.events() {
            let input = &event.input;
            let state = match (input.event_cancelled, input.event_completed) {
                (true, _) => "cancelled",
                (false, true) => "completed",
                (false, false) => "planned",
            };
            let (start, end) = (when(input.start_date_time), when(input.end_date_time));
            writeln!(out, "  {id}  {state}  {start} to {end}")?;
            let UpsertInput { event_name, event_organizer, .. } = input;
            writeln!(out, "    {event_name} ({}), by {event_organizer}", event.object_id)?;
        }
        Ok(())
    }

    /// Commands to try, with bodies that the first platform could send now.
    async fn suggest_commands(&self, folder: &Path) -> anyhow::Result<String> {
        let Some((source, _)) = self.sources.first() else { return Ok(String::new()) };
        let program = std::env::current_exe().context("cannot find the path of this program")?;
        let url = source.url(&self.webhooks)?;
        let mut webhooks = Vec::new();
        // Of a webinar that is still to come: that of the scenario is over.
        let known = self.events().await?;
        let known = known.iter().map(|event| event.key.external_event_id.to_string());
        let known: Vec<String> = known.collect();
        let later = self.clock.now().plus(Duration::from_mins(1));
        for (sample, name) in source.demo.samples(later).iter().zip(["one", "two"]) {
            let file = folder.join(format!("{name}.json"));
            std::fs::write(&file, of_another_webinar(&sample.body, &known))
                .with_context(|| format!("cannot write {}", file.display()))?;
            webhooks.push(format!(
                "{} sign --provider {} --secret-env SECRET --url {url} {} | sh",
                program.display(),
                source.platform,
                file.display(),
            ));
        }
        let hubspot = self.hubspot.base_url();
        Ok(format!(
            "  export SECRET={secret}\n  {one}\n  curl {ops}/metrics\n\
             Make HubSpot fail, and see that nothing is lost:\n  \
             curl -X POST {hubspot}/sandbox/fail/503\n  {two}\n  \
             curl {ops}/metrics | grep bridge_events    # the event is pending\n  \
             curl -X POST {hubspot}/sandbox/heal\n  \
             curl {hubspot}/sandbox/events              # after some seconds the event is here, with its new title",
            secret = source.demo.signing_key(),
            ops = self.ops,
            one = webhooks.first().map_or("", String::as_str),
            two = webhooks.last().map_or("", String::as_str),
        ))
    }
}

/// Waits for the condition; false if it is not met in time.
async fn wait_until(condition: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<bool> {
    let deadline = Instant::now() + TIMEOUT;
    while !condition().await? {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(true)
}

/// A sample about another webinar: ids that are `known` are replaced by ones of the same form. Short ones are left, since
/// they may stand for something else.
fn of_another_webinar(body: &[u8], known: &[String]) -> String {
    let text = String::from_utf8_lossy(body).into_owned();
    known.iter().filter(|id| id.len() > 5).fold(text, |text, id| {
        let other: String = id.chars().rev().collect();
        text.replace(id.as_str(), &other)
    })
}

/// A number of things: `1 event`, `2 events`.
fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// An event for a reader: HubSpot's fields, or its gaps by the names that the API gives them.
fn event_fields(event: &EventSummary) -> BTreeMap<String, String> {
    let shown = |value: &Value| {
        value.as_str().map_or_else(|| value.to_string(), |text| format!("{text:?}"))
    };
    let input =
        event.input.as_deref().and_then(|input| serde_json::from_slice::<Value>(input).ok());
    if let Some(input) = input.as_ref().and_then(Value::as_object) {
        let filled = input.iter().filter(|(_, value)| **value != Value::Array(Vec::new()));
        return filled.map(|(name, value)| (name.clone(), shown(value))).collect();
    }
    let gaps = event.gaps.iter().filter_map(|gap| serde_json::to_value(gap).ok());
    let gaps: Vec<String> = gaps.filter_map(|gap| gap.as_str().map(str::to_owned)).collect();
    BTreeMap::from([("incomplete".to_owned(), gaps.join(", "))])
}

fn diff_events(
    before: &BTreeMap<String, BTreeMap<String, String>>,
    after: &BTreeMap<String, BTreeMap<String, String>>,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (id, fields) in after {
        let Some(known) = before.get(id) else {
            let name = fields.get("eventName").map_or("", String::as_str);
            let [start, end] = ["startDateTime", "endDateTime"]
                .map(|field| fields.get(field).map_or("unknown", String::as_str));
            let name = if name.is_empty() { "without a name" } else { name };
            found.push((id.clone(), format!("new event {name}, {start} to {end}")));
            continue;
        };
        let names: BTreeSet<&String> = known.keys().chain(fields.keys()).collect();
        for name in names {
            let [was, is] =
                [known, fields].map(|fields| fields.get(name).map_or("none", String::as_str));
            if was != is {
                found.push((id.clone(), format!("{name}: {was} -> {is}")));
            }
        }
    }
    found
}

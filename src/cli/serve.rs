//! `serve`: runs the service.

use std::sync::Arc;

use anyhow::Context as _;

use super::renamed_accounts::{self, Recognition};
use super::{CommandError, ConfigArg, Io};
use crate::app::App;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, load_and_check};
use crate::ledger::sqlite::{self, Rekey};
use crate::shutdown;
use crate::telemetry::{LogSink, logs};

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    file: ConfigArg,
    /// Goes on although a source's settings changed that make new events in HubSpot
    #[arg(long)]
    accept_rekey: bool,
    /// The store is an older copy that was put back: HubSpot is read before each event's first send
    #[arg(long)]
    restored: bool,
}

impl Serve {
    pub(super) fn run(self, io: &mut Io<'_>) -> Result<(), CommandError> {
        let config = load_and_check(self.file.config.as_deref(), io.variables)?;
        logs::init(LogSink::Stdout).map_err(|error| CommandError::Usage(error.to_string()))?;
        if self.restored {
            sqlite::mark_copy(&config.store.path, SystemClock.now())
                .map_err(|error| super::classify_open_error(error.into()))?;
        }
        let rekey = if self.accept_rekey { Rekey::Accept } else { Rekey::Refuse };
        serve(config, rekey).map_err(super::classify_open_error)
    }
}

fn serve(mut config: Config, rekey: Rekey) -> anyhow::Result<()> {
    raise_open_files();
    super::runtime()?.block_on(async {
        let stop = shutdown::stop_on_signal().context("cannot listen for signals")?;
        warn_of_exposure(&config);
        let http = super::http_client()?;
        let client = || Ok(Arc::clone(&http));
        for adopted in renamed_accounts::adopt(&mut config, client, Recognition::Portal).await? {
            tracing::info!("{adopted}");
        }
        let app = App::build(config, &http, Arc::new(SystemClock), rekey)?;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            listen.webhooks = %app.webhooks_address,
            listen.ops = %app.ops_address,
            "webinar-bridge serves"
        );
        app.run_until(stop).await
    })
}

/// Each connection is an open file, and the usual limit of 1,024 is fewer than platforms may open at once.
fn raise_open_files() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

fn warn_of_exposure(config: &Config) {
    if !config.listen.ops.ip().is_loopback() {
        tracing::warn!(
            listen.ops = %config.listen.ops,
            "the ops listener is not on loopback: probes and metrics are open to its network, the API is not"
        );
    }
    if config.ops.has_auth {
        tracing::warn!(
            "ops.auth is configured, and this version cannot check tokens: the API is closed to everybody"
        );
    }
    for (name, account) in config.accounts.iter().filter(|(_, account)| !account.deliver) {
        let url = account.api.base_url.as_str();
        tracing::warn!(hubspot.account = %name, url, "shadow mode: nothing is sent to this account");
    }
}

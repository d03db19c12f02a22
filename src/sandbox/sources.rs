//! The sandbox's sources, one or more per platform, and the platforms' emulated APIs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use url::Url;

use super::platform_server::PlatformServer;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::providers::{Demo, DemoApi, PLATFORMS};

/// A source of the sandbox.
pub(super) struct SandboxSource {
    pub(super) demo: Demo,
    /// Name of the platform.
    pub(super) platform: String,
    /// Emulated API of the platform, if it has one.
    pub(super) api: Option<PlatformServer>,
}

impl SandboxSource {
    /// The calls to the platform's API so far: method and path.
    pub(super) fn calls(&self) -> Vec<String> {
        let calls = self.api.iter().flat_map(PlatformServer::calls);
        calls.map(|call| format!("{} {}", call.method, call.path)).collect()
    }

    /// The URL to which the platform sends webhooks.
    pub(super) fn url(&self, webhooks: &str) -> anyhow::Result<Url> {
        let token = self.demo.path_token().map(|token| format!("/{token}")).unwrap_or_default();
        Ok(format!("{webhooks}/{}{token}", self.demo.source).parse()?)
    }
}

/// Opens the sources of every platform.
pub(super) fn open_sources(clock: &Arc<dyn Clock>) -> anyhow::Result<Vec<SandboxSource>> {
    let mut sources = Vec::new();
    for platform in PLATFORMS {
        for demo in (platform.demos)() {
            let api = match demo.api {
                DemoApi::None => None,
                api @ (DemoApi::Header(..) | DemoApi::Client(..)) => Some(
                    PlatformServer::open(api, Arc::clone(clock))
                        .context("an emulated platform cannot listen")?,
                ),
            };
            sources.push(SandboxSource { demo, platform: platform.id.to_string(), api });
        }
    }
    Ok(sources)
}

/// The configuration: one account, and the sources as users would write them.
pub(super) fn build_config(
    hubspot: &str,
    token: &str,
    folder: &Path,
    sources: &[SandboxSource],
) -> anyhow::Result<Config> {
    let store = folder.join("bridge.db");
    let mut text = format!(
        "listen.webhooks = \"127.0.0.1:0\"\nlisten.ops = \"127.0.0.1:0\"\n\
         store.url = {store:?}\n\
         [hubspot.main]\naccess_token = \"{token}\"\nbase_url = \"{hubspot}\"\n\
         max_linger = \"300ms\"\n",
        store = format!("sqlite:{}", store.display()),
    );
    for SandboxSource { demo, platform, api } in sources {
        let api = api.as_ref().map(PlatformServer::base_url).unwrap_or_default();
        let settings = demo.settings(&api);
        write!(
            text,
            "[source.{source}]\nprovider = \"{platform}\"\norganizer = \"Sandbox Ltd\"\n{settings}",
            source = demo.source,
        )?;
    }
    Ok(config::validate("sandbox", &text, &BTreeMap::new())?)
}

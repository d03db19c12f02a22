//! `sign`: prints a `curl` command with a valid signature.

use anyhow::{Context, anyhow, bail};
use secrecy::ExposeSecret;
use url::Url;

use super::body_arg::BodyArg;
use super::{CommandError, ConfigArg, Io};
use crate::clock::{Clock, SystemClock};
use crate::config::load;
use crate::providers::{SignedRequest, UnsignedRequest};
use crate::secret::Secret;

/// Longest body on the command line, in bytes: Linux limits an argument to 128 KiB (`MAX_ARG_STRLEN`, execve(2)), and
/// quoting makes the body longer.
const INLINE_MAX: usize = 64 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Sign {
    /// The platform that sends such a webhook
    #[arg(long)]
    provider: String,
    /// The environment variable with the source's secret, or with the private key if the source has a public one
    #[arg(long, value_name = "VAR")]
    secret_env: String,
    #[command(flatten)]
    file: ConfigArg,
    /// The configured source, if the platform's signature depends on its options
    #[arg(long)]
    source: Option<String>,
    #[arg(long, help = "The endpoint, such as https://bridge.example/webhooks/NAME")]
    url: Url,
    #[command(flatten)]
    body: BodyArg,
}

impl Sign {
    pub(super) fn run(self, io: &mut Io<'_>) -> Result<(), CommandError> {
        let platform = super::find_platform(&self.provider)?;
        let provider = match &self.source {
            Some(source) => {
                let config = load(self.file.config.as_deref(), io.variables)?;
                super::find_source(&config, source, platform)?.provider.clone()
            }
            None => super::unconfigured_provider(platform)?,
        };
        let secret = Secret::Env(self.secret_env)
            .read()
            .map_err(|error| CommandError::Usage(format!("--secret-env: {error}")))?;
        let body = self.body.read(io)?;
        let unsigned = UnsignedRequest {
            url: &self.url,
            body: &body,
            secret: secret.expose_secret().as_bytes(),
            now: SystemClock.now(),
        };
        let SignedRequest { url, headers, body: signed } =
            provider.sign(unsigned).map_err(|why| CommandError::Failed(anyhow!(why)))?;
        let data = match self.body.path() {
            // The signature covers the file's bytes, and curl sends these.
            Some(path) if signed == body => {
                let path = path.to_str().context("the file's name is not UTF-8")?;
                format!("--data-binary {}", shell_quote(&format!("@{path}")))
            }
            Some(_) | None => inline_body(&signed)?,
        };
        io.print(&curl_command(&url, headers, &data))
    }
}

/// The body as an argument. It is passed raw: curl reads a body that begins with @ as a file's name.
pub(super) fn inline_body(body: &[u8]) -> anyhow::Result<String> {
    match std::str::from_utf8(body) {
        Ok(text) if text.len() <= INLINE_MAX && !text.contains('\0') => {
            Ok(format!("--data-raw {}", shell_quote(text)))
        }
        Ok(_) | Err(_) => {
            bail!("the body does not fit on a command line. Put it into a file and name the file")
        }
    }
}

pub(super) fn curl_command(url: &Url, mut headers: Vec<(String, String)>, data: &str) -> String {
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.insert(0, ("content-type".to_owned(), "application/json".to_owned()));
    }
    let mut lines = vec![format!("curl {}", shell_quote(url.as_str()))];
    lines.extend(
        headers
            .iter()
            .map(|(name, value)| format!("--header {}", shell_quote(&format!("{name}: {value}")))),
    );
    lines.push(data.to_owned());
    lines.join(" \\\n  ")
}

/// Quotes the text as one word of a POSIX shell.
pub(super) fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

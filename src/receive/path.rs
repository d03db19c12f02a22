//! The path of a webhook.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Prefix of every webhook's path.
const PREFIX: &str = "/webhooks/";

/// `/webhooks/{source}[/{path_token}]`, parsed and not yet checked.
#[derive(Debug, PartialEq, Eq)]
pub struct WebhookPath<'a> {
    /// The segment of the source's name, undecoded: no name needs a `%XX`.
    pub source: &'a str,
    /// The rest of the path, percent-decoded: some senders encode a token's `=`, others do not.
    pub token: Option<Cow<'a, [u8]>>,
}

impl<'a> WebhookPath<'a> {
    /// Parses a request's path; none if it is not a webhook's.
    #[must_use]
    pub fn parse(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(PREFIX)?;
        Some(match rest.split_once('/') {
            Some((source, token)) => Self { source, token: Some(percent_decode_str(token).into()) },
            None => Self { source: rest, token: None },
        })
    }
}

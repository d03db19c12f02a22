//! What a webhook's path names.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// What paths begin with.
const PREFIX: &str = "/webhooks/";

/// `/webhooks/{source}[/{path_token}]`, taken apart and not yet believed.
#[derive(Debug, PartialEq, Eq)]
pub struct WebhookPath<'a> {
    /// What stands for the source's name, as it is: no name needs a `%XX`.
    pub source: &'a str,
    /// Everything behind the source, without its `%XX`: senders write a token's `=` either way.
    pub token: Option<Cow<'a, [u8]>>,
}

impl<'a> WebhookPath<'a> {
    /// Takes a request's path apart; none if it is not a webhook's.
    #[must_use]
    pub fn parse(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(PREFIX)?;
        Some(match rest.split_once('/') {
            Some((source, token)) => Self { source, token: Some(percent_decode_str(token).into()) },
            None => Self { source: rest, token: None },
        })
    }
}

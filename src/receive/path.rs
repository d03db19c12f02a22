//! What a webhook's path names.

use std::borrow::Cow;

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
            Some((source, token)) => Self { source, token: Some(percent_decoded(token)) },
            None => Self { source: rest, token: None },
        })
    }
}

/// A path's part without its `%XX`. What is no `%XX` stays.
fn percent_decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let mut byte = [0];
        match after.split_at_checked(2) {
            Some((digits, after))
                if first == b'%' && hex::decode_to_slice(digits, &mut byte).is_ok() =>
            {
                decoded.extend(byte);
                rest = after;
            }
            Some(_) | None => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    Cow::Owned(decoded)
}

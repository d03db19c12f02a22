//! The public listener: webhooks come in here.
//!
//! * [`webhook`]: from a request to its answer, in that order: is it for us, its body, is it authentic, what does it
//!   say, keep it, answer.
//! * [`settings`]: what it is told to serve.
//! * [`path`]: what a webhook's path names.
//! * [`error`]: the one table of the errors' answers.
//! * [`headers`]: the headers of a request, as providers read them; [`crate::intake`] decides what a request is.
//!
//! Promises: 200 leaves only after [`crate::ledger::Ledger::accept`] has returned, so what was answered is durable.
//! Load is answered 503, never with another refusal. Nothing of a body, a header, a query or a path is logged. No
//! request can end the process, and who has not proved to be the platform keeps neither a connection nor memory for
//! longer than the bounds of [`Limits`]. Relies on the ledger's durability, and on the caller to bind the listeners.
//! A crash loses only what was not answered, and platforms send that again.

mod error;
mod headers;
mod path;
mod settings;
mod webhook;

pub use path::WebhookPath;
pub use settings::{PublishedKeys, WebhookLimits, WebhookSettings};
pub use webhook::run_webhooks;

#[cfg(test)]
pub(crate) mod tests;

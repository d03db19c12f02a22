//! The public listener: webhooks come in here.
//!
//! * [`webhook`]: answers a request: finds the endpoint, reads the body, verifies and maps it, stores the receipt.
//! * [`settings`]: the listener's settings.
//! * [`path`]: parses the path of a webhook.
//! * [`error`]: the table of errors and their answers.
//! * [`headers`]: the headers of a request, as providers read them; [`crate::intake`] decides what a request is.
//!
//! Promises: 200 leaves only after [`crate::ledger::Intake::accept`] has returned, so an answered webhook is durable.
//! Load is answered 503, never with another refusal. No body, header, query or path is logged. No request ends the
//! process, and an unproven sender keeps a connection and memory no longer than [`WebhookLimits`] allow. Relies on the
//! ledger's durability, and on the caller to bind the listener. A crash loses only unanswered webhooks, which platforms
//! send again.

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

//! The listeners: webhooks come in on a public one; probes and metrics are asked for on a private one.
//!
//! * [`webhook`]: from a request to its answer, in that order: is it for us, its body, is it authentic, what does it
//!   say, keep it, answer.
//! * [`api`]: what operators may ask and change.
//! * [`settings`]: what it is told to serve.
//! * [`path`]: what a webhook's path names.
//! * [`judge`]: what a request turns out to be, decided without I/O.
//! * [`body`]: reading a body within bounds of size, time and memory.
//! * [`error`]: the one table of the errors' answers; [`reply`]: how answers look.
//! * [`ops`]: `/livez`, `/readyz`, `/metrics`.
//! * [`exchange`]: a plain HTTP/1 server for the sandbox, that can fail on purpose.
//! * [`throttle`]: what would be logged with every request is logged once a minute.
//! * [`server`]: what the listeners have in common; the only door to the web framework is this folder.
//!
//! Promises: 200 leaves only after [`crate::ledger::Ledger::accept`] has returned, so what was answered is durable.
//! Load is answered 503, never with another refusal. Nothing of a body, a header, a query or a path is logged. No
//! request can end the process, and who has not proved to be the platform keeps neither a connection nor memory for
//! longer than the bounds of [`Limits`]. Relies on the ledger's durability, and on the caller to bind the listeners.
//! A crash loses only what was not answered, and platforms send that again.

mod api;
mod body;
mod error;
mod judge;
mod ops;
mod path;
mod reply;
mod server;
mod settings;
pub mod simple_server;
mod throttle;
mod webhook;

pub use api::guard::ApiAccess;
pub use ops::{OpsState, Readiness, run_ops};
pub use path::WebhookPath;
pub use settings::{Endpoint, PublishedKeys, WebhookLimits, WebhookSettings};
pub use webhook::run_webhooks;

#[cfg(test)]
mod tests;

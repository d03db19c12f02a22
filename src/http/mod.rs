//! HTTP servers: the only user of the web framework.
//!
//! * [`server`]: a listener with its threads and limits, and how it stops.
//! * [`request`]: a request as a handler sees it; [`body`]: reads its body within limits of size, time and memory.
//! * [`response`]: what a handler answers.
//! * [`simple_server`]: a small server for the sandbox and for tests, which can fail on purpose.
//! * [`throttle`]: logs once a minute what would otherwise be logged with every request.
//!
//! Promises: no request ends the process; a handler that panics is answered 500. A connection holds no more than its
//! share of [`ListenerLimits`], a body no more than [`BodyLimits`] and [`BodyMemory`] allow. No body, header, query or
//! path is logged. Relies on the caller to bind the listener and to close connections of unproven senders. Nothing
//! here outlives a crash.

mod body;
mod request;
mod response;
mod server;
pub mod simple_server;
#[cfg(test)]
pub(crate) mod tests;
mod throttle;

pub use body::{BodyError, BodyLimits, BodyMemory, RequestBody};
pub use request::{RequestHeaders, ServerRequest};
pub use response::ServerResponse;
pub use server::{ListenerLimits, catch_panic, serve};
pub use throttle::LogThrottle;

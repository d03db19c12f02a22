//! The public listener as clients see it, through real sockets.

pub(crate) mod fake_intake;
pub(crate) mod harness;
mod hostile;
mod keys;
mod webhook;

//! The listeners as clients see them: real sockets, and a ledger and a platform made up for it.

mod api;
mod exchange;
mod harness;
mod hostile;
mod keys;
mod ops;
mod webhook;

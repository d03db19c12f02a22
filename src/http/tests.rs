//! The servers as clients see them, through real sockets.

pub(crate) mod client;
mod simple_server;

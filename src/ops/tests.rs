//! The private listener as clients see it, through real sockets.

mod probes;
mod store_failures;

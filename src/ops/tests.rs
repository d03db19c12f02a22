//! The private listener as clients see it, through real sockets.

mod fake_ledger;
mod probes;
mod store_failures;

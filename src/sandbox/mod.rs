//! The whole product on loopback, without any other installation.
//!
//! * [`emulator`]: HubSpot's marketing events, strictly, as a pure state machine.
//! * [`hubspot_server`]: the emulator behind a listener.
//! * [`platform_server`]: a platform's API behind a listener.
//! * [`server`]: the listener of both.
//! * `sources`: a source for every platform; `scenario`: sends sample webhooks one by one and shows their results.
//!
//! Promises: nothing leaves the machine, and every token is made up. Relies on nothing outside of this program. The
//! emulator keeps its state in memory and the bridge's store is in a temporary folder: a crash loses both, which is
//! harmless.

pub mod emulator;
pub mod hubspot_server;
pub mod platform_server;
mod scenario;
pub mod server;
mod sources;

pub use scenario::run;

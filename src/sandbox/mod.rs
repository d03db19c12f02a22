//! The whole product on loopback with nothing else installed.
//!
//! * [`emulator`]: HubSpot's marketing events, strictly, as a pure state machine.
//! * [`stage`]: the emulator behind a listener.
//! * [`platform`]: a platform's API behind another.
//! * [`story`]: sample webhooks of every platform, sent one by one, and what became of them.
//!
//! Promises: nothing here leaves the machine, and every token in here is made up. Relies on nothing outside of this
//! program. The emulator keeps its state in memory and the bridge's store is in a temporary folder: a crash loses it,
//! and nobody misses it.

pub mod emulator;
pub mod hubspot_server;
pub mod platform_server;
mod scenario;
mod sources;

pub use scenario::run;

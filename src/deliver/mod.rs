//! Delivery: what the ledger says is pending goes to HubSpot, in batches, until HubSpot confirms it.
//!
//! * [`lane`]: one account's loop: wait, take a slot, claim a batch, send it off.
//! * [`flight`]: one batch on its way: sent, halved if need be, settled.
//! * [`standing`]: what an answer means for the account, decided without doing.
//! * [`streak`]: telling an account that refuses everything from events that are bad.
//! * [`schedule`]: what the passing of time alone makes due: completion timers, housekeeping.
//!
//! Promises: at most one flight per event; one account never waits for another; no failure of the account's is charged
//! to an event. Knows no SQL and no HTTP, and no platform. Relies on the ledger alone for what to do: a wake-up carries
//! no data. On a crash, or when a task is dropped at any await, claims are free again and the same state is sent again,
//! which HubSpot takes as the same.

pub mod flight;
pub mod lane;
pub mod schedule;
pub mod standing;
pub mod streak;

pub use lane::{Lane, LaneSettings};

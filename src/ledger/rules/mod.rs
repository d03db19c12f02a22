//! The ledger's decisions, as pure functions of plain rows.
//!
//! Promises: no input or output, no clock, and no type of a back end. Every back end loads rows, calls a rule, and
//! stores its result, in one step; so all back ends decide alike.
//! Relies on: the webinars' own rules in [`crate::event`].
//! On a crash: nothing is lost, since nothing is held here.

pub mod accept;
pub mod base;
pub mod choose_batch;
pub mod choose_probe;
pub mod event_row;
pub mod fetch;
pub mod orphans;
pub mod ownership;
pub mod rebuild;
pub mod reconcile;
pub mod redrive;
pub mod retention;
pub mod settle;
pub mod source_config;
mod stored_input;
pub mod timers;
pub mod waits;

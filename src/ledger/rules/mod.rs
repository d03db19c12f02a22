//! What follows from what: the ledger's decisions, as pure functions of plain rows.
//!
//! Promises: no input or output, no clock, and no type of a back end. Every back end loads rows, asks a rule, and stores
//! the answer, in one step; so all back ends decide alike.
//! Relies on: the rules of a single webinar in [`crate::event`].
//! On a crash: nothing, since nothing is held here.

pub mod choose_batch;
pub mod fetch;
pub mod rebuild;

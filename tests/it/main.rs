//! What the whole crate promises, in one binary: a file for each capability.

mod harness;
mod house;
mod hubspot_schema;
mod ledger;
mod merge_laws;
mod readme;

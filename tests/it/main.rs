//! What the whole crate promises, in one binary: a file for each capability.

mod cli;
mod harness;
mod hostile;
mod house;
mod hubspot_schema;
mod ledger;
mod merge_laws;

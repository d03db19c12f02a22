//! What the whole crate promises, in one binary: a file for each capability.

mod claims;
mod cli;
mod crash;
mod harness;
mod hostile;
mod house;
mod hubspot_schema;
mod ledger;
mod main_job;
mod merge_laws;
mod readme;
mod sim;

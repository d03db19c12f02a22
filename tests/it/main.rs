//! One binary of integration tests: a file for each capability.

mod harness;
mod ledger;
mod merge_laws;

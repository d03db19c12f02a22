//! What the whole crate promises, in one binary: a file for each capability.

mod api;
mod architecture;
mod backlog;
mod backup;
mod black_box;
mod claims;
mod cli;
mod clock;
mod crash;
mod delivery;
mod disk;
mod docs;
mod end_to_end;
mod erase;
mod fetching;
mod fuzz;
mod harness;
mod hostile;
mod hubspot_schema;
mod ledger;
mod merge_laws;
mod platforms;
mod replay;
mod sim;
mod store_owner;
mod verify;

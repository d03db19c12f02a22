//! What the whole crate promises, in one binary: a file for each capability.

mod house;
mod hubspot_schema;

//! The whole product on loopback with nothing else installed.
//!
//! Promises: nothing here leaves the machine, and every token in here is made up. Relies on nothing outside of this
//! program. It keeps its state in memory: a crash loses it, and nobody misses it.

pub mod emulator;

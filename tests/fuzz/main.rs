//! The targets for cargo-fuzz: one program for each, told by its name which it is.
#![no_main]

mod targets;

use targets::Target;

libfuzzer_sys::fuzz_target!(
    init: plant(),
    |data: &[u8]| (target().check)(data)
);

fn target() -> &'static Target {
    Target::named(env!("CARGO_BIN_NAME"))
}

/// Puts the inputs to begin with into the folder that the search is told to begin with.
fn plant() {
    let Some(folder) = std::env::var_os("BRIDGE_FUZZ_CORPUS") else { return };
    for (number, input) in target().corpus().iter().enumerate() {
        let path = std::path::Path::new(&folder).join(format!("seed-{number}"));
        std::fs::write(path, input).expect("the corpus can be written");
    }
}

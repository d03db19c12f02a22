//! The targets for cargo-fuzz: one program for each, which finds its target by its own name.
#![no_main]

mod targets;

use targets::Target;

libfuzzer_sys::fuzz_target!(
    init: write_corpus(),
    |data: &[u8]| (target().check)(data)
);

fn target() -> &'static Target {
    Target::named(env!("CARGO_BIN_NAME"))
}

/// Writes the corpus into the folder with which the search begins.
fn write_corpus() {
    let Some(folder) = std::env::var_os("BRIDGE_FUZZ_CORPUS") else { return };
    for (number, input) in target().corpus().iter().enumerate() {
        let path = std::path::Path::new(&folder).join(format!("seed-{number}"));
        std::fs::write(path, input).expect("the corpus can be written");
    }
}

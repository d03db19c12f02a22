//! The page on the architecture shows the table of imports that the tests enforce.

use std::fmt::Write as _;

use super::{Page, section};
use crate::house::{Imports, MAY_IMPORT};

const PAGE: &str = "docs/architecture.md";

#[test]
fn table_of_imports_is_the_enforced_one() {
    let page = Page::read(PAGE);
    let documented: String = section(&page.text, "## Imports")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut enforced = String::new();
    for (room, imports) in MAY_IMPORT {
        let imports = match imports {
            Imports::All => "everything".to_owned(),
            Imports::Only([]) => "nothing".to_owned(),
            Imports::Only(rooms) => {
                rooms.iter().map(|room| format!("`{room}`")).collect::<Vec<_>>().join(", ")
            }
        };
        writeln!(enforced, "| `{room}` | {imports} |").expect("text can be written");
    }
    assert!(documented == enforced, "the table in {PAGE} must be:\n{enforced}");
}

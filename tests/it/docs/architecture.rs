//! The page on the architecture shows the table of imports that the tests enforce.

use super::{Page, section};
use crate::architecture::{Imports, MAY_IMPORT};

const PAGE: &str = "docs/architecture.md";

#[test]
fn table_of_imports_is_the_enforced_one() {
    let page = Page::read(PAGE);
    let documented: Vec<&str> =
        section(&page.text, "## Imports").lines().filter(|line| line.starts_with("| `")).collect();
    let enforced: Vec<String> =
        MAY_IMPORT.iter().map(|(room, imports)| row(room, imports)).collect();
    assert!(documented == enforced, "the table in {PAGE} must be:\n{}", enforced.join("\n"));
}

fn row(room: &str, imports: &Imports) -> String {
    let imports = match imports {
        Imports::All => "everything".to_owned(),
        Imports::Only([]) => "nothing".to_owned(),
        Imports::Only(rooms) => {
            rooms.iter().map(|room| format!("`{room}`")).collect::<Vec<_>>().join(", ")
        }
    };
    format!("| `{room}` | {imports} |")
}

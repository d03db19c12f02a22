//! Links, anchors, paths and the form of the pages.

use std::collections::BTreeSet;

use super::{Page, README, between, root};

const MAX_README_LINES: usize = 220;
const MAX_LINE_CHARS: usize = 120;
/// Beginnings of a path in this repository, where it stands as code.
const FOLDERS: [&str; 6] = ["src/", "tests/", "docs/", "helm/", ".ci/", ".github/"];

/// A link to another page or file of the repository.
struct Link<'a> {
    text: &'a str,
    /// Path from the root of the repository.
    path: String,
    anchor: Option<&'a str>,
}

/// Every relative link of a page.
fn links(page: &Page) -> Vec<Link<'_>> {
    let targets = page.prose().flat_map(|(_, line)| between(line, "](", ")"));
    let relative = targets.filter(|text| !text.contains("://") && !text.starts_with("mailto:"));
    relative
        .map(|text| {
            let (path, anchor) = match text.split_once('#') {
                Some((path, anchor)) => (path, Some(anchor)),
                None => (text, None),
            };
            let path = if path.is_empty() { page.path.clone() } else { joined(&page.path, path) };
            Link { text, path, anchor }
        })
        .collect()
}

/// A relative path as a path from the root, resolved against the folder of `page`.
fn joined(page: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "." => {}
            ".." => assert!(parts.pop().is_some(), "{page}: {relative} leaves the repository"),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors that GitHub gives to the headings of a page.
fn anchors(page: &Page) -> BTreeSet<String> {
    let headings = page.prose().filter_map(|(_, line)| {
        let heading = line.trim_start_matches('#');
        (heading.len() < line.len()).then(|| heading.trim())
    });
    headings
        .map(|heading| {
            let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
            heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn relative_links_and_anchors_resolve() {
    let pages = Page::all();
    let mut found = 0;
    let mut broken = Vec::new();
    for page in &pages {
        for link in links(page) {
            found += 1;
            let target = pages.iter().find(|page| page.path == link.path);
            let resolves = match (target, link.anchor) {
                (Some(target), Some(anchor)) => anchors(target).contains(anchor),
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => root().join(&link.path).exists(),
            };
            if !resolves {
                broken.push(format!("{}: {}", page.path, link.text));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(found > 100, "only {found} links were found");
}

#[test]
fn every_page_is_linked_from_another() {
    let pages = Page::all();
    let linked: BTreeSet<String> = pages
        .iter()
        .flat_map(|page| links(page).into_iter().map(|link| (&page.path, link.path)))
        .filter(|(from, to)| *from != to)
        .map(|(_, to)| to)
        .collect();
    for page in pages.iter().filter(|page| page.path != README) {
        assert!(linked.contains(&page.path), "no page links to {}", page.path);
    }
}

/// A file that was moved or renamed is moved in the pages too.
#[test]
fn paths_in_the_pages_exist() {
    let mut found = 0;
    for page in Page::all() {
        for (number, line) in page.prose() {
            for code in line.split('`').skip(1).step_by(2) {
                let path = code.split([' ', '#', ':']).next().unwrap_or_default();
                let is_pattern = path.contains(['*', '<', '{']) || path.contains("NAME");
                if FOLDERS.iter().any(|folder| path.starts_with(folder)) && !is_pattern {
                    found += 1;
                    let exists = root().join(path).exists();
                    assert!(exists, "{}, line {number}: {path} does not exist", page.path);
                }
            }
        }
    }
    assert!(found > 20, "only {found} paths were found");
}

#[test]
fn the_readme_is_short() {
    let lines = Page::read(README).text.lines().count();
    assert!(lines <= MAX_README_LINES, "{lines} lines, more than {MAX_README_LINES}");
}

#[test]
fn lines_outside_tables_and_code_are_short() {
    let mut long = Vec::new();
    for page in Page::all() {
        for (number, line) in page.prose() {
            let chars = line.chars().count();
            if chars > MAX_LINE_CHARS && !line.trim_start().starts_with('|') {
                long.push(format!("{}:{number}: {chars} characters", page.path));
            }
        }
    }
    assert!(long.is_empty(), "more than {MAX_LINE_CHARS}: {long:#?}");
}

#[test]
fn broken_links_and_hidden_lines_are_found() {
    let text = "# A `b`-c, d!\n[x](other.md#e) [y](../up.md) [z](https://a.example)\n```\n[no](no.md)\n```\n";
    let page = Page { path: "docs/sub/page.md".to_owned(), text: text.to_owned() };
    let found: Vec<_> = links(&page).into_iter().map(|link| (link.path, link.anchor)).collect();
    let expected = [("docs/sub/other.md".to_owned(), Some("e")), ("docs/up.md".to_owned(), None)];
    assert_eq!(found, expected);
    assert_eq!(anchors(&page), BTreeSet::from(["a-b-c-d".to_owned()]));
}

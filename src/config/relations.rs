//! What sources have to do with each other, and with what was configured before: the events that they share and inherit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use toml::Table;

use super::section::Section;
use crate::event::id::IdError;
use crate::event::{EventOwnership, SourceName};
use crate::intake::Source;
use crate::providers::{Options as _, Platform, custom};

const SHARES: &str = "shares_events_with";
const FORMERLY: &str = "formerly";

/// Reads whose the source's events are. The sources that it names are compared in [`relate_sources`].
pub(super) fn ownership(
    section: &mut Section<'_>,
    platform: Option<&'static Platform>,
) -> EventOwnership {
    let named = names(section, SHARES, SourceName::parse);
    if platform.is_none_or(|platform| platform.id == custom::PLATFORM.id) {
        return EventOwnership::Source { shared_with: named };
    }
    if !named.is_empty() {
        let remedy = "The events of a built-in platform are the platform's. Remove it";
        section.add_problem(SHARES, format!("is for custom sources. {remedy}"));
    }
    EventOwnership::Platform
}

/// Reads a list of names; reports the invalid ones.
fn names<T: Ord>(
    section: &mut Section<'_>,
    key: &'static str,
    parse: fn(String) -> Result<T, IdError>,
) -> BTreeSet<T> {
    let written = section.texts(key).unwrap_or_default();
    let parse = |name: String| {
        let remedy = "Use at most 64 of the characters a-z, 0-9, - and _";
        parse(name).map_err(|error| section.add_problem(key, format!("{error}. {remedy}"))).ok()
    };
    written.into_iter().filter_map(parse).collect()
}

/// Reads the former names of a source or an account; reports the invalid ones.
pub(super) fn former_names<T: Ord>(
    section: &mut Section<'_>,
    parse: fn(String) -> Result<T, IdError>,
) -> BTreeSet<T> {
    names(section, FORMERLY, parse)
}

/// Reports former names that are still configured, and those that two inherit. `configured` are all names, valid or
/// not.
pub(super) fn check_former_names<'a, T: Ord + fmt::Display + 'a>(
    root: &Section<'_>,
    table: &str,
    former: impl Iterator<Item = (&'a T, &'a BTreeSet<T>)>,
    configured: &BTreeSet<T>,
) {
    let mut heirs: BTreeMap<&T, &T> = BTreeMap::new();
    for (name, names) in former {
        for old in names {
            let problem = if configured.contains(old) {
                format!("names {table}.{old}, which is configured. Remove one of the two")
            } else if let Some(other) = heirs.insert(old, name) {
                format!("names {old}, as that of {table}.{other} does. Remove one of the two")
            } else {
                continue;
            };
            let section = root.below(table, Table::new()).below(&name.to_string(), Table::new());
            section.add_problem(FORMERLY, problem);
        }
    }
}

/// Completes and checks what the valid sources say of each other; `names` are those of all sources, valid or not.
pub(super) fn relate_sources(
    root: &Section<'_>,
    sources: &mut BTreeMap<SourceName, Source>,
    names: &BTreeSet<SourceName>,
) {
    join_shared(root, sources, names);
    report_common_keys(root, sources);
}

/// Makes sharing mutual and transitive.
fn join_shared(
    root: &Section<'_>,
    sources: &mut BTreeMap<SourceName, Source>,
    names: &BTreeSet<SourceName>,
) {
    let mut groups: BTreeMap<SourceName, BTreeSet<SourceName>> = BTreeMap::new();
    for (name, source) in &*sources {
        let mut group = BTreeSet::from([name.clone()]);
        for other in shared_with(source) {
            let problem = match sources.get(other) {
                _ if other == name => "names the source itself. Remove it",
                None if !names.contains(other) => "names an unknown source. Correct the name",
                Some(other) if other.policy.ownership == EventOwnership::Platform => {
                    "names a source of a built-in platform, whose events are the platform's. Remove it"
                }
                None | Some(_) => {
                    group.insert(other.clone());
                    continue;
                }
            };
            section(root, name).add_problem(SHARES, problem);
        }
        // All groups that it touches become one.
        let touched = group.iter().filter_map(|member| groups.get(member)).flatten().cloned();
        let group: BTreeSet<SourceName> = touched.chain(group.iter().cloned()).collect();
        for member in &group {
            groups.insert(member.clone(), group.clone());
        }
    }
    for (name, source) in sources {
        if let EventOwnership::Source { shared_with } = &mut source.policy.ownership {
            *shared_with = groups.remove(name).unwrap_or_default();
            shared_with.remove(name);
        }
    }
}

/// Reports custom sources of which the configuration shows that they make the same keys for different webinars.
fn report_common_keys(root: &Section<'_>, sources: &BTreeMap<SourceName, Source>) {
    let mut first: BTreeMap<_, &Source> = BTreeMap::new();
    for (name, source) in sources {
        let policy = &source.policy;
        let (EventOwnership::Source { .. }, Some(account)) =
            (&policy.ownership, &policy.external_account_id)
        else {
            continue;
        };
        let other = *first.entry((&policy.hubspot, account)).or_insert(source);
        if other.name != *name && !shared_with(source).any(|shared| *shared == other.name) {
            let other = &other.name;
            let message = format!(
                "is that of source.{other}, too, so one id of both would be one event. \
                 Set another one, or {SHARES} = [\"{other}\"] if both report the same webinars"
            );
            section(root, name).add_problem("external_account_id", message);
        }
    }
}

fn shared_with(source: &Source) -> impl Iterator<Item = &SourceName> {
    let shared = match &source.policy.ownership {
        EventOwnership::Platform => None,
        EventOwnership::Source { shared_with } => Some(shared_with),
    };
    shared.into_iter().flatten()
}

/// The section of a source, for reporting problems.
fn section<'a>(root: &Section<'a>, name: &SourceName) -> Section<'a> {
    root.below("source", Table::new()).below(name.as_str(), Table::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, validate};

    fn custom(name: &str, account: &str, more: &str) -> String {
        format!(
            "[source.{name}]\nprovider = \"custom\"\nsecret = \"s\"\nverify = {{ scheme = \"bearer\" }}\n\
             map = {{ event_id = \"payload.id\" }}\nexternal_account_id = \"{account}\"\n{more}\n"
        )
    }

    fn read(sources: &[String]) -> Result<Config, String> {
        let text = format!("[hubspot.main]\naccess_token = \"t\"\n{}", sources.concat());
        validate("bridge.toml", &text, &BTreeMap::new()).map_err(|problems| problems.to_string())
    }

    fn shared(config: &Config, name: &str) -> Vec<String> {
        let name = SourceName::parse(name).expect("valid");
        shared_with(&config.sources[&name]).map(ToString::to_string).collect()
    }

    #[test]
    fn sharing_is_mutual_and_transitive() {
        let config = read(&[
            custom("a", "acme", ""),
            custom("b", "acme", "shares_events_with = [\"a\"]"),
            custom("c", "acme", "shares_events_with = [\"b\"]"),
            custom("d", "other", ""),
        ])
        .expect("valid");
        assert_eq!(shared(&config, "a"), ["b", "c"]);
        assert_eq!(shared(&config, "b"), ["a", "c"]);
        assert_eq!(shared(&config, "c"), ["a", "b"]);
        assert_eq!(shared(&config, "d"), [""; 0]);
    }

    /// A12, M28.
    #[test]
    fn custom_sources_of_one_account_must_share_their_events() {
        let error = read(&[custom("a", "acme", ""), custom("b", "acme", "")]).expect_err("refused");
        let expected = "bridge.toml: source.b.external_account_id: is that of source.a, too, so one id of both \
                        would be one event. Set another one, or shares_events_with = [\"a\"] if both report \
                        the same webinars";
        assert_eq!(error, expected);
        assert!(read(&[custom("a", "acme", ""), custom("b", "acme-2", "")]).is_ok());
    }

    #[test]
    fn sharing_with_nobody_or_a_platform_is_refused() {
        let zoom = "[source.zoom]\nprovider = \"zoom\"\nsecret = \"s\"\n".to_owned();
        for (named, what) in [
            ("nobody", "names an unknown source. Correct the name"),
            ("a", "names the source itself. Remove it"),
            ("zoom", "names a source of a built-in platform"),
            ("A B", "Use at most 64"),
        ] {
            let a = custom("a", "acme", &format!("shares_events_with = [\"{named}\"]"));
            let error = read(&[a, zoom.clone()]).expect_err("refused");
            assert!(error.starts_with("bridge.toml: source.a.shares_events_with: "), "{error}");
            assert!(error.contains(what), "{error}");
        }
        let error = read(&[zoom + "shares_events_with = [\"zoom\"]\n"]).expect_err("refused");
        assert!(error.contains("source.zoom.shares_events_with: is for custom sources"), "{error}");
    }

    /// M30.
    #[test]
    fn former_name_is_neither_configured_nor_inherited_twice() {
        let a = |more: &str| custom("a", "acme", more);
        let config = read(&[a("formerly = [\"x\", \"y\"]")]).expect("valid");
        let heirs: Vec<String> = config.heirs().sources.keys().map(ToString::to_string).collect();
        assert_eq!(heirs, ["x", "y"]);
        let b = |more: &str| custom("b", "other", more);
        let account = "[hubspot.b]\naccess_token = \"t\"\nformerly = [\"main\"]\n".to_owned();
        for (sources, what) in [
            ([a("formerly = [\"b\"]"), b("")], "source.a.formerly: names source.b, which is"),
            (
                [a("formerly = [\"x\"]"), b("formerly = [\"x\"]")],
                "source.b.formerly: names x, as that of source.a does",
            ),
            ([a("formerly = [\"A\"]"), String::new()], "source.a.formerly: "),
            ([a(""), account], "hubspot.b.formerly: names hubspot.main"),
        ] {
            let error = read(&sources).expect_err("refused");
            assert!(error.contains(what), "{error}");
        }
    }
}

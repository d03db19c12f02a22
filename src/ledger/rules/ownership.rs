//! Whose a webinar is: the sources that may change it, and those that give it its defaults.

use std::borrow::Cow;

use super::accept::MergeRefused;
use crate::event::{EventOwnership, Policy, SourceName, Webinar};
use crate::ledger::Policies;

/// The policy that gives a webinar its defaults, of all sources that spoke of it; none if none of them is configured.
#[must_use]
pub fn policy_for<'a>(policies: &'a Policies, webinar: &Webinar) -> Option<Cow<'a, Policy>> {
    let mut sources = webinar.sources.iter().filter_map(|source| policies.get(source));
    let first = sources.next()?;
    let rest: Vec<&Policy> = sources.collect();
    if rest.is_empty() {
        return Some(Cow::Borrowed(first));
    }
    Policy::merge(std::iter::once(first).chain(rest)).map(Cow::Owned)
}

/// Checks that a source may change a webinar. One without a common platform belongs to the source that reported it
/// first.
///
/// # Errors
/// [`MergeRefused::ForeignWebinar`] if the webinar is another source's.
pub fn check_ownership(
    policies: &Policies,
    source: &SourceName,
    webinar: &Webinar,
) -> Result<(), MergeRefused> {
    let shared_with = match policies.get(source).map(|policy| &policy.ownership) {
        None | Some(EventOwnership::Platform) => return Ok(()),
        Some(EventOwnership::Source { shared_with }) => shared_with,
    };
    let is_ours = |owner: &SourceName| owner == source || shared_with.contains(owner);
    match webinar.sources.first() {
        Some(owner) if !webinar.sources.iter().any(is_ours) => {
            Err(MergeRefused::ForeignWebinar(owner.clone()))
        }
        None | Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::event::policy::tests::policy;

    fn source(name: &str) -> SourceName {
        SourceName::parse(name).expect("valid")
    }

    fn webinar(sources: &[&str]) -> Webinar {
        let sources = sources.iter().map(|name| source(name)).collect();
        Webinar { sources, ..Webinar::default() }
    }

    #[test]
    fn defaults_are_those_of_all_configured_sources_that_spoke() {
        let named = |organizer: Option<&str>| Policy {
            organizer: organizer.map(str::to_owned),
            ..policy()
        };
        let policies = Policies::from([
            (source("a"), named(None)),
            (source("b"), named(Some("B"))),
            (source("c"), named(Some("C"))),
        ]);
        let organizer = |sources: &[&str]| {
            policy_for(&policies, &webinar(sources)).and_then(|policy| policy.organizer.clone())
        };
        assert_eq!(organizer(&["a", "b", "c"]).as_deref(), Some("B"));
        assert_eq!(organizer(&["a", "c", "gone"]).as_deref(), Some("C"));
        assert_eq!(organizer(&["a"]), None);
        assert!(matches!(policy_for(&policies, &webinar(&["b", "gone"])), Some(Cow::Borrowed(_))));
        assert_eq!(policy_for(&policies, &webinar(&["gone"])), None);
    }

    /// A12, M28.
    #[test]
    fn webinar_without_a_common_platform_belongs_to_its_first_source() {
        let own = |shared: &[&str]| {
            let shared_with: BTreeSet<_> = shared.iter().map(|name| source(name)).collect();
            Policy { ownership: EventOwnership::Source { shared_with }, ..policy() }
        };
        let policies = Policies::from([
            (source("zoom"), policy()),
            (source("a"), own(&[])),
            (source("b"), own(&["c"])),
            (source("c"), own(&["b"])),
        ]);
        let may = |name: &str, sources: &[&str]| {
            check_ownership(&policies, &source(name), &webinar(sources)).is_ok()
        };
        assert!(may("a", &[]) && may("a", &["a"]) && may("b", &["c"]) && may("b", &["b", "c"]));
        assert!(!may("a", &["b"]) && !may("b", &["a"]) && !may("a", &["gone"]));
        assert!(may("zoom", &["gone"]) && may("zoom", &["zoom", "other"]));
    }
}

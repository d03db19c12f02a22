//! A source gets another name between two process runs, with `formerly` (M30).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use webinar_bridge::event::{Millis, SourceName};
use webinar_bridge::ledger::{Heirs, Policies};

use super::fault_profile::FaultProfile;
use super::webhooks::ms;
use super::world::World;
use crate::harness::build::{NOON, source};
use crate::harness::rng::SeededRng;

/// The names before, and what they become; one of them comes last by name then, so that it gives its defaults last.
const NAMES: [(&str, &str); 3] = [("a", "y"), ("c", "d"), ("s", "u")];

thread_local! {
    /// Which of the names is changed in the present simulation, which runs on one thread.
    static RENAMED: Cell<Option<usize>> = const { Cell::new(None) };
}

/// A source that gets another name.
#[derive(Debug)]
pub(super) struct RenamedSource {
    nth: usize,
    pub(super) at: Millis,
}

impl RenamedSource {
    pub(super) fn draw(rng: &mut SeededRng, profile: &FaultProfile) -> Self {
        let at = NOON.plus(Duration::from_millis(rng.between(0, ms(profile.within))));
        Self { nth: rng.below(NAMES.len()), at }
    }

    /// The configuration names it anew.
    pub(super) fn rename(self, world: &mut World) {
        RENAMED.with(|renamed| renamed.set(Some(self.nth)));
        for webhook in &mut world.webhooks {
            webhook.source = present(&webhook.source);
        }
        world.oracle.rename(super::webhooks::policies(), present);
        let now = world.now;
        world.note(now, format!("{:?} are names of one source", NAMES[self.nth]));
    }
}

/// A new simulation begins: nothing is renamed.
pub(super) fn begin() {
    RENAMED.with(|renamed| renamed.set(None));
}

/// The present name of a source.
pub(super) fn present(name: &SourceName) -> SourceName {
    let renamed = RENAMED.with(Cell::get).map(|nth| NAMES[nth]);
    match renamed {
        Some((before, after)) if name.as_str() == before => source(after),
        Some(_) | None => name.clone(),
    }
}

/// The policies under their present names.
pub(super) fn under_present_names(policies: Policies) -> Policies {
    policies.into_iter().map(|(name, policy)| (present(&name), policy)).collect()
}

/// What the configuration says of former names.
pub(super) fn heirs() -> Heirs {
    let renamed = RENAMED.with(Cell::get).map(|nth| NAMES[nth]);
    let sources: BTreeMap<SourceName, SourceName> =
        renamed.into_iter().map(|(before, after)| (source(before), source(after))).collect();
    Heirs { sources, ..Heirs::default() }
}

//! Recipes: the `verify` and `map` that a user would write for well-documented platforms. A source's own keys have
//! precedence.
//!
//! Each recipe is a TOML file in `recipes/` that names its sources, and samples of the platform's webhooks.

mod samples;

use toml::Table;

use crate::event::Millis;
use crate::providers::{Demo, DemoApi, Sample};

/// A platform's recipe.
#[derive(Debug)]
pub(super) struct Recipe {
    /// The recipe's name.
    pub(super) name: &'static str,
    text: &'static str,
    /// Sample webhooks.
    pub(super) samples: fn(Millis) -> Vec<Sample>,
    /// How the sandbox shows it.
    pub(super) demo: Demo,
}

/// The parsed tables of a recipe.
pub(super) struct RecipeTables {
    /// The verification scheme.
    pub(super) verify: Table,
    /// The mapping of fields.
    pub(super) map: Table,
    /// Keys of personal data.
    pub(super) mask: Vec<String>,
}

/// All recipes.
pub(super) static ALL: [Recipe; 5] = [
    Recipe {
        name: "zuddl",
        text: include_str!("recipes/zuddl.toml"),
        samples: samples::zuddl,
        demo: Demo {
            source: "zuddl",
            settings: "recipe = \"zuddl\"\nsecret = \"sandbox-secret-of-zuddl\"",
            signing_key: "sandbox-secret-of-zuddl",
            path_token: None,
            api: DemoApi::None,
        },
    },
    Recipe {
        name: "webinargeek",
        text: include_str!("recipes/webinargeek.toml"),
        samples: samples::webinargeek,
        demo: Demo {
            source: "webinargeek",
            settings: "recipe = \"webinargeek\"\nsecret = \"sandbox-secret-of-webinargeek\"\n\
                       external_account_id = \"sandbox-webinargeek\"",
            signing_key: "sandbox-secret-of-webinargeek",
            path_token: None,
            api: DemoApi::None,
        },
    },
    Recipe {
        name: "sequel",
        text: include_str!("recipes/sequel.toml"),
        samples: samples::sequel,
        demo: Demo {
            source: "sequel",
            settings: "recipe = \"sequel\"\nsecret = \"sandbox-key-of-sequel\"",
            signing_key: "sandbox-key-of-sequel",
            path_token: None,
            api: DemoApi::None,
        },
    },
    Recipe {
        name: "sessions_us",
        text: include_str!("recipes/sessions_us.toml"),
        samples: samples::sessions_us,
        demo: Demo {
            source: "sessions-us",
            settings: "recipe = \"sessions_us\"\npath_token = \"sandbox-path-of-sessions-us\"\n\
                       external_account_id = \"sandbox-sessions-us\"",
            signing_key: "",
            path_token: Some("sandbox-path-of-sessions-us"),
            api: DemoApi::None,
        },
    },
    Recipe {
        name: "airmeet",
        text: include_str!("recipes/airmeet.toml"),
        samples: samples::airmeet,
        demo: Demo {
            source: "airmeet",
            settings: "recipe = \"airmeet\"\npath_token = \"sandbox-path-of-airmeet\"",
            signing_key: "",
            path_token: Some("sandbox-path-of-airmeet"),
            api: DemoApi::None,
        },
    },
];

/// The names that `recipe = "..."` accepts.
pub(super) const NAMES: [&str; 5] = ["zuddl", "webinargeek", "sequel", "sessions_us", "airmeet"];

/// Finds a recipe by name.
pub(super) fn find(name: &str) -> Option<&'static Recipe> {
    ALL.iter().find(|recipe| recipe.name == name)
}

impl Recipe {
    /// Parses the recipe's TOML.
    pub(super) fn parse(&self) -> RecipeTables {
        const WHY: &str = "recipes are part of the program, and a test parses each";
        let mut text: Table = toml::from_str(self.text).expect(WHY);
        let mut table = |key: &str| text.remove(key).and_then(|table| table.try_into().ok());
        let (verify, map) = (table("verify").expect(WHY), table("map").expect(WHY));
        let mask = text.remove("mask").map(|mask| mask.try_into().expect(WHY));
        RecipeTables { verify, map, mask: mask.unwrap_or_default() }
    }
}

//! Recipes: `verify` and `map` of platforms of which enough is known, as a user would write them. What a source says
//! itself goes before.
//!
//! Each is a TOML file beside this one, which says what it rests on, and samples of what the platform sends.

mod samples;

use toml::Table;

use crate::event::Millis;
use crate::providers::{Demo, DemoApi, Sample};

/// A platform's recipe.
#[derive(Debug)]
pub(super) struct Recipe {
    /// Its name.
    pub(super) name: &'static str,
    text: &'static str,
    /// What the platform would send.
    pub(super) samples: fn(Millis) -> Vec<Sample>,
    /// How the sandbox shows it.
    pub(super) demo: Demo,
}

/// What a recipe says.
pub(super) struct RecipeTables {
    /// How webhooks prove where they come from.
    pub(super) verify: Table,
    /// What they mean.
    pub(super) map: Table,
    /// Keys of what is personal.
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

/// Their names, as `recipe = "..."` says them.
pub(super) const NAMES: [&str; 5] = ["zuddl", "webinargeek", "sequel", "sessions_us", "airmeet"];

/// The recipe of that name.
pub(super) fn find(name: &str) -> Option<&'static Recipe> {
    ALL.iter().find(|recipe| recipe.name == name)
}

impl Recipe {
    /// What it says.
    pub(super) fn parse(&self) -> RecipeTables {
        const WHY: &str = "it is part of the program, and each is read in a test";
        let mut text: Table = toml::from_str(self.text).expect(WHY);
        let mut table = |key: &str| text.remove(key).and_then(|table| table.try_into().ok());
        let (verify, map) = (table("verify").expect(WHY), table("map").expect(WHY));
        let mask = text.remove("mask").map(|mask| mask.try_into().expect(WHY));
        RecipeTables { verify, map, mask: mask.unwrap_or_default() }
    }
}

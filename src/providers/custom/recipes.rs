//! Recipes: the `verify` and `map` that a user would write for well-documented platforms. A source's own keys have
//! precedence.
//!
//! Each recipe is a TOML file in `recipes/`, with a [`Demo`] beside it.

use serde::Deserialize;
use toml::Table;

use crate::providers::Demo;

/// A platform's recipe.
#[derive(Debug)]
pub(super) struct Recipe {
    /// The recipe's name.
    pub(super) name: &'static str,
    text: &'static str,
    demo: &'static str,
}

/// The parsed tables of a recipe.
#[derive(Deserialize)]
pub(super) struct RecipeTables {
    /// The verification scheme.
    pub(super) verify: Table,
    /// The mapping of fields.
    pub(super) map: Table,
    /// Keys of personal data.
    #[serde(default)]
    pub(super) mask: Vec<String>,
}

/// All recipes.
pub(super) static ALL: [Recipe; 5] = [
    Recipe {
        name: "zuddl",
        text: include_str!("recipes/zuddl.toml"),
        demo: include_str!("recipes/zuddl.json"),
    },
    Recipe {
        name: "webinargeek",
        text: include_str!("recipes/webinargeek.toml"),
        demo: include_str!("recipes/webinargeek.json"),
    },
    Recipe {
        name: "sequel",
        text: include_str!("recipes/sequel.toml"),
        demo: include_str!("recipes/sequel.json"),
    },
    Recipe {
        name: "sessions_us",
        text: include_str!("recipes/sessions_us.toml"),
        demo: include_str!("recipes/sessions_us.json"),
    },
    Recipe {
        name: "airmeet",
        text: include_str!("recipes/airmeet.toml"),
        demo: include_str!("recipes/airmeet.json"),
    },
];

/// Finds a recipe by name.
pub(super) fn find(name: &str) -> Option<&'static Recipe> {
    ALL.iter().find(|recipe| recipe.name == name)
}

impl Recipe {
    /// How the sandbox shows it.
    pub(super) fn demo(&self) -> Demo {
        Demo::parse(self.demo)
    }

    /// Parses the recipe's TOML.
    pub(super) fn parse(&self) -> RecipeTables {
        toml::from_str(self.text).expect("recipes are part of the program, and a test parses each")
    }
}

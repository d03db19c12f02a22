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

/// The recipe of that name, with its files in `recipes/`.
macro_rules! recipe {
    ($name:literal) => {
        Recipe {
            name: $name,
            text: include_str!(concat!("recipes/", $name, ".toml")),
            demo: include_str!(concat!("recipes/", $name, ".json")),
        }
    };
}

/// All recipes.
pub(super) static ALL: [Recipe; 5] = [
    recipe!("zuddl"),
    recipe!("webinargeek"),
    recipe!("sequel"),
    recipe!("sessions_us"),
    recipe!("airmeet"),
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

//! Problems of a configuration, reported all at once.

use std::fmt;

/// One problem with its remedy. Holds no value that could be secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigProblem {
    /// The file, or `$NAME` for an environment variable.
    pub origin: String,
    /// Path of the key, `source.acme-zoom.secret`; empty for the whole configuration.
    pub key: String,
    /// The problem and its remedy.
    pub message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, key, message } = self;
        match key.as_str() {
            "" => write!(f, "{origin}: {message}"),
            key => write!(f, "{origin}: {key}: {message}"),
        }
    }
}

/// All problems, at least one; displayed one per line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigProblems(Vec<ConfigProblem>);

impl ConfigProblems {
    /// A single problem of the whole configuration.
    pub(super) fn single(origin: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![ConfigProblem {
            origin: origin.into(),
            key: String::new(),
            message: message.into(),
        }])
    }

    /// Succeeds if there are no problems.
    ///
    /// # Errors
    /// The problems, if there are any.
    pub(super) fn check_empty(problems: Vec<ConfigProblem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }

    /// The problems in the order in which the configuration is read.
    #[must_use]
    pub fn list(&self) -> &[ConfigProblem] {
        &self.0
    }
}

/// The known name with the smallest edit distance.
pub(super) fn closest_name<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    known.iter().copied().min_by_key(|name| strsim::levenshtein(written, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closest_name_has_the_smallest_edit_distance() {
        assert_eq!(closest_name("max_bach", &["max_linger", "max_batch"]), Some("max_batch"));
        assert_eq!(closest_name("x", &[]), None);
    }
}

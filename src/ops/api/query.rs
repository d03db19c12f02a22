//! The parameters of a query, read strictly: an unknown one is an error, since ignoring it would show everything.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use super::cursor::CursorScope;
use super::error::ApiError;
use super::percent::decode_percent;
use crate::ledger::PAGE_MAX;

/// Longest query, in bytes: all parameters at their longest fit.
const MAX_LENGTH: usize = 4_096;
/// Longest text to search for, in characters.
const MAX_TEXT_CHARS: usize = 200;
/// Default number of items of a page.
const DEFAULT_LIMIT: usize = 50;

/// Parameters that are not read yet, by name.
#[derive(Debug)]
pub(super) struct QueryParameters(BTreeMap<String, String>);

impl QueryParameters {
    /// Parses the text behind the `?`. An empty value counts as none.
    ///
    /// # Errors
    /// [`ApiError::Parameter`].
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        if text.len() > MAX_LENGTH {
            return Err(ApiError::parameter("query", "is longer than 4,096 bytes"));
        }
        let mut parameters = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let broken = || ApiError::parameter(name, "is not percent-encoded UTF-8");
            let name = decode_percent(&name.replace('+', " ")).ok_or_else(broken)?;
            let value = decode_percent(&value.replace('+', " ")).ok_or_else(broken)?;
            if parameters.insert(name.clone(), value).is_some() {
                return Err(ApiError::parameter(name, "is there twice"));
            }
        }
        Ok(Self(parameters))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    /// Requires that every parameter was read.
    ///
    /// # Errors
    /// [`ApiError::Parameter`] of one that was not read.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(ApiError::parameter(name, "is not a parameter of this path")),
        }
    }

    /// A parameter that is one of these names of the configuration.
    ///
    /// # Errors
    /// `unknown`.
    pub(super) fn known<'a, N: Borrow<str> + Clone + 'a>(
        &mut self,
        parameter: &str,
        names: impl IntoIterator<Item = &'a N>,
        unknown: ApiError,
    ) -> Result<Option<N>, ApiError> {
        let Some(given) = self.take(parameter) else { return Ok(None) };
        let name = names.into_iter().find(|&name| name.borrow() == given);
        name.cloned().map(Some).ok_or(unknown)
    }

    /// A parameter that is one of these words: the word and its value.
    ///
    /// # Errors
    /// [`ApiError::Parameter`].
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
    ) -> Result<Option<(&'static str, T)>, ApiError> {
        let Some(given) = self.take(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == given);
        let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        found
            .copied()
            .map(Some)
            .ok_or_else(|| ApiError::parameter(name, format!("must be one of: {}", known())))
    }

    /// `q`: a text to search for.
    ///
    /// # Errors
    /// [`ApiError::Parameter`].
    pub(super) fn text(&mut self) -> Result<Option<String>, ApiError> {
        let text = self.take("q");
        match &text {
            Some(text) if text.chars().count() > MAX_TEXT_CHARS => {
                Err(ApiError::parameter("q", "is longer than 200 characters"))
            }
            Some(_) | None => Ok(text),
        }
    }

    /// `limit`.
    ///
    /// # Errors
    /// [`ApiError::Parameter`].
    pub(super) fn limit(&mut self) -> Result<usize, ApiError> {
        let Some(value) = self.take("limit") else { return Ok(DEFAULT_LIMIT) };
        let number =
            value.parse::<usize>().ok().filter(|_| value.bytes().all(|b| b.is_ascii_digit()));
        number
            .filter(|number| (1..=PAGE_MAX).contains(number))
            .ok_or_else(|| ApiError::parameter("limit", "must be a number from 1 to 200"))
    }

    /// `cursor`: the position in that listing.
    ///
    /// # Errors
    /// [`ApiError::Parameter`].
    pub(super) fn cursor(&mut self, listing: CursorScope) -> Result<Option<i64>, ApiError> {
        let Some(cursor) = self.take("cursor") else { return Ok(None) };
        let position = listing.decode(&cursor);
        position.map(Some).map_err(|error| ApiError::parameter("cursor", error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AccountName, SourceName};

    fn query(text: &str) -> QueryParameters {
        QueryParameters::parse(text).expect("a query")
    }

    fn named(problem: &ApiError) -> &str {
        let ApiError::Parameter { name, .. } = problem else { panic!("{problem:?}") };
        name
    }

    #[test]
    fn query_with_a_repeated_unknown_or_broken_parameter_is_refused() {
        let mut query = query("q=a+b%2F&limit=7&");
        assert_eq!(query.text(), Ok(Some("a b/".to_owned())));
        assert_eq!(query.limit(), Ok(7));
        assert_eq!(query.finish(), Ok(()));
        for (text, name) in [
            ("q=1&q=2", "q"),
            ("a%ff=1", "a%ff"),
            ("a=%f", "a"),
            (&format!("q={}", "x".repeat(5_000)), "query"),
        ] {
            assert_eq!(named(&QueryParameters::parse(text).expect_err(text)), name);
        }
        assert_eq!(named(&self::query("stat=dead").finish().expect_err("unknown")), "stat");
    }

    #[test]
    fn parameter_with_an_empty_value_is_absent() {
        let mut query = query("hubspot=&source=&q=&limit=&cursor=&state=");
        let none: [AccountName; 0] = [];
        assert_eq!(query.known("hubspot", &none, ApiError::UnknownAccount), Ok(None));
        assert_eq!(query.known("source", &none, ApiError::UnknownSource), Ok(None));
        assert_eq!(query.text(), Ok(None));
        assert_eq!(query.limit(), Ok(50));
        assert_eq!(query.cursor(CursorScope::new("events", &[])), Ok(None));
        assert_eq!(query.choice("state", &[("dead", 1)]), Ok(None));
        assert_eq!(query.finish(), Ok(()));
    }

    #[test]
    fn limit_outside_1_to_200_is_refused() {
        for (text, limit) in [("1", 1), ("200", 200), ("050", 50)] {
            assert_eq!(query(&format!("limit={text}")).limit(), Ok(limit));
        }
        for text in ["0", "201", "-1", "%2B1", "1.5", "ten", "99999999999999999999"] {
            let problem = query(&format!("limit={text}")).limit().expect_err(text);
            assert_eq!(named(&problem), "limit", "{text}");
        }
    }

    #[test]
    fn name_that_is_not_configured_is_unknown() {
        let main = AccountName::parse("main").expect("a name");
        let zoom = SourceName::parse("zoom").expect("a name");
        let account = |text| query(text).known("hubspot", Some(&main), ApiError::UnknownAccount);
        assert_eq!(account("hubspot=main"), Ok(Some(main.clone())));
        assert_eq!(account("hubspot=other"), Err(ApiError::UnknownAccount));
        let source = |text| query(text).known("source", Some(&zoom), ApiError::UnknownSource);
        assert_eq!(source("source=zoom"), Ok(Some(zoom.clone())));
        assert_eq!(source("source=.."), Err(ApiError::UnknownSource));
        let words = [("dead", 1), ("pending", 2)];
        assert_eq!(query("state=pending").choice("state", &words), Ok(Some(("pending", 2))));
        let problem = query("state=Dead").choice("state", &words).expect_err("no such word");
        assert_eq!(problem.to_string(), "state: must be one of: dead, pending");
        let long = format!("q={}", "%C3%A9".repeat(201));
        assert_eq!(named(&query(&long).text().expect_err("too long")), "q");
    }
}

//! The settings of a source that shape its events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::id::{AccountName, ExternalAccountId, ProviderId, SourceName};
use super::property::CustomProperty;
use crate::expression::Expression;

/// The settings of a source that shape its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// HubSpot account that gets the source's events.
    pub hubspot: AccountName,
    /// Platform of the source.
    pub provider: ProviderId,
    /// Organizer of events without a known host's name.
    pub organizer: Option<String>,
    /// Event type; overrides the platform's. `WEBINAR` if neither exists.
    pub event_type: Option<String>,
    /// Account id for HubSpot; overrides the platform's.
    pub external_account_id: Option<ExternalAccountId>,
    /// Whether a series becomes one event per occurrence or one event.
    pub recurring: RecurringMode,
    /// Delay after the end at which an event is completed; for platforms that send no "ended".
    pub complete_after_end: Option<Duration>,
    /// Filters over `event`; all must let an event pass.
    pub only: Vec<Expression>,
    /// Custom properties of every event of the source.
    pub custom_properties: BTreeMap<String, CustomProperty>,
    /// Whose the source's events are.
    pub ownership: EventOwnership,
}

/// The sources that may change the events that a source reported first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EventOwnership {
    /// All sources of the platform: the events are the platform's.
    #[default]
    Platform,
    /// The source itself and those that it shares its events with. Two sources without a common platform may use one id
    /// for two webinars.
    Source {
        /// The sources that may change them too.
        shared_with: BTreeSet<SourceName>,
    },
}

/// Neither the webhook nor the source names an external account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the webhook names no account, and the source has no external_account_id")]
pub struct MissingExternalAccount;

impl Policy {
    /// The external account of a webinar: the source's own, else the one that the platform `named`.
    ///
    /// # Errors
    /// Neither is known.
    pub fn external_account<'a>(
        &'a self,
        named: Option<&'a ExternalAccountId>,
    ) -> Result<&'a ExternalAccountId, MissingExternalAccount> {
        self.external_account_id.as_ref().or(named).ok_or(MissingExternalAccount)
    }

    /// The policy of a webinar that several sources speak of, by their policies in the order of their names: each default
    /// is that of the first source that has one, and all filters count. None without a source.
    #[must_use]
    pub fn merge<'a>(policies: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut policies = policies.into_iter();
        let mut merged = policies.next()?.clone();
        for policy in policies {
            merged.fill_in(policy);
        }
        Some(merged)
    }

    /// Takes the defaults that are missing from another policy, and its filters.
    fn fill_in(&mut self, other: &Self) {
        fn fill<T: Clone>(own: &mut Option<T>, other: Option<&T>) {
            if own.is_none() {
                *own = other.cloned();
            }
        }
        fill(&mut self.organizer, other.organizer.as_ref());
        fill(&mut self.event_type, other.event_type.as_ref());
        fill(&mut self.complete_after_end, other.complete_after_end.as_ref());
        for only in &other.only {
            if !self.only.contains(only) {
                self.only.push(only.clone());
            }
        }
        for (name, property) in &other.custom_properties {
            self.custom_properties.entry(name.clone()).or_insert_with(|| property.clone());
        }
    }

    /// The settings that decide the events' ids in HubSpot, as comparable text. If it changes, HubSpot gets new events.
    #[must_use]
    pub fn identity_fingerprint(&self) -> String {
        let Self { hubspot, external_account_id, recurring, .. } = self;
        let account = external_account_id.as_ref().map(ExternalAccountId::as_str);
        json!([hubspot.as_str(), account, recurring]).to_string()
    }

    /// All other settings that shape events, as comparable text. If it changes, existing events change.
    #[must_use]
    pub fn defaults_fingerprint(&self) -> String {
        let Self { organizer, event_type, complete_after_end, only, custom_properties, .. } = self;
        let grace = complete_after_end.map(|grace| grace.as_millis().to_string());
        let mut all =
            vec![json!(organizer), json!(event_type), json!(grace), json!(custom_properties)];
        // Added only if present: stores of earlier versions hold texts without it.
        all.extend(only.iter().map(|only| json!(only.text())));
        Value::from(all).to_string()
    }

    /// The properties with a fixed text.
    pub(super) fn fixed_properties(&self) -> BTreeMap<String, String> {
        let text = |(name, property): (&String, &CustomProperty)| match property {
            CustomProperty::Text(text) => Some((name.clone(), text.clone())),
            CustomProperty::Computed(_) => None,
        };
        self.custom_properties.iter().filter_map(text).collect()
    }

    /// The computed properties.
    pub(super) fn computed_properties(&self) -> impl Iterator<Item = (&String, &Expression)> {
        self.custom_properties.iter().filter_map(|(name, property)| match property {
            CustomProperty::Text(_) => None,
            CustomProperty::Computed(expression) => Some((name, expression)),
        })
    }
}

/// Events of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecurringMode {
    /// One HubSpot event for each occurrence.
    #[default]
    Occurrence,
    /// One HubSpot event for all of them.
    Series,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::event::compile_event_expression;

    /// A source of Zoom for the account `main`, with an organizer and nothing else.
    pub(crate) fn policy() -> Policy {
        Policy {
            hubspot: AccountName::parse("main").expect("valid"),
            provider: ProviderId::new("zoom"),
            organizer: Some("Acme".into()),
            event_type: None,
            external_account_id: None,
            recurring: RecurringMode::Occurrence,
            complete_after_end: None,
            only: Vec::new(),
            custom_properties: BTreeMap::new(),
            ownership: EventOwnership::Platform,
        }
    }

    /// A11, M29: each default comes from the first source by name that has one.
    #[test]
    fn merged_policy_takes_each_default_from_the_first_that_has_it() {
        let expression = |text: &str| compile_event_expression(text).expect("valid");
        let text = |text: &str| CustomProperty::Text(text.to_owned());
        let properties = |entries: &[(&str, &str)]| {
            entries.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect()
        };
        let first = Policy {
            organizer: None,
            only: vec![expression("event.cancelled")],
            custom_properties: properties(&[("a", "1")]),
            ..policy()
        };
        let second = Policy {
            event_type: Some("CONFERENCE".into()),
            only: vec![expression("event.completed"), expression("event.cancelled")],
            custom_properties: properties(&[("a", "2"), ("b", "2")]),
            ..policy()
        };
        let third = Policy {
            organizer: Some("Third".into()),
            complete_after_end: Some(Duration::from_mins(5)),
            ..policy()
        };
        let merged = Policy::merge([&first, &second, &third]).expect("there are sources");
        let expected = Policy {
            event_type: Some("CONFERENCE".into()),
            complete_after_end: Some(Duration::from_mins(5)),
            only: vec![expression("event.cancelled"), expression("event.completed")],
            custom_properties: properties(&[("a", "1"), ("b", "2")]),
            ..policy()
        };
        assert_eq!(merged, expected);
        assert_eq!(Policy::merge([&first]), Some(first));
        assert_eq!(Policy::merge([]), None);
    }

    #[test]
    fn fingerprints_separate_settings_of_ids_from_settings_of_fields() {
        let before = policy();
        let account = ExternalAccountId::parse("acct").expect("valid");
        for rekeyed in [
            Policy { hubspot: AccountName::parse("second").expect("valid"), ..policy() },
            Policy { external_account_id: Some(account), ..policy() },
            Policy { recurring: RecurringMode::Series, ..policy() },
        ] {
            assert_ne!(rekeyed.identity_fingerprint(), before.identity_fingerprint());
            assert_eq!(rekeyed.defaults_fingerprint(), before.defaults_fingerprint());
        }
        let expression = |text: &str| compile_event_expression(text).expect("valid");
        let properties = |property| BTreeMap::from([("a".to_owned(), property)]);
        for refilled in [
            Policy { organizer: None, ..policy() },
            Policy { event_type: Some("CONFERENCE".into()), ..policy() },
            Policy { complete_after_end: Some(Duration::from_mins(30)), ..policy() },
            Policy { only: vec![expression("event.cancelled")], ..policy() },
            Policy { custom_properties: properties(CustomProperty::Text("b".into())), ..policy() },
            Policy {
                custom_properties: properties(CustomProperty::Computed(expression("event.name"))),
                ..policy()
            },
        ] {
            assert_eq!(refilled.identity_fingerprint(), before.identity_fingerprint());
            assert_ne!(refilled.defaults_fingerprint(), before.defaults_fingerprint());
        }
        let of =
            |text: &str| Policy { only: vec![expression(text)], ..policy() }.defaults_fingerprint();
        assert_ne!(of("event.cancelled"), of("event.completed"));
        let of = |property| {
            Policy { custom_properties: properties(property), ..policy() }.defaults_fingerprint()
        };
        assert_ne!(
            of(CustomProperty::Text("event.name".into())),
            of(CustomProperty::Computed(expression("event.name")))
        );
        // Stored by earlier versions: the same configuration must change no events.
        assert_eq!(before.defaults_fingerprint(), r#"["Acme",null,null,{}]"#);
        assert_eq!(of(CustomProperty::Text("b".into())), r#"["Acme",null,null,{"a":"b"}]"#);
    }
}

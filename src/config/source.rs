//! `[source.NAME]`: keys, defaults and rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::field::Field;
use super::rules::ZeroDuration;
use super::section::{Section, SectionEntry};
use crate::event::{
    AccountName, CustomProperty, ExternalAccountId, Policy, RecurringMode, SourceName,
    compile_event_expression,
};
use crate::expression::Expression;
use crate::intake::{DEFAULT_TOLERANCE, Source};
use crate::providers::{Capabilities, Platform, Requirement, SignatureScheme};
use crate::secret::Secret;

/// Delay after the end at which an event is completed, if the platform sends no "ended".
const GRACE: Duration = Duration::from_mins(30);

/// Things that a source may refer to.
pub(super) struct SourceReferences<'a> {
    /// Known platforms.
    pub platforms: &'a [&'static Platform],
    /// Names of all configured HubSpot accounts, valid or not.
    pub accounts: &'a BTreeSet<AccountName>,
}

/// All valid sources.
pub(super) fn sources(
    root: &mut Section<'_>,
    known: &SourceReferences<'_>,
) -> BTreeMap<SourceName, Arc<Source>> {
    let sections = match root.section("source") {
        Field::Invalid => return BTreeMap::new(),
        Field::Absent => Vec::new(),
        Field::Valid(source) => source.named_sections(),
    };
    if sections.is_empty() {
        root.report("source", "is missing. Add [source.NAME] with provider and secret");
    }
    let source = |(name, section): (String, Section<'_>)| {
        let name = section.name(SourceName::parse(name));
        let source = source(name, section, known)?;
        Some((source.name.clone(), Arc::new(source)))
    };
    sections.into_iter().filter_map(source).collect()
}

fn source(
    name: Option<SourceName>,
    mut section: Section<'_>,
    known: &SourceReferences<'_>,
) -> Option<Source> {
    let platform = platform(&mut section, known.platforms);
    let provider = platform.and_then(|platform| (platform.configure)(&mut section));
    // For an unknown platform no missing secret is reported.
    let traits = provider.as_ref().map(|provider| provider.capabilities());
    let scheme = provider.as_ref().map(|provider| provider.scheme());
    let need = scheme.map_or(Requirement::Optional, SignatureScheme::secret);
    let secrets = secrets(&mut section, need);
    let hubspot = hubspot(&mut section, known.accounts);
    let path_token = path_token(&mut section, scheme);
    let tolerance =
        section.duration("timestamp_tolerance", ZeroDuration::Refused).unwrap_or(DEFAULT_TOLERANCE);
    let platform_accounts = section.texts("platform_accounts").valid();
    let organizer = section.display_text("organizer").valid();
    let event_type = section.display_text("event_type").valid();
    let given = section.parsed("external_account_id", |text| {
        ExternalAccountId::parse(text).map_err(|error| {
            format!("{error}. Use at most 200 characters, without blanks and control characters")
        })
    });
    let external_account_id = external_account_id(&section, given, traits);
    let recurring = section
        .word(
            "recurring",
            &[("occurrence", RecurringMode::Occurrence), ("series", RecurringMode::Series)],
        )
        .unwrap_or(RecurringMode::default());
    let complete_after_end = section.duration("complete_after_end", ZeroDuration::Allowed).valid();
    let tells_end = traits.is_none_or(|traits| traits.reports_end);
    let complete_after_end = complete_after_end.or((!tells_end).then_some(GRACE));
    let custom_properties = custom_properties(&mut section);
    let only = section.parsed("only", |text| event_expression(&text)).valid();
    match platform {
        Some(_) => section.finish(),
        // An unknown platform has unknown keys; `api` is a table on every platform.
        None => drop(section.section("api")),
    }

    let provider = provider?;
    let id = provider.id();
    Some(Source {
        name: name?,
        provider,
        secrets: secrets?,
        path_token,
        tolerance,
        platform_accounts: platform_accounts.map(BTreeSet::from_iter),
        policy: Policy {
            hubspot: hubspot?,
            provider: id,
            organizer,
            event_type,
            external_account_id,
            recurring,
            complete_after_end,
            only,
            custom_properties,
        },
    })
}

fn platform(
    section: &mut Section<'_>,
    platforms: &[&'static Platform],
) -> Option<&'static Platform> {
    let names: Vec<String> = platforms.iter().map(|known| known.id.to_string()).collect();
    let names = names.join(", ");
    let given = section.text("provider");
    let name = section.required("provider", given, &format!("Set one of: {names}"))?;
    let platform = platforms.iter().find(|known| known.id.as_str() == name).copied();
    if platform.is_none() {
        section.report("provider", format!("is not a known platform. Known platforms: {names}"));
    }
    platform
}

/// The secrets that verify webhooks.
fn secrets(section: &mut Section<'_>, need: Requirement) -> Option<Vec<Secret>> {
    let both = section.has("secret") && section.has("secrets");
    let one = section.secret("secret");
    let many = section.secrets("secrets");
    if both {
        section.report("secret", "is set as well as secrets. Keep one of the two");
        return None;
    }
    let given = match (one, many) {
        (Field::Invalid, _) | (_, Field::Invalid) => return None,
        (Field::Valid(secret), _) => vec![secret],
        (_, Field::Valid(secrets)) => secrets,
        (Field::Absent, Field::Absent) => Vec::new(),
    };
    match (need, given.is_empty()) {
        (Requirement::Required, true) => {
            let remedy =
                "Set { env = \"NAME\" }, the secret with which the platform signs its webhooks";
            section.report("secret", format!("is missing. {remedy}"));
            None
        }
        (Requirement::Unused, false) => {
            section.report(
                "secret",
                "is not used: the platform signs its webhooks without a secret. Remove it",
            );
            None
        }
        (Requirement::Required | Requirement::Optional | Requirement::Unused, _) => Some(given),
    }
}

/// The secret path segment after the source's name in the URL.
fn path_token(section: &mut Section<'_>, scheme: Option<&dyn SignatureScheme>) -> Option<Secret> {
    let given = section.secret("path_token");
    if scheme.is_some_and(|scheme| scheme.path_token() == Requirement::Required) {
        let remedy = "The platform does not sign its webhooks: set { env = \"NAME\" }, a text of 12 or more characters that nobody can guess";
        return section.required("path_token", given, remedy);
    }
    given.valid()
}

fn external_account_id(
    section: &Section<'_>,
    given: Field<ExternalAccountId>,
    traits: Option<Capabilities>,
) -> Option<ExternalAccountId> {
    if traits.is_some_and(|traits| !traits.names_account) {
        let remedy = "The platform's webhooks do not name the account: choose a name for it and never change it";
        return section.required("external_account_id", given, remedy);
    }
    given.valid()
}

fn hubspot(section: &mut Section<'_>, accounts: &BTreeSet<AccountName>) -> Option<AccountName> {
    let names: Vec<&str> = accounts.iter().map(AccountName::as_str).collect();
    let names = names.join(", ");
    match section.text("hubspot") {
        Field::Invalid => None,
        Field::Valid(name) => {
            let account = accounts.get(name.as_str()).cloned();
            // A configuration without accounts has been reported.
            if account.is_none() && !accounts.is_empty() {
                section.report(
                    "hubspot",
                    format!("names an unknown account. Known accounts: {names}"),
                );
            }
            account
        }
        Field::Absent => {
            if accounts.len() > 1 {
                section.report("hubspot", format!("is missing. Set one of: {names}"));
            }
            accounts.first().cloned()
        }
    }
}

fn custom_properties(section: &mut Section<'_>) -> BTreeMap<String, CustomProperty> {
    let Field::Valid(mut properties) = section.section("custom_properties") else {
        return BTreeMap::new();
    };
    let entries = properties.entries("a text that is not empty, or { cel = \"...\" }");
    let property = |(name, entry)| {
        let property = match entry {
            SectionEntry::Text(text) => CustomProperty::Text(text),
            SectionEntry::Table(mut table) => {
                let given = table.parsed("cel", |text| event_expression(&text));
                let expression = table.required("cel", given, "Set an expression over event");
                table.finish();
                CustomProperty::Computed(expression?)
            }
        };
        Some((name, property))
    };
    entries.into_iter().filter_map(property).collect()
}

fn event_expression(text: &str) -> Result<Expression, String> {
    compile_event_expression(text).map_err(|error| format!("{error}. Correct the expression"))
}

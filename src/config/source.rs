//! `[source.NAME]`: keys, defaults and rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::relations;
use super::section::{Section, SectionEntry};
use crate::event::{
    AccountName, CustomProperty, ExternalAccountId, Policy, RecurringMode, SourceName,
    compile_event_expression,
};
use crate::expression::Expression;
use crate::intake::{DEFAULT_TOLERANCE, Replays, Source};
use crate::providers::{Capabilities, Options as _, Platform, Requirement, SignatureScheme};
use crate::secret::Secret;

/// Delay after the end at which an event is completed, if the platform sends no "ended".
const GRACE: Duration = Duration::from_mins(30);
/// Shortest path token that cannot be guessed by trying.
const PATH_TOKEN_MIN: usize = 12;

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
    let sections = root.named_sections("source", "Add [source.NAME] with provider and secret");
    let mut names = BTreeSet::new();
    let source = |(name, section): (String, Section<'_>)| {
        let name = section.name(SourceName::parse(name));
        names.extend(name.clone());
        let source = source(name, section, known)?;
        Some((source.name.clone(), source))
    };
    let mut sources: BTreeMap<SourceName, Source> =
        sections.into_iter().filter_map(source).collect();
    let former = sources.iter().map(|(name, source): (_, &Source)| (name, &source.formerly));
    relations::check_former_names(root, "source", former, &names);
    relations::relate_sources(root, &mut sources, &names);
    sources.into_iter().map(|(name, source)| (name, Arc::new(source))).collect()
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
    let tolerance = section.duration("timestamp_tolerance").unwrap_or(DEFAULT_TOLERANCE);
    let replays = match section.choice("replays", &["accept", "refuse"]) {
        Some("refuse") => Replays::Refuse,
        _ => Replays::Accept,
    };
    let platform_accounts = section.texts("platform_accounts");
    let organizer = section.display_text("organizer");
    let event_type = section.display_text("event_type");
    let external_account_id = external_account_id(&mut section, traits);
    let recurring = match section.choice("recurring", &["occurrence", "series"]) {
        Some("series") => RecurringMode::Series,
        _ => RecurringMode::Occurrence,
    };
    let complete_after_end = section.duration_or_zero("complete_after_end");
    let reports_end = traits.is_none_or(|traits| traits.reports_end);
    let complete_after_end = complete_after_end.or((!reports_end).then_some(GRACE));
    let custom_properties = custom_properties(&mut section);
    let formerly = relations::former_names(&mut section, SourceName::parse);
    let ownership = relations::ownership(&mut section, platform);
    let only = section.parsed("only", |text| event_expression(&text));
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
        replays,
        formerly,
        platform_accounts: platform_accounts.map(BTreeSet::from_iter),
        policy: Policy {
            hubspot: hubspot?,
            provider: id,
            organizer,
            event_type,
            external_account_id,
            recurring,
            complete_after_end,
            only: Vec::from_iter(only),
            custom_properties,
            ownership,
        },
    })
}

fn platform(
    section: &mut Section<'_>,
    platforms: &[&'static Platform],
) -> Option<&'static Platform> {
    let names: Vec<String> = platforms.iter().map(|known| known.id.to_string()).collect();
    let names = names.join(", ");
    let name = section.required("provider", &format!("Set one of: {names}"), Section::text)?;
    let platform = platforms.iter().find(|known| known.id.as_str() == name).copied();
    if platform.is_none() {
        section
            .add_problem("provider", format!("is not a known platform. Known platforms: {names}"));
    }
    platform
}

/// The secrets that verify webhooks.
fn secrets(section: &mut Section<'_>, need: Requirement) -> Option<Vec<Secret>> {
    let present = (section.has("secret"), section.has("secrets"));
    let one = section.secret("secret");
    let many = section.secrets("secrets");
    let given = match present {
        (true, true) => {
            section.add_problem("secret", "is set as well as secrets. Keep one of the two");
            return None;
        }
        (true, false) => vec![one?],
        (false, true) => many?,
        (false, false) => Vec::new(),
    };
    match (need, given.is_empty()) {
        (Requirement::Required, true) => {
            let remedy =
                "Set { env = \"NAME\" }, the secret with which the platform signs its webhooks";
            section.add_problem("secret", format!("is missing. {remedy}"));
            None
        }
        (Requirement::Unused, false) => {
            section.add_problem(
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
    let read = |section: &mut Section<'_>, key| section.secret_of(key, PATH_TOKEN_MIN);
    if scheme.is_some_and(|scheme| scheme.path_token() == Requirement::Required) {
        let remedy = "The platform does not sign its webhooks: set { env = \"NAME\" }, a text of 12 or more characters that nobody can guess";
        return section.required("path_token", remedy, read);
    }
    read(section, "path_token")
}

fn external_account_id(
    section: &mut Section<'_>,
    traits: Option<Capabilities>,
) -> Option<ExternalAccountId> {
    let parse = |text| {
        ExternalAccountId::parse(text).map_err(|error| {
            format!("{error}. Use at most 200 characters, without blanks and control characters")
        })
    };
    let read = |section: &mut Section<'_>, key| section.parsed(key, parse);
    if traits.is_some_and(|traits| !traits.names_account) {
        let remedy = "The platform's webhooks do not name the account: choose a name for it and never change it";
        return section.required("external_account_id", remedy, read);
    }
    read(section, "external_account_id")
}

fn hubspot(section: &mut Section<'_>, accounts: &BTreeSet<AccountName>) -> Option<AccountName> {
    let names: Vec<&str> = accounts.iter().map(AccountName::as_str).collect();
    let names = names.join(", ");
    let is_present = section.has("hubspot");
    let given = section.text("hubspot");
    if !is_present {
        if accounts.len() > 1 {
            section.add_problem("hubspot", format!("is missing. Set one of: {names}"));
        }
        return accounts.first().cloned();
    }
    let name = given?;
    let account = accounts.get(name.as_str()).cloned();
    // A configuration without accounts has been reported.
    if account.is_none() && !accounts.is_empty() {
        section
            .add_problem("hubspot", format!("names an unknown account. Known accounts: {names}"));
    }
    account
}

fn custom_properties(section: &mut Section<'_>) -> BTreeMap<String, CustomProperty> {
    let Some(mut properties) = section.section("custom_properties") else {
        return BTreeMap::new();
    };
    let entries = properties.entries("a text that is not empty, or { cel = \"...\" }");
    let property = |(name, entry): (String, SectionEntry)| {
        let property = match entry {
            SectionEntry::Text(text) => CustomProperty::Text(text),
            SectionEntry::Table(table) => {
                let mut table = properties.below(&name, table);
                let read = |table: &mut Section<'_>, key| {
                    table.parsed(key, |text| event_expression(&text))
                };
                let expression = table.required("cel", "Set an expression over event", read);
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

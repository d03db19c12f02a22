//! `[source.NAME]`: keys, defaults and rules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::given::Given;
use super::rules::Zero;
use super::section::{Entry, Section};
use super::settings::Source;
use crate::event::{
    AccountName, ExternalAccountId, Policy, Property, Recurring, SourceName, event_expression,
};
use crate::providers::Provider;
use crate::receive::Endpoint;
use crate::secret::Secret;

/// What a source may refer to.
pub(super) struct Known<'a> {
    /// The platforms.
    pub providers: &'a [&'static dyn Provider],
    /// The HubSpot accounts that are configured, right or wrong.
    pub accounts: &'a BTreeSet<AccountName>,
}

/// All sources that are right.
pub(super) fn sources(root: &mut Section<'_>, known: &Known<'_>) -> BTreeMap<SourceName, Source> {
    let sections = match root.section("source") {
        Given::Bad => return BTreeMap::new(),
        Given::Absent => Vec::new(),
        Given::Good(source) => source.named(),
    };
    if sections.is_empty() {
        root.problem("source", "is missing. Add [source.NAME] with provider and secret");
    }
    let source = |(name, section): (String, Section<'_>)| {
        let name = section.name(SourceName::parse(name));
        let source = source(name, section, known)?;
        Some((source.endpoint.name.clone(), source))
    };
    sections.into_iter().filter_map(source).collect()
}

fn source(name: Option<SourceName>, mut section: Section<'_>, known: &Known<'_>) -> Option<Source> {
    let provider = provider(&mut section, known.providers);
    let secrets = secrets(&mut section);
    let hubspot = hubspot(&mut section, known.accounts);
    let path_token = section.secret("path_token").good();
    let tolerance =
        section.duration("timestamp_tolerance", Zero::Refused).or(Duration::from_hours(2));
    let platform_accounts = section.texts("platform_accounts").good();
    let organizer = section.shown_text("organizer").good();
    let event_type = section.shown_text("event_type").good();
    let external_account_id =
        section.parsed("external_account_id", ExternalAccountId::parse).good();
    let recurring = section
        .word("recurring", &[("occurrence", Recurring::Occurrence), ("series", Recurring::Series)])
        .or(Recurring::default());
    let complete_after_end = section.duration("complete_after_end", Zero::Allowed).good();
    let custom_properties = custom_properties(&mut section);
    let only = section.parsed("only", |text| event_expression(&text)).good();
    section.not_yet("api");
    section.finish();

    let provider = provider?;
    Some(Source {
        endpoint: Endpoint {
            name: name?,
            provider,
            secrets: secrets?,
            path_token,
            tolerance,
            platform_accounts: platform_accounts.map(BTreeSet::from_iter),
        },
        policy: Policy {
            hubspot: hubspot?,
            provider: provider.id(),
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

fn provider(
    section: &mut Section<'_>,
    providers: &[&'static dyn Provider],
) -> Option<&'static dyn Provider> {
    let names: Vec<String> = providers.iter().map(|known| known.id().to_string()).collect();
    let names = names.join(", ");
    let given = section.text("provider");
    let name = section.required("provider", given, &format!("Set one of: {names}"))?;
    let provider = providers.iter().find(|known| known.id().as_str() == name).copied();
    if provider.is_none() {
        section.problem("provider", format!("is not a known platform. Known: {names}"));
    }
    provider
}

/// The secrets that webhooks are verified with. Every platform of this version signs, so there must be one.
fn secrets(section: &mut Section<'_>) -> Option<Vec<Secret>> {
    let both = section.has("secret") && section.has("secrets");
    let one = section.secret("secret");
    let many = section.secrets("secrets");
    if both {
        section.problem("secret", "stands beside secrets. Keep one of the two");
        return None;
    }
    if let Given::Absent = many {
        let remedy = "Set { env = \"NAME\" }, the secret the platform signs its webhooks with";
        return section.required("secret", one, remedy).map(|secret| vec![secret]);
    }
    many.good()
}

fn hubspot(section: &mut Section<'_>, accounts: &BTreeSet<AccountName>) -> Option<AccountName> {
    let names: Vec<&str> = accounts.iter().map(AccountName::as_str).collect();
    let names = names.join(", ");
    match section.text("hubspot") {
        Given::Bad => None,
        Given::Good(name) => {
            let account = accounts.get(name.as_str()).cloned();
            // Where there is no account at all that is the problem, and was told.
            if account.is_none() && !accounts.is_empty() {
                section
                    .problem("hubspot", format!("names no account that is there. There: {names}"));
            }
            account
        }
        Given::Absent => {
            if accounts.len() > 1 {
                section.problem("hubspot", format!("is missing. Set one of: {names}"));
            }
            accounts.first().cloned()
        }
    }
}

fn custom_properties(section: &mut Section<'_>) -> BTreeMap<String, Property> {
    let Given::Good(properties) = section.section("custom_properties") else {
        return BTreeMap::new();
    };
    let entries = properties.entries("a text that is not empty, or { cel = \"...\" }");
    let property = |(name, entry)| {
        let property = match entry {
            Entry::Text(text) => Property::Text(text),
            Entry::Table(mut table) => {
                let given = table.parsed("cel", |text| event_expression(&text));
                let expression = table.required("cel", given, "Set an expression over event");
                table.finish();
                Property::Computed(expression?)
            }
        };
        Some((name, property))
    };
    entries.into_iter().filter_map(property).collect()
}

//! `[hubspot.NAME]`: keys, defaults and rules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use url::Url;

use super::relations;
use super::section::Section;
use super::settings::AccountSettings;
use crate::deliver::DeliverySettings;
use crate::event::AccountName;
use crate::hubspot::settings::{AccountApiSettings, AccountCredentials, RateLimit};
use crate::providers::Options as _;

/// HubSpot's own limit (`POST .../events/upsert` takes 1 to 100 inputs).
const BATCH_MAX: u32 = 100;

/// The valid accounts, and the names of all, valid or not: sources may refer to either.
pub(super) fn accounts(
    root: &mut Section<'_>,
) -> (BTreeMap<AccountName, AccountSettings>, BTreeSet<AccountName>) {
    let remedy = "Add [hubspot.main] with access_token = { env = \"HUBSPOT_ACCESS_TOKEN\" }";
    let sections = root.named_sections("hubspot", remedy);
    let (mut accounts, mut names) = (BTreeMap::new(), BTreeSet::new());
    for (name, section) in sections {
        let name = section.name(AccountName::parse(name));
        names.extend(name.clone());
        accounts.extend(name.zip(account(section)));
    }
    let former = accounts.iter().map(|(name, account)| (name, &account.formerly));
    relations::check_former_names(root, "hubspot", former, &names);
    (accounts, names)
}

fn account(mut section: Section<'_>) -> Option<AccountSettings> {
    let credentials = credentials(&mut section);
    let base_url = section.url("base_url").unwrap_or(known_url("https://api.hubapi.com"));
    if base_url.path() != "/" || base_url.query().is_some() || base_url.fragment().is_some() {
        section
            .add_problem("base_url", "must be scheme and host only. Set the path in path_prefix");
    }
    let path_prefix = section
        .parsed("path_prefix", path_prefix)
        .unwrap_or("/marketing/v3/marketing-events".to_owned());
    let rate_limit = rate_limit(&mut section);
    let max_batch = to_usize(section.count("max_batch", BATCH_MAX).unwrap_or(BATCH_MAX));
    let max_linger = section.duration_or_zero("max_linger").unwrap_or(Duration::from_secs(1));
    let max_in_flight = to_usize(section.positive_integer("max_in_flight").unwrap_or(16));
    let deliver = section.flag("deliver").unwrap_or(true);
    let request_timeout = section.duration("request_timeout").unwrap_or(Duration::from_secs(30));
    let formerly = relations::former_names(&mut section, AccountName::parse);
    section.finish();
    Some(AccountSettings {
        api: AccountApiSettings {
            base_url,
            path_prefix,
            request_timeout,
            credentials: credentials?,
        },
        delivery: DeliverySettings {
            sends: deliver,
            rate_limit,
            max_batch,
            max_linger,
            max_in_flight,
            random: rand::random,
        },
        deliver,
        formerly,
    })
}

fn credentials(section: &mut Section<'_>) -> Option<AccountCredentials> {
    let present = (section.has("access_token"), section.has("oauth"));
    let token = section.secret("access_token");
    let oauth = section.section("oauth").and_then(oauth);
    match present {
        (true, true) => {
            section.add_problem("access_token", "is set as well as oauth. Keep one of the two");
            None
        }
        (false, false) => {
            section.add_problem(
                "access_token",
                "is missing. Set access_token = { env = \"HUBSPOT_ACCESS_TOKEN\" }, or oauth = { ... }",
            );
            None
        }
        (true, false) => token.map(AccountCredentials::Token),
        (false, true) => oauth,
    }
}

fn oauth(mut section: Section<'_>) -> Option<AccountCredentials> {
    let client_id = section.required("client_id", "Set the app's client id", Section::text);
    let client_secret =
        section.required("client_secret", "Set { env = \"NAME\" }", Section::secret);
    let refresh_token =
        section.required("refresh_token", "Set { env = \"NAME\" }", Section::secret);
    // https://developers.hubspot.com, OAuth 2026-03: the v1 address ends on 2027-02-16.
    let token_url =
        section.url("token_url").unwrap_or(known_url("https://api.hubapi.com/oauth/2026-03/token"));
    section.finish();
    Some(AccountCredentials::OAuth {
        client_id: client_id?,
        client_secret: client_secret?,
        refresh_token: refresh_token?,
        token_url,
    })
}

fn rate_limit(section: &mut Section<'_>) -> RateLimit {
    let mut limit = RateLimit { requests: 100, window: Duration::from_secs(10) };
    let Some(mut section) = section.section("rate_limit") else { return limit };
    limit.requests = section.positive_integer("requests").unwrap_or(limit.requests);
    limit.window = section.duration("window").unwrap_or(limit.window);
    section.finish();
    limit
}

/// Validates a path that stays the same when something is appended.
fn path_prefix(text: String) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let Some(path) = text.strip_prefix('/') else { return Err("must begin with /") };
    if path.ends_with('/') || path.is_empty() {
        return Err("must not end with /");
    }
    if path.split('/').any(|part| part == ".." || part == "." || part.is_empty()) {
        return Err("must not have parts that are empty, \".\" or \"..\"");
    }
    if !path.split('/').all(|part| part.chars().all(plain)) {
        return Err("must be made of letters, digits and -._~ between slashes");
    }
    Ok(text)
}

fn known_url(text: &'static str) -> Url {
    Url::parse(text).expect("an address of our own is a URL")
}

fn to_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

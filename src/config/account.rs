//! `[hubspot.NAME]`: keys, defaults and rules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use url::Url;

use super::given::Given;
use super::rules::Zero;
use super::section::Section;
use super::settings::Account;
use crate::deliver::LaneSettings;
use crate::event::AccountName;
use crate::hubspot::settings::{Api, Credentials, RateLimit};

/// HubSpot's own limit (`POST .../events/upsert` takes 1 to 100 inputs).
const BATCH_MAX: u32 = 100;

/// The accounts, and the names of all that are there, right or wrong: sources may refer to either.
pub(super) fn accounts(
    root: &mut Section<'_>,
) -> (BTreeMap<AccountName, Account>, BTreeSet<AccountName>) {
    let sections = match root.section("hubspot") {
        Given::Bad => return Default::default(),
        Given::Absent => Vec::new(),
        Given::Good(hubspot) => hubspot.named(),
    };
    if sections.is_empty() {
        root.problem(
            "hubspot",
            "is missing. Add [hubspot.main] with access_token = { env = \"HUBSPOT_ACCESS_TOKEN\" }",
        );
    }
    let (mut accounts, mut names) = (BTreeMap::new(), BTreeSet::new());
    for (name, section) in sections {
        let name = section.name(AccountName::parse(name));
        names.extend(name.clone());
        accounts.extend(name.zip(account(section)));
    }
    (accounts, names)
}

fn account(mut section: Section<'_>) -> Option<Account> {
    let credentials = credentials(&mut section);
    let base_url = section.url("base_url").or(known_url("https://api.hubapi.com"));
    if base_url.path() != "/" || base_url.query().is_some() || base_url.fragment().is_some() {
        section.problem("base_url", "must be scheme and host only. The path is path_prefix");
    }
    let path_prefix =
        section.parsed("path_prefix", path_prefix).or("/marketing/v3/marketing-events".to_owned());
    let rate_limit = rate_limit(&mut section);
    let max_batch = whole(section.count("max_batch", 1..=BATCH_MAX).or(BATCH_MAX));
    let max_linger = section.duration("max_linger", Zero::Allowed).or(Duration::from_secs(1));
    let max_in_flight = whole(section.count("max_in_flight", 1..=u32::MAX).or(16));
    let deliver = section.flag("deliver").or(true);
    let request_timeout =
        section.duration("request_timeout", Zero::Refused).or(Duration::from_secs(30));
    section.finish();
    Some(Account {
        api: Api { base_url, path_prefix, request_timeout, credentials: credentials? },
        lane: LaneSettings {
            rate_limit,
            max_batch,
            max_linger,
            max_in_flight,
            random: rand::random,
        },
        deliver,
    })
}

fn credentials(section: &mut Section<'_>) -> Option<Credentials> {
    let both = section.has("access_token") && section.has("oauth");
    let token = section.secret("access_token");
    let oauth = match section.section("oauth") {
        Given::Absent => Given::Absent,
        Given::Bad => Given::Bad,
        Given::Good(oauth) => self::oauth(oauth).map_or(Given::Bad, Given::Good),
    };
    if both {
        section.problem("access_token", "stands beside oauth. Keep one of the two");
        return None;
    }
    if let Given::Absent = oauth {
        let remedy = "Set access_token = { env = \"HUBSPOT_ACCESS_TOKEN\" }, or oauth = { ... }";
        return section.required("access_token", token, remedy).map(Credentials::Token);
    }
    oauth.good()
}

fn oauth(mut section: Section<'_>) -> Option<Credentials> {
    let client_id = section.text("client_id");
    let client_id = section.required("client_id", client_id, "Set the app's client id");
    let client_secret = section.secret("client_secret");
    let client_secret = section.required("client_secret", client_secret, "Set { env = \"NAME\" }");
    let refresh_token = section.secret("refresh_token");
    let refresh_token = section.required("refresh_token", refresh_token, "Set { env = \"NAME\" }");
    // https://developers.hubspot.com, OAuth 2026-03: the v1 address ends on 2027-02-16.
    let token_url =
        section.url("token_url").or(known_url("https://api.hubapi.com/oauth/2026-03/token"));
    section.finish();
    Some(Credentials::OAuth {
        client_id: client_id?,
        client_secret: client_secret?,
        refresh_token: refresh_token?,
        token_url,
    })
}

fn rate_limit(section: &mut Section<'_>) -> RateLimit {
    let mut limit = RateLimit { requests: 100, window: Duration::from_secs(10) };
    let Given::Good(mut section) = section.section("rate_limit") else { return limit };
    limit.requests = section.count("requests", 1..=u32::MAX).or(limit.requests);
    limit.window = section.duration("window", Zero::Refused).or(limit.window);
    section.finish();
    limit
}

/// A path that stays what it is when something is put after it.
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

fn whole(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

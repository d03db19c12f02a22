//! The bridge's configuration, which the operator changes every week.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::platforms::PlatformName;
use crate::harness::rng::SeededRng;

/// Token of the HubSpot account.
pub(super) const TOKEN: &str = "pat-of-the-year";
/// Host of HubSpot.
pub(super) const HUBSPOT: &str = "hubspot.example";
/// Beginning of the names that `only` refuses.
pub(super) const INTERNAL: &str = "[internal]";

/// The settings that the operator changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct YearSettings {
    /// Organizer of webinars whose host has no name.
    pub(super) organizer: String,
    /// A property of every event.
    pub(super) campaign: Option<String>,
    /// Whether another property counts the characters of the name.
    pub(super) has_name_length: bool,
    /// `complete_after_end` where the platform does not say when a webinar ended.
    pub(super) grace: Duration,
    /// Whether internal webinars are left out.
    pub(super) leaves_out_internal: bool,
    /// Former names and the present one of each source.
    pub(super) names: BTreeMap<PlatformName, Vec<String>>,
    /// Former names and the present one of the HubSpot account.
    pub(super) account_names: Vec<String>,
}

impl YearSettings {
    pub(super) fn new() -> Self {
        let names =
            PlatformName::ALL.map(|name| (name, vec![name.simulated().source().to_owned()]));
        Self {
            organizer: "Acme GmbH".into(),
            campaign: None,
            has_name_length: false,
            grace: Duration::from_mins(30),
            leaves_out_internal: false,
            names: BTreeMap::from(names),
            account_names: vec!["main".into()],
        }
    }

    /// The present name of a platform's source.
    pub(super) fn source(&self, platform: PlatformName) -> &str {
        self.names[&platform].last().expect("it has a name")
    }

    /// One weekly change.
    pub(super) fn change(&mut self, rng: &mut SeededRng, week: usize) {
        match rng.below(5) {
            0 => self.organizer = format!("Acme GmbH, team {week}"),
            1 => self.campaign = rng.percent(80).then(|| format!("campaign {week}")),
            2 => self.has_name_length = !self.has_name_length,
            3 => self.grace = Duration::from_mins(*rng.pick(&[15, 30, 180, 26 * 60])),
            _ => self.leaves_out_internal = !self.leaves_out_internal,
        }
    }

    /// Gives a source a new name, under which it inherits.
    pub(super) fn rename(&mut self, platform: PlatformName) {
        let names = self.names.get_mut(&platform).expect("it has a source");
        names.push(format!("acme-{}-{}", platform.simulated().source(), names.len()));
    }

    /// Gives the HubSpot account a new name, under which it inherits.
    pub(super) fn rename_account(&mut self) {
        self.account_names.push(format!("acme-{}", self.account_names.len()));
    }

    /// The properties of an event with that name.
    pub(super) fn properties(&self, name: &str) -> BTreeMap<String, String> {
        let campaign = self.campaign.iter().map(|text| ("campaign".to_owned(), text.clone()));
        let length = self.has_name_length.then(|| name.chars().count().to_string());
        campaign.chain(length.map(|length| ("name_length".to_owned(), length))).collect()
    }

    /// Whether an event with that name is sent.
    pub(super) fn passes(&self, name: &str) -> bool {
        !(self.leaves_out_internal && name.starts_with(INTERNAL))
    }

    /// The configuration's text.
    pub(super) fn to_toml(&self, store: &Path) -> String {
        let (account, former) = self.account_names.split_last().expect("it has a name");
        let mut text = format!(
            "store.url = \"sqlite:{}\"\n[hubspot.{account}]\naccess_token = \"{TOKEN}\"\n\
             base_url = \"https://{HUBSPOT}\"\n{}\n",
            store.display(),
            formerly(former)
        );
        for (platform, names) in &self.names {
            let platform = platform.simulated();
            let (name, former) = names.split_last().expect("it has a name");
            let organizer = &self.organizer;
            let mut lines = vec![
                format!("[source.{name}]"),
                format!("provider = {:?}", platform.id()),
                formerly(former),
                format!("organizer = {organizer:?}"),
                platform.settings().to_owned(),
            ];
            let mut properties = Vec::new();
            properties.extend(self.campaign.iter().map(|text| format!("campaign = {text:?}")));
            if self.has_name_length {
                properties.push("name_length = { cel = \"string(size(event.name))\" }".to_owned());
            }
            if !properties.is_empty() {
                lines.push(format!("custom_properties = {{ {} }}", properties.join(", ")));
            }
            if !platform.reports_end() {
                lines.push(format!("complete_after_end = \"{}m\"", self.grace.as_secs() / 60));
            }
            if self.leaves_out_internal {
                lines.push(format!("only = '!event.name.startsWith(\"{INTERNAL}\")'"));
            }
            text = text + &lines.join("\n") + "\n";
        }
        text
    }
}

/// The line with former names; empty without.
fn formerly(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("formerly = {names:?}") }
}

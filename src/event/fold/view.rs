//! One event's values, and what HubSpot gets of them.

use std::collections::BTreeMap;

use super::{Folded, Gap};
use crate::event::id::{ExternalAccountId, ExternalEventId};
use crate::event::input::EventInput;
use crate::event::policy::Policy;
use crate::event::register::{Register, latest};
use crate::event::time::Millis;
use crate::event::webinar::{Registers, Webinar};

/// The values of one event, each with the register it came from.
pub(super) struct View<'a> {
    pub(super) id: ExternalEventId,
    pub(super) name: Option<&'a Register<String>>,
    pub(super) organizer: Option<&'a Register<String>>,
    pub(super) description: Option<&'a Register<String>>,
    pub(super) event_type: Option<&'a Register<String>>,
    pub(super) registration_url: Option<&'a Register<String>>,
    pub(super) join_url: Option<&'a Register<String>>,
    pub(super) custom: BTreeMap<&'a str, &'a Register<String>>,
    pub(super) start: Option<Millis>,
    pub(super) end: Option<Millis>,
    pub(super) cancelled: bool,
    pub(super) completed: bool,
    pub(super) times_known: bool,
}

impl<'a> View<'a> {
    pub(super) fn texts(id: ExternalEventId, own: &'a Registers, whole: &'a Registers) -> Self {
        let mut custom: BTreeMap<&str, &Register<String>> = BTreeMap::new();
        for name in whole.custom.keys().chain(own.custom.keys()) {
            custom.extend(
                latest(own.custom.get(name), whole.custom.get(name)).map(|r| (name.as_str(), r)),
            );
        }
        Self {
            id,
            name: latest(own.name.as_ref(), whole.name.as_ref()),
            organizer: latest(own.organizer.as_ref(), whole.organizer.as_ref()),
            description: latest(own.description.as_ref(), whole.description.as_ref()),
            event_type: latest(own.event_type.as_ref(), whole.event_type.as_ref()),
            registration_url: latest(
                own.registration_url.as_ref(),
                whole.registration_url.as_ref(),
            ),
            join_url: latest(own.join_url.as_ref(), whole.join_url.as_ref()),
            custom,
            start: None,
            end: None,
            cancelled: false,
            completed: false,
            times_known: true,
        }
    }

    pub(super) fn finish(
        self,
        webinar: &Webinar,
        account: &ExternalAccountId,
        policy: &Policy,
        now: Millis,
    ) -> Folded {
        let text = |r: Option<&Register<String>>| {
            r.map(|r| r.value.clone()).filter(|text| !text.is_empty())
        };
        let timer = policy
            .complete_after_end
            .and_then(|grace| self.end.map(|end| end.plus(grace)))
            .filter(|_| !self.cancelled && !self.completed);
        let timed_out = timer.is_some_and(|due| due <= now);
        let name = text(self.name);
        let organizer = text(self.organizer).or_else(|| policy.organizer.clone());
        let event_type = policy.event_type.clone().or_else(|| text(self.event_type));
        let mut custom = policy.custom_properties.clone();
        for (key, register) in &self.custom {
            if register.value.is_empty() {
                custom.remove(*key);
            } else {
                custom.insert((*key).to_owned(), register.value.clone());
            }
        }
        let gaps: Vec<Gap> = [
            (!webinar.full_picture).then_some(Gap::FullPicture),
            webinar.shape.is_none().then_some(Gap::Shape),
            name.is_none().then_some(Gap::Name),
            organizer.is_none().then_some(Gap::Organizer),
            (!self.times_known).then_some(Gap::Times),
        ]
        .into_iter()
        .flatten()
        .collect();
        let content = match (gaps.is_empty(), name.clone(), organizer) {
            (true, Some(event_name), Some(event_organizer)) => Ok(EventInput {
                external_account_id: account.as_str().to_owned(),
                external_event_id: self.id.as_str().to_owned(),
                event_name,
                event_organizer,
                event_type: event_type.unwrap_or_else(|| "WEBINAR".to_owned()),
                event_description: text(self.description),
                event_url: text(self.registration_url).or_else(|| text(self.join_url)),
                start_date_time: self.start,
                end_date_time: self.end,
                event_cancelled: self.cancelled,
                event_completed: self.completed || timed_out,
                custom_properties: custom,
            }),
            _ => Err(gaps),
        };
        Folded {
            id: self.id,
            content,
            name,
            start: self.start,
            end: self.end,
            due_at: timer.filter(|due| *due > now),
        }
    }
}

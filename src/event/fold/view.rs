//! One event's values, and what HubSpot gets of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::folded::FoldedEvent;
use super::resolve::{Resolved, latest};
use crate::event::computed::apply_expressions;
use crate::event::gap::Gap;
use crate::event::id::{ExternalAccountId, ExternalEventId, ReceiptId};
use crate::event::input::EventInput;
use crate::event::policy::Policy;
use crate::event::register::{Register, Stamp};
use crate::event::time::Millis;
use crate::event::webinar::{Registers, Webinar};
use crate::expression::StepBudget;

/// The values of one event, each with what it rests on.
pub(super) struct EventView<'a> {
    pub(super) id: ExternalEventId,
    pub(super) name: ResolvedText<'a>,
    pub(super) organizer: ResolvedText<'a>,
    pub(super) description: ResolvedText<'a>,
    pub(super) event_type: ResolvedText<'a>,
    pub(super) registration_url: ResolvedText<'a>,
    pub(super) join_url: ResolvedText<'a>,
    pub(super) custom: BTreeMap<&'a str, Resolved<&'a String>>,
    pub(super) start: Option<Resolved<Millis>>,
    pub(super) end: Option<Resolved<Millis>>,
    pub(super) cancelled: Option<Resolved<bool>>,
    pub(super) completed: Option<Resolved<bool>>,
    pub(super) times_known: bool,
}

/// A text that was said; an empty one takes away.
type ResolvedText<'a> = Option<Resolved<&'a String>>;

/// What a field's present value rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueOrigin {
    /// Which field, by our name of it: `name`, `start`, `custom.webinar_platform`.
    pub field: String,
    /// What it holds.
    pub value: serde_json::Value,
    /// Whether it was said of this occurrence, or of the whole webinar or series.
    pub from_occurrence: bool,
    /// The place of the saying between others.
    pub stamp: Stamp,
    /// The receipt that said it.
    pub receipt: ReceiptId,
}

impl<'a> EventView<'a> {
    pub(super) fn from_registers(
        id: ExternalEventId,
        own: &'a Registers,
        whole: &'a Registers,
    ) -> Self {
        let mut custom = BTreeMap::new();
        for name in whole.custom.keys().chain(own.custom.keys()) {
            let last = latest(own.custom.get(name), whole.custom.get(name));
            custom.extend(last.map(|said| (name.as_str(), said)));
        }
        let latest = |of: fn(&Registers) -> &Option<Register<String>>| {
            latest(of(own).as_ref(), of(whole).as_ref())
        };
        Self {
            id,
            name: latest(|said| &said.name),
            organizer: latest(|said| &said.organizer),
            description: latest(|said| &said.description),
            event_type: latest(|said| &said.event_type),
            registration_url: latest(|said| &said.registration_url),
            join_url: latest(|said| &said.join_url),
            custom,
            start: None,
            end: None,
            cancelled: None,
            completed: None,
            times_known: true,
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.is_some_and(|off| off.value)
    }

    fn is_completed(&self) -> bool {
        self.completed.is_some_and(|over| over.value)
    }

    /// Where people register, else join; and which of the two it is.
    fn url(&self) -> (&'static str, ResolvedText<'a>) {
        match non_empty(self.registration_url) {
            None => ("join_url", non_empty(self.join_url)),
            registration => ("registration_url", registration),
        }
    }

    /// When the passing of time completes it, past or to come.
    fn completion_time(&self, policy: &Policy) -> Option<Millis> {
        let end = self.end.filter(|_| !self.is_cancelled() && !self.is_completed())?;
        policy.complete_after_end.map(|grace| end.value.plus(grace))
    }

    /// What each field rests on.
    pub(super) fn value_origins(&self, policy: &Policy, now: Millis) -> Vec<ValueOrigin> {
        fn basis<T: Into<Value>>(field: &str, said: Resolved<T>) -> ValueOrigin {
            let Resolved { value, stamp, receipt, from_occurrence: of_occurrence } = said;
            ValueOrigin {
                field: field.to_owned(),
                value: value.into(),
                from_occurrence: of_occurrence,
                stamp,
                receipt,
            }
        }
        let (url, link) = self.url();
        let text = |field, said: ResolvedText<'_>| {
            said.map(|said| basis(field, said.with(said.value.clone())))
        };
        let time = |field, said: Option<Resolved<Millis>>| {
            said.map(|said| basis(field, said.with(said.value.to_string())))
        };
        let timed_out = self.completion_time(policy).is_some_and(|due| due <= now);
        let timed_out = self.end.filter(|_| timed_out).map(|end| end.with(true));
        let event_type = non_empty(self.event_type).filter(|_| policy.event_type.is_none());
        let fields = [
            text("name", non_empty(self.name)),
            text("organizer", non_empty(self.organizer)),
            text("event_type", event_type),
            text("description", non_empty(self.description)),
            text(url, link),
            time("start", self.start),
            time("end", self.end),
            self.cancelled.map(|off| basis("cancelled", off)),
            timed_out.or(self.completed).map(|over| basis("completed", over)),
        ];
        let custom = self.custom.iter().filter_map(|(name, said)| {
            non_empty(Some(*said))
                .map(|said| basis(&format!("custom.{name}"), said.with(said.value.clone())))
        });
        fields.into_iter().flatten().chain(custom).collect()
    }

    pub(super) fn finish(
        self,
        webinar: &Webinar,
        account: &ExternalAccountId,
        policy: &Policy,
        now: Millis,
        steps: &mut StepBudget,
    ) -> FoldedEvent {
        let text = |said: ResolvedText<'_>| non_empty(said).map(|said| said.value.clone());
        let timer = self.completion_time(policy);
        let timed_out = timer.is_some_and(|due| due <= now);
        let (start, end) = (self.start.map(|r| r.value), self.end.map(|r| r.value));
        let name = text(self.name);
        let organizer = text(self.organizer).or_else(|| policy.organizer.clone());
        let event_type = policy.event_type.clone().or_else(|| text(self.event_type));
        let mut custom = policy.fixed_properties();
        for (key, said) in &self.custom {
            if said.value.is_empty() {
                custom.remove(*key);
            } else {
                custom.insert((*key).to_owned(), said.value.clone());
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
            (true, Some(event_name), Some(event_organizer)) => {
                let input = EventInput {
                    external_account_id: account.as_str().to_owned(),
                    external_event_id: self.id.as_str().to_owned(),
                    event_name,
                    event_organizer,
                    event_type: event_type.unwrap_or_else(|| "WEBINAR".to_owned()),
                    event_description: text(self.description),
                    event_url: text(self.url().1),
                    start_date_time: start,
                    end_date_time: end,
                    event_cancelled: self.is_cancelled(),
                    event_completed: self.is_completed() || timed_out,
                    custom_properties: custom,
                };
                let said = self.custom.iter().map(|(name, said)| (*name, said.value.as_str()));
                apply_expressions(policy, input, said.filter(|(_, text)| !text.is_empty()), steps)
            }
            _ => Err(gaps),
        };
        let (content, remarks) = match content {
            Ok((input, remarks)) => (Ok(input), remarks),
            Err(gaps) => (Err(gaps), Vec::new()),
        };
        let due_at = timer.filter(|due| *due > now);
        FoldedEvent { id: self.id, content, warnings: remarks, name, start, end, due_at }
    }
}

/// A text that is not empty.
fn non_empty(text: ResolvedText<'_>) -> ResolvedText<'_> {
    text.filter(|text| !text.value.is_empty())
}

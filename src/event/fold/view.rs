//! The resolved values of one event, and the input for HubSpot made of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::field_origin::FieldOrigin;
use super::folded::{EventFlags, FoldedEvent};
use super::gaps::held_of;
use super::resolve::{Resolved, latest};
use crate::event::base::{BaseFields, BasePosition, EventBases};
use crate::event::computed::apply_expressions;
use crate::event::gap::Gap;
use crate::event::id::{ExternalAccountId, ExternalEventId, ReceiptId};
use crate::event::input::{DEFAULT_TYPE, EventInput};
use crate::event::policy::Policy;
use crate::event::register::{Origin, Register};
use crate::event::time::Millis;
use crate::event::webinar::{Registers, Webinar};
use crate::expression::StepBudget;

/// A webinar that has begun is completed this long after its planned end, although the platform never reported that it ended.
const LOST_END: Duration = Duration::from_hours(24);
/// The length of a webinar whose end is unknown.
pub(super) const ASSUMED_LENGTH: Duration = Duration::from_hours(24);

/// The resolved values of one event, each with its origin.
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
    /// Whether it has begun, and nobody reported that it ended.
    pub(super) has_begun: bool,
    /// The start of what has begun.
    pub(super) begun: Option<Resolved<Millis>>,
    pub(super) times_known: bool,
    pub(super) occurrences: OccurrenceKnowledge,
}

/// Which occurrences of a series are known. Of a webinar that is none, nothing is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OccurrenceKnowledge {
    Known,
    /// Some are known, and there may be others.
    Some,
    Unknown,
    /// None is known. HubSpot keeps the event that the webinar had before it became a series, if it holds that.
    StoodFor,
}

/// A resolved text; an empty one removes the field.
pub(super) type ResolvedText<'a> = Option<Resolved<&'a String>>;

impl<'a> EventView<'a> {
    /// The registers of one occurrence over those of the webinar, or these alone.
    pub(super) fn from_registers(
        id: ExternalEventId,
        own: Option<&'a Registers>,
        whole: &'a Registers,
    ) -> Self {
        let mut custom = BTreeMap::new();
        for name in own.into_iter().chain([whole]).flat_map(|registers| registers.custom.keys()) {
            let last = latest(own.and_then(|own| own.custom.get(name)), whole.custom.get(name));
            custom.extend(last.map(|resolved| (name.as_str(), resolved)));
        }
        let latest = |of: fn(&Registers) -> &Option<Register<String>>| {
            latest(own.and_then(|own| of(own).as_ref()), of(whole).as_ref())
        };
        Self {
            id,
            name: latest(|registers| &registers.name),
            organizer: latest(|registers| &registers.organizer),
            description: latest(|registers| &registers.description),
            event_type: latest(|registers| &registers.event_type),
            registration_url: latest(|registers| &registers.registration_url),
            join_url: latest(|registers| &registers.join_url),
            custom,
            start: None,
            end: None,
            cancelled: None,
            completed: None,
            has_begun: false,
            begun: None,
            times_known: true,
            occurrences: OccurrenceKnowledge::Known,
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.is_some_and(|off| off.value)
    }

    fn is_completed(&self) -> bool {
        self.completed.is_some_and(|over| over.value)
    }

    /// The registration link, else the join link, with the name of its field.
    fn url(&self) -> (&'static str, ResolvedText<'a>) {
        match non_empty(self.registration_url) {
            None => ("join_url", non_empty(self.join_url)),
            registration => ("registration_url", registration),
        }
    }

    /// Whether a report that a base at that position does not replace removed the link.
    fn is_link_removed(&self, position: BasePosition) -> bool {
        let mut links = [self.registration_url, self.join_url].into_iter().flatten();
        links.any(|link| link.value.is_empty() && !position.beats(&link.stamp))
    }

    /// The end after which a timer may complete the event.
    fn open_end(&self) -> Option<Millis> {
        self.last_end()
            .filter(|_| !self.is_cancelled() && !self.is_completed())
            .map(|end| end.value)
    }

    /// The end; what has begun without a planned one is assumed to end some time, too.
    fn last_end(&self) -> Option<Resolved<Millis>> {
        let assumed = || self.begun.map(|start| start.with(start.value.plus(ASSUMED_LENGTH)));
        self.end.or_else(assumed)
    }

    /// Time at which the completion timer runs out, past or to come.
    fn completion_time(&self, policy: &Policy) -> Option<Millis> {
        let end = self.open_end()?;
        // Where the platform reports when it ended, that may be lost.
        let grace = policy.complete_after_end.or_else(|| self.has_begun.then_some(LOST_END));
        grace.map(|grace| end.plus(grace))
    }

    /// The origin of each field, given those of the webinar's receipts.
    pub(super) fn field_origins(
        &self,
        origins: &BTreeMap<ReceiptId, Origin>,
        policy: &Policy,
        now: Millis,
    ) -> Vec<FieldOrigin> {
        let text = |resolved: ResolvedText<'_>| {
            non_empty(resolved).map(|text| text.with(Value::from(text.value.as_str())))
        };
        let time = |resolved: Option<Resolved<Millis>>| {
            resolved.map(|time| time.with(Value::from(time.value.to_string())))
        };
        let flag = |resolved: Option<Resolved<bool>>| {
            resolved.map(|flag| flag.with(Value::from(flag.value)))
        };
        let timed_out = self.completion_time(policy).is_some_and(|due| due <= now);
        let timed_out = self.last_end().filter(|_| timed_out).map(|end| end.with(true));
        let (url, link) = self.url();
        let fields = [
            ("name", text(self.name)),
            ("organizer", text(self.organizer)),
            ("event_type", text(self.event_type.filter(|_| policy.event_type.is_none()))),
            ("description", text(self.description)),
            (url, text(link)),
            ("start", time(self.start)),
            ("end", time(self.end)),
            ("cancelled", flag(self.cancelled)),
            ("completed", flag(timed_out.or(self.completed))),
        ];
        let fields = fields.map(|(field, resolved)| (field.to_owned(), resolved));
        let custom = self.custom.iter();
        let custom = custom.map(|(name, value)| (format!("custom.{name}"), text(Some(*value))));
        let origin = |(field, resolved): (String, Option<Resolved<Value>>)| {
            let Resolved { value, stamp, receipt, of_occurrence } = resolved?;
            let Origin { source, event_type, reported_at, received_at, .. } =
                origins.get(&receipt)?.clone();
            Some(FieldOrigin {
                field,
                value,
                of_occurrence,
                at: stamp.at,
                receipt,
                source,
                event_type,
                reported_at,
                received_at,
            })
        };
        fields.into_iter().chain(custom).filter_map(origin).collect()
    }

    /// The source's properties under those that HubSpot held under those of the webinar; an empty one removes a property.
    fn properties(&self, policy: &Policy, base: Option<&BaseFields>) -> BTreeMap<String, String> {
        let mut custom = policy.fixed_properties();
        for (name, value) in base.into_iter().flat_map(|base| &base.custom) {
            let is_computed = policy.computed_properties().any(|(computed, _)| computed == name);
            if !is_computed {
                custom.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        for (key, resolved) in &self.custom {
            if resolved.value.is_empty() {
                custom.remove(*key);
            } else {
                custom.insert((*key).to_owned(), resolved.value.clone());
            }
        }
        custom
    }

    pub(super) fn finish(
        self,
        webinar: &Webinar,
        bases: &EventBases,
        account: &ExternalAccountId,
        policy: &Policy,
        now: Millis,
        steps: &mut StepBudget,
    ) -> FoldedEvent {
        let text =
            |resolved: ResolvedText<'_>| non_empty(resolved).map(|resolved| resolved.value.clone());
        let state = bases.of(&self.id);
        let held = held_of(state, bases.held.get(&self.id));
        let held = held.as_ref();
        let timer = self.completion_time(policy);
        let stays = held.and_then(|held| held.completed_after);
        let stays = stays.is_some() && stays == self.open_end();
        let timed_out = stays || timer.is_some_and(|due| due <= now);
        let completed_after = self.open_end().filter(|_| timed_out);
        let (start, end) = (self.start.map(|r| r.value), self.end.map(|r| r.value));
        let name = text(self.name);
        // Organizer, type and properties fill in only what neither the platform nor the source sets.
        let base = state.base().map(|base| &base.fields);
        let organizer = self.organizer_of(policy, base);
        let event_type = policy
            .event_type
            .clone()
            .or_else(|| text(self.event_type))
            .or_else(|| base.and_then(|base| base.event_type.clone()));
        let url = text(self.url().1).or_else(|| {
            let base = state.base()?;
            base.fields.url.clone().filter(|_| !self.is_link_removed(base.position))
        });
        let custom = self.properties(policy, base);
        let flags = EventFlags {
            cancelled: self.is_cancelled(),
            completed: self.is_completed() || timed_out,
        };
        let gaps = self.gaps(webinar, state, policy, held);
        let content = match (gaps.is_empty(), name.clone(), organizer) {
            (true, Some(event_name), Some(event_organizer)) => {
                let input = EventInput {
                    external_account_id: account.as_str().to_owned(),
                    external_event_id: self.id.as_str().to_owned(),
                    event_name,
                    event_organizer,
                    event_type: event_type.unwrap_or_else(|| DEFAULT_TYPE.to_owned()),
                    event_description: text(self.description),
                    event_url: url,
                    start_date_time: start,
                    end_date_time: end,
                    event_cancelled: flags.cancelled,
                    event_completed: flags.completed,
                    custom_properties: custom,
                };
                let custom =
                    self.custom.iter().map(|(name, resolved)| (*name, resolved.value.as_str()));
                apply_expressions(policy, input, custom.filter(|(_, text)| !text.is_empty()), steps)
            }
            _ => Err(gaps),
        };
        let lacks_occurrences = self.occurrences != OccurrenceKnowledge::Known;
        let (content, warnings) = match content {
            Ok((input, remarks)) => {
                let gap = lacks_occurrences.then_some(Gap::Occurrences);
                (Ok(input), gap.into_iter().chain(remarks).collect())
            }
            Err(gaps) => (Err(gaps), Vec::new()),
        };
        let held_input = base
            .zip(sendable_flags(&content, flags, base))
            .and_then(|(base, flags)| base.with_flags(account, &self.id, flags));
        // A value that the source sets now is no longer one that HubSpot held.
        let remaining_base =
            base.filter(|_| content.is_ok()).and_then(|base| base.without_configured(policy));
        FoldedEvent {
            id: self.id,
            content,
            warnings,
            held_input,
            name,
            start,
            end,
            cancelled: flags.cancelled,
            due_at: timer.filter(|_| !timed_out),
            completed_after,
            flags,
            remaining_base: remaining_base.map(Box::new),
        }
    }
}

/// The flags that are sent of an event although its input is not, where HubSpot held this base of it: `only` refuses the
/// event, or its occurrences are unknown, which a cancellation of the whole does not need.
fn sendable_flags<T>(
    content: &Result<T, Vec<Gap>>,
    flags: EventFlags,
    base: Option<&BaseFields>,
) -> Option<EventFlags> {
    match content.as_ref().map_err(Vec::as_slice) {
        Err([Gap::Filtered]) => Some(flags),
        Err([Gap::Occurrences]) if flags.cancelled => {
            base.map(|base| EventFlags { completed: base.completed, ..flags })
        }
        Ok(_) | Err(_) => None,
    }
}

/// A text that is not empty.
pub(super) fn non_empty(text: ResolvedText<'_>) -> ResolvedText<'_> {
    text.filter(|text| !text.value.is_empty())
}

//! The registers of a webinar, a series or an occurrence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::change::{EndTime, WebinarFields};
use super::history::{History, Horizon};
use super::id::ReceiptId;
use super::register::{Register, Stamp, retain, write};
use super::time::Millis;

/// Place of a change's writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placement<'a> {
    pub(super) stamp: Stamp,
    pub(super) receipt: ReceiptId,
    /// Which writes are too old to be divided by a late one: it is a week before the receipt.
    pub(super) horizon: Horizon<'a>,
}

impl Placement<'_> {
    /// A write of that value here.
    pub(super) fn register<T>(self, value: T) -> Register<T> {
        Register { value, stamp: self.stamp, receipt: self.receipt }
    }
}

/// The newest write of each field. The fields are those of [`WebinarFields`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "each is the field of the same name in `WebinarFields`")]
pub struct Registers {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Register<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organizer: Option<Register<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Register<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<Register<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_url: Option<Register<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_url: Option<Register<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Register<Millis>>,
    /// Earlier writes of `start`: since when the present start is known decides which reports belong to another date.
    #[serde(skip_serializing_if = "History::is_empty")]
    pub earlier_start: History<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Register<EndTime>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_end: Option<Register<Millis>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Register<bool>>,
    /// Earlier writes of `cancelled`: a repeated cancellation is as old as the first of an unbroken row.
    #[serde(skip_serializing_if = "History::is_empty")]
    pub earlier_cancelled: History<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<Register<bool>>,
    /// Earlier writes of `completed`.
    #[serde(skip_serializing_if = "History::is_empty")]
    pub earlier_completed: History<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<Register<bool>>,
    /// Earlier writes of `absent`.
    #[serde(skip_serializing_if = "History::is_empty")]
    pub earlier_absent: History<bool>,
    /// Of an occurrence: whether the full lists that [`super::Webinar`] does not hold any more left it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<Register<bool>>,
    /// Earlier writes of `unlisted`.
    #[serde(skip_serializing_if = "History::is_empty")]
    pub earlier_unlisted: History<bool>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, Register<String>>,
}

impl Registers {
    /// Writes every field that is present.
    pub(super) fn write(&mut self, fields: &WebinarFields, place: Placement<'_>) {
        fn put<T: Clone>(field: &mut Option<Register<T>>, value: Option<&T>, place: Placement<'_>) {
            if let Some(value) = value {
                write(field, place.register(value.clone()));
            }
        }
        put(&mut self.name, fields.name.as_ref(), place);
        put(&mut self.organizer, fields.organizer.as_ref(), place);
        put(&mut self.description, fields.description.as_ref(), place);
        put(&mut self.event_type, fields.event_type.as_ref(), place);
        put(&mut self.registration_url, fields.registration_url.as_ref(), place);
        put(&mut self.join_url, fields.join_url.as_ref(), place);
        let horizon = place.horizon;
        if let Some(start) = fields.start {
            let new = place.register(start);
            self.earlier_start.write(&mut self.start, new, horizon);
        }
        put(&mut self.end, fields.planned_end().as_ref(), place);
        put(&mut self.actual_end, fields.actual_end.as_ref(), place);
        if let Some(cancelled) = fields.cancelled {
            let new = place.register(cancelled);
            self.earlier_cancelled.write(&mut self.cancelled, new, horizon);
        }
        if let Some(completed) = fields.completed {
            let new = place.register(completed);
            self.earlier_completed.write(&mut self.completed, new, horizon);
        }
        if let Some(absent) = fields.absent {
            self.write_absent(place.register(absent), horizon);
        }
        for (name, value) in &fields.custom {
            let mut field = self.custom.remove(name);
            put(&mut field, Some(value), place);
            self.custom.extend(field.map(|field| (name.clone(), field)));
        }
    }

    /// Writes that an answer of the platform's API showed the webinar or occurrence, or did not.
    pub(super) fn write_absent(&mut self, new: Register<bool>, horizon: Horizon<'_>) {
        self.earlier_absent.write(&mut self.absent, new, horizon);
    }

    /// Writes that a full list, too old to be changed by a late webhook, left the occurrence out, or did not.
    pub(super) fn write_unlisted(&mut self, new: Register<bool>) {
        self.earlier_unlisted.write(&mut self.unlisted, new, Horizon::ALL_OLD);
    }

    /// Whether a list counts for the occurrence: it is not absent from one before it was first reported.
    pub(super) fn is_touched_by(&self, absent: &Register<bool>) -> bool {
        let first = self.first_reported();
        !absent.value || first.is_none_or(|reported| reported <= absent.stamp)
    }

    /// When the start was first reported.
    pub(super) fn first_reported(&self) -> Option<Stamp> {
        self.earlier_start.iter().chain(&self.start).next().map(|start| start.stamp)
    }

    /// When it was last named as something that takes place, or anything was reported of it.
    pub(super) fn last_named(&self) -> Option<Stamp> {
        fn stamp<T>(field: Option<&Register<T>>) -> Option<Stamp> {
            field.map(|register| register.stamp)
        }
        let Self { name, organizer, description, event_type, registration_url, join_url, .. } =
            self;
        let texts = [name, organizer, description, event_type, registration_url, join_url];
        let present =
            [&self.absent, &self.unlisted].into_iter().flatten().filter(|gone| !gone.value);
        let others = [
            stamp(self.start.as_ref()),
            stamp(self.end.as_ref()),
            stamp(self.actual_end.as_ref()),
            stamp(self.cancelled.as_ref()),
            stamp(self.completed.as_ref()),
        ];
        let custom = self.custom.values().map(|field| field.stamp);
        let all = texts.into_iter().map(|text| stamp(text.as_ref())).chain(others).flatten();
        all.chain(present.map(|present| present.stamp)).chain(custom).max()
    }

    /// Keeps only the writes of some receipts. `keep` sees the receipt of every write.
    pub(super) fn retain(&mut self, keep: &mut impl FnMut(ReceiptId) -> bool) {
        let Self {
            name,
            organizer,
            description,
            event_type,
            registration_url,
            join_url,
            start,
            earlier_start,
            end,
            actual_end,
            cancelled,
            earlier_cancelled,
            completed,
            earlier_completed,
            absent,
            earlier_absent,
            unlisted,
            earlier_unlisted,
            custom,
        } = self;
        for text in [name, organizer, description, event_type, registration_url, join_url] {
            retain(text, keep);
        }
        earlier_start.retain(start, keep);
        retain(end, keep);
        retain(actual_end, keep);
        earlier_cancelled.retain(cancelled, keep);
        earlier_completed.retain(completed, keep);
        earlier_absent.retain(absent, keep);
        earlier_unlisted.retain(unlisted, keep);
        custom.retain(|_, register| keep(register.receipt));
    }

    /// Whether no field was ever written.
    pub(in crate::event) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

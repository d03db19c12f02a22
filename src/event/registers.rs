//! The registers of a webinar, a series or an occurrence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::change::{EndTime, WebinarFields};
use super::history::History;
use super::id::ReceiptId;
use super::register::{Register, Stamp, retain, write};
use super::time::Millis;

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
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, Register<String>>,
}

impl Registers {
    /// Writes every field that is present.
    pub(super) fn write(&mut self, fields: &WebinarFields, stamp: Stamp, receipt: ReceiptId) {
        fn put<T: Clone>(
            field: &mut Option<Register<T>>,
            value: Option<&T>,
            stamp: Stamp,
            receipt: ReceiptId,
        ) {
            if let Some(value) = value {
                write(field, Register { value: value.clone(), stamp, receipt });
            }
        }
        put(&mut self.name, fields.name.as_ref(), stamp, receipt);
        put(&mut self.organizer, fields.organizer.as_ref(), stamp, receipt);
        put(&mut self.description, fields.description.as_ref(), stamp, receipt);
        put(&mut self.event_type, fields.event_type.as_ref(), stamp, receipt);
        put(&mut self.registration_url, fields.registration_url.as_ref(), stamp, receipt);
        put(&mut self.join_url, fields.join_url.as_ref(), stamp, receipt);
        put(&mut self.start, fields.start.as_ref(), stamp, receipt);
        put(&mut self.end, fields.end.as_ref(), stamp, receipt);
        put(&mut self.actual_end, fields.actual_end.as_ref(), stamp, receipt);
        if let Some(value) = fields.cancelled {
            let new = Register { value, stamp, receipt };
            self.earlier_cancelled.write(&mut self.cancelled, new);
        }
        put(&mut self.completed, fields.completed.as_ref(), stamp, receipt);
        for (name, value) in &fields.custom {
            let mut field = self.custom.remove(name);
            put(&mut field, Some(value), stamp, receipt);
            self.custom.extend(field.map(|field| (name.clone(), field)));
        }
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
            end,
            actual_end,
            cancelled,
            earlier_cancelled,
            completed,
            custom,
        } = self;
        for text in [name, organizer, description, event_type, registration_url, join_url] {
            retain(text, keep);
        }
        retain(start, keep);
        retain(end, keep);
        retain(actual_end, keep);
        earlier_cancelled.retain(cancelled, keep);
        retain(completed, keep);
        custom.retain(|_, register| keep(register.receipt));
    }

    /// Whether no field was ever written.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

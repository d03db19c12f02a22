//! The events in a body, borrowed from the text they are parsed from. Optional fields stay raw.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::providers::lenient::{self, Object};

/// An event: its name, its meeting and its time.
pub(super) struct Event<'a> {
    /// The name, `meeting-created`. `None` for messages that are forwarded in the server's internal format (`getRaw`).
    pub(super) name: Option<Cow<'a, str>>,
    /// `attributes`.
    attributes: Option<&'a RawValue>,
    /// Time in milliseconds.
    pub(super) at: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    data: Option<Object<Data<'a>>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct Data<'a> {
    id: Option<&'a RawValue>,
    attributes: Option<&'a RawValue>,
    event: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Moment<'a> {
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Attributes<'a> {
    #[serde(borrow)]
    meeting: Object<Meeting<'a>>,
}

/// A meeting.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Meeting<'a> {
    pub(super) internal_meeting_id: Option<&'a RawValue>,
    external_meeting_id: Option<&'a RawValue>,
    pub(super) name: Option<&'a RawValue>,
    is_breakout: Option<&'a RawValue>,
    /// Limit in minutes; 0 means no limit.
    pub(super) duration: Option<&'a RawValue>,
    /// Time in milliseconds.
    pub(super) create_time: Option<&'a RawValue>,
}

/// Parses the events in the text of the field `event`.
///
/// # Errors
/// A sentence for operators that repeats nothing from the body.
pub(super) fn parse_events(text: &str) -> Result<Vec<Event<'_>>, String> {
    let list: Vec<&RawValue> = lenient::parse(text, "event is not a list in JSON")?;
    list.into_iter().map(parse_event).collect()
}

fn parse_event(raw: &RawValue) -> Result<Event<'_>, String> {
    let entry: Entry<'_> =
        lenient::parse_object(raw.get(), "an event, or its data, is not an object")?;
    let Some(Object(data)) = entry.data else {
        return Ok(Event { name: None, attributes: None, at: None });
    };
    let name = data.id.map(|id| lenient::string(id).ok_or("data.id is not a text")).transpose()?;
    let moment = data.event.and_then(lenient::object::<Moment<'_>>);
    Ok(Event { name, attributes: data.attributes, at: moment.and_then(|moment| moment.ts) })
}

impl<'a> Event<'a> {
    /// Parses the meeting that the event is about.
    ///
    /// # Errors
    /// A sentence for operators that repeats nothing from the body.
    pub(super) fn parse_meeting(&self) -> Result<Meeting<'a>, String> {
        let attributes = self.attributes.ok_or("data.attributes is missing")?;
        let attributes: Attributes<'a> =
            lenient::parse_object(attributes.get(), "data.attributes.meeting is not an object")?;
        Ok(attributes.meeting.0)
    }
}

impl Meeting<'_> {
    /// Whether the meeting is a breakout room, by its flag or else by its ids. Both ids of a breakout room are a SHA-1
    /// followed by the same time. A meeting's creator who chooses the external id cannot predict the internal one's
    /// time.
    pub(super) fn is_breakout(&self) -> bool {
        if let Some(flag) = self.is_breakout.and_then(lenient::boolean) {
            return flag;
        }
        let time = |id: Option<&RawValue>| {
            let id = id.and_then(lenient::string)?;
            let (hash, time) = id.split_once('-')?;
            let is_hash = hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hash.then(|| time.to_owned())
        };
        let (internal, external) = (time(self.internal_meeting_id), time(self.external_meeting_id));
        internal.is_some() && internal == external
    }
}

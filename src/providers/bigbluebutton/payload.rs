//! The events in a body, borrowed from the text they are read from. Optional fields stay raw.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::providers::lenient::{self, Object};

/// What happened, in which meeting, and when.
pub(super) struct Event<'a> {
    /// Its name, `meeting-created`; none of what is sent as it is inside of the server (`getRaw`).
    pub(super) name: Option<Cow<'a, str>>,
    /// `attributes`.
    attributes: Option<&'a RawValue>,
    /// Milliseconds.
    pub(super) at: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    data: Option<Object<Data<'a>>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
    #[serde(borrow)]
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
#[serde(rename_all = "kebab-case")]
pub(super) struct Meeting<'a> {
    #[serde(borrow)]
    pub(super) internal_meeting_id: Option<&'a RawValue>,
    #[serde(borrow)]
    external_meeting_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    is_breakout: Option<&'a RawValue>,
    /// Minutes; 0 is no limit.
    #[serde(borrow)]
    pub(super) duration: Option<&'a RawValue>,
    /// Milliseconds.
    #[serde(borrow)]
    pub(super) create_time: Option<&'a RawValue>,
}

/// The events in the text of the field `event`.
///
/// # Errors
/// A sentence for operators, which repeats nothing of the body.
pub(super) fn parse_events(text: &str) -> Result<Vec<Event<'_>>, String> {
    let list: Vec<&RawValue> = lenient::parse(text, "event is not a list in JSON")?;
    list.into_iter().map(parse_event).collect()
}

fn parse_event(raw: &RawValue) -> Result<Event<'_>, String> {
    let entry: Object<Entry<'_>> =
        lenient::parse(raw.get(), "an event, or its data, is not an object")?;
    let Some(Object(data)) = entry.0.data else {
        return Ok(Event { name: None, attributes: None, at: None });
    };
    let name = data.id.map(|id| lenient::string(id).ok_or("data.id is not a text")).transpose()?;
    let moment =
        data.event.and_then(|event| lenient::parse::<Object<Moment<'_>>>(event.get(), "").ok());
    Ok(Event { name, attributes: data.attributes, at: moment.and_then(|moment| moment.0.ts) })
}

impl<'a> Event<'a> {
    /// The meeting that it is about.
    ///
    /// # Errors
    /// A sentence for operators, which repeats nothing of the body.
    pub(super) fn parse_meeting(&self) -> Result<Meeting<'a>, String> {
        let attributes = self.attributes.ok_or("data.attributes is missing")?;
        let attributes: Object<Attributes<'a>> =
            lenient::parse(attributes.get(), "data.attributes.meeting is not an object")?;
        Ok(attributes.0.meeting.0)
    }
}

impl Meeting<'_> {
    /// Whether it is a breakout room: it says so, or its ids do. Those of a room end in the same time, and before that each
    /// is a SHA-1; an id that whoever makes a meeting chooses cannot foretell the other's time.
    pub(super) fn is_breakout(&self) -> bool {
        if let Some(said) = self.is_breakout.and_then(lenient::boolean) {
            return said;
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

//! The read and the single write of one event.

use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use super::{EmulatorFault, HubspotEmulator, answer, batch, wire};
use crate::event::Millis;
use crate::http::simple_server::{SimpleRequest, SimpleResponse};

impl HubspotEmulator {
    /// `GET {prefix}/events/{externalEventId}?externalAccountId=`.
    pub(super) fn read(
        &mut self,
        request: &SimpleRequest,
    ) -> Result<SimpleResponse, SimpleResponse> {
        let account = form_urlencoded::parse(request.query.as_bytes())
            .find(|(name, _)| name == "externalAccountId")
            .map(|(_, value)| value.into_owned());
        let Some(account) = account else {
            self.violations.push("an event is read without externalAccountId".to_owned());
            return Err(answer::invalid("externalAccountId is required"));
        };
        match self.read_status {
            Some(403) => return Err(answer::missing_scope(answer::READ_SCOPE)),
            Some(status) => return Err(answer::status(status)),
            None => {}
        }
        let event = self.events.get(&(account, event_id(request)));
        let event = event.ok_or_else(answer::no_such_event)?;
        Ok(SimpleResponse::json(200, &event.read_response()))
    }

    /// `PUT {prefix}/events/{externalEventId}`: replaces the event, as an upsert of it does. Faults that concern batches
    /// only do not apply.
    pub(super) fn put(
        &mut self,
        now: Millis,
        request: &SimpleRequest,
    ) -> Result<SimpleResponse, SimpleResponse> {
        if !wire::has_content_type(request, "application/json") {
            self.violations.push("a single write takes application/json".to_owned());
        }
        let input = batch::parse_single(&request.body);
        match &input {
            Ok(input) if input.external_event_id != event_id(request) => {
                self.violations.push("a single write of another event than its path's".to_owned());
            }
            Ok(_) => {}
            Err(problem) => self.violations.push(problem.to_string()),
        }
        self.access.admit(now, request.header("authorization"))?;
        let input = input.map_err(|problem| answer::invalid(&problem.to_string()))?;
        let inputs = std::slice::from_ref(&input);
        let applies = |fault: &EmulatorFault| fault.concerns_single() && fault.applies_to(inputs);
        let queued = self.queued.front().is_some_and(applies);
        let fault = if queued {
            self.queued.pop_front()
        } else {
            self.standing.iter().find(|fault| applies(fault)).cloned()
        };
        Ok(match fault {
            Some(EmulatorFault::PartialErrors { .. }) => answer::status(400),
            Some(fault) => self.apply_fault(now, fault, vec![input]),
            None => SimpleResponse::json(200, &self.replace(now, input)),
        })
    }
}

/// The external event id of the request's path.
fn event_id(request: &SimpleRequest) -> String {
    let encoded = wire::event_id(&request.path).unwrap_or_default();
    percent_decode_str(encoded).decode_utf8_lossy().into_owned()
}

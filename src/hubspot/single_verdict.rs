//! Judges HubSpot's response to the single write of an event.

use crate::net::{HttpResponse, TransportError};

use super::account_error::AccountError;
use super::remote_event::RemoteEvent;
use super::verdict::{BatchItem, ItemVerdict, Unconfirmed, Verdict, judge};

/// Judges the response to `PUT /events/{externalEventId}`, as [`judge`] does for a batch of that event. A success
/// confirms only if it shows this very event ([`RemoteEvent::shows`]).
#[must_use]
pub(super) fn judge_put(
    event: &BatchItem<'_>,
    response: Result<&HttpResponse, &TransportError>,
) -> Verdict {
    let shown = match response {
        Ok(response) if matches!(response.status, 200..=299) => {
            RemoteEvent::from_response(response)
        }
        Ok(_) | Err(_) => return judge(&[*event], response),
    };
    let item = match shown {
        Ok(Some(shown)) if shown.shows(event.input) => {
            ItemVerdict::Confirmed { object_id: shown.object_id() }
        }
        Ok(_) => ItemVerdict::Unconfirmed {
            reason: Unconfirmed::NoResult,
            detail: "HubSpot's answer to the single event does not show it as it was sent"
                .to_owned(),
        },
        Err(error) => return Verdict::Account(unreadable(error)),
    };
    Verdict::Items(vec![item])
}

fn unreadable(error: AccountError) -> AccountError {
    error.prefixed("the single event")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hubspot::AccountErrorKind;

    const INPUT: &[u8] = br#"{"externalEventId":"1","eventName":"Calm","eventOrganizer":"Acme",
        "eventCancelled":true,"eventCompleted":false}"#;

    fn judged(status: u16, body: &str) -> Verdict {
        let event = BatchItem { external_event_id: "1", input: INPUT };
        let response = HttpResponse { status, headers: Vec::new(), body: body.into() };
        judge_put(&event, Ok(&response))
    }

    #[test]
    fn success_confirms_only_if_it_shows_this_very_event() {
        let shown = r#"{"id":"1","objectId":"42","eventName":"Calm","eventOrganizer":"Acme","eventCancelled":true}"#;
        let confirmed = ItemVerdict::Confirmed { object_id: Some("42".into()) };
        assert_eq!(judged(200, shown), Verdict::Items(vec![confirmed]));
        for other in ["{}", &shown.replace("true", "false"), &shown.replace("Calm", "Other")] {
            let Verdict::Items(items) = judged(201, other) else { panic!("{other}") };
            assert!(matches!(items[..], [ItemVerdict::Unconfirmed { .. }]), "{other}");
        }
    }

    #[test]
    fn other_answers_are_judged_as_those_to_a_batch_of_one() {
        let refused = judged(400, r#"{"category":"VALIDATION_ERROR","message":"no"}"#);
        assert!(refused.is_single_refusal(), "{refused:?}");
        for (status, body, kind) in [
            (200, "<html>", AccountErrorKind::Overloaded),
            (403, "{}", AccountErrorKind::Forbidden),
            (404, "{}", AccountErrorKind::NotFound),
            (503, "", AccountErrorKind::Overloaded),
        ] {
            let Verdict::Account(error) = judged(status, body) else { panic!("{status}") };
            assert_eq!(error.kind, kind, "{status}");
        }
    }
}

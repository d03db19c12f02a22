//! The values of columns: each of the ledger's types is written and read in one way.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Null, ToSql, ToSqlOutput, ValueRef};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::{
    AccountName, BodyHash, ExternalAccountId, ExternalEventId, Millis, ProviderId, ReceiptId,
    SourceName, WebinarId,
};
use crate::ledger::rules::fetch::AbsenceTrust;
use crate::ledger::{EventState, FetchState, InputHash, ReceiptKind, ReceiptOutcome};

/// Names the value that each type is written as, and reads the type from it.
macro_rules! values {
    ($($type:ty: |$this:ident| $write:expr, |$stored:ident: $as:ty| $read:expr;)*) => {$(
        impl ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                let $this = self;
                Ok($write.into())
            }
        }

        impl FromSql for $type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let $stored = <$as>::column_result(value)?;
                $read
            }
        }
    )*};
}

values! {
    AccountName: |id| id.as_str(), |text: String| Self::parse(text).map_err(FromSqlError::other);
    SourceName: |id| id.as_str(), |text: String| Self::parse(text).map_err(FromSqlError::other);
    WebinarId: |id| id.as_str(), |text: String| Self::parse(text).map_err(FromSqlError::other);
    ExternalAccountId: |id| id.as_str(), |text: String| {
        Self::parse(text).map_err(FromSqlError::other)
    };
    ExternalEventId: |id| id.as_str(), |text: String| Ok(Self::from_stored(text));
    ProviderId: |id| id.as_str(), |text: String| Ok(Self::from_stored(text));
    ReceiptId: |id| id.as_bytes().as_slice(), |bytes: [u8; 16]| Ok(Self::from_bytes(bytes));
    BodyHash: |hash| hash.to_bytes().to_vec(), |bytes: [u8; 16]| Ok(Self::from_bytes(bytes));
    InputHash: |hash| hash.as_bytes().as_slice(), |bytes: Vec<u8>| {
        // A hash of another length, which no version of this program wrote, equals no input's.
        let hash = <[u8; 16]>::try_from(bytes);
        Ok(hash.map_or_else(|bytes| Self::from_input(&bytes), Self::from_bytes))
    };
    Millis: |time| time.get(), |ms: i64| Ok(Self::new(ms));
    TimeOrZero: |time| time.0.map_or(0, Millis::get), |ms: i64| {
        Ok(Self((ms != 0).then_some(Millis::new(ms))))
    };
    EventState: |state| state_code(*state), |code: i64| {
        let states =
            [Self::Pending, Self::Delivered, Self::Incomplete, Self::Dead, Self::Filtered];
        find(states, |state| Some(state_code(state)), code)
    };
    FetchState: |state| fetch_state_code(*state), |code: i64| {
        let states = [Self::Pending, Self::Answered, Self::GivenUp, Self::Dead];
        find(states, |state| Some(fetch_state_code(state)), code)
    };
    AbsenceTrust: |trust| absence_code(*trust), |code: i64| {
        let trusts = [Self::Limited, Self::Held, Self::Confirmed];
        find(trusts, |trust| Some(absence_code(trust)), code)
    };
    ReceiptKind: |kind| kind_code(*kind), |code: i64| {
        find([Self::Webhook, Self::Fetched], |kind| Some(kind_code(kind)), code)
    };
    ReceiptOutcome: |outcome| {
        // A duplicate is not stored: its column takes no NULL.
        outcome_code(*outcome).map_or(ToSqlOutput::from(Null), ToSqlOutput::from)
    }, |code: i64| {
        find([Self::Accepted, Self::Ignored, Self::Quarantined], outcome_code, code)
    };
}

fn state_code(state: EventState) -> i64 {
    match state {
        EventState::Pending => 0,
        EventState::Delivered => 1,
        EventState::Incomplete => 2,
        EventState::Dead => 3,
        EventState::Filtered => 4,
    }
}

fn fetch_state_code(state: FetchState) -> i64 {
    match state {
        FetchState::Pending => 0,
        FetchState::GivenUp => 1,
        FetchState::Dead => 2,
        FetchState::Answered => 3,
    }
}

fn absence_code(trust: AbsenceTrust) -> i64 {
    match trust {
        AbsenceTrust::Limited => 0,
        AbsenceTrust::Held => 1,
        AbsenceTrust::Confirmed => 2,
    }
}

fn kind_code(kind: ReceiptKind) -> i64 {
    match kind {
        ReceiptKind::Webhook => 0,
        ReceiptKind::Fetched => 1,
    }
}

/// The number of an outcome; none for a duplicate, which is not stored.
fn outcome_code(outcome: ReceiptOutcome) -> Option<i64> {
    match outcome {
        ReceiptOutcome::Accepted => Some(0),
        ReceiptOutcome::Ignored => Some(1),
        ReceiptOutcome::Quarantined => Some(2),
        ReceiptOutcome::Duplicate => None,
    }
}

/// Finds the variant with this number.
fn find<T: Copy, const N: usize>(
    variants: [T; N],
    code_of: impl Fn(T) -> Option<i64>,
    code: i64,
) -> FromSqlResult<T> {
    let found = variants.into_iter().find(|variant| code_of(*variant) == Some(code));
    found.ok_or(FromSqlError::OutOfRange(code))
}

/// A value that is stored as JSON text.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = serde_json::to_string(&self.0);
        let text = text.map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
        Ok(text.into())
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_slice(value.as_bytes()?).map(Self).map_err(FromSqlError::other)
    }
}

/// A time that may be absent; its column holds 0 then.
pub(super) struct TimeOrZero(pub(super) Option<Millis>);

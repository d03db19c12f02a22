//! The headers of a request, as providers read them.

use crate::http::RequestHeaders;
use crate::providers::{Header, Headers};

impl Headers for RequestHeaders<'_> {
    fn lookup(&self, name: &str) -> Header<'_> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (None, _) => Header::Missing,
            (Some(value), None) => Header::One(value),
            (Some(_), Some(_)) => Header::Repeated,
        }
    }
}

//! Configurable signatures by a hash of the request: their header, its layout, and the hashed message.
//!
//! Platforms' signatures look alike and differ in essentials (`t.body` or `tbody`, a MAC or a plain hash), so nothing
//! is guessed from a header's look: a [`MacScheme`] states all of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

use super::digest::{self, HashAlgorithm, MacMethod};
use super::message::{MessageTemplate, MessageValues, Placeholder};
use super::{SignatureScheme, find_secret, hmac};
use crate::event::Millis;
use crate::providers::{
    Headers, Inbound, Keys, RawRequest, SignedRequest, UnsignedRequest, Verified, VerifyError,
};

/// Limit of signatures in one header. A sender has a few keys while it rotates them.
const SIGNATURES_MAX: usize = 16;
/// Longest id of a delivery, in bytes.
const ID_MAX: usize = 256;
/// Longest time in milliseconds, in digits: the range of [`hmac::parse_unix_seconds`].
const MILLISECONDS_DIGITS_MAX: usize = 15;

/// A platform's signature scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacScheme {
    /// A keyed MAC, or a plain hash of a message with the secret.
    pub method: MacMethod,
    /// The hash.
    pub algorithm: HashAlgorithm,
    /// Encoding of the signature.
    pub encoding: SignatureEncoding,
    /// Location of the signature.
    pub location: SignatureLocation,
    /// The signed message.
    pub message: MessageTemplate,
    /// Name of the header with the signed time, if the signature's header does not hold it.
    pub timestamp_header: Option<String>,
    /// Unit of the signed time.
    pub timestamp_unit: TimeUnit,
    /// Name of the header with the delivery's signed id.
    pub id_header: Option<String>,
    /// The endpoint's URL as registered at the platform, if it is signed.
    pub url: String,
}

/// Encoding of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureEncoding {
    /// Hexadecimal digits of either case.
    Hex,
    /// Base64 with padding (RFC 4648, 4).
    Base64,
}

/// Location of a signature. Names of headers are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureLocation {
    /// A header.
    Header(String, HeaderLayout),
    /// A parameter of the query.
    Query(String),
}

/// Layout of the header with the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderLayout {
    /// The signature alone, with or without this prefix.
    Prefixed(String),
    /// A list of `key=value` in any order and with other entries; the signature may be there several times.
    Keyed {
        /// Start of the signed time's entry; none if the list has no time.
        timestamp: Option<String>,
        /// Start of a signature's entry.
        signature: String,
    },
    /// The signed time, a comma, and the signature.
    AfterTimestamp,
}

/// The signatures that a request claims, and the time beside them.
type Claims<'a, Signature> = (Vec<Signature>, Option<&'a [u8]>);

/// Unit of a time since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

impl SignatureScheme for MacScheme {
    fn verify(&self, request: &RawRequest<'_>, keys: Keys<'_>) -> Result<usize, VerifyError> {
        let (claimed, timestamp) = self.read_claims(request)?;
        // A plain hash allows length extension, but not by text: the extension begins with a byte that starts no
        // character.
        if self.method == MacMethod::Hash && std::str::from_utf8(request.body).is_err() {
            return Err(VerifyError::Malformed);
        }
        if claimed.is_empty() {
            return Err(VerifyError::Malformed);
        }
        let timestamp = match &self.timestamp_header {
            Some(header) => Some(request.headers.lookup(header).exactly_one()?),
            None => timestamp,
        };
        let signed_at = match timestamp {
            Some(text) => Some(self.timestamp_unit.read(text).ok_or(VerifyError::Malformed)?),
            None => None,
        };
        let id = match &self.id_header {
            Some(header) => request.headers.lookup(header).exactly_one()?,
            None => b"",
        };
        if id.len() > ID_MAX || (self.id_header.is_some() && id.is_empty()) {
            return Err(VerifyError::Malformed);
        }
        let values = self.values(timestamp.unwrap_or_default(), id, request.body);
        let secret = find_secret(keys.secrets, |secret| {
            let right = self.compute(secret, &values);
            // All signatures are compared, so that the duration does not depend on which one matches.
            let equal = |claimed: &Vec<u8>| bool::from(right.as_slice().ct_eq(claimed));
            claimed.iter().fold(false, |found, one| found | equal(one))
        })?;
        if let Some(signed_at) = signed_at {
            hmac::check_timestamp(signed_at, request.received_at, keys.tolerance)?;
        }
        Ok(secret)
    }

    fn sign(&self, request: UnsignedRequest<'_>) -> Result<SignedRequest, String> {
        let timestamp = self.timestamp_unit.write(request.now);
        let id = format!("delivery-{}", digest::short_hash(request.body));
        let values = self.values(timestamp.as_bytes(), id.as_bytes(), request.body);
        let code = self.encoding.write(&self.compute(request.secret, &values));
        let mut headers = Vec::new();
        let mut url = request.url.clone();
        match &self.location {
            SignatureLocation::Header(name, layout) => {
                headers.push((name.clone(), layout.write(&code, &timestamp)));
            }
            SignatureLocation::Query(name) => drop(url.query_pairs_mut().append_pair(name, &code)),
        }
        headers.extend(self.timestamp_header.clone().map(|name| (name, timestamp)));
        headers.extend(self.id_header.clone().map(|name| (name, id)));
        Ok(SignedRequest { url, ..SignedRequest::with_headers(request, headers) })
    }

    fn signs_time(&self) -> bool {
        self.message.contains(Placeholder::Timestamp)
    }

    fn signed_time(&self, request: &Inbound<'_, Verified>) -> Option<Vec<u8>> {
        let headers = request.headers;
        let written = match (&self.timestamp_header, &self.location) {
            (Some(header), _) => headers.lookup(header).exactly_one().ok()?,
            (None, SignatureLocation::Header(name, layout)) => {
                layout.read(headers.lookup(name).exactly_one().ok()?).ok()?.1?
            }
            (None, SignatureLocation::Query(_)) => return None,
        };
        Some(written.to_vec())
    }

    fn signed_at(
        &self,
        _request: &Inbound<'_, Verified>,
        written: Option<&[u8]>,
    ) -> Option<Millis> {
        self.timestamp_unit.read(written.filter(|_| self.signs_time())?)
    }

    fn id_headers(&self) -> Vec<String> {
        Vec::from_iter(self.id_header.clone())
    }

    fn delivery_id(&self, headers: &dyn Headers) -> Option<String> {
        headers.lookup(self.id_header.as_ref()?).text().map(str::to_owned)
    }
}

impl MacScheme {
    fn values<'v>(
        &'v self,
        timestamp: &'v [u8],
        id: &'v [u8],
        body: &'v [u8],
    ) -> MessageValues<'v> {
        MessageValues { body, timestamp, id, url: self.url.as_bytes() }
    }

    fn compute(&self, secret: &[u8], values: &MessageValues<'_>) -> Vec<u8> {
        self.algorithm.compute(self.method, secret, &self.message.parts(values, secret))
    }

    /// Reads the claims of a request. A signature that cannot be decoded is left out.
    fn read_claims<'a>(
        &self,
        request: &RawRequest<'a>,
    ) -> Result<Claims<'a, Vec<u8>>, VerifyError> {
        let decode = |text: &[u8]| self.encoding.read(text, self.algorithm);
        match &self.location {
            SignatureLocation::Header(name, layout) => {
                let value = request.headers.lookup(name).exactly_one()?;
                let (signatures, timestamp) = layout.read(value)?;
                Ok((signatures.into_iter().filter_map(decode).collect(), timestamp))
            }
            SignatureLocation::Query(name) => {
                let signature = decode(request.parameter(name)?.as_bytes());
                Ok((Vec::from_iter(signature), None))
            }
        }
    }
}

impl HeaderLayout {
    /// Parses `t={timestamp},v1={signature}`, `v1={signature}` or `{timestamp},{signature}`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mut timestamp, mut signature) = (None, None);
        let entries: Vec<&str> = text.split(',').map(str::trim).collect();
        for entry in &entries {
            let (found, key) = match entry.strip_suffix("{signature}") {
                Some(key) => (&mut signature, key),
                None => (&mut timestamp, entry.strip_suffix("{timestamp}")?),
            };
            if found.is_some() || key.contains(['{', '}']) {
                return None;
            }
            *found = Some(key.to_owned());
        }
        match (timestamp, signature?) {
            (None, key) if key.is_empty() => Some(Self::Prefixed(key)),
            (Some(time), key) if time.is_empty() && key.is_empty() => {
                (entries.first() == Some(&"{timestamp}")).then_some(Self::AfterTimestamp)
            }
            // Without a key, every entry would match.
            (Some(time), key) if time.is_empty() || key.is_empty() => None,
            (timestamp, signature) => Some(Self::Keyed { timestamp, signature }),
        }
    }

    /// Reads the claims of the header's value.
    fn read<'a>(&self, value: &'a [u8]) -> Result<Claims<'a, &'a [u8]>, VerifyError> {
        match self {
            Self::Prefixed(prefix) => {
                Ok((vec![value.strip_prefix(prefix.as_bytes()).unwrap_or(value)], None))
            }
            Self::AfterTimestamp => {
                let comma =
                    value.iter().position(|byte| *byte == b',').ok_or(VerifyError::Malformed)?;
                Ok((vec![&value[comma + 1..]], Some(&value[..comma])))
            }
            Self::Keyed { timestamp, signature } => {
                let signatures = entries(value, signature).take(SIGNATURES_MAX).collect();
                let Some(key) = timestamp else { return Ok((signatures, None)) };
                let mut times = entries(value, key);
                match (times.next(), times.next()) {
                    (Some(time), None) => Ok((signatures, Some(time))),
                    (None, _) | (Some(_), Some(_)) => Err(VerifyError::Malformed),
                }
            }
        }
    }

    fn write(&self, code: &str, timestamp: &str) -> String {
        match self {
            Self::Prefixed(prefix) => format!("{prefix}{code}"),
            Self::AfterTimestamp => format!("{timestamp},{code}"),
            Self::Keyed { timestamp: Some(time), signature } => {
                format!("{time}{timestamp},{signature}{code}")
            }
            Self::Keyed { timestamp: None, signature } => format!("{signature}{code}"),
        }
    }
}

/// The values of a list's entries that begin with the key.
fn entries<'a>(list: &'a [u8], key: &str) -> impl Iterator<Item = &'a [u8]> {
    let entries = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    entries.filter_map(|entry| entry.strip_prefix(key.as_bytes()))
}

impl SignatureEncoding {
    fn read(self, text: &[u8], algorithm: HashAlgorithm) -> Option<Vec<u8>> {
        let code = match self {
            Self::Hex => hex::decode(text).ok()?,
            Self::Base64 => STANDARD.decode(text).ok()?,
        };
        (code.len() == algorithm.length()).then_some(code)
    }

    fn write(self, code: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(code),
            Self::Base64 => STANDARD.encode(code),
        }
    }
}

impl TimeUnit {
    /// The units by their names in the configuration.
    pub const NAMED: [(&'static str, Self); 2] = [("s", Self::Seconds), ("ms", Self::Milliseconds)];

    fn read(self, text: &[u8]) -> Option<Millis> {
        match self {
            Self::Seconds => hmac::parse_unix_seconds(text),
            Self::Milliseconds => {
                hmac::parse_digits(text, MILLISECONDS_DIGITS_MAX).map(Millis::new)
            }
        }
    }

    fn write(self, time: Millis) -> String {
        match self {
            Self::Seconds => time.get().div_euclid(1_000).to_string(),
            Self::Milliseconds => time.get().to_string(),
        }
    }
}

//! Rules for values. Pure.

use url::{Host, Url};

/// Longest free text from the configuration, in characters: far below the limit of HubSpot's properties.
pub(super) const DISPLAY_TEXT_MAX: usize = 1_000;

/// Whether HubSpot can display the text: not blank, on one line, not too long.
pub(super) fn is_displayable(text: &str) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= DISPLAY_TEXT_MAX
        && !text.chars().any(char::is_control)
}

/// The reason why no credentials may be sent to this URL. It does not repeat the URL, which may hold some.
pub(super) fn url_problem(url: &Url) -> Option<&'static str> {
    if !url.username().is_empty() || url.password().is_some() {
        return Some("must not contain credentials. Remove the part before the @");
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => None,
        "http" if loopback => None,
        "http" => Some("must begin with https://. http:// is allowed for this machine only"),
        _ => Some("must begin with https://"),
    }
}

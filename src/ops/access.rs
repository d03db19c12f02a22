//! Who may use the API without tokens: programs on this machine, but no web page in a browser on it.
//!
//! A browser lets any page send requests to loopback, under a name of the page (DNS rebinding) or across origins;
//! `Host`, `Origin` and `Sec-Fetch-Site` show it. A proxy on this machine passes on requests of other machines from
//! loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::http::RequestHeaders;

/// Who may use the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiAccess {
    /// Programs on this machine.
    Loopback,
    /// Nobody: tokens are configured, and this version cannot check them.
    Closed,
}

/// How to treat a request to the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccessDecision {
    /// Answer it.
    Allowed,
    /// Answer as if there were no API.
    Hidden,
    /// Refuse it for this reason: a web page may have sent it.
    Forbidden(&'static str),
    /// Refuse it: tokens cannot be checked.
    Closed,
}

/// Headers that proxies add. Their values are not trusted; their presence shows that another machine sends the request.
const PROXY_HEADERS: [&str; 17] = [
    "forwarded",
    "via",
    "cf-connecting-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-forwarded",
    "x-original-forwarded-for",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-real-ip",
];

/// Decides how to treat a request. `authority` is the host of a request line that names one
/// (`GET http://host/ HTTP/1.1`), which wins over the header by RFC 9112.
pub(super) fn decide_access(
    access: ApiAccess,
    peer: Option<IpAddr>,
    authority: Option<&str>,
    headers: &RequestHeaders<'_>,
) -> AccessDecision {
    let near = peer.is_some_and(|peer| peer.to_canonical().is_loopback());
    if !near || PROXY_HEADERS.iter().any(|name| headers.contains(name)) {
        return AccessDecision::Hidden;
    }
    let Some(host) = headers.single_text("host") else {
        return AccessDecision::Forbidden("exactly one Host header is needed");
    };
    if !is_loopback(host) || authority.is_some_and(|authority| !is_loopback(authority)) {
        return AccessDecision::Forbidden("the Host must be localhost or a loopback address");
    }
    if headers.contains("origin") {
        let origin = headers.single_text("origin").and_then(|origin| origin.split_once("://"));
        let same = origin.is_some_and(|(scheme, origin)| {
            ["http", "https"].contains(&scheme) && origin.eq_ignore_ascii_case(host)
        });
        if !same {
            return AccessDecision::Forbidden("the Origin is not this Host");
        }
    }
    let site = "sec-fetch-site";
    if headers.contains(site)
        && !headers.single_text(site).is_some_and(|site| ["same-origin", "none"].contains(&site))
    {
        return AccessDecision::Forbidden("the request comes from another site (Sec-Fetch-Site)");
    }
    match access {
        ApiAccess::Loopback => AccessDecision::Allowed,
        ApiAccess::Closed => AccessDecision::Closed,
    }
}

/// Whether a host, with a port or without, can only mean this machine.
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else { return false };
            if !address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()) {
                return false;
            }
            ("localhost", port)
        }
        None => host.find(':').map_or((host, ""), |colon| host.split_at(colon)),
    };
    let known = name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    known && (port.is_empty() || port.strip_prefix(':').is_some_and(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

    fn asked(peer: Option<IpAddr>, headers: &[(&'static str, &str)]) -> AccessDecision {
        let headers = RequestHeaders::from_pairs(headers);
        decide_access(ApiAccess::Loopback, peer, None, &headers)
    }

    fn is_foreign(headers: &[(&'static str, &str)]) -> bool {
        matches!(asked(HERE, headers), AccessDecision::Forbidden(_))
    }

    #[test]
    fn access_from_another_machine_is_hidden() {
        let host = [("host", "localhost")];
        for peer in ["10.0.0.5", "192.168.1.1", "::2", "::ffff:10.0.0.5", "8.8.8.8"] {
            let peer = peer.parse().expect("an address");
            assert_eq!(asked(Some(peer), &host), AccessDecision::Hidden, "{peer}");
        }
        assert_eq!(asked(None, &host), AccessDecision::Hidden);
        for peer in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            let peer = peer.parse().expect("an address");
            assert_eq!(asked(Some(peer), &host), AccessDecision::Allowed, "{peer}");
        }
    }

    #[test]
    fn access_through_a_proxy_is_hidden() {
        for name in PROXY_HEADERS {
            let headers = [("host", "localhost"), (name, "127.0.0.1")];
            assert_eq!(asked(HERE, &headers), AccessDecision::Hidden, "{name}");
        }
    }

    #[test]
    fn host_that_is_not_loopback_is_forbidden() {
        for host in
            ["localhost", "LocalHost:9090", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:9090"]
        {
            assert_eq!(asked(HERE, &[("host", host)]), AccessDecision::Allowed, "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9090",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.5",
            "0.0.0.0",
            "[::2]",
            "[::1",
            "[::1]x",
            "::1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "localhost:",
            "localhost:9090:9090",
            "localhost:evil",
            "evil@localhost",
            "localhost@evil",
            "localhost, localhost",
        ] {
            assert!(is_foreign(&[("host", host)]), "{host:?}");
        }
        assert!(is_foreign(&[]));
        assert!(is_foreign(&[("host", "localhost"), ("host", "localhost")]));
        assert!(is_foreign(&[("host", "localhost"), ("host", "evil.example")]));
    }

    #[test]
    fn host_of_the_request_line_that_is_not_loopback_is_forbidden() {
        let headers = RequestHeaders::from_pairs(&[("host", "localhost")]);
        let asked = |authority| decide_access(ApiAccess::Loopback, HERE, Some(authority), &headers);
        assert_eq!(asked("localhost:9090"), AccessDecision::Allowed);
        assert!(matches!(asked("evil.example"), AccessDecision::Forbidden(_)));
    }

    #[test]
    fn origin_or_site_of_another_page_is_forbidden() {
        let host = ("host", "localhost:9090");
        for origin in ["http://localhost:9090", "https://LOCALHOST:9090"] {
            assert_eq!(
                asked(HERE, &[host, ("origin", origin)]),
                AccessDecision::Allowed,
                "{origin}"
            );
        }
        for origin in [
            "null",
            "",
            "localhost:9090",
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:9090",
            "http://evil.example",
            "file://localhost:9090",
        ] {
            assert!(is_foreign(&[host, ("origin", origin)]), "{origin:?}");
        }
        let same = ("origin", "http://localhost:9090");
        assert!(is_foreign(&[host, same, same]));
        for (site, allowed) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
            ("", false),
        ] {
            let entry = asked(HERE, &[host, ("sec-fetch-site", site)]);
            assert_eq!(entry == AccessDecision::Allowed, allowed, "{site:?}");
        }
    }

    #[test]
    fn access_with_tokens_configured_is_closed_and_for_other_machines_hidden() {
        let headers = RequestHeaders::from_pairs(&[("host", "localhost")]);
        let asked = |peer: &str| {
            decide_access(
                ApiAccess::Closed,
                Some(peer.parse().expect("an address")),
                None,
                &headers,
            )
        };
        assert_eq!(asked("127.0.0.1"), AccessDecision::Closed);
        assert_eq!(asked("10.0.0.5"), AccessDecision::Hidden);
    }
}

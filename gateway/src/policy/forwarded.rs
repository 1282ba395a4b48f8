//! What the upstream is told about the client: `X-Forwarded-*` and `Forwarded` (RFC 7239).

use std::net::IpAddr;

use hyper::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

use crate::http::headers;
use crate::settings::network::{Network, unmapped};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What the gateway knows of the hop before it.
#[derive(Debug, Clone, Copy)]
pub struct Hop<'a> {
    /// The address of the peer.
    pub peer: IpAddr,
    /// `http` or `https`, as the listener speaks it.
    pub scheme: &'static str,
    /// The authority of the request.
    pub authority: Option<&'a HeaderValue>,
    /// Whether the peer is a proxy whose word on the client is taken.
    pub trusted: bool,
}

/// Sets the forwarding fields of a request.
///
/// What an untrusted peer sent is replaced, what a trusted one sent is extended.
pub fn apply(headers: &mut HeaderMap, hop: &Hop<'_>) {
    let peer = unmapped(hop.peer);
    let before = if hop.trusted { Before::of(headers) } else { Before::default() };
    headers::strip_own(headers);

    let mut chain = before.chain;
    chain.push(peer.to_string());
    insert(headers, X_FORWARDED_FOR, &chain.join(", "));
    let scheme = before.scheme.as_deref().unwrap_or(hop.scheme);
    insert(headers, X_FORWARDED_PROTO, scheme);
    let host = before.host.or_else(|| hop.authority.cloned()).filter(|host| !host.is_empty());
    let mut element = match peer {
        IpAddr::V4(v4) => format!("for={v4};proto={}", hop.scheme),
        IpAddr::V6(v6) => format!("for=\"[{v6}]\";proto={}", hop.scheme),
    };
    if let Some(host) = hop.authority.and_then(|host| host.to_str().ok()) {
        // Checked before: the authority holds no quote and no backslash.
        element.push_str(";host=\"");
        element.push_str(host);
        element.push('"');
    }
    if let Some(host) = host {
        headers.insert(X_FORWARDED_HOST, host);
    }
    let mut elements = before.elements;
    elements.push(element);
    insert(headers, FORWARDED, &elements.join(", "));
}

/// What a trusted proxy said.
#[derive(Default)]
struct Before {
    chain: Vec<String>,
    scheme: Option<String>,
    host: Option<HeaderValue>,
    elements: Vec<String>,
}

impl Before {
    fn of(headers: &HeaderMap) -> Self {
        let all = |name: &HeaderName| {
            headers
                .get_all(name)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        Self {
            chain: all(&X_FORWARDED_FOR),
            scheme: headers
                .get(&X_FORWARDED_PROTO)
                .and_then(|value| value.to_str().ok())
                .filter(|scheme| matches!(*scheme, "http" | "https"))
                .map(str::to_owned),
            host: headers.get(&X_FORWARDED_HOST).cloned(),
            elements: all(&FORWARDED),
        }
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The client's address: the peer, or behind trusted proxies the first address from the right of
/// `X-Forwarded-For` that is not one of them.
pub fn client(headers: &HeaderMap, peer: IpAddr, trusted: &[Network]) -> IpAddr {
    let peer = unmapped(peer);
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let values: Vec<&str> =
        headers.get_all(&X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut client = peer;
    for entry in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        let Ok(address) = entry.trim().parse::<IpAddr>() else {
            break;
        };
        client = unmapped(address);
        if !is_trusted(client) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use hyper::header::{HeaderMap, HeaderValue};

    use super::{Hop, apply, client};
    use crate::settings::network::Network;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn forwarded(sent: &[(&'static str, &'static str)], trusted: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let authority = HeaderValue::from_static("a.com:80");
        let hop = Hop { peer: ip("::ffff:192.0.2.7"), scheme: "http", authority: Some(&authority), trusted };
        apply(&mut headers, &hop);
        headers
    }

    const SENT: [(&str, &str); 5] = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "b.com"),
        ("x-forwarded-prefix", "/x"),
        ("forwarded", "for=203.0.113.9"),
    ];

    #[test]
    fn the_word_of_a_stranger_is_replaced() {
        let headers = forwarded(&SENT, false);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "a.com:80");
        assert_eq!(headers["forwarded"], "for=192.0.2.7;proto=http;host=\"a.com:80\"");
        assert!(!headers.contains_key("x-forwarded-prefix"));
    }

    #[test]
    fn the_word_of_a_trusted_proxy_is_extended() {
        let headers = forwarded(&SENT, true);
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9, 192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "b.com");
        assert_eq!(headers["forwarded"], "for=203.0.113.9, for=192.0.2.7;proto=http;host=\"a.com:80\"");
    }

    #[test]
    fn the_client_behind_trusted_proxies() {
        let trusted = [Network::parse("10.0.0.0/8").expect("a network")];
        let table = [
            ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
            ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
            ("10.0.0.1", "junk", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
            ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ];
        for (peer, chain, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", HeaderValue::from_static(chain));
            assert_eq!(client(&headers, ip(peer), &trusted), ip(expected), "{peer} {chain}");
        }
    }
}

//! What the upstream is told about the client: `X-Forwarded-*` and `Forwarded` (RFC 7239).

use std::borrow::Cow;
use std::net::IpAddr;

use super::{Filter, Phase, Verdict};
use crate::exchange::{Exchange, Peer};
use crate::http::fields::Fields;
use crate::http::name::Name;
use crate::net::append;
use crate::settings::network::{Network, unmapped};

/// Sets the forwarding fields of a request. What an untrusted peer sent is replaced, what a trusted
/// one sent is extended.
#[derive(Debug)]
pub struct Forwarded;

impl Filter for Forwarded {
    fn name(&self) -> &'static str {
        "forwarded"
    }

    fn phase(&self) -> Phase {
        Phase::Client
    }

    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        let authority = exchange.request.target.authority().unwrap_or_default().as_bytes();
        apply(&mut exchange.request.fields, exchange.peer, authority);
        Verdict::Continue
    }
}

fn apply(fields: &mut Fields, peer: &Peer, authority: &[u8]) {
    let before = if peer.trusted { Before::of(fields) } else { Before::default() };
    if fields.iter().any(|field| field.known.is_reserved()) {
        fields.retain(|field| !field.known.is_reserved());
    }
    fields.write(Name::ForwardedFor, |out| extend(out, &before.chain, &[peer.text.as_bytes()]));
    let scheme = before.scheme.unwrap_or(peer.scheme());
    fields.add(Name::ForwardedProto, scheme.as_bytes());
    let host = before.host.as_deref().unwrap_or(authority);
    if !host.is_empty() {
        fields.add(Name::ForwardedHost, host);
    }
    fields.write(Name::Forwarded, |out| {
        if authority.is_empty() {
            extend(out, &before.elements, &[peer.forwarded.as_bytes()]);
        } else {
            // Checked before: the authority holds no quote and no backslash.
            let element = [peer.forwarded.as_bytes(), b";host=\"", authority, b"\""];
            extend(out, &before.elements, &element);
        }
    });
}

/// Appends what was said before, and a last element made of `parts`.
fn extend(out: &mut Vec<u8>, before: &[Vec<u8>], parts: &[&[u8]]) {
    for element in before {
        append(out, element);
        append(out, b", ");
    }
    for part in parts {
        append(out, part);
    }
}

/// What a trusted proxy said.
#[derive(Default)]
struct Before {
    chain: Vec<Vec<u8>>,
    scheme: Option<&'static str>,
    host: Option<Vec<u8>>,
    elements: Vec<Vec<u8>>,
}

impl Before {
    fn of(fields: &Fields) -> Self {
        let all = |name| fields.all(name).map(<[u8]>::to_vec).collect();
        Self {
            chain: all(Name::ForwardedFor),
            scheme: said_scheme(fields),
            host: fields.get(Name::ForwardedHost).map(<[u8]>::to_vec),
            elements: all(Name::Forwarded),
        }
    }
}

fn said_scheme(fields: &Fields) -> Option<&'static str> {
    match fields.get(Name::ForwardedProto)? {
        b"http" => Some("http"),
        b"https" => Some("https"),
        _ => None,
    }
}

/// `http` or `https`, as the client used it: with the peer, or with the first of trusted proxies.
pub fn scheme(fields: &Fields, peer: &Peer) -> &'static str {
    let said = if peer.trusted { said_scheme(fields) } else { None };
    said.unwrap_or(peer.scheme())
}

/// The client's address: the peer, or behind trusted proxies the first address from the right of
/// `X-Forwarded-For` that is not one of them.
pub fn client<'p>(fields: &Fields, peer: &'p Peer) -> Cow<'p, str> {
    if !peer.trusted {
        return Cow::Borrowed(&peer.text);
    }
    let trusted = &peer.listener.trusted_proxies;
    match behind(fields, trusted) {
        Some(client) => Cow::Owned(client.to_string()),
        None => Cow::Borrowed(&peer.text),
    }
}

fn behind(fields: &Fields, trusted: &[Network]) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = None;
    for entry in fields.all(Name::ForwardedFor).rev().flat_map(|value| value.rsplit(|&byte| byte == b',')) {
        let Some(address) = std::str::from_utf8(entry).ok().and_then(|text| text.trim().parse().ok()) else {
            break;
        };
        let address = unmapped(address);
        client = Some(address);
        if !is_trusted(address) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Fields, Name, Network, Peer, apply, client};
    use crate::settings::Listener;

    const SENT: [(&str, &str); 5] = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "b.com"),
        ("x-forwarded-prefix", "/x"),
        ("forwarded", "for=203.0.113.9"),
    ];

    fn peer(address: &str, trusted: &str) -> Peer {
        let listener = Listener {
            trusted_proxies: vec![Network::parse(trusted).expect("a network")],
            ..Listener::default()
        };
        Peer::new(Arc::new(listener), format!("{address}:1").parse().expect("an address"), None, false)
    }

    fn forwarded(trusted: &str) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in SENT {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        apply(&mut fields, &peer("[::ffff:192.0.2.7]", trusted), b"a.com:80");
        fields
    }

    #[test]
    fn what_an_untrusted_peer_said_is_replaced() {
        let fields = forwarded("10.0.0.0/8");
        assert_eq!(fields.get(Name::ForwardedFor), Some(&b"192.0.2.7"[..]));
        assert_eq!(fields.get(Name::ForwardedProto), Some(&b"http"[..]));
        assert_eq!(fields.get(Name::ForwardedHost), Some(&b"a.com:80"[..]));
        assert_eq!(fields.get(Name::Forwarded), Some(&b"for=192.0.2.7;proto=http;host=\"a.com:80\""[..]));
        assert_eq!(fields.iter().count(), 4);
    }

    #[test]
    fn what_a_trusted_proxy_said_is_extended() {
        let fields = forwarded("192.0.2.0/24");
        assert_eq!(fields.get(Name::ForwardedFor), Some(&b"203.0.113.9, 192.0.2.7"[..]));
        assert_eq!(fields.get(Name::ForwardedProto), Some(&b"https"[..]));
        assert_eq!(fields.get(Name::ForwardedHost), Some(&b"b.com"[..]));
        let expected = &b"for=203.0.113.9, for=192.0.2.7;proto=http;host=\"a.com:80\""[..];
        assert_eq!(fields.get(Name::Forwarded), Some(expected));
    }

    #[test]
    fn the_client_behind_trusted_proxies_is_found() {
        let table = [
            ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
            ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
            ("10.0.0.1", "junk", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.3", "10.0.0.3"),
            ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ];
        for (address, chain, expected) in table {
            let mut fields = Fields::new();
            fields.add(Name::ForwardedFor, chain.as_bytes());
            assert_eq!(client(&fields, &peer(address, "10.0.0.0/8")), expected, "{address} {chain}");
        }
    }
}

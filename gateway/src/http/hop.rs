//! Hop-by-hop fields (RFC 9110 section 7.6).

use super::failure::Rejection;
use super::fields::Fields;
use super::name::Name;
use super::token::{is_token, list};

const MALFORMED: Rejection = Rejection::bad("connection_malformed", "The Connection field is malformed.");

/// Names that are not allowed in a trailer section because they affect framing, routing or trust (RFC 9110
/// section 6.5.1), in addition to those in [`Name`].
const NOT_IN_TRAILERS: [&[u8]; 8] = [
    b"authorization",
    b"cache-control",
    b"content-encoding",
    b"content-range",
    b"content-type",
    b"max-forwards",
    b"range",
    b"www-authenticate",
];

/// Values of a message's hop-by-hop fields, parsed before they are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HopOptions {
    /// The sender accepts trailers (RFC 9110 section 10.1.4).
    pub takes_trailers: bool,
    /// The request asks for an upgrade to WebSocket, or the response accepts it (RFC 9110 section 7.8).
    pub websocket: bool,
    /// The sender closes the connection after this message.
    pub close: bool,
    /// The HTTP/1.0 sender keeps the connection open.
    pub keep_alive: bool,
}

/// Removes the hop-by-hop fields (RFC 9110 section 7.6.1), with those named by `Connection`, and the fields
/// that frame the message: the sending codec writes its own.
///
/// # Errors
///
/// A 400 if `Connection` is not a list of tokens.
pub fn strip(fields: &mut Fields) -> Result<HopOptions, Rejection> {
    let mut hop_options = HopOptions::default();
    let mut upgrade = false;
    let mut protocols = 0;
    let mut websocket = false;
    let mut named: Vec<Vec<u8>> = Vec::new();
    let mut unwanted = false;
    for field in fields.iter() {
        match field.known {
            Name::Connection => {
                for option in list(field.value) {
                    if option.eq_ignore_ascii_case(b"close") {
                        hop_options.close = true;
                    } else if option.eq_ignore_ascii_case(b"keep-alive") {
                        hop_options.keep_alive = true;
                    } else if option.eq_ignore_ascii_case(b"upgrade") {
                        upgrade = true;
                    } else if !is_token(option) {
                        return Err(MALFORMED);
                    } else {
                        named.push(option.to_vec());
                    }
                }
                unwanted = true;
            }
            Name::Te => {
                hop_options.takes_trailers |=
                    list(field.value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
                unwanted = true;
            }
            Name::Upgrade => {
                protocols += 1;
                websocket = field.value.eq_ignore_ascii_case(b"websocket");
                unwanted = true;
            }
            known => unwanted |= is_of_connection(known),
        }
    }
    // Only `websocket` is supported. Any other protocol, above all `h2c`, would open a tunnel past the
    // gateway's rules and is ignored.
    hop_options.websocket = upgrade && protocols == 1 && websocket;
    if unwanted {
        fields.retain(|field| {
            !is_of_connection(field.known)
                && (named.is_empty() || !named.iter().any(|name| name.eq_ignore_ascii_case(field.name)))
        });
    }
    Ok(hop_options)
}

fn is_of_connection(known: Name) -> bool {
    known.is_hop_by_hop() || matches!(known, Name::ContentLength | Name::Disguised | Name::Proxy)
}

/// Removes fields from a trailer section that are allowed only in a header section.
pub fn clean_trailers(trailers: &mut Fields) {
    trailers.retain(|field| {
        let forbidden = is_of_connection(field.known)
            || field.known.is_reserved()
            || matches!(
                field.known,
                Name::Host
                    | Name::Cookie
                    | Name::SetCookie
                    | Name::Expect
                    | Name::Trailer
                    | Name::ProxyAuthenticate
                    | Name::ContentType
                    | Name::Authorization
                    | Name::CacheControl
            )
            || NOT_IN_TRAILERS.iter().any(|name| name.eq_ignore_ascii_case(field.name));
        !forbidden
    });
}

#[cfg(test)]
mod tests {
    use super::{Fields, HopOptions, clean_trailers, strip};

    fn fields(list: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in list {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    fn names(fields: &Fields) -> Vec<String> {
        fields.iter().map(|field| String::from_utf8_lossy(field.name).into_owned()).collect()
    }

    #[test]
    fn hop_by_hop_fields_are_removed() {
        let mut list = fields(&[
            ("Connection", "X-Secret, close ,"),
            ("connection", "keep-alive"),
            ("x-secret", "1"),
            ("Keep-Alive", "timeout=5"),
            ("te", "gzip, trailers"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("transfer-encoding", "chunked"),
            ("proxy-connection", "x"),
            ("content_length", "5"),
            ("proxy", "x"),
            ("accept", "*/*"),
        ]);
        let hop_options = strip(&mut list).expect("well-formed");
        let expected =
            HopOptions { takes_trailers: true, close: true, keep_alive: true, ..HopOptions::default() };
        assert_eq!(hop_options, expected);
        assert_eq!(names(&list), ["accept"]);
        assert!(strip(&mut fields(&[("connection", "a b")])).is_err());
    }

    #[test]
    fn only_websocket_upgrades_are_accepted() {
        let table: [(&[(&str, &str)], bool); 6] = [
            (&[("connection", "Upgrade"), ("upgrade", "WebSocket")], true),
            (&[("connection", "keep-alive, upgrade"), ("upgrade", "websocket")], true),
            (&[("upgrade", "websocket")], false),
            (&[("connection", "upgrade"), ("upgrade", "h2c")], false),
            (&[("connection", "upgrade"), ("upgrade", "h2c, websocket")], false),
            (&[("connection", "upgrade"), ("upgrade", "h2c"), ("upgrade", "websocket")], false),
        ];
        for (list, expected) in table {
            assert_eq!(
                strip(&mut fields(list)).map(|hop_options| hop_options.websocket),
                Ok(expected),
                "{list:?}"
            );
        }
    }

    #[test]
    fn trailers_with_framing_routing_or_trust_are_removed() {
        let mut trailers = fields(&[
            ("grpc-status", "0"),
            ("content-length", "1"),
            ("transfer-encoding", "chunked"),
            ("host", "a"),
            ("x-forwarded-for", "1"),
            ("x_forwarded_for", "1"),
            ("authorization", "x"),
            ("proxy", "x"),
        ]);
        clean_trailers(&mut trailers);
        assert_eq!(names(&trailers), ["grpc-status"]);
    }
}

//! Which header fields may pass the gateway (RFC 9110 section 7.6).

use hyper::Version;
use hyper::header::{
    self, CONNECTION, COOKIE, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};

use super::failure::Rejection;
use super::token::{is_token, trim_ows};

/// Fields that speak of one connection only, apart from those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("http2-settings"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields that are the gateway's to say about a request.
const OWN: [&str; 3] = ["forwarded", "x-real-ip", "x-request-id"];
const OWN_PREFIX: &str = "x-forwarded-";

/// Fields that steer how a message is framed, routed or trusted, so that they come too late in a
/// trailer section (RFC 9110 section 6.5.1).
const NOT_IN_TRAILERS: [&str; 16] = [
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "max-forwards",
    "proxy",
    "proxy-authenticate",
    "range",
    "set-cookie",
    "trailer",
    "www-authenticate",
];

/// Whether only the gateway may set this field, in the given spelling or with `_` for `-`.
fn is_own(name: &str) -> bool {
    let plain;
    let name = if name.contains('_') {
        plain = name.replace('_', "-");
        plain.as_str()
    } else {
        name
    };
    OWN.contains(&name) || name.starts_with(OWN_PREFIX)
}

/// Removes the fields that must not pass from one connection to the next: those named by
/// `Connection` and those that are so by nature (RFC 9110 section 7.6.1).
///
/// `te: trailers` is put back, since the gateway passes trailers on.
///
/// # Errors
///
/// A 400 if `Connection` is not a list of tokens.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) -> Result<(), Rejection> {
    const MALFORMED: Rejection = Rejection::bad("connection_malformed", "The Connection field is malformed.");
    let mut named = Vec::new();
    for value in headers.get_all(CONNECTION) {
        for option in value.as_bytes().split(|&byte| byte == b',') {
            let option = trim_ows(option);
            if option.is_empty() {
                continue;
            }
            if !is_token(option) {
                return Err(MALFORMED);
            }
            named.push(HeaderName::from_bytes(option).map_err(|_| MALFORMED)?);
        }
    }
    let trailers = takes_trailers(headers);
    for name in named.iter().chain(&HOP_BY_HOP) {
        // The codec has read the length already, and the host is set anew after this.
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    Ok(())
}

/// Whether the sender reads trailers (RFC 9110 section 10.1.4).
fn takes_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(TE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .any(|coding| trim_ows(coding).eq_ignore_ascii_case(b"trailers"))
}

/// The protocol a request asks to switch to, if `Connection` agrees (RFC 9110 section 7.8).
///
/// Only `websocket` is known. Anything else, above all `h2c`, would open a tunnel past all rules
/// of the gateway and is treated as absent.
pub fn wants_websocket(headers: &HeaderMap) -> bool {
    let lists = |name: HeaderName, token: &[u8]| {
        headers
            .get_all(name)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
            .any(|option| trim_ows(option).eq_ignore_ascii_case(token))
    };
    lists(CONNECTION, b"upgrade")
        && headers.get_all(UPGRADE).iter().count() == 1
        && headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Removes what only the gateway may say about a request: `Forwarded`, `X-Forwarded-*`,
/// `X-Real-IP` and `X-Request-ID`.
pub fn strip_own(headers: &mut HeaderMap) {
    remove_if(headers, is_own);
}

/// Removes fields that servers such as those behind CGI take for something else: those whose `_`
/// is read as `-`, so that they pass for one of the gateway's (CVE-2025-64484), and `Proxy`, which
/// becomes the variable `HTTP_PROXY` and steers the server's own requests (CVE-2016-5385).
pub fn strip_mimics(headers: &mut HeaderMap) {
    remove_if(headers, |name| {
        let underscored =
            name.contains('_') && (is_own(name) || name == "content_length" || name == "transfer_encoding");
        underscored || name == "proxy"
    });
}

/// Removes from a trailer section what may only stand in a header section.
pub fn clean_trailers(trailers: &mut HeaderMap) {
    remove_if(trailers, |name| {
        is_own(name) || NOT_IN_TRAILERS.contains(&name) || HOP_BY_HOP.iter().any(|hop| hop == name)
    });
}

fn remove_if(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Joins the cookie crumbs of HTTP/2 into one field (RFC 9113 section 8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// Adds the gateway to the `Via` of a message received in `version` (RFC 9110 section 7.6.3).
pub fn add_via(headers: &mut HeaderMap, version: Version) {
    let entry = match version {
        Version::HTTP_2 => "2 gateway",
        Version::HTTP_10 => "1.0 gateway",
        _ => "1.1 gateway",
    };
    headers.append(VIA, HeaderValue::from_static(entry));
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{clean_trailers, join_cookies, strip_hop_by_hop, strip_mimics, strip_own, wants_websocket};

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                    HeaderValue::from_str(value).expect("a value"),
                )
            })
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn fields_of_one_connection_do_not_pass() {
        let mut headers = map(&[
            ("connection", "X-Secret, close ,"),
            ("connection", "keep-alive"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("proxy-connection", "x"),
            ("accept", "*/*"),
        ]);
        strip_hop_by_hop(&mut headers).expect("a good field");
        assert_eq!(names(&headers), ["accept", "te"]);
        assert_eq!(headers["te"], "trailers");
        assert!(strip_hop_by_hop(&mut map(&[("connection", "a b")])).is_err());
    }

    #[test]
    fn the_gateways_own_fields_do_not_pass_in_any_spelling() {
        let fields = [
            ("x-forwarded-for", "1"),
            ("x-forwarded-prefix", "1"),
            ("forwarded", "1"),
            ("x_forwarded_for", "1"),
            ("x-forwarded_proto", "1"),
            ("x_real-ip", "1"),
            ("my_field", "1"),
            ("proxy", "1"),
            ("proxy-authenticate", "1"),
        ];
        let mut headers = map(&fields);
        strip_own(&mut headers);
        assert_eq!(names(&headers), ["my_field", "proxy", "proxy-authenticate"]);
        let mut headers = map(&fields);
        strip_mimics(&mut headers);
        let kept = ["forwarded", "my_field", "proxy-authenticate", "x-forwarded-for", "x-forwarded-prefix"];
        assert_eq!(names(&headers), kept);
    }

    #[test]
    fn only_a_websocket_is_switched_to() {
        let table: [(&[(&str, &str)], bool); 5] = [
            (&[("connection", "Upgrade"), ("upgrade", "WebSocket")], true),
            (&[("connection", "keep-alive, upgrade"), ("upgrade", "websocket")], true),
            (&[("upgrade", "websocket")], false),
            (&[("connection", "upgrade"), ("upgrade", "h2c")], false),
            (&[("connection", "upgrade"), ("upgrade", "h2c, websocket")], false),
        ];
        for (fields, expected) in table {
            assert_eq!(wants_websocket(&map(fields)), expected, "{fields:?}");
        }
    }

    #[test]
    fn cookies_are_joined() {
        let mut headers = map(&[("cookie", "a=1"), ("cookie", "b=2")]);
        join_cookies(&mut headers);
        assert_eq!(headers.get_all("cookie").iter().count(), 1);
        assert_eq!(headers["cookie"], "a=1; b=2");
    }

    #[test]
    fn trailers_carry_no_framing_routing_or_trust() {
        let mut trailers = map(&[
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

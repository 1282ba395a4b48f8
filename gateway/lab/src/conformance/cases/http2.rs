//! Requests over HTTP/2 as lists of fields.

use crate::conformance::http2::{Exchange, Want2, get, list, send};
use crate::conformance::message::Framing;
use crate::conformance::request::Seen;

fn seen() -> Seen {
    Seen::default()
}

/// The rows.
pub fn rows() -> Vec<Exchange> {
    let mut rows = pseudo();
    rows.extend(targets());
    rows.extend(fields());
    rows.extend(bodies());
    rows
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const AUTHORITY: (&str, &str) = (":authority", "t");
const PATH: (&str, &str) = (":path", "/");

fn pseudo() -> Vec<Exchange> {
    let bad = |name: &'static str, fields: &[(&str, &str)]| {
        list(name, &["9113 8.3", "9113 8.1.1"], fields, Want2::Malformed)
    };
    vec![
        get(
            "h2: GET becomes HTTP/1.1",
            &["9113 8.3.1"],
            &[],
            Want2::Passes(seen().line("GET / HTTP/1.1").has("host", "t").framing(Framing::Nothing)),
        ),
        bad("h2: no method", &[SCHEME, AUTHORITY, PATH]),
        bad("h2: no scheme", &[METHOD, AUTHORITY, PATH]),
        bad("h2: no path", &[METHOD, SCHEME, AUTHORITY]),
        bad("h2: an empty path", &[METHOD, SCHEME, AUTHORITY, (":path", "")]),
        bad("h2: an empty method", &[(":method", ""), SCHEME, AUTHORITY, PATH]),
        bad("h2: two methods", &[METHOD, METHOD, SCHEME, AUTHORITY, PATH]),
        bad("h2: two schemes", &[METHOD, SCHEME, SCHEME, AUTHORITY, PATH]),
        bad("h2: two paths", &[METHOD, SCHEME, AUTHORITY, PATH, (":path", "/b")]),
        bad("h2: two authorities", &[METHOD, SCHEME, AUTHORITY, (":authority", "u"), PATH]),
        bad("h2: a pseudo-header that is not known", &[METHOD, SCHEME, AUTHORITY, PATH, (":x", "1")]),
        bad("h2: a pseudo-header of responses", &[METHOD, SCHEME, AUTHORITY, PATH, (":status", "200")]),
        bad("h2: a pseudo-header behind a field", &[METHOD, SCHEME, AUTHORITY, ("x-a", "1"), PATH]),
        bad("h2: :protocol without CONNECT", &[METHOD, SCHEME, AUTHORITY, PATH, (":protocol", "websocket")]),
        bad("h2: neither authority nor host", &[METHOD, SCHEME, PATH]),
        list(
            "h2: host instead of authority",
            &["9113 8.3.1"],
            &[METHOD, SCHEME, PATH, ("host", "h")],
            Want2::Passes(seen().has("host", "h")),
        ),
        list(
            "h2: host and authority alike",
            &["9113 8.3.1"],
            &[METHOD, SCHEME, AUTHORITY, PATH, ("host", "t")],
            Want2::Passes(seen().has("host", "t")),
        ),
        bad("h2: host and authority that differ", &[METHOD, SCHEME, AUTHORITY, PATH, ("host", "u")]),
        bad("h2: two hosts", &[METHOD, SCHEME, PATH, ("host", "t"), ("host", "t")]),
        list(
            "h2: CONNECT",
            &["9113 8.5"],
            &[(":method", "CONNECT"), (":authority", "t:443")],
            Want2::Answered(&[400, 403, 405, 501]),
        ),
        bad("h2: CONNECT with a path", &[(":method", "CONNECT"), SCHEME, AUTHORITY, PATH]),
        list(
            "h2: TRACE",
            &["9110 9.3.8"],
            &[(":method", "TRACE"), SCHEME, AUTHORITY, PATH],
            Want2::Answered(&[405, 501]),
        ),
    ]
}

fn targets() -> Vec<Exchange> {
    let path = |name: &'static str, path: &str| {
        list(
            name,
            &["9113 8.3.1", "9113 10.3"],
            &[METHOD, SCHEME, AUTHORITY, (":path", path)],
            Want2::Malformed,
        )
    };
    let authority = |name: &'static str, authority: &str| {
        list(
            name,
            &["9113 8.3.1", "9113 10.3"],
            &[METHOD, SCHEME, (":authority", authority), PATH],
            Want2::Malformed,
        )
    };
    let method = |name: &'static str, method: &str| {
        list(
            name,
            &["9113 8.3.1", "9113 10.3"],
            &[(":method", method), SCHEME, AUTHORITY, PATH],
            Want2::Malformed,
        )
    };
    vec![
        path("h2: a path without a slash", "a"),
        path("h2: an asterisk with GET", "*"),
        path("h2: a path with a fragment", "/a#b"),
        path("h2: a path with a space", "/a b"),
        path("h2: a path with a whole request in it", "/ HTTP/1.1\r\nHost: evil\r\n\r\n"),
        path("h2: a path with NUL", "/a\0"),
        path("h2: a path that is a URL", "http://t/"),
        path("h2: dot segments above the root", "/../a"),
        authority("h2: an authority with user and password", "u:p@t"),
        authority("h2: an authority with a space", "a b"),
        authority("h2: an authority with a path", "a/b"),
        authority("h2: an authority with a line's end", "t\r\nX: y"),
        authority("h2: an authority with a port that is too large", "t:99999"),
        method("h2: a method with a space", "GET /evil"),
        method("h2: a method with a line's end", "GET\r\nX: y"),
        method("h2: a method that is no token", "G@T"),
        list(
            "h2: OPTIONS *",
            &["9113 8.3.1"],
            &[(":method", "OPTIONS"), SCHEME, AUTHORITY, (":path", "*")],
            Want2::Passes(seen().line("OPTIONS * HTTP/1.1")),
        ),
        list(
            "h2: a query",
            &["9113 8.3.1"],
            &[METHOD, SCHEME, AUTHORITY, (":path", "/a?b=c%2Fd")],
            Want2::Passes(seen().line("GET /a?b=c%2Fd HTTP/1.1")),
        ),
        list(
            "h2: raw UTF-8 in a query",
            &["9113 8.3.1"],
            &[METHOD, SCHEME, AUTHORITY, (":path", "/?q=\u{e9}")],
            Want2::Passes(seen()),
        ),
        list(
            "h2: another scheme",
            &["9113 8.3.1"],
            &[METHOD, (":scheme", "ftp"), AUTHORITY, PATH],
            Want2::Either(seen()),
        ),
    ]
}

fn fields() -> Vec<Exchange> {
    let bad = |name: &'static str, field: (&str, &str)| {
        get(name, &["9113 8.2.1", "9113 8.1.1"], &[field], Want2::Malformed)
    };
    let hop =
        |name: &'static str, field: (&str, &str)| get(name, &["9113 8.2.2"], &[field], Want2::Malformed);
    let crumbs: Vec<String> = (0..50).map(|index| format!("c{index}={index}")).collect();
    let mut cookies: Vec<(&str, &str)> = crumbs.iter().map(|crumb| ("cookie", crumb.as_str())).collect();
    let others: Vec<String> = (0..15).map(|index| format!("x-{index}")).collect();
    cookies.extend(others.iter().map(|name| (name.as_str(), "1")));
    vec![
        bad("h2: capitals in a name", ("X-A", "1")),
        bad("h2: an empty name", ("", "1")),
        bad("h2: a space in a name", ("x a", "1")),
        bad("h2: a colon in a name", ("x:a", "1")),
        bad("h2: a line's end in a name", ("x\r\ny", "1")),
        bad("h2: NUL in a name", ("x\0", "1")),
        bad("h2: DEL in a name", ("x\x7f", "1")),
        bad("h2: a raw byte in a name", ("x\u{e9}", "1")),
        bad("h2: NUL in a value", ("x-a", "b\0c")),
        bad("h2: CR in a value", ("x-a", "b\rc")),
        bad("h2: LF in a value", ("x-a", "b\nc")),
        bad("h2: a whole request in a value", ("x-a", "b\r\n\r\nGET /evil HTTP/1.1\r\nHost: t\r\n\r\n")),
        get(
            "h2: white space around a value",
            &["9113 8.2.1"],
            &[("x-a", " b ")],
            Want2::Either(seen().has("x-a", "b")),
        ),
        get("h2: an empty value", &["9113 8.2.1"], &[("x-a", "")], Want2::Passes(seen().has("x-a", ""))),
        get(
            "h2: a raw UTF-8 value",
            &["9110 5.5"],
            &[("x-a", "\u{e9}")],
            Want2::Passes(seen().has("x-a", "\u{e9}")),
        ),
        hop("h2: connection", ("connection", "close")),
        hop("h2: keep-alive", ("keep-alive", "timeout=5")),
        hop("h2: proxy-connection", ("proxy-connection", "close")),
        hop("h2: transfer-encoding", ("transfer-encoding", "chunked")),
        hop("h2: upgrade", ("upgrade", "websocket")),
        hop("h2: te other than trailers", ("te", "gzip")),
        get("h2: te: trailers", &["9113 8.2.2"], &[("te", "trailers")], Want2::Passes(seen())),
        get(
            "h2: cookie crumbs are joined",
            &["9113 8.2.3"],
            &[("cookie", "a=1"), ("cookie", "b=2")],
            Want2::Passes(seen().has("cookie", "a=1; b=2")),
        ),
        get(
            "h2: fifty crumbs and fifteen fields",
            &["9113 8.2.3"],
            &cookies,
            Want2::Passes(seen().has("cookie", crumbs.join("; "))),
        ),
        get(
            "h2: what a client says of the way it came",
            &["9110 7.6"],
            &[("x-forwarded-for", "6.6.6.6")],
            Want2::Passes(seen().has("x-forwarded-for", "127.0.0.1")),
        ),
        get("h2: the gateway names itself in Via", &["9110 7.6.3"], &[], Want2::Passes(seen().some("via"))),
    ]
}

fn bodies() -> Vec<Exchange> {
    let bad = |name: &'static str, fields: &[(&str, &str)], data: &[&str]| {
        send(name, &["9113 8.1.1", "9113 8.1"], "POST", fields, data, Want2::Malformed)
    };
    let mut rows = vec![
        send(
            "h2: POST without a length",
            &["9113 8.1", "9112 6.1"],
            "POST",
            &[],
            &["hel", "lo"],
            Want2::Passes(seen().body("hello").framing(Framing::Chunked)),
        ),
        send(
            "h2: POST with a length",
            &["9113 8.1.1", "9112 6.2"],
            "POST",
            &[("content-length", "5")],
            &["hello"],
            Want2::Passes(seen().body("hello").framing(Framing::Length(5))),
        ),
        send(
            "h2: POST that ends with its fields",
            &["9113 8.1"],
            "POST",
            &[],
            &[],
            Want2::Passes(seen().body("")),
        ),
        send(
            "h2: POST with an empty DATA frame",
            &["9113 8.1"],
            "POST",
            &[],
            &[""],
            Want2::Passes(seen().body("")),
        ),
        send(
            "h2: an empty body with a length",
            &["9113 8.1.1"],
            "POST",
            &[("content-length", "0")],
            &[""],
            Want2::Passes(seen().body("")),
        ),
        bad("h2: less than the length", &[("content-length", "5")], &["hel"]),
        bad("h2: more than the length", &[("content-length", "5")], &["hello!!"]),
        // The service may have had its five bytes before the frame that is too much.
        send(
            "h2: more than the length in a second frame",
            &["9113 8.1.1", "9113 8.1"],
            "POST",
            &[("content-length", "5")],
            &["hello", "!!"],
            Want2::Either(seen().body("hello").framing(Framing::Length(5))),
        ),
        bad("h2: a length and no body", &[("content-length", "5")], &[]),
        bad("h2: two lengths", &[("content-length", "5"), ("content-length", "6")], &["hello"]),
        bad("h2: a length with a plus sign", &[("content-length", "+5")], &["hello"]),
        bad("h2: a length that no number holds", &[("content-length", "99999999999999999999")], &["hello"]),
        send(
            "h2: a trailer does not become a field",
            &["9113 8.1", "9110 6.5.1"],
            "POST",
            &[("te", "trailers"), ("trailer", "x-sum")],
            &["hello"],
            Want2::Passes(seen().body("hello").lacks("x-sum")),
        )
        .trailers(&[("x-sum", "1")]),
        send(
            "h2: a pseudo-header in trailers",
            &["9113 8.1", "9113 8.3"],
            "POST",
            &[],
            &["hello"],
            Want2::Malformed,
        )
        .trailers(&[(":path", "/evil")]),
        send(
            "h2: a connection field in trailers",
            &["9113 8.2.2"],
            "POST",
            &[],
            &["hello"],
            Want2::Malformed,
        )
        .trailers(&[("transfer-encoding", "chunked")]),
        send("h2: capitals in trailers", &["9113 8.2.1"], "POST", &[], &["hello"], Want2::Malformed)
            .trailers(&[("X-Sum", "1")]),
    ];
    for (name, method) in [
        ("h2: GET with a body", "GET"),
        ("h2: HEAD with a body", "HEAD"),
        ("h2: DELETE with a body", "DELETE"),
        ("h2: OPTIONS with a body", "OPTIONS"),
    ] {
        rows.push(send(
            name,
            &["9110 6.4", "9113 8.1"],
            method,
            &[],
            &["hello"],
            Want2::Passes(seen().body("hello").framing(Framing::Chunked)),
        ));
    }
    rows.push(send(
        "h2: GET with a body and a length",
        &["9110 9.3.1"],
        "GET",
        &[("content-length", "5")],
        &["hello"],
        Want2::Passes(seen().body("hello").framing(Framing::Length(5))),
    ));
    rows
}

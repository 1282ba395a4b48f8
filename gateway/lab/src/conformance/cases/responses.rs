//! Responses of a service, and what a client must get of them.

use crate::conformance::message::Framing;
use crate::conformance::response::{Response, arrives, bad_gateway};

fn ok(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}")
}

const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: t\r\n\r\n";
const OLD: &str = "GET / HTTP/1.0\r\nHost: t\r\n\r\n";
const TRAILERS: &str = "GET / HTTP/1.1\r\nHost: t\r\nConnection: te\r\nTE: trailers\r\n\r\n";
const CHUNKS: &str = "5\r\nhello\r\n0\r\n\r\n";

/// The rows.
pub fn rows() -> Vec<Response> {
    let mut rows = bodies();
    rows.extend(lengths());
    rows.extend(codings());
    rows.extend(without_body());
    rows.extend(interim());
    rows.extend(heads());
    rows.extend(fields());
    rows.extend(broken());
    rows
}

fn bodies() -> Vec<Response> {
    vec![
        arrives("a body with a length", &["9112 6.2"], ok("Content-Length: 5\r\n", "hello"), 200)
            .keep()
            .framing(Framing::Length(5))
            .body("hello"),
        arrives(
            "a body in chunks",
            &["9112 6.1", "9112 7.1"],
            ok("Transfer-Encoding: chunked\r\n", CHUNKS),
            200,
        )
        .keep()
        .framing(Framing::Chunked)
        .body("hello"),
        arrives(
            "chunks with extensions",
            &["9112 7.1.1"],
            ok("Transfer-Encoding: chunked\r\n", "5 ;a=b\r\nhello\r\n0;c\r\n\r\n"),
            200,
        )
        .keep()
        .body("hello"),
        arrives("a body up to the end of the connection", &["9112 6.3"], ok("", "hello"), 200).body("hello"),
        arrives(
            "a body of HTTP/1.0 up to the end",
            &["9112 6.3", "9110 2.5"],
            "HTTP/1.0 200 OK\r\n\r\nhello",
            200,
        )
        .body("hello"),
        arrives("an empty body up to the end", &["9112 6.3"], ok("", ""), 200).body(""),
        arrives(
            "a body of HTTP/1.0 with a length",
            &["9112 6.3"],
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            200,
        )
        .framing(Framing::Length(5))
        .body("hello"),
        arrives(
            "chunks for a client of HTTP/1.0",
            &["9112 6.1", "9112 7"],
            ok("Transfer-Encoding: chunked\r\n", CHUNKS),
            200,
        )
        .to(OLD)
        .keep()
        .lacks("transfer-encoding")
        .body("hello")
        .closes(),
        arrives(
            "an unknown length for a client of HTTP/1.0",
            &["9112 6.1", "9112 6.3"],
            ok("", "hello"),
            200,
        )
        .to(OLD)
        .lacks("transfer-encoding")
        .body("hello")
        .closes(),
        arrives(
            "a length for a client of HTTP/1.0",
            &["9112 6.2"],
            ok("Content-Length: 5\r\n", "hello"),
            200,
        )
        .to(OLD)
        .keep()
        .framing(Framing::Length(5))
        .body("hello")
        .closes(),
        arrives(
            "bytes behind a response",
            &["9112 6.3", "9112 11.1"],
            ok("Content-Length: 2\r\n", "okHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
            200,
        )
        .keep()
        .body("ok"),
        arrives(
            "bytes behind a response in chunks",
            &["9112 6.3", "9112 11.1"],
            ok(
                "Transfer-Encoding: chunked\r\n",
                "2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            ),
            200,
        )
        .keep()
        .body("ok"),
    ]
}

fn lengths() -> Vec<Response> {
    let rules: &'static [&'static str] = &["9112 6.3", "9110 8.6"];
    let bad = |name: &'static str, value: &str| {
        bad_gateway(name, rules, ok(&format!("Content-Length: {value}\r\n"), "hello"))
    };
    let twice = |name: &'static str, fields: &str| {
        arrives(name, rules, ok(fields, "hello"), 200)
            .keep()
            .framing(Framing::Length(5))
            .body("hello")
            .or_502()
    };
    vec![
        twice("two equal lengths", "Content-Length: 5\r\nContent-Length: 5\r\n"),
        twice("a length told twice in one field", "Content-Length: 5, 5\r\n"),
        twice("a length with zeros before it", "Content-Length: 005\r\n"),
        bad("two lengths", "5\r\nContent-Length: 6"),
        bad("two lengths in one field", "5, 6"),
        bad("a length with a plus sign", "+5"),
        bad("a negative length", "-5"),
        bad("a length with letters behind it", "5x"),
        bad("a length in hexadecimal", "0x5"),
        bad("a length that no number holds", "99999999999999999999"),
        bad("an empty length", ""),
    ]
}

fn codings() -> Vec<Response> {
    let rules: &'static [&'static str] = &["9112 6.1", "9112 6.3"];
    let bad = |name: &'static str, value: &str| {
        bad_gateway(name, rules, ok(&format!("Transfer-Encoding: {value}\r\n"), CHUNKS))
    };
    vec![
        arrives("a coding in capitals", &["9112 7"], ok("Transfer-Encoding: CHUNKED\r\n", CHUNKS), 200)
            .keep()
            .body("hello"),
        arrives(
            "chunks and a length",
            rules,
            ok("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", CHUNKS),
            200,
        )
        .lacks("content-length")
        .body("hello")
        .or_502(),
        arrives(
            "chunks and a length, the length first",
            rules,
            ok("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
            200,
        )
        .lacks("content-length")
        .body("hello")
        .or_502(),
        arrives(
            "chunks of HTTP/1.0",
            &["9112 6.1"],
            format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}"),
            200,
        )
        .body("hello")
        .or_502(),
        bad("another coding", "gzip"),
        bad("chunks that are not last", "chunked, gzip"),
        bad("another coding first", "gzip, chunked"),
        bad("chunks told twice", "chunked\r\nTransfer-Encoding: chunked"),
        bad("chunks told twice in one field", "chunked, chunked"),
        bad("a coding that only resembles it", "xchunked"),
        bad("an empty coding", ""),
    ]
}

fn without_body() -> Vec<Response> {
    vec![
        arrives("204", &["9110 15.3.5", "9112 6.3"], "HTTP/1.1 204 No Content\r\n\r\n", 204).keep(),
        arrives(
            "204 with a length",
            &["9110 8.6"],
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            204,
        )
        .keep()
        .lacks("content-length")
        .or_502(),
        arrives(
            "204 with a body",
            &["9112 6.3"],
            "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil",
            204,
        )
        .keep()
        .lacks("content-length")
        .or_502(),
        arrives(
            "204 with chunks",
            &["9112 6.1"],
            format!("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}"),
            204,
        )
        .keep()
        .lacks("transfer-encoding")
        .or_502(),
        arrives("304", &["9110 15.4.5"], "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", 304)
            .keep()
            .has("etag", "\"a\""),
        arrives(
            "304 with the length of what was not sent",
            &["9110 8.6", "9112 6.3"],
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n",
            304,
        )
        .keep(),
        arrives("HEAD with a length", &["9110 9.3.2", "9112 6.3"], ok("Content-Length: 100\r\n", ""), 200)
            .to(HEAD)
            .keep()
            .has("content-length", "100"),
        arrives(
            "HEAD with chunks",
            &["9110 9.3.2", "9112 6.1"],
            ok("Transfer-Encoding: chunked\r\n", ""),
            200,
        )
        .to(HEAD)
        .keep(),
        arrives("HEAD without a length", &["9110 9.3.2"], ok("", ""), 200)
            .to(HEAD)
            .keep()
            .lacks("content-length"),
        arrives("HEAD with a body", &["9110 9.3.2"], ok("Content-Length: 4\r\n", "evil"), 200)
            .to(HEAD)
            .keep()
            .or_502(),
        arrives(
            "205 without a body",
            &["9110 15.3.6"],
            "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
            205,
        )
        .keep()
        .body(""),
    ]
}

fn interim() -> Vec<Response> {
    let then = ok("Content-Length: 2\r\n", "ok");
    let before = |head: &str| format!("{head}{then}");
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    vec![
        arrives("103 passes", &["9110 15.2", "9110 7.6"], before(hint), 200).keep().interim(103).body("ok"),
        arrives("102 passes", &["9110 15.2"], before("HTTP/1.1 102 Processing\r\n\r\n"), 200)
            .keep()
            .interim(102)
            .body("ok"),
        arrives(
            "an interim response that is not known passes",
            &["9110 15.2"],
            before("HTTP/1.1 150 X\r\n\r\n"),
            200,
        )
        .keep()
        .interim(150)
        .body("ok"),
        arrives("two interim responses pass", &["9110 15.2"], before(&format!("{hint}{hint}")), 200)
            .keep()
            .interim(103)
            .interim(103)
            .body("ok"),
        arrives("103 does not reach a client of HTTP/1.0", &["9110 15.2"], before(hint), 200)
            .to(OLD)
            .keep()
            .body("ok")
            .closes(),
        arrives(
            "103 before chunks",
            &["9110 15.2"],
            format!("{hint}{}", ok("Transfer-Encoding: chunked\r\n", CHUNKS)),
            200,
        )
        .keep()
        .interim(103)
        .body("hello"),
        bad_gateway(
            "101 that nobody asked for",
            &["9110 15.2.2", "9110 7.8"],
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        ),
        bad_gateway("an interim response and then the end", &["9110 15.2"], hint),
    ]
}

fn heads() -> Vec<Response> {
    let body = "Content-Length: 5\r\n\r\nhello";
    let bad = |name: &'static str, line: &str| bad_gateway(name, &["9112 4"], format!("{line}\r\n{body}"));
    vec![
        arrives("no reason", &["9112 4"], format!("HTTP/1.1 200 \r\n{body}"), 200).keep().body("hello"),
        arrives("no reason and no space", &["9112 4"], format!("HTTP/1.1 200\r\n{body}"), 200)
            .keep()
            .body("hello")
            .or_502(),
        arrives("a reason of raw bytes", &["9112 4"], format!("HTTP/1.1 200 \u{e9}\r\n{body}"), 200)
            .keep()
            .body("hello")
            .or_502(),
        arrives("a status that is not known", &["9110 15"], format!("HTTP/1.1 299 X\r\n{body}"), 299)
            .keep()
            .body("hello"),
        arrives(
            "a status of a class that is not known",
            &["9110 15"],
            format!("HTTP/1.1 799 X\r\n{body}"),
            799,
        )
        .keep()
        .or_502(),
        bad("a status of four digits", "HTTP/1.1 2000 OK"),
        bad("a status of two digits", "HTTP/1.1 20 OK"),
        bad("a status below 100", "HTTP/1.1 099 OK"),
        bad("two spaces before the status", "HTTP/1.1  200 OK"),
        bad("HTTP/2 in a status line", "HTTP/2 200 OK"),
        bad("another protocol", "ICY 200 OK"),
        bad("a version in lower case", "http/1.1 200 OK"),
        bad("a NUL in the reason", "HTTP/1.1 200 O\0K"),
        bad_gateway("what is no HTTP", &["9112 4"], "nonsense\r\n\r\n"),
        bad_gateway("nothing", &["9112 8", "9110 15.6.3"], ""),
        bad_gateway("a part of a head", &["9112 8"], "HTTP/1.1 200 OK\r\nContent-"),
    ]
}

fn fields() -> Vec<Response> {
    let with = |fields: &str| ok(&format!("{fields}Content-Length: 2\r\n"), "ok");
    let fine = |name: &'static str, rules: &'static [&'static str], fields: &str| {
        arrives(name, rules, with(fields), 200).keep().body("ok")
    };
    let bad = |name: &'static str, fields: &str| bad_gateway(name, &["9112 5", "9110 5.5"], with(fields));
    let hop: &'static [&'static str] = &["9110 7.6.1"];
    vec![
        fine("two cookies stay two", &["9110 5.3"], "Set-Cookie: a=1\r\nX: y\r\nSet-Cookie: b=2\r\n"),
        fine(
            "validators as they came",
            &["9110 7.7", "9110 8.8.3"],
            "ETag: W/\"x\"\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
        )
        .has("etag", "W/\"x\"")
        .has("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT"),
        fine("what Connection names", hop, "Connection: x-hop\r\nX-Hop: 1\r\n").lacks("x-hop"),
        fine("Keep-Alive", hop, "Keep-Alive: timeout=5\r\n").lacks("keep-alive"),
        fine("Proxy-Connection", hop, "Proxy-Connection: close\r\n").lacks("proxy-connection"),
        fine("an upgrade that is offered", &["9110 7.8"], "Connection: upgrade\r\nUpgrade: h2c\r\n")
            .lacks("upgrade"),
        fine("Connection: close of the service", hop, "Connection: close\r\n"),
        fine("a date stays", &["9110 6.6.1"], "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n")
            .has("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        fine("a date is added", &["9110 6.6.1"], "").some("date"),
        fine("a challenge", &["9110 11.6.1"], "WWW-Authenticate: Basic realm=\"x\"\r\n")
            .has("www-authenticate", "Basic realm=\"x\""),
        fine("a raw UTF-8 value", &["9110 5.5"], "X-A: \u{e9}\r\n").has("x-a", "\u{e9}"),
        fine("an empty value", &["9110 5.5"], "X-A:\r\n").has("x-a", ""),
        fine("a space before the colon is removed", &["9112 5.1"], "X-A : b\r\n").or_502(),
        fine("a folded field", &["9112 5.2"], "X-A: b\r\n c\r\n").has("x-a", "b c").or_502(),
        arrives(
            "trailers for a client that takes them",
            &["9110 6.5.1", "9112 7.1.2"],
            ok("Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"),
            200,
        )
        .to(TRAILERS)
        .keep()
        .body("hello")
        .lacks("x-sum")
        .trailer("x-sum", Some("1")),
        arrives(
            "trailers for a client that did not ask",
            &["9110 6.5.1"],
            ok("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"),
            200,
        )
        .keep()
        .body("hello")
        .lacks("x-sum"),
        arrives(
            "a trailer with a length",
            &["9110 6.5.1"],
            ok(
                "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n",
                "5\r\nhello\r\n0\r\nContent-Length: 1\r\n\r\n",
            ),
            200,
        )
        .to(TRAILERS)
        .keep()
        .trailer("content-length", None)
        .or_502(),
        bad("no colon", "X-A b\r\n"),
        bad("no name", ": b\r\n"),
        bad("brackets in a name", "X[]: b\r\n"),
        bad("a NUL in a value", "X-A: b\0c\r\n"),
        bad("CR alone in a value", "X-A: b\rc\r\n"),
        bad("a control byte in a value", "X-A: b\x01c\r\n"),
    ]
}

fn broken() -> Vec<Response> {
    let cut = |name: &'static str, fields: &str, body: &str| {
        arrives(name, &["9112 8", "9110 6.1"], ok(fields, body), 200).cut().or_502()
    };
    let chunks = "Transfer-Encoding: chunked\r\n";
    vec![
        cut("a body shorter than its length", "Content-Length: 10\r\n", "hello"),
        cut("chunks without an end", chunks, "5\r\nhello\r\n"),
        cut("a chunk without an end", chunks, "a\r\nhello"),
        cut("a chunk size that is no number", chunks, "5\r\nhello\r\nxyz\r\n"),
        cut("a chunk longer than its size", chunks, "5\r\nhello!!\r\n0\r\n\r\n"),
        cut("trailers without an end", chunks, "5\r\nhello\r\n0\r\nX: y\r\n"),
        cut("a trailer without a colon", chunks, "5\r\nhello\r\n0\r\nbad\r\n\r\n"),
    ]
}

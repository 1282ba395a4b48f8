//! Fields of requests: their form, and which may pass.

use crate::conformance::request::{Request, answered, passes, refused};

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n")
}

/// The rows.
pub fn rows() -> Vec<Request> {
    let mut rows = form();
    rows.extend(hop_by_hop());
    rows.extend(forwarding());
    rows.extend(limits());
    rows
}

fn form() -> Vec<Request> {
    let bad = |name: &'static str, fields: &str| refused(name, &["9112 5", "9110 5.5"], get(fields), &[400]);
    vec![
        passes("a value as it came", &["9110 5.5"], get("X-A: b, c; d=\"e\"\r\n"))
            .has("x-a", "b, c; d=\"e\""),
        passes("an empty value", &["9110 5.5"], get("X-A:\r\n")).has("x-a", ""),
        passes("white space around a value", &["9112 5.1"], get("X-A: \t b \t \r\n")).has("x-a", "b"),
        passes("a tab within a value", &["9110 5.5"], get("X-A: b\tc\r\n")).has("x-a", "b\tc"),
        passes("a field told twice keeps its order", &["9110 5.3"], get("X-A: 1\r\nX-B: x\r\nX-A: 2\r\n"))
            .has_all("x-a", &["1", "2"]),
        passes("all characters of a token in a name", &["9110 5.6.2"], get("!#$%&'*+-.^_`|~0aA: b\r\n"))
            .has("!#$%&'*+-.^_`|~0aA", "b"),
        passes("a raw UTF-8 value", &["9110 5.5"], get("X-A: \u{e9}\r\n")).has("x-a", "\u{e9}"),
        passes("a field that is not known", &["9110 5.1", "9110 16.3"], get("X-Never-Seen: 1\r\n"))
            .has("x-never-seen", "1"),
        bad("no colon", "X-A b\r\n"),
        bad("no name", ": b\r\n"),
        bad("a space before the colon", "X-A : b\r\n"),
        bad("a tab before the colon", "X-A\t: b\r\n"),
        bad("brackets in a name", "X[]: b\r\n"),
        bad("a raw byte in a name", "X\u{e9}: b\r\n"),
        bad("a NUL in a value", "X-A: b\0c\r\n"),
        bad("CR alone in a value", "X-A: b\rc\r\n"),
        bad("LF alone in a value", "X-A: b\nX-C: d\r\n"),
        bad("a control byte in a value", "X-A: b\x01c\r\n"),
        bad("DEL in a value", "X-A: b\x7fc\r\n"),
        refused(
            "white space before the first field",
            &["9112 2.2"],
            "GET / HTTP/1.1\r\n X: y\r\nHost: t\r\n\r\n",
            &[400],
        ),
        passes("a folded field", &["9112 5.2"], get("X-A: b\r\n c\r\n"))
            .has("x-a", "b c")
            .or(&[400])
            .may_close(),
        refused("LF alone at the end of a head", &["9112 2.2"], "GET / HTTP/1.1\r\nHost: t\r\n\n", &[400]),
    ]
}

fn hop_by_hop() -> Vec<Request> {
    let rule: &'static [&'static str] = &["9110 7.6.1"];
    vec![
        passes("what Connection names", rule, get("Connection: x-hop, keep-alive\r\nX-Hop: 1\r\n")).lacks("x-hop"),
        passes("what Connection names in capitals", rule, get("Connection: X-HOP\r\nx-hop: 1\r\n")).lacks("x-hop"),
        passes("what a second Connection names", rule, get("Connection: x-a\r\nConnection: x-b\r\nX-A: 1\r\nX-B: 1\r\n")).lacks("x-a").lacks("x-b"),
        passes("Keep-Alive", rule, get("Keep-Alive: timeout=5\r\n")).lacks("keep-alive"),
        passes("Proxy-Connection", rule, get("Proxy-Connection: keep-alive\r\n")).lacks("proxy-connection"),
        passes("TE", &["9110 10.1.4", "9110 7.6.1"], get("Connection: te\r\nTE: gzip\r\n")).lacks("te"),
        passes("an upgrade to HTTP/2", &["9110 7.8"], get("Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"))
            .lacks("upgrade")
            .lacks("http2-settings"),
        passes("an upgrade that Connection does not name", &["9110 7.8"], get("Upgrade: websocket\r\n")).lacks("upgrade"),
        passes("Connection cannot name Host", &["9110 7.6.1"], get("Connection: host\r\n")).has("host", "t").or(&[400]).may_close(),
        passes(
            "Connection cannot name the length",
            &["9110 7.6.1", "9112 11.2"],
            "POST / HTTP/1.1\r\nHost: t\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\nhello",
        )
        .body("hello")
        .or(&[400])
        .may_close(),
        passes(
            "Connection cannot name the coding",
            &["9110 7.6.1", "9112 11.2"],
            "POST / HTTP/1.1\r\nHost: t\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        )
        .body("hello")
        .or(&[400])
        .may_close(),
        refused("Connection with what is no token", rule, get("Connection: a b\r\n"), &[400]),
        passes("an empty Connection", rule, get("Connection: \r\n")),
        passes("Connection with empty elements", &["9110 5.6.1"], get("Connection: , x-hop,,\r\nX-Hop: 1\r\n")).lacks("x-hop"),
    ]
}

fn forwarding() -> Vec<Request> {
    vec![
        passes("the gateway names itself in Via", &["9110 7.6.3"], get("")).some("via"),
        passes("a Via that was there stays", &["9110 7.6.3"], get("Via: 1.0 first\r\n")).some("via"),
        passes(
            "what a client says of the way it came",
            &["9110 7.6"],
            get("X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n"),
        )
        .has("x-forwarded-for", "127.0.0.1"),
        passes("the same with underscores", &["9110 17.10"], get("X_Forwarded_For: 6.6.6.6\r\n"))
            .lacks("x_forwarded_for"),
        passes("Proxy, of which CGI makes HTTP_PROXY", &["9110 17.10"], get("Proxy: http://evil\r\n"))
            .lacks("proxy"),
        answered(
            "OPTIONS with Max-Forwards: 0",
            &["9110 7.6.2"],
            "OPTIONS / HTTP/1.1\r\nHost: t\r\nMax-Forwards: 0\r\n\r\n",
            &[200, 204],
        ),
        passes(
            "Max-Forwards becomes less",
            &["9110 7.6.2"],
            "OPTIONS / HTTP/1.1\r\nHost: t\r\nMax-Forwards: 5\r\n\r\n",
        )
        .has("max-forwards", "4"),
        passes("Max-Forwards says nothing of GET", &["9110 7.6.2"], get("Max-Forwards: 0\r\n"))
            .has("max-forwards", "0"),
        passes("an expectation that is not known", &["9110 10.1.1"], get("Expect: x-none\r\n"))
            .or(&[417])
            .may_close(),
        passes("Authorization", &["9110 11.6.2"], get("Authorization: Basic YTpi\r\n"))
            .has("authorization", "Basic YTpi"),
        passes("conditions", &["9110 13.1.2", "9110 13.2.1"], get("If-None-Match: W/\"a\", \"b\"\r\n"))
            .has("if-none-match", "W/\"a\", \"b\""),
        passes("a range", &["9110 14.2"], get("Range: bytes=0-1\r\n")).has("range", "bytes=0-1"),
        passes("negotiation", &["9110 12.5.1"], get("Accept: a/b;q=0.5, */*\r\nAccept-Encoding: br\r\n"))
            .has("accept", "a/b;q=0.5, */*")
            .has("accept-encoding", "br"),
        passes("cookies in two fields", &["9110 5.3"], get("Cookie: a=1\r\nCookie: b=2\r\n")),
    ]
}

fn limits() -> Vec<Request> {
    vec![
        refused("too many fields", &["9110 5.4"], get(&"X: y\r\n".repeat(5000)), &[431]),
        refused("too long a field", &["9110 5.4"], get(&format!("X: {}\r\n", "y".repeat(100_000))), &[431]),
        passes("fifty fields", &["9110 5.4"], get(&"X: y\r\n".repeat(50))),
    ]
}

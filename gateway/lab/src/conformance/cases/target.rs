//! Request lines, request targets and Host.

use crate::conformance::request::{Request, answered, passes, refused};

fn line(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: t\r\n\r\n").into_bytes()
}

fn host(field: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\n{field}\r\n").into_bytes()
}

/// The rows.
pub fn rows() -> Vec<Request> {
    let mut rows = request_lines();
    rows.extend(forms());
    rows.extend(paths());
    rows.extend(hosts());
    rows
}

fn request_lines() -> Vec<Request> {
    let mut rows = vec![
        passes("a request line passes as it came", &["9112 3"], line("GET /a/b?c=d HTTP/1.1"))
            .line("GET /a/b?c=d HTTP/1.1"),
        passes("an empty line before a request", &["9112 2.2"], line("\r\nGET /a HTTP/1.1"))
            .line("GET /a HTTP/1.1"),
        passes("a method that is not known", &["9110 9.1"], line("FROB /a HTTP/1.1"))
            .line("FROB /a HTTP/1.1")
            .or(&[405, 501]),
        passes("a method in lower case is another method", &["9110 9.1"], line("get /a HTTP/1.1"))
            .line("get /a HTTP/1.1")
            .or(&[405, 501]),
        refused("a method that is no token", &["9112 3.1"], line("G@T /a HTTP/1.1"), &[400]),
        refused("a method with a control byte", &["9112 3.1"], line("GE\x01T /a HTTP/1.1"), &[400]),
        refused("no method", &["9112 3.1"], line(" /a HTTP/1.1"), &[400]),
        refused("two spaces behind the method", &["9112 3"], line("GET  /a HTTP/1.1"), &[400]),
        refused("a tab in the request line", &["9112 3"], line("GET\t/a HTTP/1.1"), &[400]),
        refused("a space behind the version", &["9112 3"], line("GET /a HTTP/1.1 "), &[400]),
        refused("a space in the target", &["9112 3.2"], line("GET /a b HTTP/1.1"), &[400]),
        refused("no version", &["9112 2.3"], line("GET /a"), &[400, 505]),
        refused("a version in lower case", &["9112 2.3"], line("GET /a http/1.1"), &[400, 505]),
        refused("a version with two digits", &["9112 2.3"], line("GET /a HTTP/01.1"), &[400, 505]),
        refused("a version without a minor digit", &["9112 2.3"], line("GET /a HTTP/1."), &[400, 505]),
        refused("a version with more behind it", &["9112 2.3"], line("GET /a HTTP/1.1x"), &[400, 505]),
        refused("HTTP/2 in a request line", &["9110 2.5"], line("GET /a HTTP/2.0"), &[400, 505]),
        refused("HTTP/3 in a request line", &["9110 2.5"], line("GET /a HTTP/3.0"), &[400, 505]),
        passes("a higher minor version is read as 1.1, or refused", &["9110 2.5"], line("GET /a HTTP/1.2"))
            .line("GET /a HTTP/1.1")
            .or(&[400, 505]),
        refused(
            "bytes of a TLS handshake",
            &["9112 3"],
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
            &[400],
        ),
        refused("lines that end with LF alone", &["9112 2.2"], "GET / HTTP/1.1\nHost: t\n\n", &[400]),
        refused("CR alone in the request line", &["9112 2.2"], line("GET /a\rb HTTP/1.1"), &[400]),
        refused(
            "a long target",
            &["9112 3", "9110 15.5.15"],
            line(&format!("GET /{} HTTP/1.1", "a".repeat(20_000))),
            &[414, 431],
        ),
        answered("TRACE with a target", &["9110 9.3.8"], line("TRACE /a HTTP/1.1"), &[405, 501]),
        answered(
            "CONNECT",
            &["9110 9.3.6", "9112 3.2.3"],
            "CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n",
            &[400, 403, 405, 501],
        ),
    ];
    for (name, target) in [("a NUL", "/a\0b"), ("a control byte", "/a\x01b"), ("DEL", "/a\x7fb")] {
        let name: &'static str = match name {
            "a NUL" => "a NUL in the target",
            "DEL" => "DEL in the target",
            _ => "a control byte in the target",
        };
        rows.push(refused(name, &["9112 3.2"], line(&format!("GET {target} HTTP/1.1")), &[400]));
    }
    rows
}

fn forms() -> Vec<Request> {
    let absolute = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: other\r\n\r\n");
    let mut rows = vec![
        passes(
            "absolute-form: its host replaces the field",
            &["9112 3.2.2", "9110 7.2"],
            absolute("http://first.example/x?y"),
        )
        .line("GET /x?y HTTP/1.1")
        .has("host", "first.example"),
        passes(
            "absolute-form without a path",
            &["9112 3.2.1", "9110 4.2.3"],
            absolute("http://first.example"),
        )
        .line("GET / HTTP/1.1"),
        passes(
            "absolute-form with a query and no path",
            &["9112 3.2.1"],
            absolute("http://first.example?a=b"),
        )
        .line("GET /?a=b HTTP/1.1"),
        passes("absolute-form with a port", &["9112 3.2.2"], absolute("http://first.example:8080/x"))
            .line("GET /x HTTP/1.1")
            .has("host", "first.example:8080"),
        passes(
            "absolute-form with a scheme in capitals",
            &["9110 4.2.3"],
            absolute("HTTP://first.example/x"),
        )
        .line("GET /x HTTP/1.1"),
        passes(
            "absolute-form of https on a listener without TLS",
            &["9110 7.4"],
            absolute("https://first.example/x"),
        )
        .or(&[400, 421]),
        refused(
            "absolute-form with user and password",
            &["9110 4.2.4"],
            absolute("http://u:p@first.example/"),
            &[400],
        ),
        refused("absolute-form without a host", &["9110 4.2.1"], absolute("http:///x"), &[400]),
        refused("absolute-form with a port alone", &["9110 4.2.1"], absolute("http://:80/x"), &[400]),
        refused(
            "absolute-form of another scheme",
            &["9112 3.2.2"],
            absolute("ftp://first.example/x"),
            &[400],
        ),
        refused("absolute-form without slashes", &["9112 3.2.2"], absolute("http:x"), &[400]),
        passes("OPTIONS *", &["9112 3.2.4", "9110 9.3.7"], line("OPTIONS * HTTP/1.1"))
            .line("OPTIONS * HTTP/1.1")
            .or(&[200, 204]),
        passes(
            "OPTIONS in absolute-form without a path is OPTIONS *",
            &["9112 3.2.4"],
            line("OPTIONS http://t HTTP/1.1"),
        )
        .line("OPTIONS * HTTP/1.1")
        .or(&[200, 204]),
        passes("OPTIONS with a path", &["9110 9.3.7"], line("OPTIONS /x HTTP/1.1"))
            .line("OPTIONS /x HTTP/1.1"),
        refused("an asterisk and a query", &["9112 3.2.4"], line("OPTIONS *?x HTTP/1.1"), &[400]),
        refused("an asterisk and more", &["9112 3.2.4"], line("OPTIONS *a HTTP/1.1"), &[400]),
        refused("a target without a slash", &["9112 3.2.1"], line("GET a HTTP/1.1"), &[400]),
        refused("a target that is a query", &["9112 3.2.1"], line("GET ?a HTTP/1.1"), &[400]),
        refused("CONNECT with a path", &["9112 3.2.3"], line("CONNECT /x HTTP/1.1"), &[400, 405, 501]),
    ];
    rows.extend([
        refused("authority-form with GET", &["9112 3.2.3"], line("GET t:80 HTTP/1.1"), &[400]),
        refused("authority-form with HEAD", &["9112 3.2.3"], line("HEAD t:80 HTTP/1.1"), &[400]),
        refused("authority-form with POST", &["9112 3.2.3"], line("POST t:80 HTTP/1.1"), &[400]),
        refused("authority-form with OPTIONS", &["9112 3.2.3"], line("OPTIONS t:80 HTTP/1.1"), &[400]),
        refused("authority-form with an address", &["9112 3.2.3"], line("GET 127.0.0.1:80 HTTP/1.1"), &[400]),
        refused("authority-form of IPv6", &["9112 3.2.3"], line("GET [::1]:80 HTTP/1.1"), &[400]),
        refused("an asterisk with GET", &["9112 3.2.4"], line("GET * HTTP/1.1"), &[400]),
        refused("an asterisk with POST", &["9112 3.2.4"], line("POST * HTTP/1.1"), &[400]),
        refused("an asterisk with HEAD", &["9112 3.2.4"], line("HEAD * HTTP/1.1"), &[400]),
    ]);
    rows
}

fn paths() -> Vec<Request> {
    let get = |target: &str| line(&format!("GET {target} HTTP/1.1"));
    vec![
        refused("a fragment", &["9112 3.2"], get("/a#b"), &[400]),
        refused("a fragment in a query", &["9112 3.2"], get("/a?b#c"), &[400]),
        passes("dot segments", &["9110 4.2.3"], get("/a/./b/../c")).line("GET /a/c HTTP/1.1"),
        passes("encoded dot segments", &["9110 4.2.3"], get("/a/%2e/b/%2E%2e/c")).line("GET /a/c HTTP/1.1"),
        refused("dot segments above the root", &["9110 4.2.3", "9110 17.3"], get("/../a"), &[400]),
        refused("encoded dot segments above the root", &["9110 17.3"], get("/%2e%2e/a"), &[400]),
        passes("an encoded letter", &["9110 4.2.3"], get("/%7eme")).line("GET /~me HTTP/1.1"),
        passes("encoded bytes that are not letters", &["9110 4.2.3"], get("/a%20b%c3%a9"))
            .line("GET /a%20b%C3%A9 HTTP/1.1"),
        refused("a percent sign alone in a path", &["9110 4.1"], get("/a%zz"), &[400]),
        refused("a percent sign at the end of a path", &["9110 4.1"], get("/a%"), &[400]),
        refused("an encoded NUL", &["9110 4.1"], get("/a%00b"), &[400]),
        refused("an encoded CR and LF", &["9110 4.1"], get("/a%0d%0ab"), &[400]),
        passes("a query with an encoded slash", &["9110 4.1"], get("/?u=a%2Fb"))
            .line("GET /?u=a%2Fb HTTP/1.1"),
        passes("a query with dots and slashes", &["9110 4.1"], get("/?u=http://a/../b"))
            .line("GET /?u=http://a/../b HTTP/1.1"),
        passes("an empty query", &["9110 4.1"], get("/a?")),
        passes("a query with ; and :", &["9110 4.1"], get("/?a=1;b=2:3")).line("GET /?a=1;b=2:3 HTTP/1.1"),
        passes("raw UTF-8 in a path", &["9110 4.1"], get("/\u{e9}")),
        passes("raw UTF-8 in a query", &["9110 4.1"], get("/?q=\u{e9}")),
        passes("quotes and angle brackets in a path", &["9110 4.1"], get("/\"<>")),
        passes("quotes and angle brackets in a query", &["9110 4.1"], get("/?q=\"<>")),
        passes("braces, bars and carets in a query", &["9110 4.1"], get("/?q={a|b}^`")),
        passes("square brackets in a query", &["9110 4.1"], get("/?q[]=1")).line("GET /?q[]=1 HTTP/1.1"),
    ]
}

fn hosts() -> Vec<Request> {
    let fine = |name: &'static str, value: &str| {
        passes(name, &["9110 7.2", "9112 3.2"], host(&format!("Host: {value}\r\n")))
    };
    let bad =
        |name: &'static str, fields: &str| refused(name, &["9112 3.2", "9110 7.2"], host(fields), &[400]);
    vec![
        fine("a host", "example.com").has("host", "example.com"),
        fine("a host with a port", "example.com:8080").has("host", "example.com:8080"),
        fine("a host with an empty port", "example.com:"),
        fine("a host with an underscore", "my_app").has("host", "my_app"),
        fine("a host with a dot at its end", "example.com."),
        fine("a host of IPv6", "[::1]:80").has("host", "[::1]:80"),
        fine("a host with percent-encoding", "a%2db"),
        fine("an empty host", ""),
        bad("no host", ""),
        bad("two hosts", "Host: a\r\nHost: b\r\n"),
        bad("two equal hosts", "Host: a\r\nHost: a\r\n"),
        bad("two hosts in one field", "Host: a, b\r\n"),
        bad("a host with a space", "Host: a b\r\n"),
        bad("a host with user and password", "Host: u@a\r\n"),
        bad("a host with a path", "Host: a/b\r\n"),
        bad("a host with a query", "Host: a?b\r\n"),
        bad("a host with a fragment", "Host: a#b\r\n"),
        bad("a host with a scheme", "Host: http://a\r\n"),
        bad("a port that is too large", "Host: a:99999\r\n"),
        bad("a port that is no number", "Host: a:8x\r\n"),
        bad("an open bracket in a host", "Host: [::1\r\n"),
        bad("a raw byte in a host", "Host: a\u{e9}\r\n"),
        passes("HTTP/1.0 without a host", &["9112 3.2"], "GET / HTTP/1.0\r\n\r\n").or(&[400]).closes(),
    ]
}

//! What is not exactly HTTP is refused and never forwarded.

use crate::client::{Client, ask};
use crate::gateway::Gateway;
use crate::upstream::Upstream;

#[test]
fn malformed_requests_are_refused() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(upstream.address);
    let table: [(&[u8], u16); 39] = [
        (
            b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: xchunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding : chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5, 5\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0x5\r\n\r\nhello", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a/../b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400),
        (b"GET http://u@b/ HTTP/1.1\r\nHost: b\r\n\r\n", 400),
        (b"GET ftp://b/ HTTP/1.1\r\nHost: b\r\n\r\n", 400),
        (b"GET /a%2fb HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: t\r\nX: a\rb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: t\r\nX: a\nY: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: t\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: t\r\nX[]: a\r\n\r\n", 400),
        (b"GET /#x HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        (b"GET /a b HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\nHost: t\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"CONNECT t:443 HTTP/1.1\r\nHost: t\r\n\r\n", 501),
        (b"TRACE / HTTP/1.1\r\nHost: t\r\n\r\n", 501),
        (b"GET * HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        (b"GET t:80 HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: t\r\nConnection: a b\r\n\r\n", 400),
    ];
    for (request, status) in table {
        let mut client = Client::connect(gateway.address);
        // What follows must not be read as a request of its own.
        client.send([request, b"GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"].concat());
        let answer = client.answer();
        assert_eq!(answer.status, status, "{}", request.escape_ascii());
        assert_eq!(answer.field("connection"), Some("close"), "{}", request.escape_ascii());
        assert_eq!(client.rest(), b"", "{}", request.escape_ascii());
    }
    assert_eq!(upstream.requests(), 0);
    let mut client = Client::connect(gateway.address);
    client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n");
    assert_eq!(client.answer().status, 400);
    assert_eq!(client.rest(), b"");
    for _ in 0..=table.len() {
        let line = gateway.logged();
        assert!(line.contains("\"failed_at\":\"downstream\""), "{line}");
    }
}

#[test]
fn nothing_is_read_behind_a_refused_request() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send(
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n",
    );
    let answer = client.answer();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(client.rest(), b"");
    assert_eq!(upstream.requests(), 0);
}

#[test]
fn too_large_a_head_is_refused() {
    let upstream = Upstream::echo();
    let gateway = Gateway::with(upstream.address, "max_header_bytes = '2KiB'\nmax_headers = 8", "", "");
    let long = format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "a".repeat(3000));
    assert_eq!(ask(gateway.address, long).status, 431);
    let endless = format!("GET /{}", "a".repeat(3000));
    assert_eq!(ask(gateway.address, endless).status, 414);
    let many = format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", "X: a\r\n".repeat(8));
    assert_eq!(ask(gateway.address, many).status, 431);
    let enough = format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", "X: a\r\n".repeat(7));
    assert_eq!(ask(gateway.address, enough).status, 200);
    assert_eq!(upstream.requests(), 1);
}

#[test]
fn responses_that_can_be_read_in_two_ways_are_refused() {
    let table: [&'static [u8]; 8] = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"nonsense\r\n\r\n",
    ];
    for bytes in table {
        let upstream = Upstream::raw(bytes);
        let gateway = Gateway::before(upstream.address);
        let answer = ask(gateway.address, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(answer.status, 502, "{}", bytes.escape_ascii());
        let line = gateway.logged();
        assert!(line.contains("\"failed_at\":\"upstream\""), "{line}");
    }
}

#[test]
fn a_listener_of_one_protocol_knows_no_other() {
    let upstream = Upstream::saying("x");
    let only_http2 = Gateway::with(upstream.address, "protocols = ['http2']", "", "");
    for bytes in ["GET / HTTP/1.1\r\nHost: t\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "\0\0\0\0"] {
        let mut client = Client::connect(only_http2.address);
        client.send(bytes.repeat(2));
        let rest = client.rest();
        assert!(!rest.windows(5).any(|part| part == b"HTTP/"), "{}", rest.escape_ascii());
    }
    let only_http1 = Gateway::with(upstream.address, "protocols = ['http1']", "", "");
    let answer = ask(only_http1.address, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(answer.status, 505);
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(upstream.requests(), 0);
}

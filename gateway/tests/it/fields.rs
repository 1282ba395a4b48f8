//! Which fields reach the upstream and the client.

use crate::client::{ask, field};
use crate::gateway::Gateway;
use crate::upstream::{Upstream, echoed};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: Test:81\r\n\
    Connection: X-Secret, X-Forwarded-For, X-Request-ID, Via, Host\r\n\
    X-Secret: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\
    X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\
    X-Forwarded-Prefix: /evil\r\nForwarded: for=203.0.113.9\r\nX-Real-IP: 203.0.113.9\r\n\
    X_Forwarded_For: 203.0.113.9\r\nX-Forwarded_Proto: https\r\nX-Request-ID: evil\r\n\
    pROXY: http://evil.test/\r\n\
    Accept: */*\r\nmy_own: kept\r\n\r\n";

#[test]
fn an_untrusted_client_cannot_speak_for_the_gateway() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(upstream.address);
    let answer = ask(gateway.address, REQUEST);
    let body = answer.body.to_lowercase();
    for gone in [
        "x-secret",
        "keep-alive",
        "proxy-authorization",
        "upgrade",
        "h2c",
        "http2-settings",
        "evil",
        "203.0.113.9",
        "x-real-ip",
        "x_forwarded",
        "x-forwarded_",
        "connection",
    ] {
        assert!(!body.contains(gone), "{gone}\n{body}");
    }
    let expected = [
        ("host", "Test:81"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "Test:81"),
        ("forwarded", "for=127.0.0.1;proto=http;host=\"Test:81\""),
        ("via", "1.1 gateway"),
        ("accept", "*/*"),
        ("my_own", "kept"),
    ];
    for (name, value) in expected {
        assert_eq!(echoed(&answer.body, name), Some(value), "{name}");
    }
    assert_eq!(echoed(&answer.body, "x-request-id"), answer.field("x-request-id"));
}

#[test]
fn a_trusted_proxy_is_believed() {
    let upstream = Upstream::echo();
    let gateway = Gateway::with(upstream.address, "trusted_proxies = ['127.0.0.0/8']", "", "");
    let answer = ask(
        gateway.address,
        "GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 203.0.113.9\r\n\
         X-Forwarded-Proto: https\r\nX-Forwarded-Host: public\r\nProxy: http://evil.test/\r\n\r\n",
    );
    // Not in this: no proxy has a use for the field.
    assert_eq!(echoed(&answer.body, "proxy"), None);
    let expected = [
        ("x-forwarded-for", "203.0.113.9, 127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "public"),
    ];
    for (name, value) in expected {
        assert_eq!(echoed(&answer.body, name), Some(value), "{name}");
    }
    let line = gateway.logged();
    assert!(line.contains("\"client\":\"203.0.113.9\""), "{line}");
}

#[test]
fn the_absolute_target_goes_before_host() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(upstream.address);
    let answer = ask(gateway.address, "GET http://real.test/a HTTP/1.1\r\nHost: other.test\r\n\r\n");
    assert!(answer.body.starts_with("GET /a HTTP/1.1\r\n"), "{}", answer.body);
    assert_eq!(echoed(&answer.body, "host"), Some("real.test"));
    assert!(!answer.body.contains("other.test"), "{}", answer.body);
}

#[test]
fn fields_of_the_upstreams_connection_do_not_pass() {
    let upstream = Upstream::raw(
        b"HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\
          Proxy-Connection: x\r\nX-End: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
          Content-Length: 2\r\n\r\nok",
    );
    let gateway = Gateway::before(upstream.address);
    let answer = ask(gateway.address, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    for name in ["x-hop", "keep-alive", "proxy-connection", "connection"] {
        assert_eq!(answer.field(name), None, "{}", answer.head);
    }
    assert_eq!(answer.field("x-end"), Some("1"));
    assert_eq!(answer.head.to_lowercase().matches("set-cookie").count(), 2);
    assert_eq!(field(&answer.head, "via"), Some("1.1 gateway"));
}

#[test]
fn a_client_of_http_1_0_is_served() {
    let upstream = Upstream::start(|_, client| {
        client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        true
    });
    let gateway = Gateway::before(upstream.address);
    let mut client = crate::client::Client::connect(gateway.address);
    client.send("GET / HTTP/1.0\r\n\r\n");
    let bytes = client.rest();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // The gateway's own version, not the client's (RFC 9110 section 6.2).
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(!text.to_lowercase().contains("transfer-encoding"), "{text}");
    assert!(text.ends_with("\r\n\r\nok"), "{text}");
}

#[test]
fn a_request_without_a_host_names_the_endpoint() {
    // A Unix socket has no host: what servers without a name are called.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let gateway = Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[upstreams.a]\nendpoints = ['unix:{}']\n[[routes]]\nupstream = 'a'\n",
        path.display()
    ));
    let mut client = crate::client::Client::connect(gateway.address);
    client.send("GET / HTTP/1.0\r\n\r\n");
    let (mut upstream, _) = listener.accept().expect("a connection");
    let mut head = vec![0; 4096];
    let length = std::io::Read::read(&mut upstream, &mut head).expect("a request");
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    assert_eq!(field(&head, "host"), Some("localhost"), "{head}");
}

#[test]
fn only_known_expectations_pass() {
    let upstream = Upstream::echo();
    let gateway = Gateway::with(upstream.address, "", "", "");
    let table = [
        ("1.1", "Expect: x-other\r\n", 417),
        ("1.1", "Expect: 100-continue, x-other\r\n", 417),
        ("1.1", "Expect: 100-Continue\r\n", 200),
        ("1.0", "Expect: x-other\r\n", 200),
    ];
    for (version, field, status) in table {
        let request = format!("GET / HTTP/{version}\r\nHost: t\r\nConnection: close\r\n{field}\r\n");
        assert_eq!(ask(gateway.address, &request).status, status, "{version} {field}");
    }
}

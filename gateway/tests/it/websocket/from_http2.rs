//! Clients of HTTP/2 that open a WebSocket by extended CONNECT (RFC 8441).

use bytes::Bytes;
use http::StatusCode;

use crate::client::field;
use crate::gateway::Gateway;
use crate::http2::run;
use crate::tunnel::{agreed, ask, connect, http1_upstream, logged};
use crate::upstream::response;

#[test]
fn a_tunnel_from_http_2_to_http_1() {
    let upstream = http1_upstream(|key, head| {
        assert!(head.starts_with("GET /ws?a HTTP/1.1\r\n"), "{head}");
        assert_eq!(head.matches("ec-websocket-key").count(), 1, "{head}");
        assert!(key.len() == 24 && key != "AAAAAAAAAAAAAAAAAAAAAA==", "{key}");
        let expected =
            [("connection", "upgrade"), ("upgrade", "websocket"), ("host", "t"), ("origin", "http://o")];
        for (name, value) in expected {
            assert_eq!(field(head, name), Some(value), "{head}");
        }
        assert!(field(head, "transfer-encoding").is_none() && field(head, "content-length").is_none());
        agreed(key)
    });
    // Extended CONNECT is routed as the GET of HTTP/1.1.
    let gateway = Gateway::with(upstream.address, "", "", "methods = ['GET']");
    run(async {
        let mut sender = connect(&gateway).await;
        let (head, mut tunnel) = ask(&mut sender, "websocket", "/ws?a", "early\n").await;
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(head.headers().get("sec-websocket-protocol").expect("a field"), "chat");
        for absent in ["sec-websocket-accept", "upgrade", "connection", "content-length"] {
            assert!(!head.headers().contains_key(absent), "{head:?}");
        }
        assert_eq!(tunnel.take(6).await, "early\n");
        tunnel.send("a\n");
        assert_eq!(tunnel.take(2).await, "a\n");
        tunnel.send("bye\n");
        // The upstream closes: the stream ends with END_STREAM.
        assert_eq!(tunnel.rest().await, "");
        tunnel.send.send_data(Bytes::new(), true).expect("an open stream");
    });
    let line = logged(&gateway, "/ws");
    for part in [
        "\"method\":\"CONNECT\"",
        "\"protocol\":\"HTTP/2\"",
        "\"status\":200",
        "\"received_bytes\":12",
        "\"sent_bytes\":8",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!line.contains("failure"), "{line}");
}

#[test]
fn what_is_no_agreement_opens_no_tunnel() {
    let upstream = http1_upstream(|key, head| match head.split(' ').nth(1) {
        Some("/no") => response(403, "no"),
        Some("/page") => response(200, "page"),
        Some("/wrong") => agreed("another key"),
        Some("/other") => agreed(key).replace("websocket\r\n", "h2c\r\n"),
        _ => agreed(key).replace("Sec-WebSocket-Accept", "X"),
    });
    let gateway = Gateway::before(upstream.address);
    let table =
        [("/no", 403, "no"), ("/page", 502, ""), ("/wrong", 502, ""), ("/other", 502, ""), ("/x", 502, "")];
    run(async {
        let mut sender = connect(&gateway).await;
        for (path, status, body) in table {
            let (head, mut tunnel) = ask(&mut sender, "websocket", path, "early\n").await;
            assert_eq!(head.status(), status, "{path}");
            let text = tunnel.rest().await;
            assert!(text == body || body.is_empty(), "{path}: {text}");
        }
        // A refusal keeps the upstream's connection, and what came early was not sent on it.
        let before = upstream.connections();
        for _ in 0..3 {
            assert_eq!(ask(&mut sender, "websocket", "/no", "GET / HTTP/1.1\r\n").await.0.status(), 403);
        }
        assert!(upstream.connections() <= before + 1);
    });
    assert!(logged(&gateway, "/wrong").contains("Sec-WebSocket-Accept does not answer"));
}

#[test]
fn other_protocols_and_routes_without_upstream_have_no_tunnel() {
    let gateway = Gateway::start(
        "[[listeners]]\naddress = '127.0.0.1:0'\n\
         [[routes]]\npath = '/ok'\nrespond = { status = 200, body = 'x' }\n\
         [[routes]]\npath = '/gone'\nrespond = { status = 410, body = 'x' }\n\
         [[routes]]\npath = '/post'\nmethods = ['POST']\nrespond = { status = 200, body = 'x' }\n",
    );
    let table = [
        ("connect-udp", "/gone", 501),
        ("websocket", "/ok", 501),
        ("websocket", "/gone", 410),
        ("WebSocket", "/gone", 410),
        ("websocket", "/post", 405),
        ("websocket", "/nowhere", 404),
    ];
    run(async {
        let mut sender = connect(&gateway).await;
        for (protocol, path, status) in table {
            let (head, mut tunnel) = ask(&mut sender, protocol, path, "").await;
            assert_eq!(head.status(), status, "{protocol} {path}");
            tunnel.rest().await;
        }
    });
}

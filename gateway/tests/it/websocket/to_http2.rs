//! Upstreams of HTTP/2, which get an extended CONNECT (RFC 8441).

use bytes::Bytes;
use h2::Reason;
use h2::ext::Protocol;
use http::{Method, StatusCode};

use crate::client::{Client, field};
use crate::gateway::Gateway;
use crate::http2::run;
use crate::tunnel::{ask, before_http2, connect, http2_upstream, logged};

const REQUEST: &str = "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn a_tunnel_from_http_1_to_http_2() {
    let (address, heads) = http2_upstream(true);
    let gateway = before_http2(address);
    let mut client = Client::connect(gateway.address);
    client.send(REQUEST);
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let expected = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        // The example of RFC 6455 section 1.3.
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("sec-websocket-protocol", "chat"),
    ];
    for (name, value) in expected {
        assert_eq!(field(&head, name), Some(value), "{head}");
    }
    let asked = heads.recv().expect("a request");
    assert_eq!(asked.method(), Method::CONNECT);
    assert_eq!(asked.extensions().get::<Protocol>().map(Protocol::as_str), Some("websocket"));
    assert_eq!(asked.uri().path(), "/ws");
    assert_eq!(asked.headers().get("sec-websocket-version").expect("a field"), "13");
    for absent in ["sec-websocket-key", "upgrade", "connection"] {
        assert!(!asked.headers().contains_key(absent), "{asked:?}");
    }
    // More than a window, so that flow control takes part.
    let long = [vec![b'x'; 300_000], b"\n".to_vec()].concat();
    for message in [b"a\n".to_vec(), long] {
        client.send(&message);
        assert!(client.until(b"\n") == message);
    }
    client.send("bye\n");
    assert_eq!(client.rest(), b"");
    drop(client);
    let line = gateway.logged();
    assert!(line.contains("\"status\":101") && line.contains("\"method\":\"GET\""), "{line}");
    assert!(line.contains("\"received_bytes\":300007") && !line.contains("failure"), "{line}");
}

#[test]
fn refusals_of_http_2_are_ordinary_responses() {
    let (address, heads) = http2_upstream(true);
    let gateway = before_http2(address);
    let mut client = Client::connect(gateway.address);
    for _ in 0..2 {
        client.send(REQUEST.replace("/ws", "/no"));
        assert_eq!(client.answer().status, 403);
    }
    let without_key = REQUEST.replace("Sec-WebSocket-Key", "X-Key");
    let twice = REQUEST.replace("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA==");
    for request in [without_key, twice] {
        assert_eq!(crate::client::ask(gateway.address, request).status, 400);
    }
    // A method that opens no WebSocket is forwarded as it is.
    let other = REQUEST.replace("GET ", "DELETE ").replace("Connection:", "Connection: close,");
    let gateway = Gateway::with(address, "", "protocol = 'http2'", "");
    assert_eq!(crate::client::ask(gateway.address, other).status, 200);
    assert_eq!(heads.iter().nth(2).expect("a request").method(), Method::DELETE);

    let (address, _heads) = http2_upstream(false);
    let gateway = before_http2(address);
    let answer = crate::client::ask(gateway.address, REQUEST);
    assert_eq!(answer.status, 502);
    let line = gateway.logged();
    assert!(line.contains("\"failure\":\"no_websocket\"") && line.contains("CONNECT_PROTOCOL"), "{line}");
}

#[test]
fn a_tunnel_from_http_2_to_http_2() {
    let (address, heads) = http2_upstream(true);
    let gateway = before_http2(address);
    run(async {
        let mut sender = connect(&gateway).await;
        let (head, mut tunnel) = ask(&mut sender, "websocket", "/ws", "early\n").await;
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(tunnel.take(6).await, "early\n");
        // The client ends its side: the upstream sees that and ends the other.
        tunnel.send.send_data(Bytes::from("last\n"), true).expect("an open stream");
        assert_eq!(tunnel.rest().await, "last\n");

        let (head, mut tunnel) = ask(&mut sender, "websocket", "/cut", "x\n").await;
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(tunnel.reset().await, Reason::CONNECT_ERROR);
        let (head, _) = ask(&mut sender, "websocket", "/no", "").await;
        assert_eq!(head.status(), StatusCode::FORBIDDEN);
    });
    assert!(heads.iter().skip(1).take(3).all(|asked| asked.method() == Method::CONNECT));
    assert!(!logged(&gateway, "/ws").contains("failure"));
    assert!(logged(&gateway, "/cut").contains("\"failure\":\"response_aborted\""));
}

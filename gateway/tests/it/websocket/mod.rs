//! Connections that switch to WebSocket.

mod end;
mod from_http2;
mod to_http2;

use crate::client::Client;
use crate::gateway::Gateway;
use crate::upstream::{Upstream, echoed, response};

const REQUEST: &str = "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, Upgrade, TE\r\n\
    TE: trailers\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn a_websocket_passes_both_ways() {
    let upstream = Upstream::start(|head, client| {
        assert_eq!(echoed(head, "upgrade"), Some("websocket"), "{head}");
        assert_eq!(echoed(head, "sec-websocket-key"), Some("x"));
        assert_eq!(echoed(head, "connection"), Some("upgrade, te"));
        client.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: y\r\n\r\nfirst",
        );
        while let Some(message) = Some(client.until(b"\n")).filter(|message| message != b"\0\n") {
            client.send(message);
        }
        false
    });
    let mut gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send(REQUEST);
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(echoed(&head, "upgrade"), Some("websocket"));
    assert_eq!(echoed(&head, "connection"), Some("upgrade"));
    assert_eq!(echoed(&head, "sec-websocket-accept"), Some("y"));
    assert_eq!(client.bytes(5), b"first");
    // Not HTTP any more: neither the form nor the limits of a head hold.
    let long = [vec![b'\r'; 100_000], b"\n".to_vec()].concat();
    for message in [b"\x01\x02 GET\n".to_vec(), long] {
        client.send(&message);
        assert!(client.until(b"\n") == message);
    }
    // A drain waits for it as for any request.
    gateway.signal("TERM");
    gateway.says("draining");
    client.send("still\n");
    assert_eq!(client.until(b"\n"), b"still\n");
    client.send("\0\n");
    assert_eq!(client.rest(), b"");
    drop(client);
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(gateway.logged().contains("\"status\":101"));
}

#[test]
fn a_refused_switch_is_an_ordinary_response() {
    let upstream = Upstream::start(|_, client| {
        client.send(response(403, "no"));
        true
    });
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    for _ in 0..2 {
        client.send(REQUEST);
        let answer = client.answer();
        assert_eq!((answer.status, answer.body.as_str()), (403, "no"));
    }
}

#[test]
fn another_protocol_is_not_asked_for() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(upstream.address);
    let answer = crate::client::ask(gateway.address, REQUEST.replace("websocket\r\n", "h2c\r\n"));
    assert_eq!(answer.status, 200);
    assert_eq!(echoed(&answer.body, "upgrade"), None);
    assert_eq!(echoed(&answer.body, "connection"), Some("te"));
}

#[test]
fn data_before_the_switch_is_refused() {
    let upstream = Upstream::start(|head, client| {
        assert!(echoed(head, "upgrade").is_some());
        client.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        assert_eq!(client.rest(), b"");
        false
    });
    let gateway = Gateway::before(upstream.address);
    let answer =
        crate::client::ask(gateway.address, format!("{REQUEST}GET /admin HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_eq!((answer.status, answer.field("connection")), (400, Some("close")));
    assert!(gateway.logged().contains("\"failure\":\"switch_early\""));
}

#[test]
fn the_end_of_one_direction_is_passed_on() {
    let upstream = Upstream::start(|_, client| {
        client.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        // It learns that the client has ended, and still has something to say.
        let received = client.rest();
        client.send([b"after ", &received[..]].concat());
        false
    });
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send(REQUEST);
    client.head();
    client.send("all");
    client.end();
    assert_eq!(client.rest(), b"after all");
    let line = gateway.logged();
    assert!(line.contains("\"received_bytes\":3") && line.contains("\"sent_bytes\":9"), "{line}");
}

//! Upstreams of HTTP/2 that do not take every request.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use bytes::Bytes;
use h2::Reason;
use http::Response;
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use crate::client::ask;
use crate::gateway::Gateway;

/// A name in capitals, longer than names are.
const LONG_NAME: [u8; 300] = [b'X'; 300];

/// An upstream that reads the body of each request. It refuses the first request of each connection that has a
/// number below `refusing`, and answers the others with the length of the body, and in fields with the authority, the
/// length that was announced and the field with the long name.
fn refusing(refusing: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            thread::spawn(move || {
                stream.set_nonblocking(true).expect("a socket");
                let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(serve(stream, number < refusing));
            });
        }
    });
    address
}

async fn serve(stream: std::net::TcpStream, refuses: bool) {
    let stream = TcpStream::from_std(stream).expect("a runtime");
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    let mut first = true;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let refuse = std::mem::take(&mut first) && refuses;
        tokio::spawn(async move {
            let mut response = Response::new(());
            let long = LONG_NAME.to_ascii_lowercase().escape_ascii().to_string();
            let authority = request.uri().authority().expect("an authority").as_str();
            response.headers_mut().insert("authority", authority.parse().expect("a value"));
            for (name, said) in [("content-length", "announced"), (long.as_str(), "named")] {
                if let Some(value) = request.headers().get(name) {
                    response.headers_mut().insert(said, value.clone());
                }
            }
            let mut body = request.into_body();
            let mut length = 0;
            while let Some(Ok(piece)) = body.data().await {
                length += piece.len();
                let _ = body.flow_control().release_capacity(piece.len());
            }
            if refuse {
                respond.send_reset(Reason::REFUSED_STREAM);
                return;
            }
            let mut send = respond.send_response(response, false).expect("an open stream");
            send.send_data(Bytes::from(length.to_string()), true).expect("an open stream");
        });
    }
}

fn gateway(upstream: SocketAddr) -> Gateway {
    Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[upstreams.a]\nendpoints = ['h2c://{upstream}']\n\
         [[routes]]\nupstream = 'a'\n"
    ))
}

fn post(length: usize) -> String {
    let body = "x".repeat(length);
    format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn a_request_that_the_endpoint_did_not_look_at_is_sent_again_whatever_its_method() {
    for length in [0, 5, 60_000] {
        let gateway = gateway(refusing(1));
        let answer = ask(gateway.address, post(length));
        assert_eq!((answer.status, answer.body), (200, length.to_string()));
        let line = gateway.logged();
        assert!(line.contains("\"attempts\":2"), "{line}");
        assert!(line.contains(&format!("\"received_bytes\":{length}")), "{line}");
    }
}

#[test]
fn a_body_that_is_too_long_to_be_kept_is_not_sent_again() {
    let gateway = gateway(refusing(1));
    assert_eq!(ask(gateway.address, post(300_000)).status, 502);
}

#[test]
fn the_length_of_a_body_and_long_names_pass() {
    let gateway = gateway(refusing(0));
    let name = LONG_NAME.escape_ascii();
    for (framing, body, announced) in [
        ("Content-Length: 5", "hello", Some("5")),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", None),
    ] {
        let request = format!("PUT / HTTP/1.1\r\nHost: t\r\n{framing}\r\n{name}: v\r\n\r\n{body}");
        let answer = ask(gateway.address, request);
        // The name is made lower case (RFC 9113 section 8.2), however long it is.
        assert_eq!((answer.field("announced"), answer.field("named")), (announced, Some("v")), "{answer:?}");
    }
}

#[test]
fn an_authority_is_never_empty() {
    let upstream = refusing(0);
    let gateway = gateway(upstream);
    for (version, host, expected) in [
        ("1.1", "Host: t\r\n", "t".to_owned()),
        ("1.1", "Host:\r\n", upstream.to_string()),
        ("1.1", "Host: :80\r\n", upstream.to_string()),
        ("1.0", "", upstream.to_string()),
    ] {
        let request = format!("GET / HTTP/{version}\r\n{host}Connection: close\r\n\r\n");
        assert_eq!(
            ask(gateway.address, request).field("authority"),
            Some(expected.as_str()),
            "{version} {host}"
        );
    }
}

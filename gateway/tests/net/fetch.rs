//! The gateway's own requests, against servers that answer in many ways.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::fetch::{Call, Cause, Reply, Service, Url};
use gateway::http::fields::Fields;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::server::{load, run, serve_tls, server_tls};

fn service(url: &str) -> Service {
    let ca = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ca.crt");
    Service::new(Url::parse(url).expect(url), Some(ca), &Arc::default()).expect("good files")
}

fn call(fields: &Fields) -> Call<'_> {
    Call {
        method: Method::GET,
        target: None,
        fields,
        body: None,
        timeout: Duration::from_secs(5),
        max_bytes: 16,
    }
}

/// Answers each connection with these bytes, and tells what was asked up to `end`.
async fn serve(bytes: &'static [u8], end: &'static str) -> (SocketAddr, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, asked) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = Vec::new();
            while !String::from_utf8_lossy(&text).ends_with(end) {
                if stream.read_buf(&mut text).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let _ = sender.send(String::from_utf8_lossy(&text).into_owned());
            let _ = stream.write_all(bytes).await;
            if bytes.is_empty() {
                let _ = stream.read_buf(&mut text).await;
            }
        }
    });
    (address, asked)
}

#[test]
fn a_request_is_sent_as_it_should_be() {
    run(async {
        let (address, mut asked) =
            serve(b"HTTP/1.1 201 Created\r\nX: y\r\nContent-Length: 2\r\n\r\nok", "body").await;
        let mut fields = Fields::new();
        fields.push(b"content-type", b"text/plain");
        let body = Some(&b"body"[..]);
        let called = Call { method: Method::POST, body, target: Some("/other"), ..call(&fields) };
        let reply = service(&format!("http://{address}/path?q=1")).call(called).await.expect("a response");
        assert_eq!((reply.status.as_u16(), &reply.body[..]), (201, &b"ok"[..]));
        assert_eq!(reply.fields.named(b"x").next(), Some(&b"y"[..]));
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "POST /other HTTP/1.1\r\nhost: {address}\r\nuser-agent: gateway/{version}\r\ncontent-type: text/plain\r\n\
             content-length: 4\r\nconnection: close\r\n\r\nbody"
        );
        assert_eq!(asked.recv().await, Some(expected));
        let (address, mut asked) = serve(b"HTTP/1.1 204 None\r\n\r\n", "\r\n\r\n").await;
        let none = Fields::new();
        service(&format!("http://{address}/path?q=1")).call(call(&none)).await.expect("a response");
        let asked = asked.recv().await.expect("a request");
        assert!(asked.starts_with("GET /path?q=1 HTTP/1.1\r\n"), "{asked}");
        assert!(!asked.contains("content-length"), "{asked}");
    });
}

fn shown(result: Result<Reply, Cause>) -> String {
    match result {
        Ok(reply) => format!("{} {}", reply.status.as_u16(), String::from_utf8_lossy(&reply.body)),
        Err(Cause::Dial(_)) => "dial".to_owned(),
        Err(Cause::Timeout) => "timeout".to_owned(),
        Err(Cause::Broken(_)) => "broken".to_owned(),
        Err(Cause::Malformed(_)) => "malformed".to_owned(),
        Err(Cause::TooLarge(_)) => "too large".to_owned(),
    }
}

#[test]
fn responses_are_read_within_their_bounds() {
    run(async {
        let table: [(&[u8], &str); 12] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n0123456789abcdef", "200 0123456789abcdef"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n0123456789abcdefg", "too large"),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
                "200 abc",
            ),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "broken"),
            (b"HTTP/1.1 200 OK\r\n\r\nto the end", "200 to the end"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "broken"),
            (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n", "500 "),
            (b"HTTP/1.1 101 Switching\r\n\r\n", "malformed"),
            (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "302 "),
            (b"SSH-2.0-OpenSSH\r\n", "malformed"),
            (b"HTTP/1.1 200", "broken"),
            (b"", "timeout"),
        ];
        let none = Fields::new();
        for (bytes, expected) in table {
            let (address, _asked) = serve(bytes, "\r\n\r\n").await;
            let timeout = Duration::from_millis(if bytes.is_empty() { 200 } else { 5000 });
            let began = Instant::now();
            let url = format!("http://{address}/");
            let result = service(&url).call(Call { timeout, ..call(&none) }).await;
            assert!(began.elapsed() < Duration::from_secs(4), "{expected}");
            if let Err(error) = &result {
                assert!(error.to_string().starts_with(&url), "{error}");
            }
            assert_eq!(shown(result.map_err(|error| error.cause)), expected, "{}", bytes.escape_ascii());
        }
        let unused =
            TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        let result = service(&format!("http://{unused}/")).call(call(&none)).await;
        assert_eq!(shown(result.map_err(|error| error.cause)), "dial");
    });
}

#[test]
fn a_server_with_tls_must_show_a_certificate_of_the_authority() {
    run(async {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let certificate = gateway::tls::CertificateFiles {
            certificate: data.join("localhost.crt"),
            key: data.join("localhost.key"),
        };
        let tls = load(&server_tls(&certificate));
        let answer = |_: &_| "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".to_owned();
        let port = serve_tls(&tls, answer).await.port();
        let none = Fields::new();
        let reply = service(&format!("https://localhost:{port}/")).call(call(&none)).await;
        assert_eq!(shown(reply.map_err(|error| error.cause)), "200 ok");
        let url = Url::parse(&format!("https://localhost:{port}/")).expect("a URL");
        let Ok(other) = Service::new(url, None, &Arc::default()) else {
            eprintln!("skipped: this system has no authorities");
            return;
        };
        assert_eq!(shown(other.call(call(&none)).await.map_err(|error| error.cause)), "dial");
    });
}

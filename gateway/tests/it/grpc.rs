//! Failures of the gateway as gRPC tells them, and deadlines.

use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{Client, ask};
use crate::gateway::{Gateway, PATIENCE};
use crate::http2::{connect, frame, run};
use crate::upstream::{Upstream, echoed, response};

/// Sends a message in HTTP/2; the head of the response and the length of its body.
async fn call(gateway: &Gateway, path: &str, kind: &str, timeout: Option<&str>) -> (Response<()>, String) {
    let mut sender = connect(gateway.address).await;
    let mut request =
        Request::post(format!("http://t{path}")).header("content-type", kind).header("te", "trailers");
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    let request = request.body(Full::new(Bytes::from_static(b"\0\0\0\0\0"))).expect("a request");
    let (head, body) = sender.send_request(request).await.expect("a response").into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (Response::from_parts(head, ()), String::from_utf8_lossy(&bytes).into_owned())
}

fn field<'r>(response: &'r Response<()>, name: &str) -> Option<&'r str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

#[test]
fn failures_are_told_in_the_head() {
    let settings = format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[upstreams.a]\nendpoints = ['{}']\nretries = 0\n\
         [[routes]]\npath = '/p.S/Down'\nupstream = 'a'\nresponse_headers.set = {{ X-A = 'b' }}\n\
         [[routes]]\npath = '/p.S/Long'\nupstream = 'a'\nmax_body_bytes = 3\n\
         [[routes]]\npath = '/p.S/Get'\nupstream = 'a'\nmethods = ['GET']\n",
        Upstream::nowhere()
    );
    let gateway = Gateway::start(&settings);
    run(async {
        let table = [
            ("/p.S/Down", "14", "The service cannot be reached."),
            ("/p.S/Long", "8", "The request body is too large."),
            ("/p.S/Get", "12", ""),
            ("/p.S/Nothing", "12", ""),
            ("/p.S/a%2fb", "12", ""),
            ("/p.S/Down/a%2fb", "13", "The path is ambiguous."),
            (&format!("/p.S/{}", "a".repeat(10_000)), "8", "The request-target is too long."),
        ];
        for (path, code, message) in table {
            let (head, body) = call(&gateway, path, "application/grpc+proto", None).await;
            assert_eq!(head.status(), StatusCode::OK, "{path}");
            assert_eq!(field(&head, "content-type"), Some("application/grpc"), "{path}");
            assert_eq!(field(&head, "grpc-status"), Some(code), "{path}");
            assert!(field(&head, "grpc-message").is_some_and(|found| found.starts_with(message)), "{head:?}");
            assert!(field(&head, "x-request-id").is_some() && field(&head, "content-length").is_none());
            assert_eq!(body, "", "{path}");
        }
        let (head, _) = call(&gateway, "/p.S/Down", "application/grpc", None).await;
        assert_eq!(field(&head, "x-a"), Some("b"));
        for kind in ["application/grpc-web+proto", "application/json"] {
            let (head, _) = call(&gateway, "/p.S/Down", kind, None).await;
            assert_eq!(head.status(), StatusCode::SERVICE_UNAVAILABLE, "{kind}");
        }
    });
    // The workers hand their lines over one by one.
    let lines: Vec<String> = (0..10).map(|_| gateway.logged()).collect();
    let told = |line: &&String| {
        ["\"path\":\"/p.S/Down\"", "\"status\":200", "\"failure\":\"connect\""]
            .iter()
            .all(|part| line.contains(part))
    };
    assert_eq!(lines.iter().filter(told).count(), 2, "{lines:#?}");
    // A malformed request of HTTP/1 gets a plain refusal.
    let refused = "POST / HTTP/1.1\r\nHost: t\r\nContent-Type: application/grpc\r\nContent-Length: x\r\n\r\n";
    assert_eq!(ask(gateway.address, refused).status, 400);
    let unanswered =
        "POST /p.S/Down HTTP/1.1\r\nHost: t\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n";
    let answer = ask(gateway.address, unanswered);
    assert_eq!((answer.status, answer.field("grpc-status")), (200, Some("14")));
    assert_eq!(answer.field("content-length"), Some("0"));
}

#[test]
fn a_stream_may_pause_where_another_body_may_not() {
    let upstream = Upstream::start(|head, client| {
        client.body(head);
        client.send(response(200, head));
        true
    });
    let limits = "body_timeout = '300ms'\nmin_body_rate_grace = '100ms'\nmin_body_rate = '1KiB'";
    let gateway = Gateway::with(upstream.address, limits, "", "");
    for (kind, status) in [("application/grpc", 200), ("application/json", 408)] {
        let mut client = Client::connect(gateway.address);
        client.send(format!(
            "POST /p.S/Stream HTTP/1.1\r\nHost: t\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n"
        ));
        thread::sleep(Duration::from_millis(1200));
        client.send("5\r\nworld\r\n0\r\n\r\n");
        assert_eq!(client.answer().status, status, "{kind}");
    }
}

#[test]
fn a_deadline_ends_the_request_and_never_before_its_time() {
    let upstream = Upstream::start(|head, client| {
        client.body(head);
        if head.contains("/Slow") {
            thread::sleep(Duration::from_secs(3));
        }
        client.send(response(200, head));
        true
    });
    let gateway = Gateway::with(upstream.address, "", "", "request_timeout = '700ms'");
    run(async {
        // The deadline of the client and of the route: the shorter counts.
        for (timeout, least) in [(Some("300m"), 300), (Some("250001u"), 251), (Some("9H"), 700), (None, 700)]
        {
            let begun = Instant::now();
            let (head, _) = call(&gateway, "/p.S/Slow", "application/grpc", timeout).await;
            assert_eq!(field(&head, "grpc-status"), Some("4"), "{timeout:?} {head:?}");
            let taken = begun.elapsed();
            assert!(taken >= Duration::from_millis(least), "{timeout:?} {taken:?}");
            assert!(taken < Duration::from_millis(least + 1500), "{timeout:?} {taken:?}");
        }
        let (head, body) = call(&gateway, "/p.S/Fast", "application/grpc", Some("5010m")).await;
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(echoed(&body, "grpc-timeout"), Some("5010m"));
    });
}

#[test]
fn a_short_body_that_comes_with_its_head_reaches_an_upstream_of_http_2() {
    let upstream = Upstream::echo();
    let last = Gateway::before(upstream.address);
    let settings = format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[upstreams.a]\nendpoints = ['h2c://{}']\n\
         [[routes]]\nupstream = 'a'\nmirror.upstream = 'a'\nrewrite = {{ prefix = '/new', host = 'b.test' }}\n",
        last.address
    );
    let gateway = Gateway::start(&settings);
    run(async {
        let mut stream = TcpStream::connect(gateway.address).await.expect("a gateway");
        // In one write: the preface, settings, a head without a length, and a body that ends the stream.
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        bytes.extend(b"\0\0\x16\x01\x04\0\0\0\x01\x83\x86\x44\x02/x\x41\x01t\x40\x02te\x08trailers");
        bytes.extend(b"\0\0\x05\0\x01\0\0\0\x01hello");
        stream.write_all(&bytes).await.expect("an open connection");
        let mut body = Vec::new();
        while !body.ends_with(b"hello") {
            let (kind, _, payload) = frame(&mut stream).await;
            if kind == 0 {
                body.extend(payload);
            }
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(body.starts_with("POST /new/x HTTP/1.1\r\n"), "{body}");
        for (name, value) in [("host", "b.test"), ("te", "trailers"), ("via", "2 gateway")] {
            assert_eq!(echoed(&body, name), Some(value), "{name}\n{body}");
        }
    });
    let deadline = Instant::now() + PATIENCE;
    while upstream.requests() < 2 {
        assert!(Instant::now() < deadline, "no copy came");
        thread::sleep(Duration::from_millis(10));
    }
}

//! Responses that are compressed on their way.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Empty};
use hyper::Request;

use crate::client::{Client, field};
use crate::gateway::Gateway;
use crate::have::have;
use crate::http2::{connect, run};
use crate::upstream::{Upstream, target};

/// A text of 20,000 bytes that becomes smaller.
fn text() -> String {
    let lines: Vec<String> = (0..2000).map(|number| format!("{number:>9}\n")).collect();
    lines.concat()
}

fn upstream() -> Upstream {
    Upstream::start(|head, client| {
        let text = text();
        let more = match target(head) {
            "/image" => "Content-Type: image/png\r\n",
            "/encoded" => "Content-Type: text/plain\r\nContent-Encoding: zstd\r\n",
            "/fixed" => "Content-Type: text/plain\r\nCache-Control: no-transform\r\n",
            "/none" => "",
            "/small" => {
                client.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nsmall");
                return true;
            }
            "/range" => {
                client.send("HTTP/1.1 206 Partial\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1999/9999\r\nContent-Length: 2000\r\n\r\n");
                client.send(&text.as_bytes()[..2000]);
                return true;
            }
            "/same" => {
                client.send("HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n");
                return true;
            }
            "/gone" => {
                client.send("HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n\r\n");
                return true;
            }
            _ => {
                "Content-Type: text/plain; charset=utf-8\r\nETag: \"e\"\r\nAccept-Ranges: bytes\r\nVary: Accept\r\n"
            }
        };
        let head_only = head.starts_with("HEAD");
        client.send(format!("HTTP/1.1 200 OK\r\n{more}Content-Length: {}\r\n\r\n", text.len()));
        if !head_only {
            client.send(&text);
        }
        true
    })
}

/// The head, and the body as it came.
fn get(gateway: &Gateway, method: &str, path: &str, fields: &str) -> (String, Vec<u8>) {
    let mut client = Client::connect(gateway.address);
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
    let head = client.head();
    let mut body = Vec::new();
    if let Some(length) = field(&head, "content-length").filter(|_| method != "HEAD") {
        body = client.bytes(length.parse().expect("a length"));
    } else if field(&head, "transfer-encoding").is_some() && method != "HEAD" {
        while let Some(chunk) = client.chunk() {
            body.extend(chunk);
        }
    }
    (head, body)
}

fn decoded(coding: Option<&str>, body: &[u8]) -> String {
    let mut out = String::new();
    match coding {
        Some("gzip") => GzDecoder::new(body).read_to_string(&mut out).expect("gzip"),
        Some("br") => brotli::Decompressor::new(body, 4096).read_to_string(&mut out).expect("brotli"),
        _ => return String::from_utf8_lossy(body).into_owned(),
    };
    out
}

#[test]
fn responses_are_compressed() {
    let upstream = upstream();
    let gateway = Gateway::with(upstream.address, "", "", "compression = true");
    let table = [
        ("gzip", Some("gzip")),
        ("gzip, deflate, br, zstd", Some("br")),
        ("br;q=0.5, gzip;q=0.6", Some("gzip")),
        ("*", Some("br")),
        ("br;q=0, *", Some("gzip")),
        ("identity;q=0", None),
        ("gzip;q=0", None),
        ("zstd", None),
        ("", None),
    ];
    for (accepted, coding) in table {
        let (head, body) = get(&gateway, "GET", "/", &format!("Accept-Encoding: {accepted}\r\n"));
        assert_eq!(field(&head, "content-encoding"), coding, "{accepted}\n{head}");
        assert_eq!(decoded(coding, &body), text(), "{accepted}");
        assert!(head.contains("vary: Accept-Encoding\r\n") && head.contains("Vary: Accept\r\n"), "{head}");
        assert_eq!(field(&head, "etag"), Some(if coding.is_some() { "W/\"e\"" } else { "\"e\"" }), "{head}");
        assert_eq!(field(&head, "accept-ranges").is_none(), coding.is_some(), "{head}");
        assert_eq!(field(&head, "content-length").is_none(), coding.is_some(), "{head}");
        if coding.is_some() {
            assert!(body.len() < text().len() / 2, "{}", body.len());
            let line = gateway.logged();
            assert!(
                line.contains(&format!("\"bytes_out\":{}", body.len()))
                    || line.contains(&body.len().to_string()),
                "{line}"
            );
        } else {
            gateway.logged();
        }
    }
    // HEAD says what GET would.
    let (head, _) = get(&gateway, "HEAD", "/", "Accept-Encoding: gzip\r\n");
    assert_eq!(
        (field(&head, "content-encoding"), field(&head, "content-length")),
        (Some("gzip"), None),
        "{head}"
    );
    // A response is not compressed without a client that asks for it.
    let (head, body) = get(&gateway, "GET", "/", "");
    assert_eq!((field(&head, "content-encoding"), body.len()), (None, text().len()));
    // Over HTTP/2.
    run(async {
        let mut sender = connect::<Empty<Bytes>>(gateway.address).await;
        for (method, is_empty) in [("GET", false), ("HEAD", true)] {
            let request =
                Request::builder().method(method).uri("http://t/").header("accept-encoding", "gzip");
            let response = sender.send_request(request.body(Empty::new()).expect("a request")).await;
            let response = response.expect("a response");
            assert_eq!(response.headers()["content-encoding"], "gzip", "{method}");
            assert!(!response.headers().contains_key("content-length"), "{method}");
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(body.is_empty(), is_empty, "{method}");
            assert!(is_empty || decoded(Some("gzip"), &body) == text(), "{method}");
        }
    });
}

#[test]
fn what_is_not_compressed() {
    let upstream = upstream();
    let gateway = Gateway::with(
        upstream.address,
        "",
        "",
        "compression = { codings = ['gzip'], min_bytes = '1KiB' }\n[[routes]]\npath = '/off'\nupstream = 'app'",
    );
    let table = [
        ("/image", 200),
        ("/encoded", 200),
        ("/fixed", 200),
        ("/none", 200),
        ("/small", 200),
        ("/range", 206),
        ("/gone", 204),
        ("/off", 200),
    ];
    for (path, status) in table {
        let (head, _) = get(&gateway, "GET", path, "Accept-Encoding: gzip, br\r\n");
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{path} {head}");
        let encoding = Some("zstd").filter(|_| path == "/encoded");
        assert_eq!(field(&head, "content-encoding"), encoding, "{path}");
        assert!(!head.contains("vary: Accept-Encoding"), "{path} {head}");
    }
    let (head, _) = get(&gateway, "GET", "/", "Accept-Encoding: gzip\r\nCache-Control: no-transform\r\n");
    assert_eq!(field(&head, "content-encoding"), None);
    // The gateway's own answers are short.
    let (head, _) = get(&gateway, "POST", "/", "Accept-Encoding: gzip\r\nTransfer-Encoding: x\r\n");
    assert_eq!(field(&head, "content-encoding"), None, "{head}");
    // A client that stored a compressed response finds it again.
    for (known, etag) in [("W/\"e\"", "W/\"e\""), ("\"e\"", "\"e\"")] {
        let fields = format!("Accept-Encoding: gzip\r\nIf-None-Match: \"x\", {known}\r\n");
        let (head, _) = get(&gateway, "GET", "/same", &fields);
        assert_eq!(field(&head, "etag"), Some(etag), "{head}");
        assert_eq!(field(&head, "vary"), Some("Accept-Encoding"), "{head}");
    }
}

#[test]
fn events_are_not_held_back() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::start(move |_, client| {
        client
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for number in 0..5 {
            client.send(format!("9\r\ndata: {number}\n\n\r\n"));
            // The next event comes only once this one was seen.
            wait.lock().expect("unpoisoned").recv().expect("a client");
        }
        client.send("0\r\n\r\n");
        true
    });
    let gateway = Gateway::with(upstream.address, "", "", "compression.codings = ['gzip']");
    let mut client = Client::connect(gateway.address);
    client.send("GET / HTTP/1.1\r\nHost: t\r\nAccept-Encoding: gzip\r\n\r\n");
    let head = client.head();
    assert_eq!(field(&head, "content-encoding"), Some("gzip"), "{head}");
    let mut decoder = flate2::write::GzDecoder::new(Vec::new());
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        while !decoder.get_ref().ends_with(event.as_bytes()) {
            decoder.write_all(&client.chunk().expect("a chunk")).expect("gzip");
            decoder.flush().expect("gzip");
        }
        go.send(()).expect("an upstream");
    }
    while let Some(chunk) = client.chunk() {
        decoder.write_all(&chunk).expect("gzip");
    }
    assert_eq!(decoder.finish().expect("a whole body").len(), 5 * 9);
}

/// Another implementation decodes both codings.
#[test]
fn curl_reads_the_responses() {
    if !have("curl") {
        return;
    }
    let upstream = upstream();
    for coding in ["gzip", "br"] {
        let route = format!("compression.codings = ['{coding}']");
        let gateway = Gateway::with(upstream.address, "", "", &route);
        let url = format!("http://{}/", gateway.address);
        let output = std::process::Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--compressed",
                "--dump-header",
                "-",
                "--max-time",
                "20",
                &url,
            ])
            .output()
            .expect("curl");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.ends_with(&text()), "{coding}\n{said}");
        assert!(said.contains(&format!("content-encoding: {coding}\r\n")), "{said}");
    }
}

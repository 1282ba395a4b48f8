//! Beginning, health, and an orderly end.

use std::process::Output;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, ask, field, get};
use crate::gateway::{Gateway, PATIENCE, command};
use crate::upstream::{Upstream, response};

/// An upstream that tells of each request and answers when told to.
fn gated() -> (Upstream, std::sync::mpsc::Receiver<()>, Sender<()>) {
    let (began, begins) = channel();
    let (go_on, goes_on) = channel();
    let (began, goes_on) = (Mutex::new(began), Mutex::new(goes_on));
    let upstream = Upstream::start(move |_, client| {
        began.lock().expect("unpoisoned").send(()).expect("a test");
        let waiting = goes_on.lock().expect("unpoisoned");
        if waiting.recv_timeout(PATIENCE).is_err() {
            return false;
        }
        client.send(response(200, "whole"));
        true
    });
    (upstream, begins, go_on)
}

/// Waits until the admin listener says so.
fn wait_for(gateway: &Gateway, path: &str, status: u16) {
    let deadline = Instant::now() + PATIENCE;
    while get(gateway.admin, path).status != status {
        assert!(Instant::now() < deadline, "{path} never {status}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_request_in_flight_is_answered_before_the_end() {
    let (upstream, begins, go_on) = gated();
    let mut gateway = Gateway::before(upstream.address);
    let mut resting = Client::connect(gateway.address);
    let mut busy = Client::connect(gateway.address);
    busy.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    begins.recv_timeout(PATIENCE).expect("the request");
    assert_eq!(get(gateway.admin, "/readyz").status, 200);

    gateway.signal("TERM");
    wait_for(&gateway, "/readyz", 503);
    assert_eq!(get(gateway.admin, "/livez").status, 200);
    // Connections that rest are closed while the other is served.
    assert_eq!(resting.rest(), b"");
    go_on.send(()).expect("an upstream");
    let answer = busy.answer();
    assert_eq!((answer.status, answer.body.as_str()), (200, "whole"));
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(busy.rest(), b"");
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(gateway.logged().contains("\"status\":200"));
}

#[test]
fn a_connection_at_rest_does_not_keep_the_gateway() {
    let upstream = Upstream::saying("x");
    let mut gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    gateway.signal("INT");
    assert_eq!(client.rest(), b"");
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn the_drain_timeout_ends_what_does_not_end() {
    let (upstream, begins, _go_on) = gated();
    let mut gateway = Gateway::start(&format!(
        "drain_timeout = '100ms'\n[[listeners]]\naddress = '127.0.0.1:0'\n\
         [upstreams.a]\nendpoints = ['{}']\n[[routes]]\nupstream = 'a'\n",
        upstream.address
    ));
    let mut client = Client::connect(gateway.address);
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    begins.recv_timeout(PATIENCE).expect("the request");
    gateway.signal("TERM");
    gateway.says("drain timeout reached");
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_second_signal_ends_at_once() {
    let (upstream, begins, _go_on) = gated();
    let mut gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    begins.recv_timeout(PATIENCE).expect("the request");
    gateway.signal("TERM");
    gateway.says("draining");
    gateway.signal("TERM");
    gateway.says("stopped immediately");
    assert_eq!(gateway.wait().code(), Some(1));
}

#[test]
fn a_hangup_is_no_end() {
    let (upstream, begins, go_on) = gated();
    let mut gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    begins.recv_timeout(PATIENCE).expect("the request");
    for _ in 0..2 {
        gateway.signal("HUP");
        gateway.says("settings not reloaded (SIGHUP)");
    }
    assert_eq!(get(gateway.admin, "/readyz").status, 200);
    go_on.send(()).expect("an upstream");
    assert_eq!(client.answer().status, 200);
    // Nor is it the second of the signals that end the gateway at once.
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    begins.recv_timeout(PATIENCE).expect("the request");
    gateway.signal("TERM");
    gateway.says("draining");
    gateway.signal("HUP");
    go_on.send(()).expect("an upstream");
    assert_eq!(client.answer().status, 200);
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_second_gateway_shares_the_address_but_not_the_admin_address() {
    let upstream = Upstream::saying("x");
    let mut first = Gateway::before(upstream.address);
    let settings = |admin: String| {
        format!(
            "threads = 2\nadmin.address = '{admin}'\n[[listeners]]\naddress = '{}'\n\
             [upstreams.a]\nendpoints = ['{}']\n[[routes]]\nupstream = 'a'\n",
            first.address, upstream.address
        )
    };
    let same = crate::gateway::file(&settings(first.admin.to_string()));
    let output = command(&["run", "--config"]).arg(&same).output().expect("a program");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("the admin listener cannot listen on"), "{text}");
    let second = Gateway::from_file(&crate::gateway::file(&settings("127.0.0.1:0".to_owned())));
    assert_eq!(first.address, second.address);
    // So that one takes over from the other.
    first.signal("TERM");
    assert_eq!(first.wait().code(), Some(0));
    assert_eq!(get(second.address, "/").status, 200);
    drop(second);
}

#[test]
fn during_the_drain_delay_requests_are_still_taken() {
    let upstream = Upstream::saying("x");
    let mut gateway = Gateway::start(&format!(
        "drain_delay = '1h'\n[[listeners]]\naddress = '127.0.0.1:0'\n\
         [upstreams.a]\nendpoints = ['{}']\n[[routes]]\nupstream = 'a'\n",
        upstream.address
    ));
    gateway.signal("TERM");
    wait_for(&gateway, "/readyz", 503);
    assert_eq!(get(gateway.address, "/").status, 200);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(1));
}

fn health(arguments: &[&str]) -> Output {
    let mut all = vec!["health"];
    all.extend(arguments);
    command(&all).output().expect("the built program")
}

#[test]
fn the_health_command_asks_the_admin_listener() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::before(upstream.address);
    let address = gateway.admin.to_string();
    assert_eq!(health(&["--address", &address]).status.code(), Some(0));
    let nowhere = Upstream::nowhere().to_string();
    let output = health(&["--address", &nowhere]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no answer"));

    let unready = Upstream::raw(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(health(&["--address", &unready.address.to_string()]).status.code(), Some(1));
    let (silent, _begins, _go_on) = gated();
    let silent = silent.address.to_string();
    let output = health(&["--address", &silent, "--timeout", "100ms"]);
    assert_eq!(output.status.code(), Some(1));

    let file = crate::gateway::file(&format!(
        "admin.address = '0.0.0.0:{}'\n[[listeners]]\naddress = '127.0.0.1:0'\n\
         [upstreams.a]\nendpoints = ['a:1']\n[[routes]]\nupstream = 'a'\n",
        gateway.admin.port()
    ));
    let output = command(&["health", "--config"]).arg(&file).output().expect("a program");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn metrics_count_what_happened() {
    let upstream = Upstream::saying("hello");
    let gateway = Gateway::before(upstream.address);
    assert_eq!(get(gateway.address, "/").status, 200);
    assert_eq!(get(gateway.address, "/%").status, 400);
    gateway.logged();
    gateway.logged();
    let answer = get(gateway.admin, "/metrics");
    assert_eq!(answer.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "gateway_requests_total{route=\"all\",status_class=\"2xx\"} 1",
        "gateway_requests_total{route=\"\",status_class=\"4xx\"} 1",
        "gateway_response_body_bytes_total{route=\"all\"} 5",
        "gateway_failures_total{source=\"downstream\",reason=\"path_malformed\"} 1",
        "gateway_connections_total{listener=\"web\"} 2",
        "gateway_upstream_connections_total{upstream=\"app\"} 1",
        "gateway_requests_in_flight 0",
    ] {
        assert!(answer.body.lines().any(|found| found == line), "{line}\n{}", answer.body);
    }
}

#[test]
fn the_admin_listener_knows_four_paths() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::before(upstream.address);
    let table = [
        ("GET", "/livez", 200, "live\n"),
        ("GET", "/livez?verbose", 200, "live\n"),
        ("GET", "http://t/livez", 200, "live\n"),
        ("HEAD", "/readyz", 200, ""),
        ("HEAD", "/metrics", 200, ""),
        ("GET", "/", 404, "available paths: /livez, /readyz, /metrics, /-/ and /-/reload\n"),
        ("POST", "/livez", 405, "only GET and HEAD\n"),
        ("DELETE", "/metrics", 405, "only GET and HEAD\n"),
        ("GET", "/-/reload", 405, "only POST\n"),
    ];
    for (method, path, status, body) in table {
        let mut client = Client::connect(gateway.admin);
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
        let head = client.head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {head}");
        let allowed = if path == "/-/reload" { "POST" } else { "GET, HEAD" };
        assert_eq!(field(&head, "allow"), (status == 405).then_some(allowed), "{method} {path}");
        assert_eq!(field(&head, "connection"), Some("close"), "{method} {path}");
        let length = field(&head, "content-length").and_then(|length| length.parse::<usize>().ok());
        let read = client.rest();
        assert_eq!(String::from_utf8_lossy(&read), body, "{method} {path}");
        assert!(method == "HEAD" || length == Some(body.len()), "{method} {path}: {head}");
    }
    assert_eq!(get(gateway.admin, "/metrics").status, 200);
}

#[test]
fn the_admin_listener_is_bounded_and_strict() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::before(upstream.address);
    let long = format!("GET /livez HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "x".repeat(17 << 10));
    let many = format!("GET /livez HTTP/1.1\r\nHost: t\r\n{}\r\n", "X: x\r\n".repeat(64));
    let table = [
        ("nonsense\r\n\r\n", 400),
        ("GET /livez HTTP/1.1\r\n\r\n", 400),
        ("GET /livez HTTP/1.1\nHost: t\n\n", 400),
        ("GET /livez HTTP/3.0\r\nHost: t\r\n\r\n", 505),
        ("GET /livez HTTP/1.0\r\n\r\n", 200),
        (&long, 431),
        (&many, 431),
    ];
    for (request, status) in table {
        let answer = ask(gateway.admin, request);
        assert_eq!(answer.status, status, "{}", request.escape_debug().take(80).collect::<String>());
        assert_eq!(answer.field("connection"), Some("close"));
    }
    // A connection serves one request after the other, and a body that was asked for by nobody does
    // not become a request.
    let mut client = Client::connect(gateway.admin);
    for (request, status) in [
        ("HEAD /livez HTTP/1.1\r\nHost: t\r\n\r\n", 200),
        ("GET /readyz HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nGET ", 200),
        ("GET / HTTP/1.1\r\nHost: t\r\n\r\n", 404),
    ] {
        client.send(request);
        assert!(client.head().starts_with(&format!("HTTP/1.1 {status} ")), "{request}");
        if !request.starts_with("HEAD") {
            client.bytes(
                if status == 404 { "available paths: /livez, /readyz and /metrics\n" } else { "ready\n" }
                    .len(),
            );
        }
    }
}

#[test]
fn connections_above_the_limit_wait_for_their_turn() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::with(upstream.address, "max_connections = 1", "", "");
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(gateway.address)).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
    let open = || {
        let metrics = get(gateway.admin, "/metrics").body;
        let line =
            metrics.lines().find(|line| line.starts_with("gateway_connections_open")).map(str::to_owned);
        line.expect("a gauge")
    };
    let resting: Vec<Client> = (0..8).map(|_| Client::connect(gateway.address)).collect();
    // One for each of the two threads, and none above it, however often one looks.
    let deadline = Instant::now() + Duration::from_millis(200);
    while Instant::now() < deadline {
        let open = open();
        let count: u32 = open.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a number");
        assert!(count <= 2, "{open}");
    }
    drop(resting);
}

//! Trace context towards services, and spans towards a collector. The lab's oracle `otlp` decodes the spans.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::client::{ask, field, get};
use crate::gateway::{Gateway, PATIENCE};
use crate::upstream::{Upstream, response};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A service that hands over the heads of its requests.
fn service() -> (Upstream, Receiver<String>) {
    let (seen, heads) = channel();
    let seen = Arc::new(Mutex::new(seen));
    let upstream = Upstream::start(move |head, client| {
        seen.lock().expect("unpoisoned").send(head.to_owned()).expect("a test");
        client.send(response(200, "x"));
        true
    });
    (upstream, heads)
}

fn gateway(service: &Upstream, traces: &str) -> Gateway {
    Gateway::start(&format!(
        "[traces]\n{traces}\n[[listeners]]\naddress = '127.0.0.1:0'\n[upstreams.a]\nendpoints = ['{}']\n\
         [[routes]]\nupstream = 'a'\n[[routes]]\npath = '/quiet'\nupstream = 'a'\ntraces = false\n",
        service.address
    ))
}

/// What the service gets as `traceparent` and `tracestate` for a request with these fields.
fn forwarded(gateway: &Gateway, heads: &Receiver<String>, path: &str, fields: &str) -> (String, String) {
    assert_eq!(ask(gateway.address, format!("GET {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n")).status, 200);
    let head = heads.recv_timeout(PATIENCE).expect("a request");
    let value = |name| field(&head, name).unwrap_or_default().to_owned();
    (value("traceparent"), value("tracestate"))
}

#[test]
fn the_decision_of_the_caller_is_kept() {
    let (service, heads) = service();
    let gateway = gateway(&service, "endpoint = 'http://127.0.0.1:9/v1/traces'\none_in = 0");
    let unsampled = PARENT.replace("-01", "-00");
    let sent = |value: &str| format!("traceparent: {value}\r\ntracestate: a=1\r\n");
    // Recorded: the same trace by another span.
    let (parent, state) = forwarded(&gateway, &heads, "/", &sent(PARENT));
    assert_eq!((&parent[..36], &parent[52..], state.as_str()), (&PARENT[..36], "-01", "a=1"));
    assert_ne!(parent, PARENT);
    assert!(gateway.logged().contains("\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\""));
    // Not recorded: as it came.
    assert_eq!(forwarded(&gateway, &heads, "/", &sent(&unsampled)), (unsampled.clone(), "a=1".to_owned()));
    // Nothing is taken from what is malformed, and a new trace is not recorded.
    let twice = format!("traceparent: {PARENT}\r\n{}", sent(PARENT));
    for fields in [sent("00-1-2-01"), sent(&PARENT.to_uppercase()), twice, String::new()] {
        let (parent, state) = forwarded(&gateway, &heads, "/", &fields);
        assert_eq!((parent.len(), &parent[52..], state.as_str()), (55, "-02", ""), "{fields}");
        assert_ne!(&parent[..36], &PARENT[..36], "{fields}");
    }
    // A state that is malformed is not passed on; its trace is.
    let (parent, state) =
        forwarded(&gateway, &heads, "/", &format!("traceparent: {PARENT}\r\ntracestate: A\r\n"));
    assert_eq!((&parent[..36], state.as_str()), (&PARENT[..36], ""));
    // A route without traces leaves all as it is.
    assert_eq!(forwarded(&gateway, &heads, "/quiet", &sent("x")), ("x".to_owned(), "a=1".to_owned()));
}

#[test]
fn a_caller_that_is_not_trusted_decides_nothing() {
    let (service, heads) = service();
    let gateway = gateway(&service, "endpoint = 'http://127.0.0.1:9/v1/traces'\none_in = 0\nparent = false");
    let (parent, _) = forwarded(&gateway, &heads, "/", &format!("traceparent: {PARENT}\r\n"));
    assert_ne!(&parent[..36], &PARENT[..36]);
    assert!(parent.ends_with("-02"), "{parent}");
}

fn spans(gateway: &Gateway, result: &str) -> u64 {
    let name = format!("gateway_trace_spans_total{{result=\"{result}\"}} ");
    let metrics = get(gateway.admin, "/metrics").body;
    metrics
        .lines()
        .find_map(|line| line.strip_prefix(&name))
        .and_then(|value| value.parse().ok())
        .expect("a number")
}

fn wait_for(gateway: &Gateway, result: &str, count: u64) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while spans(gateway, result) < count {
        assert!(std::time::Instant::now() < deadline, "{} {result}", spans(gateway, result));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A collector that refuses a batch for good, and one that is not there; and spans beyond what may wait.
#[test]
fn spans_that_are_not_taken_are_counted() {
    let (service, _heads) = service();
    let collector = Upstream::start(|head, client| {
        client.body(head);
        let is_whole =
            head.starts_with("POST /v1/traces ") && head.to_ascii_lowercase().contains("x-token: hush");
        client.send(response(if is_whole { 400 } else { 401 }, "no"));
        false
    });
    let traces = format!(
        "endpoint = 'http://{}/v1/traces'\none_in = 1\nmax_waiting = 3\nheaders = {{ X-Token = 'hush' }}",
        collector.address
    );
    let gateway = gateway(&service, &traces);
    // Two spans each, of which three may wait in each worker.
    for _ in 0..20 {
        assert_eq!(get(gateway.address, "/").status, 200);
    }
    wait_for(&gateway, "dropped", 40);
    assert_eq!((spans(&gateway, "dropped"), spans(&gateway, "exported")), (40, 0));
    gateway.says("the status is 400, not 200");
}

#[test]
fn what_waits_is_sent_before_the_end() {
    let (service, _heads) = service();
    let (seen, posts) = channel();
    let seen = Arc::new(Mutex::new(seen));
    let collector = Upstream::start(move |head, client| {
        client.body(head);
        seen.lock().expect("unpoisoned").send(head.to_owned()).expect("a test");
        client.send(response(200, ""));
        false
    });
    let traces = format!("endpoint = 'http://{}/v1/traces'\none_in = 1", collector.address);
    let mut gateway = gateway(&service, &traces);
    assert_eq!(get(gateway.address, "/").status, 200);
    gateway.signal("TERM");
    assert!(gateway.wait().success());
    assert!(posts.recv_timeout(PATIENCE).expect("a batch").contains("content-type: application/x-protobuf"));
}

/// A collector that accepts every batch, and the bodies that it got.
fn collector() -> (Upstream, Receiver<String>) {
    let (seen, bodies) = channel();
    let seen = Arc::new(Mutex::new(seen));
    let collector = Upstream::start(move |head, client| {
        seen.lock().expect("unpoisoned").send(client.body(head)).expect("a test");
        client.send(response(200, ""));
        false
    });
    (collector, bodies)
}

#[test]
fn a_request_without_a_route_is_recorded() {
    let (collector, bodies) = collector();
    let gateway = Gateway::start(&format!(
        "[traces]\nendpoint = 'http://{}/v1/traces'\n[[listeners]]\naddress = '127.0.0.1:0'\n\
         [[routes]]\npath = '/known'\nrespond = {{ status = 204 }}\n",
        collector.address
    ));
    let request = format!("GET /none HTTP/1.1\r\nHost: t\r\ntraceparent: {PARENT}\r\n\r\n");
    assert_eq!(ask(gateway.address, request).status, 404);
    assert!(gateway.logged().contains("\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\""));
    let body = bodies.recv_timeout(PATIENCE).expect("a batch");
    assert!(body.contains("/none") && body.contains("no_route"), "{body}");
    assert!(!body.contains("http.route") && !body.contains("gateway.route"), "{body}");
}

/// The sampling decision of a head that could not be read is not kept: its fields mean nothing.
#[test]
fn a_malformed_request_is_logged_counted_and_recorded() {
    let (collector, bodies) = collector();
    let gateway = Gateway::start(&format!(
        "[traces]\nendpoint = 'http://{}/v1/traces'\none_in = 1\n[[listeners]]\naddress = '127.0.0.1:0'\n\
         header_timeout = '500ms'\n[[routes]]\nrespond = {{ status = 204 }}\n",
        collector.address
    ));
    let long = format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(100_000));
    let large = format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "x".repeat(1_000_000));
    let malformed = format!("GET / HTTP/1.1\r\nHost: t\r\ntraceparent: {PARENT}\r\nX : b\r\n\r\n");
    let slow = "GET / HTTP/1.1\r\nHost: t\r\n".to_owned();
    for (request, status) in [(malformed, 400), (slow, 408), (long, 414), (large, 431)] {
        assert_eq!(ask(gateway.address, request).status, status);
        let line: serde_json::Value = serde_json::from_str(&gateway.logged()).expect("JSON");
        assert_eq!(line["status"], status, "{line}");
        let reason = line["failure"].as_str().expect("a reason");
        let trace = line["trace_id"].as_str().expect("a trace");
        assert_ne!(trace, &PARENT[3..35]);
        let metrics = get(gateway.admin, "/metrics").body;
        assert!(metrics.contains(&format!("reason=\"{reason}\"")), "{reason}: {metrics}");
        let body = bodies.recv_timeout(PATIENCE).expect("a batch");
        assert!(body.contains(reason) && body.contains("_OTHER"), "{reason}: {body}");
    }
}

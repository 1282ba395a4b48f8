//! Requests and responses pass, as streams, over connections used again.

use std::fmt::Write;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::client::{Client, ask, get};
use crate::gateway::{Gateway, PATIENCE};
use crate::upstream::{Upstream, response, target};

#[test]
fn a_get_passes_and_is_logged() {
    let upstream = Upstream::saying("hello");
    let gateway = Gateway::before(upstream.address);
    let answer = get(gateway.address, "/a?secret=1");
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
    assert_eq!(answer.field("via"), Some("1.1 gateway"));
    let id = answer.field("x-request-id").expect("a request id");
    let line = gateway.logged();
    for part in [
        format!("\"request_id\":\"{id}\""),
        "\"listener\":\"web\"".into(),
        "\"client\":\"127.0.0.1\"".into(),
        "\"method\":\"GET\"".into(),
        "\"host\":\"test\"".into(),
        "\"path\":\"/a\"".into(),
        "\"route\":\"all\"".into(),
        "\"upstream\":\"app\"".into(),
        format!("\"endpoint\":\"{}\"", upstream.address),
        "\"status\":200".into(),
        "\"sent_bytes\":5".into(),
        "\"duration_seconds\":0.".into(),
    ] {
        assert!(line.contains(&part), "{part}\n{line}");
    }
    assert!(!line.contains("secret") && !line.contains("failure"), "{line}");
}

#[test]
fn bodies_of_both_kinds_pass() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(upstream.address);
    let answer = ask(gateway.address, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("content-length: 5\r\n"), "{}", answer.body);
    assert!(answer.body.ends_with("\r\n\r\nhello"), "{}", answer.body);
    let answer = ask(
        gateway.address,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n\
         3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    );
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("transfer-encoding: chunked\r\n"), "{}", answer.body);
    assert!(!answer.body.contains("content-length"), "{}", answer.body);
    assert!(answer.body.ends_with("\r\n\r\nhello"), "{}", answer.body);
}

#[test]
fn a_large_body_passes_whole() {
    let upstream = Upstream::start(|head, client| {
        let body = client.body(head);
        client.send(response(200, &body));
        true
    });
    let gateway = Gateway::before(upstream.address);
    let numbers: Vec<String> = (0..300_000).map(|number: u32| number.to_string()).collect();
    let body = numbers.join(",");
    let answer = ask(
        gateway.address,
        format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    );
    assert_eq!(answer.status, 200);
    assert!(answer.body == body, "{} bytes", answer.body.len());
    let line = gateway.logged();
    assert!(line.contains(&format!("\"received_bytes\":{}", body.len())), "{line}");
    assert!(line.contains(&format!("\"sent_bytes\":{}", body.len())), "{line}");
}

#[test]
fn a_request_body_is_passed_on_before_it_has_ended() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let upstream = Upstream::start(move |_, client| {
        let first = client.chunk().expect("a chunk");
        let tell = |bytes| tell.lock().expect("unpoisoned").send(bytes).expect("a test");
        tell(first);
        while let Some(chunk) = client.chunk() {
            tell(chunk);
        }
        client.until(b"\r\n");
        client.send(response(200, "done"));
        true
    });
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    assert_eq!(told.recv_timeout(PATIENCE).expect("the first chunk"), b"one");
    client.send("3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(told.recv_timeout(PATIENCE).expect("the second chunk"), b"two");
    assert_eq!(client.answer().body, "done");
}

#[test]
fn a_response_body_is_passed_on_before_it_has_ended() {
    let (go_on, goes_on) = channel();
    let goes_on = Mutex::new(goes_on);
    let upstream = Upstream::start(move |_, client| {
        client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
        let waiting = goes_on.lock().expect("unpoisoned");
        let () = waiting.recv_timeout(PATIENCE).expect("the test to go on");
        client.send("3\r\ntwo\r\n0\r\n\r\n");
        true
    });
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    client.head();
    assert_eq!(client.chunk().expect("a chunk"), b"one");
    go_on.send(()).expect("an upstream");
    assert_eq!(client.chunk().expect("a chunk"), b"two");
    assert_eq!(client.chunk(), None);
}

#[test]
fn connections_are_used_again_on_both_sides() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    for _ in 0..20 {
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(upstream.requests(), 20);
    // A connection may come back to rest only after the next request has begun.
    assert!(upstream.connections() <= 4, "{}", upstream.connections());
}

#[test]
fn pipelined_requests_are_answered_in_turn() {
    let upstream = Upstream::start(|head, client| {
        client.send(response(200, target(head)));
        true
    });
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send(
        "GET /1 HTTP/1.1\r\nHost: t\r\n\r\nGET /2 HTTP/1.1\r\nHost: t\r\n\r\n\
         GET /3 HTTP/1.1\r\nHost: t\r\n\r\nGET /4 HTTP/1.1\r\n\r\n",
    );
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.answer().body, path);
    }
    assert_eq!(client.answer().status, 400);
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_request_meets_its_route() {
    let upstreams: Vec<Upstream> = ["any", "v1", "users", "host"].map(Upstream::saying).into_iter().collect();
    let mut settings = "[[listeners]]\naddress = '127.0.0.1:0'\n".to_owned();
    for (name, upstream) in ["a", "b", "c", "d"].iter().zip(&upstreams) {
        let address = upstream.address;
        write!(settings, "[upstreams.{name}]\nendpoints = ['{address}']\n").expect("a text");
    }
    settings += "[[routes]]\nhosts = ['any.test', '*.test']\nupstream = 'a'\n\
                 [[routes]]\nhosts = ['any.test']\npath = '/v1'\nmethods = ['GET']\nupstream = 'b'\n\
                 [[routes]]\nhosts = ['any.test']\npath = '/v1/users'\nupstream = 'c'\n\
                 [[routes]]\nhosts = ['x.test']\nupstream = 'd'\n";
    let gateway = Gateway::start(&settings);
    let table = [
        ("GET", "/", "any.test", 200, "any"),
        ("GET", "/v1", "any.test", 200, "v1"),
        ("GET", "/v1/x", "ANY.test:8080", 200, "v1"),
        ("GET", "/v10", "any.test", 200, "any"),
        ("POST", "/v1/users/1", "any.test", 200, "users"),
        ("GET", "/v1/%75sers", "any.test", 200, "users"),
        ("GET", "/x/../v1//users", "any.test", 200, "users"),
        ("GET", "/v1", "x.test", 200, "host"),
        ("GET", "/v1", "y.test", 200, "any"),
        ("GET", "http://x.test/", "any.test", 200, "host"),
        ("POST", "/v1", "any.test", 405, ""),
        ("GET", "/", "other", 404, ""),
        ("GET", "/v1%2fusers", "any.test", 400, ""),
        ("GET", "/v1/..;/users", "any.test", 400, ""),
        ("GET", "/../v1", "any.test", 400, ""),
    ];
    for (method, path, host, status, body) in table {
        let answer = ask(gateway.address, format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.status, status, "{method} {host}{path}");
        if status == 200 {
            assert_eq!(answer.body, body, "{method} {host}{path}");
        }
        if status == 405 {
            assert_eq!(answer.field("allow"), Some("GET, HEAD"));
        }
    }
}

#[test]
fn the_canonical_path_is_forwarded() {
    let upstream = Upstream::start(|head, client| {
        client.send(response(200, target(head)));
        true
    });
    let gateway = Gateway::before(upstream.address);
    let answer = get(gateway.address, "/a/./%7e//b/../c%20d?q=/../%2F//;");
    assert_eq!(answer.body, "/a/~/c%20d?q=/../%2F//;");
}

#[test]
fn trailers_pass_when_the_client_takes_them() {
    let upstream = Upstream::start(|_, client| {
        client.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Host\r\n\r\n\
             1\r\nx\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n",
        );
        true
    });
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send("GET / HTTP/1.1\r\nHost: t\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    client.head();
    assert_eq!(client.chunk().expect("a chunk"), b"x");
    assert_eq!(client.chunk(), None);
    let trailers = String::from_utf8_lossy(&client.until(b"\r\n\r\n")).to_lowercase();
    assert!(trailers.contains("x-sum: 1"), "{trailers}");
    assert!(!trailers.contains("host"), "{trailers}");
}

#[test]
fn the_upstream_decides_about_continue() {
    let upstream = Upstream::start(|head, client| {
        if target(head) == "/no" {
            client.send(response(401, "no"));
            return false;
        }
        client.send("HTTP/1.1 100 Continue\r\n\r\n");
        let body = client.body(head);
        client.send(response(200, &body));
        true
    });
    let gateway = Gateway::before(upstream.address);
    let head = |path| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\
             Expect: 100-continue\r\n\r\n"
        )
    };
    let mut client = Client::connect(gateway.address);
    client.send(head("/yes"));
    assert!(client.head().starts_with("HTTP/1.1 100 "));
    client.send("ok");
    assert_eq!(client.answer().body, "ok");
    let mut client = Client::connect(gateway.address);
    client.send(head("/no"));
    assert!(client.head().starts_with("HTTP/1.1 401 "));
}

#[test]
fn a_body_that_does_not_wait_for_continue_is_passed_on_at_once() {
    // Without an answer before the body, the client would be told to go on after a second.
    let upstream = Upstream::echo();
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send("POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    std::thread::sleep(Duration::from_millis(50));
    client.send("hello");
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[test]
fn requests_go_around_the_endpoints() {
    let upstreams = [Upstream::saying("x"), Upstream::saying("x")];
    let endpoints: Vec<String> = upstreams.iter().map(|upstream| format!("'{}'", upstream.address)).collect();
    let gateway = Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[upstreams.app]\nendpoints = [{}]\n\
         [[routes]]\nupstream = 'app'\n",
        endpoints.join(",")
    ));
    let mut client = Client::connect(gateway.address);
    for _ in 0..10 {
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(client.answer().status, 200);
    }
    let counts: Vec<usize> = upstreams.iter().map(Upstream::requests).collect();
    assert_eq!(counts, [5, 5]);
}

#[test]
fn a_dead_connection_is_replaced_where_that_is_safe() {
    // Every connection serves one request, says nothing of closing, and closes with the second.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let upstream = Upstream::start(move |head, client| {
        let mut log = log.lock().expect("unpoisoned");
        log.push(head.split(' ').next().unwrap_or_default().to_owned());
        if log.len() == 2 || log.len() == 4 {
            return false;
        }
        drop(log);
        client.body(head);
        client.send(response(200, "x"));
        true
    });
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    let mut ask = |method: &str| {
        client.send(format!("{method} / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"));
        client.answer().status
    };
    assert_eq!(ask("GET"), 200);
    // The first connection dies with this one, and it is sent again.
    assert_eq!(ask("GET"), 200);
    // The second dies with this one, which must not be sent twice.
    assert_eq!(ask("POST"), 502);
    assert_eq!(*seen.lock().expect("unpoisoned"), ["GET", "GET", "GET", "POST"]);
}

#[test]
fn what_comes_between_two_responses_is_no_response() {
    let upstream = Upstream::start(|_, client| {
        client.send(response(200, "x"));
        std::thread::sleep(Duration::from_millis(20));
        // As servers do whose patience ends.
        client.send(response(408, ""));
        true
    });
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    for method in ["GET", "GET", "POST", "POST"] {
        client.send(format!("{method} / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(client.answer().status, 200, "{method}");
        std::thread::sleep(Duration::from_millis(60));
    }
}

#[test]
fn responses_without_body_pass_with_their_length() {
    let upstream = Upstream::start(|head, client| {
        let status = target(head).trim_start_matches('/');
        let length = if status == "204" { "" } else { "Content-Length: 5\r\n" };
        client.send(format!("HTTP/1.1 {status} Status\r\n{length}\r\n"));
        true
    });
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    for (method, status, length) in [
        ("HEAD", "200", Some("5")),
        ("GET", "304", Some("5")),
        ("GET", "204", None),
        ("HEAD", "404", Some("5")),
    ] {
        client.send(format!("{method} /{status} HTTP/1.1\r\nHost: t\r\n\r\n"));
        // A body nobody sent would be taken for the head of the next response.
        let head = client.head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(crate::client::field(&head, "content-length"), length, "{head}");
    }
}

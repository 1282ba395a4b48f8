//! What the client sees when something goes wrong, and what it does not see.

use crate::client::{Client, ask, get};
use crate::gateway::Gateway;
use crate::upstream::{Upstream, response};

#[test]
fn an_upstream_that_is_down_gives_503() {
    let gateway = Gateway::before(Upstream::nowhere());
    let answer = get(gateway.address, "/");
    assert_eq!(answer.status, 503);
    assert!(!answer.body.contains("127.0.0.1"), "{}", answer.body);
    let line = gateway.logged();
    assert!(line.contains("\"failed_at\":\"upstream\",\"failure\":\"connect\""), "{line}");
    assert!(line.contains("\"attempts\":2"), "{line}");
}

#[test]
fn no_endpoint_that_can_be_reached_gives_503() {
    let gateway = Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n\
         [upstreams.a]\nendpoints = ['{}', '{}', '{}']\n[[routes]]\nupstream = 'a'\n",
        Upstream::nowhere(),
        Upstream::nowhere(),
        Upstream::nowhere()
    ));
    // At first, and while all of them are ejected.
    for _ in 0..4 {
        let answer = ask(gateway.address, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(answer.status, 503);
        assert_ne!(answer.field("connection"), Some("close"), "the client is not at fault");
    }
}

#[test]
fn a_name_without_address_gives_503() {
    let gateway = Gateway::start(
        "[[listeners]]\naddress = '127.0.0.1:0'\n\
         [upstreams.a]\nendpoints = ['does-not-exist.invalid:80']\n[[routes]]\nupstream = 'a'\n",
    );
    assert_eq!(get(gateway.address, "/").status, 503);
}

#[test]
fn another_endpoint_takes_over() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n\
         [upstreams.a]\nendpoints = ['{}', '{}']\n[[routes]]\nupstream = 'a'\n",
        Upstream::nowhere(),
        upstream.address
    ));
    for _ in 0..4 {
        // Not even a body hinders that, since none of it was sent.
        let answer = ask(gateway.address, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(answer.status, 200);
        assert!(answer.body.ends_with("\r\n\r\nhello"), "{}", answer.body);
    }
    assert_eq!(upstream.requests(), 4);
}

#[test]
fn an_upstream_that_is_slow_gives_504() {
    let upstream = Upstream::start(|_, client| client.next_head().is_some());
    let gateway = Gateway::with(upstream.address, "", "response_timeout = '50ms'", "");
    assert_eq!(get(gateway.address, "/").status, 504);
    assert!(gateway.logged().contains("\"failure\":\"response_timeout\""));
    // A request is not sent again when its result is unknown.
    assert!(upstream.requests() <= 1);
}

#[test]
fn a_route_has_its_time() {
    let upstream = Upstream::start(|_, client| client.next_head().is_some());
    let gateway = Gateway::with(upstream.address, "", "", "request_timeout = '50ms'");
    assert_eq!(get(gateway.address, "/").status, 504);
    assert!(gateway.logged().contains("\"failure\":\"request_timeout\""));
}

#[test]
fn an_upstream_that_breaks_off_gives_502() {
    let upstream = Upstream::start(|_, _| false);
    let gateway = Gateway::before(upstream.address);
    assert_eq!(get(gateway.address, "/").status, 502);
    assert!(gateway.logged().contains("\"failure\":\"closed\""));
    // A GET is sent once more, as often as `retries` says.
    assert_eq!(upstream.requests(), 2);
    let post = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(ask(gateway.address, post).status, 502);
    assert_eq!(upstream.requests(), 3);
}

#[test]
fn a_response_that_breaks_off_shows_as_broken() {
    let upstream = Upstream::raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let text = String::from_utf8_lossy(&client.rest()).into_owned();
    // The last chunk must be missing, or the client would take the part for the whole.
    assert!(!text.ends_with("0\r\n\r\n"), "{text}");
    assert!(gateway.logged().contains("\"failure\":\"response_aborted\""));
}

#[test]
fn a_response_that_breaks_off_is_a_reset_to_a_client_of_http_10() {
    let upstream = Upstream::raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send("GET / HTTP/1.0\r\nHost: t\r\n\r\n");
    // The end of the connection would be the end of the body.
    let text = String::from_utf8_lossy(&client.until_reset()).into_owned();
    assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("\r\n\r\none"), "{text}");
}

#[test]
fn a_response_that_stops_is_cut() {
    let upstream = Upstream::start(|_, client| {
        client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
        client.next_head().is_some()
    });
    let gateway = Gateway::with(upstream.address, "", "body_timeout = '50ms'", "");
    let mut client = Client::connect(gateway.address);
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let text = String::from_utf8_lossy(&client.rest()).into_owned();
    assert!(text.starts_with("HTTP/1.1 200 ") && !text.ends_with("0\r\n\r\n"), "{text}");
    assert!(gateway.logged().contains("\"failure\":\"response_body_timeout\""));
}

#[test]
fn too_large_a_body_is_refused() {
    let upstream = Upstream::echo();
    let gateway = Gateway::with(upstream.address, "max_body_bytes = 5", "", "");
    let request = |length: usize| {
        let body = "x".repeat(length);
        format!("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    assert_eq!(ask(gateway.address, request(5)).status, 200);
    assert_eq!(ask(gateway.address, request(6)).status, 413);
    assert_eq!(ask(gateway.address, request(600_000)).status, 413);
    assert_eq!(upstream.requests(), 1);
    let chunked = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(ask(gateway.address, chunked).status, 413);
}

#[test]
fn a_route_may_allow_more() {
    let upstream = Upstream::echo();
    let gateway = Gateway::with(upstream.address, "max_body_bytes = 1", "", "max_body_bytes = '1KiB'");
    let request = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(ask(gateway.address, request).status, 200);
}

#[test]
fn a_slow_client_is_not_waited_for() {
    let upstream = Upstream::start(|head, client| {
        client.body(head);
        client.send(response(200, "x"));
        true
    });
    let keys = "header_timeout = '400ms'\nbody_timeout = '400ms'\nidle_timeout = '400ms'";
    let gateway = Gateway::with(upstream.address, keys, "", "");
    // Within a head.
    assert_eq!(ask(gateway.address, "GET / HTTP/1.1\r\nHost:").status, 408);
    // Within a body.
    let answer = ask(gateway.address, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhe");
    assert_eq!(answer.status, 408);
    // Before the first head.
    assert_eq!(Client::connect(gateway.address).rest(), b"");
    // Between two requests.
    let mut client = Client::connect(gateway.address);
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_client_that_goes_away_is_logged_as_such() {
    let upstream = Upstream::start(|_, client| {
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none");
        client.next_head().is_some()
    });
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    client.until(b"one");
    drop(client);
    assert!(gateway.logged().contains("\"failure\":\"client_closed\""));
}

#[test]
fn a_request_that_ends_in_the_queue_of_a_circuit_frees_its_place() {
    let upstream = Upstream::start(|_, client| {
        std::thread::sleep(std::time::Duration::from_secs(1));
        client.send(response(200, "x"));
        true
    });
    let circuit = "circuit = { max_requests = 1, max_pending = 1, queue_timeout = '5s' }";
    let gateway = Gateway::with(upstream.address, "", circuit, "request_timeout = '1200ms'");
    let request = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";
    let mut first = Client::connect(gateway.address);
    first.send(request);
    while upstream.requests() == 0 {
        std::thread::yield_now();
    }
    let mut second = Client::connect(gateway.address);
    second.send(request);
    drop(second);
    let line = gateway.logged();
    assert!(line.contains("\"failure\":\"client_closed\""), "{line}");
    // It has its turn when the first has ended, and then too little time.
    assert_eq!(ask(gateway.address, request).status, 504);
    assert_eq!(first.answer().status, 200);
}

#[test]
fn a_client_that_does_not_read_is_not_waited_for() {
    let upstream = Upstream::start(|_, client| {
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        client.send_until_broken(&[b'x'; 8192])
    });
    let gateway = Gateway::with(upstream.address, "body_timeout = '100ms'", "", "");
    let mut client = Client::connect(gateway.address);
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let line = gateway.logged();
    assert!(line.contains("\"failure\":\"client_closed\""), "{line}");
}

#[test]
fn the_line_of_a_malformed_request_tells_nothing_of_another_one() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::before(upstream.address);
    let mut client = Client::connect(gateway.address);
    client.send("PUT /secret HTTP/1.1\r\nHost: private.test\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert!(gateway.logged().contains("\"host\":\"private.test\",\"path\":\"/secret\""));
    client.send("GET / HTTP/1.1\r\nHost : t\r\n\r\n");
    assert_eq!(client.answer().status, 400);
    let line = gateway.logged();
    assert!(line.contains("\"method\":\"\",\"host\":\"\",\"path\":\"\""), "{line}");
}

#[test]
fn the_limit_of_a_body_holds_after_the_response_has_begun() {
    // The response begins before the request has ended.
    let upstream = Upstream::start(|_, client| {
        client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while let Some(chunk) = client.chunk() {
            client.send(format!("{:x}\r\n", chunk.len()));
            client.send(chunk);
            client.send("\r\n");
        }
        false
    });
    let gateway = Gateway::with(upstream.address, "max_body_bytes = 5", "", "");
    let mut client = Client::connect(gateway.address);
    client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client.head();
    assert_eq!(client.chunk().expect("a chunk"), b"abc");
    client.send("3\r\nabc\r\n");
    assert!(!String::from_utf8_lossy(&client.rest()).ends_with("0\r\n\r\n"));
    assert!(gateway.logged().contains("\"failure\":\"body_too_large\""));
}

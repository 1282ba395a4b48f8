//! What a route changes: fields, paths, hosts; its own answers; copies for a mirror.

use std::fmt::Write;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, ask, get};
use crate::gateway::{Gateway, PATIENCE};
use crate::upstream::{Upstream, echoed, response, target};

/// A gateway with these upstreams and routes.
fn gateway(upstreams: &[(&str, &Upstream)], routes: &str) -> Gateway {
    let mut settings = "[[listeners]]\naddress = '127.0.0.1:0'\n".to_owned();
    for (name, upstream) in upstreams {
        write!(settings, "[upstreams.{name}]\nendpoints = ['{}']\n", upstream.address).expect("a text");
    }
    Gateway::start(&(settings + routes))
}

#[test]
fn fields_of_requests_and_responses_are_changed() {
    let upstream = Upstream::start(|head, client| {
        client.body(head);
        let length = head.len();
        client.send(format!(
            "HTTP/1.1 200 OK\r\nServer: s\r\nX-Up: 1\r\nX-Up: 2\r\nContent-Length: {length}\r\n\r\n{head}"
        ));
        true
    });
    let gateway = gateway(
        &[("a", &upstream)],
        "[[routes]]\npath = { template = '/u/{id}/{*rest}' }\nname = 'users'\nupstream = 'a'\n\
         request_headers.remove = ['Cookie', 'X-Old']\n\
         request_headers.set = { X-New = '{header.x-old}', X-Real-IP = '{client.ip}', \
         X-What = '{method} {scheme} {host} {path} {query} {route} {param.id} {param.rest}', X-User = 'none' }\n\
         request_headers.add = { X-Id = '{request.id}', Accept = 'text/{{}}' }\n\
         response_headers.remove = ['Server']\n\
         response_headers.set = { X-Up = '{param.id}' }\n\
         response_headers.add = { Set-Cookie = 'a=1' }\n",
    );
    let answer = ask(
        gateway.address,
        "GET /u/./7%20x//y?q=1 HTTP/1.1\r\nHost: T.test:8\r\nCookie: secret\r\nX-Old: v\r\nAccept: a\r\n\
         X_User: root\r\nx-user: root\r\nX-Real-IP: 1.1.1.1\r\n\r\n",
    );
    assert_eq!(answer.field("server"), None);
    assert_eq!(answer.head.matches("x-up: 7%20x").count(), 1, "{}", answer.head);
    assert!(!answer.head.contains("X-Up"), "{}", answer.head);
    assert_eq!(answer.field("set-cookie"), Some("a=1"));
    let sent = |name| echoed(&answer.body, name);
    assert_eq!(sent("x-new"), Some("v"));
    assert_eq!(sent("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(sent("x-what"), Some("GET http t.test /u/7%20x/y q=1 users 7%20x y"));
    assert_eq!(sent("x-id"), answer.field("x-request-id"));
    assert_eq!(sent("x-user"), Some("none"));
    assert_eq!(answer.body.matches("ccept: ").count(), 2, "{}", answer.body);
    assert!(answer.body.contains("accept: text/{}\r\n"), "{}", answer.body);
    for gone in ["secret", "X-Old", "root", "1.1.1.1"] {
        assert!(!answer.body.contains(gone), "{gone}\n{}", answer.body);
    }
}

#[test]
fn the_upstream_is_asked_for_another_path_and_host() {
    let upstream = Upstream::echo();
    let gateway = gateway(
        &[("a", &upstream)],
        "[[routes]]\nname = 'api'\npath = '/api'\nupstream = 'a'\nrewrite = { prefix = '/' }\n\
         [[routes]]\npath = { template = '/u/{id}/{*rest}' }\nupstream = 'a'\n\
         rewrite = { path = '/v2/{param.id}?r={param.rest}&{query}', host = 'x.{host}' }\n\
         path_policy = { semicolon = 'keep', encoded_slash = 'keep', double_slash = 'keep' }\n\
         [[routes]]\npath = '/e'\nupstream = 'a'\nrewrite.host = '{endpoint}'\n\
         [[routes]]\npath = '/all'\nupstream = 'a'\nrewrite.path = '/new{path}'\n",
    );
    let endpoint = upstream.address.to_string();
    let table = [
        ("/api/x?y", 200, "/x?y", "t:8"),
        ("/api", 200, "/", "t:8"),
        ("/api/../api/x", 200, "/x", "t:8"),
        ("/api/%2e%2e/%2e%2e/x", 400, "", ""),
        ("/api/..%2fx", 400, "", ""),
        ("/u/7/a/b?q", 200, "/v2/7?r=a/b&q", "x.t"),
        ("/u/7;x/", 200, "/v2/7;x?r=&", "x.t"),
        ("/u/..;/x", 400, "", ""),
        ("/u/a%2F..%2Fb/x", 400, "", ""),
        ("/u/a%2fb/c", 200, "/v2/a%2Fb?r=c&", "x.t"),
        ("/e/x", 200, "/e/x", endpoint.as_str()),
        ("/all/b?c", 200, "/new/all/b?c", "t:8"),
    ];
    for (path, status, forwarded, host) in table {
        let answer = ask(gateway.address, format!("GET {path} HTTP/1.1\r\nHost: t:8\r\n\r\n"));
        assert_eq!(answer.status, status, "{path}");
        let line = gateway.logged();
        if status == 200 {
            assert_eq!(target(&answer.body), forwarded, "{path}");
            assert_eq!(echoed(&answer.body, "host"), Some(host), "{path}");
            assert_eq!(echoed(&answer.body, "x-forwarded-host"), Some("t:8"), "{path}");
            // The log keeps what the client asked for.
            let canonical =
                path.split('?').next().expect("a path").replace("/../api", "").replace("%2f", "%2F");
            assert!(line.contains(&format!("\"host\":\"t\",\"path\":\"{canonical}\"")), "{line}");
        }
    }
}

#[test]
fn a_route_answers_by_itself() {
    let upstream = Upstream::saying("x");
    let gateway = gateway(
        &[("a", &upstream)],
        "[[routes]]\npath = '/app'\nupstream = 'a'\n\
         [[routes]]\npath = '/tls'\nredirect = { scheme = 'https' }\n\
         [[routes]]\npath = '/old'\nredirect = { prefix = '/new', status = 302 }\n\
         response_headers.set = { X-Route = '{route}', Cache-Control = 'no-cache' }\nname = 'old'\n\
         [[routes]]\npath = '/down'\nrespond = { status = 503, body = 'later' }\n\
         response_headers.add = { Retry-After = '60' }\n\
         [[routes]]\npath = '/none'\nrespond = { status = 204 }\n\
         [[routes]]\npath = '/same'\nrespond = { status = 304 }\n\
         [[routes]]\npath = '/json'\nrespond = { status = 200, body = '{}', content_type = 'application/json' }\n",
    );
    let mut client = Client::connect(gateway.address);
    let mut exchange = |request: &str| {
        client.send(format!("{request} HTTP/1.1\r\nHost: a.test:81\r\n\r\n"));
        let head = client.head();
        let body = if request.starts_with("HEAD") { String::new() } else { client.body(&head) };
        (head, body)
    };
    let table = [
        ("GET /tls/x?y", 308, "location: https://a.test/tls/x?y", ""),
        ("GET /old/x?y", 302, "location: /new/x?y", ""),
        ("GET /old/x", 302, "x-route: old", ""),
        ("GET /old/x", 302, "cache-control: no-cache", ""),
        ("GET /down", 503, "content-length: 5", "later"),
        ("HEAD /down", 503, "content-length: 5", ""),
        ("GET /down", 503, "retry-after: 60", "later"),
        ("GET /none", 204, "x-request-id: ", ""),
        ("GET /same", 304, "x-request-id: ", ""),
        ("GET /json", 200, "content-type: application/json", "{}"),
    ];
    for (request, status, line, body) in table {
        let (head, found) = exchange(request);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{head}");
        assert!(head.contains(line), "{request}\n{head}");
        assert_eq!(found, body, "{request}");
        if status == 204 || status == 304 {
            assert!(!head.contains("content-length"), "{head}");
        }
    }
    assert_eq!(upstream.requests(), 0);
}

#[test]
fn responses_are_changed_also_where_the_gateway_fails() {
    let gateway = Gateway::with(
        Upstream::nowhere(),
        "",
        "retries = 0",
        "max_body_bytes = 3\nresponse_headers = { set = { X-Frame-Options = 'DENY' }, remove = ['cache-control'] }",
    );
    for request in
        ["GET / HTTP/1.1\r\nHost: t\r\n\r\n", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n"]
    {
        let answer = ask(gateway.address, request);
        assert!(answer.status == 503 || answer.status == 413, "{}", answer.head);
        assert_eq!(answer.field("x-frame-options"), Some("DENY"));
        assert_eq!(answer.field("cache-control"), None);
    }
}

/// An upstream that tells what it gets, and answers after `pause`.
fn telling(pause: Duration) -> (Upstream, Receiver<String>) {
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = Upstream::start(move |head, client| {
        let body = client.body(head);
        tell.lock().expect("unpoisoned").send(format!("{head}{body}")).expect("a listener");
        thread::sleep(pause);
        client.send(response(200, "from the mirror"));
        true
    });
    (upstream, told)
}

/// The counter of the copies for upstream `m` with this result, once it is `expected`.
fn counted(gateway: &Gateway, result: &str, expected: u64) {
    let line = format!("gateway_mirrored_requests_total{{upstream=\"m\",result=\"{result}\"}} {expected}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = ask(gateway.admin, "GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n").body;
        if text.contains(&line) {
            return;
        }
        assert!(Instant::now() < deadline, "{line}\n{text}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_mirror_gets_what_the_upstream_gets() {
    let upstream = Upstream::echo();
    let (mirror, told) = telling(Duration::ZERO);
    let gateway = gateway(
        &[("a", &upstream), ("m", &mirror)],
        "[[routes]]\npath = '/x'\nupstream = 'a'\nmirror.upstream = 'm'\n\
         rewrite = { prefix = '/y', host = '{endpoint}' }\nrequest_headers.set = { X-A = 'b' }\n\
         [[routes]]\nupstream = 'a'\nmirror = { upstream = 'm', percent = 0 }\n",
    );
    let long = "z".repeat(64 << 10);
    let requests = [
        ("GET /x/1?q HTTP/1.1\r\nHost: t\r\n\r\n".to_owned(), ""),
        ("POST /x/2 HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello".to_owned(), "hello"),
        ("POST /x/3 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n".to_owned(), "abc"),
        (format!("PUT /x/4 HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{long}", long.len()), long.as_str()),
    ];
    let mut client = Client::connect(gateway.address);
    for (number, (request, body)) in requests.iter().enumerate() {
        client.send(request);
        let answer = client.answer();
        assert!(answer.body.ends_with(body), "{}", answer.body);
        let copy = told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("a copy of {number}"));
        let (head, copied) = copy.split_once("\r\n\r\n").expect("a head");
        assert!(target(head).starts_with(&format!("/y/{}", number + 1)), "{head}");
        assert_eq!(copied, *body);
        for name in ["x-a", "x-request-id", "x-forwarded-for", "via"] {
            assert_eq!(echoed(head, name), echoed(&answer.body, name), "{name}\n{head}");
        }
        assert_eq!(echoed(head, "host"), Some(mirror.address.to_string().as_str()));
        assert_eq!(echoed(&answer.body, "host"), Some(upstream.address.to_string().as_str()));
    }
    counted(&gateway, "answered", 4);
    // Too long, known before and found out later; and not chosen.
    let longer = format!("{long}z");
    client.send(format!("PUT /x HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{longer}", longer.len()));
    assert_eq!(client.answer().status, 200);
    client.send(format!(
        "PUT /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{longer}\r\n0\r\n\r\n",
        longer.len()
    ));
    assert_eq!(client.answer().status, 200);
    counted(&gateway, "skipped", 2);
    for _ in 0..20 {
        client.send("GET /other HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(client.answer().status, 200);
    }
    counted(&gateway, "answered", 4);
    assert_eq!(mirror.requests(), 4);
    // Its connections are used again.
    assert!(mirror.connections() <= 2, "{}", mirror.connections());
}

#[test]
fn a_mirror_is_neither_waited_for_nor_missed() {
    let upstream = Upstream::saying("x");
    let (slow, _told) = telling(Duration::from_secs(3));
    let slow_gateway =
        gateway(&[("a", &upstream), ("m", &slow)], "[[routes]]\nupstream = 'a'\nmirror.upstream = 'm'\n");
    let begun = Instant::now();
    let mut client = Client::connect(slow_gateway.address);
    // More than may be on their way at a time.
    for _ in 0..70 {
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        assert_eq!(client.answer().body, "x");
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    counted(&slow_gateway, "skipped", 6);

    let broken = Upstream::raw(b"no response\r\n\r\n");
    let broken_gateway =
        gateway(&[("a", &upstream), ("m", &broken)], "[[routes]]\nupstream = 'a'\nmirror.upstream = 'm'\n");
    for _ in 0..5 {
        assert_eq!(get(broken_gateway.address, "/").body, "x");
    }
    counted(&broken_gateway, "failed", 5);
}

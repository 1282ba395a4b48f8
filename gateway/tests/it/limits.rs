//! Rate limits, quotas and limits of requests in flight.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Answer, Client, ask};
use crate::gateway::Gateway;
use crate::upstream::{Upstream, response};

/// A gateway with routes that answer by themselves, and trusts the loopback to speak for clients.
fn gateway(rest: &str) -> Gateway {
    Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\ntrusted_proxies = ['127.0.0.1']\n{rest}"
    ))
}

fn asked(client: &mut Client, path: &str, fields: &str) -> Answer {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
    client.answer()
}

#[test]
fn a_rate_refuses_what_goes_beyond_it_and_says_so() {
    let gateway = gateway(
        "[limits.slow]\nrequests = 2\nper = '1h'\n[limits.hidden]\nrequests = 1\nper = '1h'\nfields = false\n\
         [[routes]]\npath = '/slow'\nname = 'slow'\nlimits = ['slow']\nrespond = { status = 204 }\n\
         [[routes]]\npath = '/hidden'\nlimits = ['hidden']\nrespond = { status = 204 }\n\
         [[routes]]\npath = '/free'\nrespond = { status = 204 }\n",
    );
    let mut client = Client::connect(gateway.address);
    for (status, remaining) in [(204, 1), (204, 0), (429, 0)] {
        let answer = asked(&mut client, "/slow", "");
        assert_eq!(answer.status, status, "{}", answer.head);
        assert_eq!(answer.field("ratelimit-policy"), Some("\"slow\";q=2;w=3600"));
        let limit = answer.field("ratelimit").expect("RateLimit");
        assert!(limit.starts_with(&format!("\"slow\";r={remaining};t=")), "{limit}");
        let wait = limit.rsplit('=').next().and_then(|wait| wait.parse::<u64>().ok()).expect("a number");
        assert!((1700..=1800).contains(&wait), "{limit}");
        let retry = (status == 429).then(|| wait.to_string());
        assert_eq!(answer.field("retry-after").map(str::to_owned), retry, "{}", answer.head);
        let line = gateway.logged();
        assert_eq!(line.contains("\"failure\":\"rate_limit\""), status == 429, "{line}");
    }
    // gRPC has a status of its own for it.
    client.send(
        "POST /slow HTTP/1.1\r\nHost: t\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n",
    );
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("grpc-status")), (200, Some("8")), "{}", answer.head);
    assert!(answer.field("retry-after").is_some(), "{}", answer.head);
    for status in [204, 429] {
        let answer = asked(&mut client, "/hidden", "");
        assert_eq!((answer.status, answer.field("ratelimit")), (status, None), "{}", answer.head);
    }
    let answer = asked(&mut client, "/free", "");
    assert_eq!((answer.status, answer.field("ratelimit")), (204, None), "{}", answer.head);
}

#[test]
fn requests_are_counted_by_their_key() {
    let limit = |name: &str, key: &str| format!("[limits.{name}]\nrequests = 1\nper = '1h'\nkey = [{key}]\n");
    let route = |name: &str| {
        format!("[[routes]]\npath = '/{name}'\nlimits = ['{name}']\nrespond = {{ status = 204 }}\n")
    };
    let settings = [
        limit("client", "'client'"),
        limit("wide", "'client'") + "ipv6_prefix = 48\n",
        limit("header", "'header:X-Key'"),
        limit("both", "'client', 'header:X-Key'"),
        limit("all", ""),
        limit("route", "'route'"),
        ["client", "wide", "header", "both", "all", "route"].map(route).concat(),
        // Two routes share a limit, and the key of one of the two limits tells them apart.
        "[[routes]]\npath = '/also'\nlimits = ['all']\nrespond = { status = 204 }\n\
         [[routes]]\npath = '/apart'\nlimits = ['route']\nrespond = { status = 204 }\n"
            .to_owned(),
    ];
    let gateway = gateway(&settings.concat());
    let mut client = Client::connect(gateway.address);
    let table = [
        ("/client", "192.0.2.1", "", 204),
        ("/client", "192.0.2.1", "", 429),
        ("/client", "192.0.2.2", "", 204),
        ("/client", "2001:db8::1", "", 204),
        ("/client", "2001:db8::ffff:2", "", 429),
        ("/client", "2001:db8:0:1::1", "", 204),
        ("/wide", "2001:db8::1", "", 204),
        ("/wide", "2001:db8:0:1::1", "", 429),
        ("/wide", "2001:db8:1::1", "", 204),
        ("/header", "192.0.2.1", "a", 204),
        ("/header", "192.0.2.2", "a", 429),
        ("/header", "192.0.2.2", "b", 204),
        ("/header", "192.0.2.2", "", 204),
        ("/both", "192.0.2.1", "a", 204),
        ("/both", "192.0.2.2", "a", 204),
        ("/both", "192.0.2.1", "b", 204),
        ("/both", "192.0.2.1", "a", 429),
        ("/all", "192.0.2.1", "", 204),
        ("/also", "192.0.2.2", "", 429),
        ("/route", "192.0.2.1", "", 204),
        ("/route", "192.0.2.2", "", 429),
        ("/apart", "192.0.2.2", "", 204),
    ];
    for (row, (path, address, key, status)) in table.into_iter().enumerate() {
        let answer = asked(&mut client, path, &format!("X-Forwarded-For: {address}\r\nX-Key: {key}\r\n"));
        assert_eq!(answer.status, status, "row {row}: {path} {address} {key}");
    }
}

#[test]
fn a_request_counts_for_all_limits_of_its_route_or_for_none() {
    let gateway = gateway(
        "[limits.many]\nrequests = 3\nper = 'month'\n[limits.few]\nrequests = 1\nper = '1h'\nkey = ['header:X-Key']\n\
         [[routes]]\nlimits = ['many', 'few']\nrespond = { status = 204 }\n",
    );
    let mut client = Client::connect(gateway.address);
    let table = [
        ("a", 204, "\"many\";r=2;t="),
        // Refused by the second limit, and not counted by the first.
        ("a", 429, "\"many\";r=1;t="),
        ("a", 429, "\"many\";r=1;t="),
        ("b", 204, "\"many\";r=1;t="),
        ("c", 204, "\"many\";r=0;t="),
        ("d", 429, "\"many\";r=0;t="),
    ];
    for (row, (key, status, begin)) in table.into_iter().enumerate() {
        let answer = asked(&mut client, "/", &format!("X-Key: {key}\r\n"));
        assert_eq!(answer.status, status, "row {row}");
        let limit = answer.field("ratelimit").expect("RateLimit");
        assert!(limit.starts_with(begin), "row {row}: {limit}");
        assert_eq!(limit.contains("\"few\";r=0;t="), key != "d", "row {row}: {limit}");
    }
    assert!(gateway.logged().contains("\"status\":204"));
    assert!(gateway.logged().contains("\"failure\":\"rate_limit\""));
    for _ in 0..3 {
        gateway.logged();
    }
    assert!(gateway.logged().contains("\"failure\":\"quota\""));
}

/// Connections are spread over the workers; the limit is that of the process.
#[test]
fn a_limit_is_exact_over_all_workers() {
    let gateway = gateway(
        "[limits.a]\nrequests = 500\nper = '24h'\n[[routes]]\nlimits = ['a']\nrespond = { status = 204 }\n",
    );
    let allowed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = Client::connect(gateway.address);
                for _ in 0..50 {
                    if asked(&mut client, "/", "").status == 204 {
                        allowed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(allowed.load(Ordering::Relaxed), 500);
}

#[test]
fn requests_in_flight_are_limited_and_a_queue_is_bounded() {
    let (let_go, going) = channel::<()>();
    let going = Arc::new(Mutex::new(going));
    let upstream = Upstream::start(move |head, client| {
        if head.contains("/held") {
            going.lock().expect("unpoisoned").recv().expect("a sender");
        }
        client.send(response(200, "done"));
        true
    });
    let gateway = Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[upstreams.a]\nendpoints = ['{}']\n\
         [limits.one]\nconcurrent = 1\nkey = ['header:X-Key']\n\
         [limits.queued]\nconcurrent = 1\nqueue = 1\nqueue_timeout = '5s'\n\
         [limits.brief]\nconcurrent = 1\nqueue = 1\nqueue_timeout = '100ms'\n\
         [[routes]]\npath = '/held/one'\nlimits = ['one']\nupstream = 'a'\n\
         [[routes]]\npath = '/held/queued'\nlimits = ['queued']\nupstream = 'a'\n\
         [[routes]]\npath = '/held/brief'\nlimits = ['brief']\nupstream = 'a'\n",
        upstream.address
    ));
    let begin = |path: &str, key: &str| {
        let mut client = Client::connect(gateway.address);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\nX-Key: {key}\r\n\r\n"));
        client
    };
    let until = |count: usize| {
        while upstream.requests() < count {
            thread::sleep(Duration::from_millis(2));
        }
    };
    let mut first = begin("/held/one", "a");
    until(1);
    let refused = ask(gateway.address, "GET /held/one HTTP/1.1\r\nHost: t\r\nX-Key: a\r\n\r\n");
    assert_eq!((refused.status, refused.field("retry-after")), (429, Some("1")));
    assert_eq!(refused.field("ratelimit-policy"), Some("\"one\";q=1;qu=\"concurrent-requests\""));
    assert_eq!(refused.field("ratelimit"), Some("\"one\";r=0;t=1"));
    assert!(gateway.logged().contains("\"failure\":\"concurrency_limit\""));
    // Another key has a place of its own.
    let mut other = begin("/held/one", "b");
    until(2);
    let_go.send(()).expect("an upstream");
    let_go.send(()).expect("an upstream");
    assert_eq!((first.answer().status, other.answer().status), (200, 200));

    let mut running = begin("/held/queued", "");
    until(3);
    // Of two more, one waits and the other finds the queue full.
    let (tell, told) = channel();
    for _ in 0..2 {
        let (tell, mut client) = (tell.clone(), begin("/held/queued", ""));
        thread::spawn(move || tell.send(client.answer().status));
    }
    assert_eq!(told.recv(), Ok(429));
    let_go.send(()).expect("an upstream");
    assert_eq!(running.answer().status, 200);
    let_go.send(()).expect("an upstream");
    assert_eq!(told.recv(), Ok(200));

    let mut running = begin("/held/brief", "");
    let started = Instant::now();
    until(5);
    let late = ask(gateway.address, "GET /held/brief HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(late.status, 429);
    assert!(started.elapsed() >= Duration::from_millis(100));
    let_go.send(()).expect("an upstream");
    assert_eq!(running.answer().status, 200);
}

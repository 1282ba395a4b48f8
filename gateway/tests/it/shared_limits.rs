//! Limits that count in a real Redis.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Answer, Client, get};
use crate::gateway::{Gateway, PATIENCE};
use crate::redis::{Redis, cluster, have};

/// A gateway with a limit `a` on `/`, and the loopback trusted to speak for clients.
fn gateway(limit: &str, store: &str) -> Gateway {
    Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\ntrusted_proxies = ['127.0.0.1']\n\
         [limits.a]\nstore = 's'\n{limit}\n[stores.s]\ntimeout = '10s'\n{store}\n\
         [[routes]]\nlimits = ['a']\nrespond = {{ status = 204 }}\n"
    ))
}

fn asked(client: &mut Client, fields: &str) -> Answer {
    client.send(format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n"));
    client.answer()
}

/// How many of the requests of several clients at once pass, over all gateways.
fn allowed(gateways: [&Gateway; 2], requests: usize) -> usize {
    let allowed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for address in gateways.map(|gateway| gateway.address).repeat(4) {
            let allowed = &allowed;
            scope.spawn(move || {
                let mut client = Client::connect(address);
                for _ in 0..requests {
                    if asked(&mut client, "").status == 204 {
                        allowed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    allowed.into_inner()
}

#[test]
fn a_limit_is_exact_over_two_gateways() {
    if !have() {
        return;
    }
    for limit in ["requests = 100\nper = '24h'", "requests = 100\nper = 'month'"] {
        let redis = Redis::start(&[]);
        let store = format!("servers = ['{}']", redis.address);
        let (one, other) = (gateway(limit, &store), gateway(limit, &store));
        assert_eq!(allowed([&one, &other], 50), 100, "{limit}");
        let refused = get(one.address, "/");
        assert_eq!(refused.status, 429, "{limit}");
        let fields =
            [refused.field("ratelimit-policy"), refused.field("ratelimit"), refused.field("retry-after")];
        let [Some(policy), Some(limit), Some(_)] = fields else { panic!("{}", refused.head) };
        assert!(policy.starts_with("\"a\";q=100"), "{policy}");
        assert!(limit.starts_with("\"a\";r=0;t="), "{limit}");
        // No key holds what a client sent, and each ends by itself.
        let keys = redis.cli(&["keys", "*"]);
        assert!(keys.starts_with("gateway:a:{") && keys.lines().count() == 1, "{keys}");
        assert_ne!(redis.cli(&["ttl", &keys]), "-1");
    }
}

#[test]
fn a_rate_comes_back_by_the_clock_of_the_server() {
    if !have() {
        return;
    }
    let redis = Redis::start(&[]);
    let gateway =
        gateway("requests = 10\nper = '1s'\nburst = 3", &format!("servers = ['{}']", redis.address));
    let mut client = Client::connect(gateway.address);
    let begun = Instant::now();
    let statuses: Vec<u16> = (0..3).map(|_| asked(&mut client, "").status).collect();
    assert_eq!(statuses, [204; 3]);
    let mut passed = 3_u32;
    while begun.elapsed() < Duration::from_secs(2) {
        passed += u32::from(asked(&mut client, "").status == 204);
    }
    let most = 3 + u32::try_from(begun.elapsed().as_millis() / 100).expect("a number") + 1;
    assert!((4..=most).contains(&passed), "{passed} of at most {most}");
}

/// A request that one limit refuses is taken back from the one in the store.
#[test]
fn a_refused_request_is_taken_back() {
    if !have() {
        return;
    }
    for amount in ["requests = 3\nper = '24h'", "requests = 3\nper = 'day'"] {
        let redis = Redis::start(&[]);
        let gateway = Gateway::start(&format!(
            "[[listeners]]\naddress = '127.0.0.1:0'\n[stores.s]\nservers = ['{}']\ntimeout = '10s'\n\
             [limits.many]\n{amount}\nkey = []\nstore = 's'\n\
             [limits.few]\nrequests = 1\nper = '24h'\nkey = ['header:X-Key']\n\
             [[routes]]\nlimits = ['many', 'few']\nrespond = {{ status = 204 }}\n",
            redis.address
        ));
        let mut client = Client::connect(gateway.address);
        // On one connection to the store, a request is taken back before the next one is counted.
        for (key, status) in [("a", 204), ("a", 429), ("a", 429), ("b", 204), ("c", 204), ("d", 429)] {
            assert_eq!(asked(&mut client, &format!("X-Key: {key}\r\n")).status, status, "{amount}, {key}");
        }
    }
}

#[test]
fn a_password_and_a_database_are_used() {
    if !have() {
        return;
    }
    let redis = Redis::start(&["--requirepass", "hush"]);
    let limit = "requests = 1\nper = '24h'\nfail = 'closed'";
    let server = format!("servers = ['{}']", redis.address);
    let with = gateway(limit, &format!("{server}\npassword = 'hush'\ndatabase = 3\nprefix = 'x:'"));
    assert_eq!([get(with.address, "/").status, get(with.address, "/").status], [204, 429]);
    let keys = redis.cli(&["-a", "hush", "-n", "3", "keys", "*"]);
    assert!(keys.contains("x:a:{"), "{keys}");
    let without = gateway(limit, &server);
    assert_eq!(get(without.address, "/").status, 503);
    without.says("the server says: NOAUTH");
    assert!(without.logged().contains("\"failure\":\"limit_store\""));
}

/// What a client sees without an answer of the store, and once there is one again.
#[test]
fn without_the_store_a_limit_does_what_its_settings_say() {
    if !have() {
        return;
    }
    for (fail, while_down) in
        [("open", [204, 204, 204]), ("closed", [503, 503, 503]), ("local", [204, 429, 429])]
    {
        let mut redis = Redis::start(&[]);
        let server = format!("servers = ['{}']", redis.address);
        let gateway =
            gateway(&format!("requests = 2\nper = '24h'\nkey = ['header:X-Key']\nfail = '{fail}'"), &server);
        let mut client = Client::connect(gateway.address);
        let mut statuses = |key: &str, count: usize| -> Vec<u16> {
            (0..count).map(|_| asked(&mut client, &format!("X-Key: {key}\r\n")).status).collect()
        };
        assert_eq!(statuses("a", 1), [204], "{fail}");
        redis.kill();
        // Locally the count goes on where the store had it.
        assert_eq!(statuses("a", 3), while_down, "{fail}");
        gateway.says("limits do what their 'fail' says");
        redis.restart();
        gateway_is_back(&gateway, &mut statuses);
        assert_eq!(statuses("c", 3), [204, 204, 429], "{fail}");
    }
}

fn gateway_is_back(gateway: &Gateway, statuses: &mut impl FnMut(&str, usize) -> Vec<u16>) {
    let deadline = Instant::now() + PATIENCE;
    while answered(gateway) < 2 {
        statuses("b", 1);
        assert!(Instant::now() < deadline, "the store is not asked again");
        thread::sleep(Duration::from_millis(20));
    }
    gateway.says("connected again");
}

/// Questions that the store answered.
fn answered(gateway: &Gateway) -> u64 {
    let metrics = get(gateway.admin, "/metrics").body;
    let name = "gateway_store_requests_total{store=\"s\",result=\"answered\"} ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)).expect("a counter");
    value.parse().expect("a number")
}

/// A server that is stopped takes connections and says nothing.
#[test]
fn no_request_waits_longer_than_the_timeout() {
    if !have() {
        return;
    }
    let redis = Redis::start(&[]);
    let gateway = Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[stores.s]\nservers = ['{}']\ntimeout = '100ms'\n\
         [limits.a]\nrequests = 1000000\nper = '1s'\nstore = 's'\nfail = 'open'\n\
         [[routes]]\nlimits = ['a']\nrespond = {{ status = 204 }}\n",
        redis.address
    ));
    let mut client = Client::connect(gateway.address);
    assert_eq!(asked(&mut client, "").status, 204);
    redis.signal("STOP");
    let begun = Instant::now();
    let mut waited = 0;
    for _ in 0..1000 {
        let sent = Instant::now();
        assert_eq!(asked(&mut client, "").status, 204);
        waited += usize::from(sent.elapsed() >= Duration::from_millis(100));
    }
    // Once one has waited in vain, those behind it do not.
    assert!(waited < 100, "{waited} of 1000 waited");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    redis.signal("CONT");
    let before = answered(&gateway);
    let deadline = Instant::now() + PATIENCE;
    while answered(&gateway) == before {
        asked(&mut client, "");
        assert!(Instant::now() < deadline, "the store is not asked again");
    }
}

#[test]
fn a_cluster_is_followed_while_slots_move() {
    if !have() {
        return;
    }
    let servers = cluster();
    let store = format!("servers = ['{}']", servers[0].address);
    let limit = "requests = 1\nper = '24h'\nkey = ['header:X-Key']\nfail = 'closed'";
    let (one, other) = (gateway(limit, &store), gateway(limit, &store));
    let statuses = |gateway: &Gateway, range: std::ops::Range<usize>| -> Vec<u16> {
        let mut client = Client::connect(gateway.address);
        range.map(|key| asked(&mut client, &format!("X-Key: {key}\r\n")).status).collect()
    };
    assert_eq!(statuses(&one, 0..60), [204; 60]);
    assert_eq!(statuses(&other, 0..60), [429; 60]);
    for server in &servers {
        assert_ne!(server.cli(&["dbsize"]), "0", "each server has keys");
    }
    // A slot with a key on its way from one server to another: ASK, then MOVED.
    let key = servers[0].cli(&["randomkey"]);
    let slot = servers[0].cli(&["cluster", "keyslot", &key]);
    let ids = [0, 1].map(|number: usize| servers[number].cli(&["cluster", "myid"]));
    let [from, to] = [&servers[0], &servers[1]];
    assert_eq!(to.cli(&["cluster", "setslot", &slot, "importing", &ids[0]]), "OK");
    assert_eq!(from.cli(&["cluster", "setslot", &slot, "migrating", &ids[1]]), "OK");
    let port = to.address.port().to_string();
    assert_eq!(from.cli(&["migrate", "127.0.0.1", &port, &key, "0", "5000"]), "OK");
    assert_eq!(statuses(&one, 0..60), [429; 60], "while a slot moves");
    for server in [to, from, &servers[2]] {
        assert_eq!(server.cli(&["cluster", "setslot", &slot, "node", &ids[1]]), "OK");
    }
    assert_eq!(statuses(&other, 0..60), [429; 60], "after a slot has moved");
    assert_eq!(statuses(&other, 60..90), [204; 30]);
}

/// How many scripts Redis has run.
fn scripts(redis: &Redis) -> u32 {
    let stats = redis.cli(&["info", "commandstats"]);
    let calls = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.map_or(0, |line| line.split(',').next().and_then(|count| count.parse().ok()).expect("a count"))
    };
    calls("evalsha") + calls("eval")
}

/// Two limits on one route, by another key each.
const TWO_LIMITS: &str = "[limits.many]\nrequests = 3\nper = 'day'\nkey = []\nstore = 's'\nfail = 'closed'\n\
    [limits.few]\nrequests = 1\nper = '24h'\nkey = ['header:X-Key']\nstore = 's'\nfail = 'closed'\n\
    [[routes]]\nlimits = ['many', 'few']\nrespond = { status = 204 }\n";

fn with_two_limits(redis: &Redis) -> Gateway {
    Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[stores.s]\nservers = ['{}']\ntimeout = '10s'\n{TWO_LIMITS}",
        redis.address
    ))
}

#[test]
fn limits_in_one_store_are_asked_together() {
    if !have() {
        return;
    }
    let redis = Redis::start(&[]);
    let gateway = with_two_limits(&redis);
    let mut client = Client::connect(gateway.address);
    let requests = [("a", 204), ("a", 429), ("a", 429), ("b", 204), ("c", 204), ("d", 429)];
    for (key, status) in requests {
        let answer = asked(&mut client, &format!("X-Key: {key}\r\n"));
        assert_eq!(answer.status, status, "{key}: {}", answer.head);
        let policy = answer.field("ratelimit-policy").expect("a field");
        assert!(policy.starts_with("\"many\";q=3;w=86400"), "{policy}");
    }
    // Once more for the server that did not know the script.
    assert_eq!(scripts(&redis), 7);
    // What was refused counted for none, so nothing had to be taken back.
    assert_eq!(answered(&gateway), 6);
}

/// Keys in several slots of a cluster cannot be asked for together.
#[test]
fn limits_in_a_cluster_are_asked_one_after_another() {
    if !have() {
        return;
    }
    let servers = cluster();
    let gateway = with_two_limits(&servers[0]);
    let mut client = Client::connect(gateway.address);
    for (key, status) in [("a", 204), ("a", 429), ("b", 204), ("c", 204), ("d", 429)] {
        assert_eq!(asked(&mut client, &format!("X-Key: {key}\r\n")).status, status, "{key}");
    }
}

#[test]
fn a_server_with_tls_is_verified() {
    if !have() {
        return;
    }
    let data = |name: &str| format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    let (ca, certificate, key) = (data("ca.crt"), data("localhost.crt"), data("localhost.key"));
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = socket.local_addr().expect("bound").port().to_string();
    drop(socket);
    let arguments = ["--tls-port", &port, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let _redis =
        Redis::start(&[&arguments[..], &["--tls-ca-cert-file", &ca, "--tls-auth-clients", "no"]].concat());
    let limit = "requests = 1\nper = '24h'\nfail = 'closed'";
    let statuses = |store: &str| {
        let gateway = gateway(limit, &format!("servers = ['localhost:{port}']\n{store}"));
        let statuses = [get(gateway.address, "/").status, get(gateway.address, "/").status];
        (gateway, statuses)
    };
    let (_, with_tls) = statuses(&format!("tls = true\nca = '{ca}'"));
    assert_eq!(with_tls, [204, 429]);
    // No authority of the system knows the certificate.
    let (unknown, refused) = statuses("tls = true");
    assert_eq!(refused, [503, 503]);
    unknown.says("certificate");
    let (_, without_tls) = statuses("");
    assert_eq!(without_tls, [503, 503]);
}

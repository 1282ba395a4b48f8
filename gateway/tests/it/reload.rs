//! Settings that are put in force while the gateway runs.

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Answer, Client, ask, get};
use crate::gateway::{File, Gateway, PATIENCE, file};
use crate::upstream::{Upstream, response};

/// A settings file for one listener, with these further tables.
fn settings(rest: &str) -> String {
    format!(
        "threads = 2\nadmin.address = '127.0.0.1:0'\n\
         [[listeners]]\nname = 'web'\naddress = '127.0.0.1:0'\n{rest}"
    )
}

/// A route to a service, and one that answers with this text.
fn routes(upstream: SocketAddr, text: &str) -> String {
    format!(
        "[upstreams.app]\nendpoints = ['{upstream}']\n[[routes]]\nupstream = 'app'\n\
         [[routes]]\npath = '/version'\nrespond = {{ status = 200, body = '{text}' }}\n"
    )
}

fn start(text: &str) -> (File, Gateway) {
    let file = file(text);
    let gateway = Gateway::from_file(&file);
    (file, gateway)
}

fn reload(gateway: &Gateway) -> Answer {
    ask(gateway.admin, "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
}

fn version(gateway: &Gateway) -> String {
    get(gateway.address, "/version").body
}

/// A service that answers, and opens a WebSocket that echoes lines.
fn service() -> Upstream {
    Upstream::start(|head, client| {
        if !head.contains("/ws") {
            client.body(head);
            client.send(response(200, "app"));
            return true;
        }
        client.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        while let Some(line) = Some(client.until(b"\n")).filter(|line| line != b"end\n") {
            client.send(line);
        }
        false
    })
}

fn websocket(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    client.send(
        "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    client
}

fn echoes(websocket: &mut Client) {
    websocket.send("line\n");
    assert_eq!(websocket.until(b"\n"), b"line\n");
}

#[test]
fn each_way_of_reloading_puts_settings_in_force_and_drops_nothing() {
    let service = service();
    let text = |version: &str| settings(&routes(service.address, version));
    let (file, gateway) = start(&text("1"));
    let mut websocket = websocket(gateway.address);
    let mut client = Client::connect(gateway.address);
    let mut asks = |path: &str| {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
        client.answer().body
    };
    assert_eq!((asks("/version").as_str(), asks("/").as_str()), ("1", "app"));

    file.write(&text("2"));
    let answer = reload(&gateway);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.starts_with("settings reloaded in "), "{}", answer.body);
    assert_eq!(asks("/version"), "2");

    file.write(&text("3"));
    gateway.signal("HUP");
    gateway.says("(SIGHUP)");
    assert_eq!(asks("/version"), "3");

    file.write(&text("4"));
    gateway.says("(a file has changed)");
    assert_eq!(asks("/version"), "4");

    echoes(&mut websocket);
    assert_eq!(asks("/"), "app");
    // One for the WebSocket, one kept for reuse all the time.
    assert_eq!(service.connections(), 2);
    let metrics = get(gateway.admin, "/metrics").body;
    assert!(metrics.contains("gateway_config_reloads_total{result=\"success\"} 3"), "{metrics}");
    // The counters of what is still there have not begun anew.
    assert!(metrics.contains("gateway_upstream_connections_total{upstream=\"app\"} 2"), "{metrics}");
}

#[test]
fn settings_with_mistakes_leave_those_from_before_in_force() {
    let service = service();
    let good = settings(&routes(service.address, "1"));
    let (file, gateway) = start(&good);
    let tables = [
        ("[[routes]]\n", &[": [[routes]] lacks 'upstream'"][..]),
        (
            "[[routes]]\nupstream = 'ap'\n[upstreams.b]\nendpoint = 'x'\n",
            &[
                "there is no upstream 'ap'; did you mean 'app'?",
                "unknown key 'endpoint'",
                "lacks 'endpoints'",
            ],
        ),
        ("]", &["is not valid TOML here"]),
        (
            "[upstreams.b]\nendpoints = ['https://b']\ntls.ca = '/none.pem'\n[[routes]]\npath = '/b'\nupstream = 'b'\n",
            &["'/none.pem' contains no certificate"],
        ),
        ("[[listeners]]\naddress = '203.0.113.7:8080'\n", &["cannot listen on 203.0.113.7:8080"]),
    ];
    for (number, (table, expected)) in (1..).zip(tables) {
        file.write(&format!("{good}{table}"));
        let answer = reload(&gateway);
        assert_eq!(answer.status, 422, "{table}: {}", answer.body);
        for part in expected {
            assert!(answer.body.contains(part), "{table}: {}", answer.body);
        }
        assert!(answer.body.ends_with("settings not reloaded; the previous settings stay in force\n"));
        gateway.says(expected[0]);
        assert_eq!(version(&gateway), "1");
        let metrics = get(gateway.admin, "/metrics").body;
        let failures = format!("gateway_config_reloads_total{{result=\"failure\"}} {number}");
        assert!(metrics.contains(&failures), "{metrics}");
        assert!(metrics.contains("gateway_config_last_reload_successful 0"), "{metrics}");
    }
    file.write(&format!("{good}access_log = 1"));
    drop(file);
    let answer = reload(&gateway);
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("cannot be read"), "{}", answer.body);
    assert_eq!(version(&gateway), "1");
}

#[test]
fn what_needs_a_restart_is_said() {
    let service = service();
    let good = settings(&routes(service.address, "1"));
    let (file, gateway) = start(&good);
    file.write(&good.replace("threads = 2", "threads = 3\naccess_log = false"));
    let answer = reload(&gateway);
    assert_eq!(answer.status, 200);
    for part in [
        "'threads' is 3, but stays 2 until the gateway is restarted (warning)",
        "'access_log' has changed, but only its rules take effect before",
    ] {
        assert!(answer.body.contains(part), "{}", answer.body);
    }
}

#[test]
fn listeners_come_change_and_go() {
    let service = service();
    let listener =
        |name: &str, more: &str| format!("[[listeners]]\nname = '{name}'\naddress = '127.0.0.1:0'\n{more}");
    let text = |listeners: &str| settings(&format!("{listeners}{}", routes(service.address, "1")));
    let (file, gateway) = start(&text(""));
    let mut kept = Client::connect(gateway.address);
    kept.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(kept.answer().status, 200);

    file.write(&text(&listener("two", "")));
    assert_eq!(reload(&gateway).status, 200);
    let two = gateway.opens();
    assert_eq!(get(two, "/").status, 200);
    let mut websocket = websocket(two);
    let mut resting = Client::connect(two);
    resting.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(resting.answer().status, 200);

    // A limit holds for connections that were open before: they end, and others take their place.
    file.write(&text(&listener("two", "max_body_bytes = 1\n")));
    assert_eq!(reload(&gateway).status, 200);
    resting.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(resting.answer().field("connection"), Some("close"));
    let long = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nxx";
    assert_eq!(ask(two, long).status, 413);
    assert_eq!(ask(gateway.address, long).status, 200);

    let mut resting = Client::connect(two);
    resting.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(resting.answer().status, 200);
    file.write(&text(""));
    assert_eq!(reload(&gateway).status, 200);
    assert_eq!(resting.rest(), b"", "the connections of a listener that was removed end");
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(two).is_ok() {
        assert!(Instant::now() < deadline, "a listener that was removed still listens");
    }
    echoes(&mut websocket);
    kept.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(kept.answer().field("connection"), None, "the other listener was not touched");
}

#[test]
fn health_survives_and_a_changed_upstream_is_used() {
    let (service, nowhere) = (service(), Upstream::nowhere());
    let text = |more: &str| {
        settings(&format!(
            "[upstreams.app]\nendpoints = ['{}', '{nowhere}']\nretries = 0\n{more}\
             outlier = {{ base_ejection = '5m' }}\n[[routes]]\nupstream = 'app'\n",
            service.address
        ))
    };
    let (file, gateway) = start(&text(""));
    let deadline = Instant::now() + PATIENCE;
    while get(gateway.address, "/").status != 503 {
        assert!(Instant::now() < deadline, "the second endpoint was never tried");
    }
    for more in ["", "\n\n", "response_timeout = '7s'\n"] {
        file.write(&text(more));
        assert_eq!(reload(&gateway).status, 200);
        for _ in 0..6 {
            assert_eq!(get(gateway.address, "/").status, 200, "{more:?}");
        }
    }
}

#[test]
fn certificates_reload_by_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let make = |name: &str| {
        let pair = ["tls.key", "tls.crt"].map(|file| folder.path().join(file));
        let mut command = Command::new("openssl");
        command.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 10".split(' '));
        command.args(["-subj", &format!("/CN={name}"), "-keyout"]).arg(&pair[0]).arg("-out").arg(&pair[1]);
        let made = command.output().expect("openssl, from the package of this name");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    make("first");
    let service = service();
    let tls =
        format!("tls = {{ certificate = '{0}/tls.crt', key = '{0}/tls.key' }}\n", folder.path().display());
    let (_file, gateway) = start(&settings(&format!("{tls}{}", routes(service.address, "1"))));
    let shows = |name: &str| {
        let address = gateway.address.to_string();
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &address])
            .stdin(Stdio::null())
            .output()
            .expect("openssl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(&format!("CN = {name}")) || text.contains(&format!("CN={name}")), "{text}");
    };
    shows("first");
    make("second");
    gateway.says("(a file has changed)");
    shows("second");
}

/// The short form of `gateway-lab reload`.
#[test]
fn reloads_under_load_fail_no_request_and_keep_no_memory() {
    let service = service();
    let text = |version: usize| {
        let mut text = settings(&routes(service.address, &version.to_string()));
        for number in 0..300 {
            let name = format!("route-{number}-{}", version % 7);
            text.push_str(&format!("[[routes]]\nname = '{name}'\npath = '/r/{number}'\nupstream = 'app'\n"));
        }
        text
    };
    let (file, gateway) = start(&text(0));
    let stop = Arc::new(AtomicBool::new(false));
    let requests = Arc::new(AtomicUsize::new(0));
    let address = gateway.address;
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (stop, requests) = (Arc::clone(&stop), Arc::clone(&requests));
            thread::spawn(move || {
                let mut websocket = websocket(address);
                while !stop.load(Ordering::Relaxed) {
                    // On a connection of its own, and on one that is kept.
                    assert_eq!(get(address, "/").status, 200);
                    let mut client = Client::connect(address);
                    for _ in 0..20 {
                        client.send(format!("GET /r/{number} HTTP/1.1\r\nHost: t\r\n\r\n"));
                        assert_eq!(client.answer().status, 200);
                        requests.fetch_add(1, Ordering::Relaxed);
                    }
                    echoes(&mut websocket);
                }
            })
        })
        .collect();
    let mut after_few = 0;
    for version in 1..=40 {
        file.write(&text(version));
        assert_eq!(reload(&gateway).status, 200);
        if version == 10 {
            after_few = gateway.memory();
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("no request that failed");
    }
    assert!(requests.load(Ordering::Relaxed) > 40);
    assert_eq!(version(&gateway), "40");
    let memory = gateway.memory();
    assert!(memory < after_few + (8 << 20), "{after_few} bytes after 10 reloads, {memory} after 40");
    // Routes that are gone have no series any more.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = get(gateway.admin, "/metrics").body;
        let series =
            metrics.lines().filter(|line| line.starts_with("gateway_request_duration_seconds_count"));
        // 300, the two others, and the one of requests without a route.
        let count = series.count();
        if count == 303 {
            break;
        }
        assert!(Instant::now() < deadline, "{count} series");
        thread::sleep(Duration::from_millis(50));
    }
}

//! Active probes of real servers.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::endpoint::{EndpointConfig, Moment, Protocol, Scheme, Statuses};
use gateway::probe::{Change, ProbeKind, ProbeSettings, ProbeTarget, run as probe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::authority::Authority;
use crate::server::{client_tls, cluster, host, load, plain, run, serve_tls, server_tls};

fn settings(kind: ProbeKind) -> Arc<ProbeSettings> {
    Arc::new(ProbeSettings {
        kind,
        interval: Duration::from_millis(50),
        timeout: Duration::from_millis(500),
        healthy_threshold: 2,
        unhealthy_threshold: 3,
    })
}

fn http(host: Option<&str>) -> ProbeKind {
    ProbeKind::Http {
        path: "/healthz?x=1".to_owned(),
        host: host.map(str::to_owned),
        expected: Statuses::new([(200, 204)]),
    }
}

/// Answers each connection with the status of the moment; 0 for none. Keeps the last request.
struct Server {
    port: u16,
    status: Arc<AtomicU16>,
    request: Arc<Mutex<String>>,
}

impl Server {
    async fn new(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = Self { port, status: Arc::new(AtomicU16::new(status)), request: Arc::default() };
        let (status, request) = (Arc::clone(&server.status), Arc::clone(&server.request));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (status, request) = (Arc::clone(&status), Arc::clone(&request));
                tokio::spawn(async move {
                    let mut bytes = vec![0; 4096];
                    let length = stream.read(&mut bytes).await.unwrap_or(0);
                    *request.lock().expect("no panic") =
                        String::from_utf8_lossy(&bytes[..length]).into_owned();
                    let status = status.load(Ordering::Relaxed);
                    if status == 0 {
                        sleep(Duration::from_mins(1)).await;
                    }
                    let answer =
                        format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        server
    }
}

/// Answers each request of HTTP/2 with the status of the moment, and keeps the last request.
async fn http2_server(status: Arc<AtomicU16>, request: Arc<Mutex<String>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (status, request) = (Arc::clone(&status), Arc::clone(&request));
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
                while let Some(Ok((asked, mut respond))) = connection.accept().await {
                    *request.lock().expect("no panic") = format!("{} {}", asked.method(), asked.uri());
                    let mut response = http::Response::new(());
                    let status = http::StatusCode::from_u16(status.load(Ordering::Relaxed));
                    *response.status_mut() = status.expect("a status");
                    respond.send_response(response, true).expect("an open stream");
                }
            });
        }
    });
    port
}

/// Changes as they come, until one is `last`.
async fn until(changes: &Mutex<Vec<Change>>, last: impl Fn(&Change) -> bool) -> Vec<Change> {
    loop {
        {
            let mut changes = changes.lock().expect("no panic");
            if changes.last().is_some_and(&last) {
                return std::mem::take(&mut changes);
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_server_goes_down_and_comes_back() {
    run(async {
        let (good, bad) = (Server::new(200).await, Server::new(200).await);
        let cluster = Arc::new(cluster(vec![host("127.0.0.1", good.port), host("127.0.0.1", bad.port)]));
        let target = ProbeTarget {
            cluster: Arc::clone(&cluster),
            settings: settings(http(Some("probe.example"))),
            dial: plain(),
        };
        let changes: Arc<Mutex<Vec<Change>>> = Arc::default();
        let noted = Arc::clone(&changes);
        let on_change = Arc::new(move |change: &Change| noted.lock().expect("no panic").push(change.clone()));
        let prober = tokio::spawn(probe(vec![target], on_change));
        sleep(Duration::from_millis(300)).await;
        assert!(changes.lock().expect("no panic").is_empty(), "what is up stays up");
        let request = good.request.lock().expect("no panic").clone();
        assert_eq!(
            request,
            "GET /healthz?x=1 HTTP/1.1\r\nHost: probe.example\r\nUser-Agent: gateway-probe\r\nConnection: close\r\n\r\n"
        );
        let name = format!("127.0.0.1:{}", bad.port);
        for (status, why) in
            [(503, "the probe was answered with 503"), (0, "the probe got no answer in time")]
        {
            bad.status.store(status, Ordering::Relaxed);
            let down = until(&changes, |change| change.down.is_some()).await;
            let expected = Change {
                upstream: "test".to_owned(),
                endpoint: name.clone(),
                down: Some(format!("{name}: {why}")),
            };
            assert_eq!(down, [expected]);
            assert_eq!(cluster.in_service(Moment::now()), (1, 2));
            let local = cluster.local(0, 1);
            for _ in 0..10 {
                let pick = cluster.pick(&local, None, &[], Moment::now()).expect("an endpoint");
                assert_ne!(pick.endpoint.name, name);
            }
            bad.status.store(204, Ordering::Relaxed);
            let up = until(&changes, |change| change.down.is_none()).await;
            assert_eq!(up.len(), 1, "{up:?}");
            assert_eq!(cluster.in_service(Moment::now()), (2, 2));
        }
        prober.abort();
    });
}

#[test]
fn a_server_of_http_2_is_asked_over_it() {
    run(async {
        let (status, request) = (Arc::new(AtomicU16::new(503)), Arc::<Mutex<String>>::default());
        let port = http2_server(Arc::clone(&status), Arc::clone(&request)).await;
        let endpoint = EndpointConfig { protocol: Protocol::Http2, ..host("127.0.0.1", port) };
        let cluster = Arc::new(cluster(vec![endpoint]));
        let target = ProbeTarget { cluster, settings: settings(http(None)), dial: plain() };
        let changes: Arc<Mutex<Vec<Change>>> = Arc::default();
        let noted = Arc::clone(&changes);
        let on_change = Arc::new(move |change: &Change| noted.lock().expect("no panic").push(change.clone()));
        let prober = tokio::spawn(probe(vec![target], on_change));
        let down = until(&changes, |change| change.down.is_some()).await;
        let why = format!("127.0.0.1:{port}: the probe was answered with 503");
        assert_eq!(down.last().and_then(|change| change.down.clone()), Some(why));
        status.store(200, Ordering::Relaxed);
        until(&changes, |change| change.down.is_none()).await;
        let request = request.lock().expect("no panic").clone();
        assert_eq!(request, format!("GET http://127.0.0.1:{port}/healthz?x=1"));
        prober.abort();
    });
}

#[test]
fn the_first_result_decides_at_once() {
    let authority = Authority::new();
    let certificate = authority.issue("DNS:a.example", 10);
    run(async {
        let mut config = server_tls(&certificate);
        config.alpn = vec!["h2".to_owned()];
        let tls = serve_tls(&load(&config), |_| String::new()).await;
        let closed =
            TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address").port();
        let https = |name: &str| EndpointConfig {
            scheme: Scheme::Https,
            protocol: Protocol::Http2,
            server_name: Some(name.to_owned()),
            ..host("127.0.0.1", tls.port())
        };
        let endpoints = vec![https("a.example"), https("b.example"), host("127.0.0.1", closed)];
        let cluster = Arc::new(cluster(endpoints));
        let mut dial = plain();
        dial.tls = Some(client_tls(&authority.file(), None));
        let target =
            ProbeTarget { cluster: Arc::clone(&cluster), settings: settings(ProbeKind::Connect), dial };
        let changes: Arc<Mutex<Vec<Change>>> = Arc::default();
        let noted = Arc::clone(&changes);
        let on_change = Arc::new(move |change: &Change| noted.lock().expect("no panic").push(change.clone()));
        let prober = tokio::spawn(probe(vec![target], on_change));
        while changes.lock().expect("no panic").len() < 2 {
            sleep(Duration::from_millis(5)).await;
        }
        let changes = changes.lock().expect("no panic").clone();
        let why: Vec<_> = changes.iter().filter_map(|change| change.down.as_deref()).collect();
        // The probes run at the same time, so the order is open.
        assert!(
            why.iter().any(|why| why.contains("TLS handshake failed") && why.contains("b.example")),
            "{why:?}"
        );
        assert!(why.iter().any(|why| why.contains("Connection refused")), "{why:?}");
        assert_eq!(cluster.in_service(Moment::now()), (1, 3));
        prober.abort();
    });
}

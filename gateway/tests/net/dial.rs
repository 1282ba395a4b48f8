//! Connections to endpoints.

use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway::dial::{Step, dial};
use gateway::endpoint::{Address, EndpointConfig, Protocol, Scheme};
use gateway::proxy_protocol::{Parsed, Proxied, Version, parse};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::Instant;

use crate::authority::Authority;
use crate::server::{
    client_tls, endpoint, hear, host, load, plain, reach, run, serve_tls, server_tls, with_hosts,
};

/// An address that does not answer: a listening socket with as many connections waiting as it takes.
struct BlackHole {
    address: SocketAddr,
    _socket: Socket,
    _waiting: Vec<Socket>,
}

impl BlackHole {
    fn new(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&address.into()).expect("an address");
        socket.listen(0).expect("a listening socket");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
        let fill = || {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            client.connect_timeout(&address.into(), Duration::from_millis(200)).map(|()| client)
        };
        let mut waiting = Vec::new();
        while let Ok(client) = fill() {
            waiting.push(client);
            assert!(waiting.len() < 64, "the queue has no end");
        }
        Self { address, _socket: socket, _waiting: waiting }
    }
}

/// Sends back what arrives on one connection.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut bytes = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        stream.write_all(&bytes[..count]).await.expect("an open connection");
    }
}

#[test]
fn tcp_and_unix_sockets() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let unix = UnixListener::bind(&path).expect("a socket");
        tokio::spawn(async move { echo(listener.accept().await.expect("a connection").0).await });
        tokio::spawn(async move { echo(unix.accept().await.expect("a connection").0).await });
        let table = [
            (host("127.0.0.1", address.port()), Some(address)),
            (EndpointConfig::new(Address::Unix(path)), None),
        ];
        for (config, expected) in table {
            let dialed = reach(&endpoint(config), &plain()).await.expect("a connection");
            assert_eq!((dialed.address, dialed.protocol), (expected, Protocol::Http1));
            let mut stream = dialed.stream;
            assert!(stream.is_write_vectored());
            let pieces = [IoSlice::new(b"hel"), IoSlice::new(b"lo")];
            assert_eq!(stream.write_vectored(&pieces).await.expect("an open connection"), 5);
            stream.shutdown().await.expect("an open connection");
            let mut text = String::new();
            stream.read_to_string(&mut text).await.expect("an echo");
            assert_eq!(text, "hello");
        }
    });
}

#[test]
fn in_the_clear_only_prior_knowledge_is_http_2() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        for (protocol, expected) in [
            (Protocol::Http1, Protocol::Http1),
            (Protocol::Auto, Protocol::Http1),
            (Protocol::Http2, Protocol::Http2),
        ] {
            let endpoint = endpoint(EndpointConfig { protocol, ..host("127.0.0.1", port) });
            assert_eq!(reach(&endpoint, &plain()).await.expect("a connection").protocol, expected);
        }
    });
}

#[test]
fn an_address_that_swallows_packets_does_not_eat_the_budget() {
    let hole = BlackHole::new("127.0.0.2:0".parse().expect("an address"));
    let port = hole.address.port();
    let folder = tempfile::tempdir().expect("a folder");
    run(async {
        let _listener = TcpListener::bind(("127.0.0.3", port)).await.expect("the same port elsewhere");
        let settings = with_hosts(folder.path(), "127.0.0.2 two\n127.0.0.3 two\n127.0.0.2 hole\n");
        let two = endpoint(host("two", port));
        let start = Instant::now();
        let dialed = reach(&two, &settings).await.expect("a connection");
        let took = start.elapsed();
        assert_eq!(dialed.address, Some(SocketAddr::from(([127, 0, 0, 3], port))));
        assert!((200..2000).contains(&took.as_millis()), "a quarter of a second later: {took:?}");
        // The second dial begins with the other address.
        let start = Instant::now();
        reach(&two, &settings).await.expect("a connection");
        assert!(start.elapsed().as_millis() < 240, "{:?}", start.elapsed());

        let start = Instant::now();
        let deadline = start + Duration::from_millis(400);
        let error = dial(&endpoint(host("hole", port)), &settings, &Proxied::Local, deadline)
            .await
            .expect_err("no connection");
        assert!((390..2000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
        assert!(error.timed_out());
        assert_eq!(
            error.to_string(),
            format!("hole:{port}: no connection (127.0.0.2:{port}): no answer in time")
        );
    });
}

#[test]
fn an_address_that_refuses_costs_no_time() {
    let folder = tempfile::tempdir().expect("a folder");
    run(async {
        let listener = TcpListener::bind("127.0.0.3:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let settings =
            with_hosts(folder.path(), "::1 three\n127.0.0.2 three\n127.0.0.3 three\n127.0.0.2 none\n");
        let start = Instant::now();
        let dialed = reach(&endpoint(host("three", port)), &settings).await.expect("a connection");
        assert_eq!(dialed.address, Some(SocketAddr::from(([127, 0, 0, 3], port))));
        // Two addresses that are waited for would take half a second.
        assert!(start.elapsed().as_millis() < 450, "{:?}", start.elapsed());
        let error = reach(&endpoint(host("none", port)), &settings).await.expect_err("no connection");
        assert_eq!((error.step, error.cause.kind()), (Step::Connect, ErrorKind::ConnectionRefused));
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("none:{port}: no connection (127.0.0.2:{port}): Connection refused")),
            "{text}"
        );
    });
}

#[test]
fn errors_say_endpoint_step_and_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    run(async {
        let error = reach(&endpoint(host("127.0.0.1", 1)), &plain()).await.expect_err("no connection");
        let text = error.to_string();
        assert!(text.starts_with("127.0.0.1:1: no connection: Connection refused"), "{text}");
        let path = folder.path().join("none");
        let missing = endpoint(EndpointConfig::new(Address::Unix(path.clone())));
        let error = reach(&missing, &plain()).await.expect_err("no connection");
        let text = error.to_string();
        assert!(text.starts_with(&format!("unix:{}: no connection: No such file", path.display())), "{text}");
    });
}

#[test]
fn the_proxy_header_comes_first() {
    let client = Proxied::Ip {
        source: "192.0.2.1:4711".parse().expect("an address"),
        destination: "198.51.100.1:443".parse().expect("an address"),
    };
    let authority = Authority::new();
    let certificate = authority.issue("DNS:a.example", 10);
    run(async {
        for version in [Version::V1, Version::V2] {
            for (scheme, proxied) in
                [(Scheme::Http, &client), (Scheme::Https, &client), (Scheme::Http, &Proxied::Local)]
            {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let port = listener.local_addr().expect("an address").port();
                let tls = load(&server_tls(&certificate));
                let server = tokio::spawn(async move {
                    let (mut stream, _) = listener.accept().await.expect("a connection");
                    let mut received = Vec::new();
                    loop {
                        match parse(&received) {
                            Parsed::NeedMore => received.push(stream.read_u8().await.expect("more")),
                            Parsed::Done(_, proxied) => break (stream, proxied),
                            Parsed::Invalid(why) => panic!("{why}"),
                        }
                    }
                });
                let accept = async {
                    let (stream, proxied) = server.await.expect("a header");
                    if scheme == Scheme::Https {
                        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&tls.config));
                        acceptor.accept(stream).await.expect("a handshake after the header");
                    }
                    proxied
                };
                let mut settings = plain();
                settings.tls = Some(client_tls(&authority.file(), None));
                settings.proxy_header = Some(version);
                let server_name = Some("a.example".to_owned());
                let endpoint = endpoint(EndpointConfig { scheme, server_name, ..host("127.0.0.1", port) });
                let deadline = Instant::now() + Duration::from_secs(5);
                let (dialed, received) = tokio::join!(dial(&endpoint, &settings, proxied, deadline), accept);
                dialed.expect("a connection");
                assert_eq!(received, *proxied, "{version:?} {scheme:?}");
            }
        }
    });
}

#[test]
fn a_handshake_that_never_ends_is_given_up() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let endpoint = endpoint(EndpointConfig { scheme: Scheme::Https, ..host("127.0.0.1", port) });
        let deadline = Instant::now() + Duration::from_millis(100);
        let error = dial(&endpoint, &plain(), &Proxied::Local, deadline).await.expect_err("no handshake");
        assert_eq!((error.step, error.timed_out()), (Step::Handshake, true));
        drop(listener);
    });
}

/// What the name in the certificate, its validity and the authority do to a handshake.
#[test]
fn certificates_of_servers_are_verified() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let good = authority.issue("DNS:a.example,DNS:*.b.example,IP:127.0.0.1", 10);
    let expired = authority.issue("DNS:a.example", -1);
    let table = [
        (&good, authority.file(), Some("a.example"), ""),
        (&good, authority.file(), Some("x.b.example"), ""),
        (&good, authority.file(), None, ""),
        (&good, authority.file(), Some("x.y.b.example"), "not valid for name"),
        (&good, authority.file(), Some("c.example"), "not valid for name"),
        (&good, stranger.file(), Some("a.example"), "UnknownIssuer"),
        (&expired, authority.file(), Some("a.example"), "Expired"),
        (&good, authority.file(), Some("no name"), "neither a DNS name nor an address"),
    ];
    run(async {
        for (certificate, roots, name, expected) in table {
            let address = serve_tls(&load(&server_tls(certificate)), |_| "hello".to_owned()).await;
            let mut settings = plain();
            settings.tls = Some(client_tls(&roots, None));
            let server_name = name.map(str::to_owned);
            let endpoint = endpoint(EndpointConfig {
                scheme: Scheme::Https,
                server_name,
                ..host("127.0.0.1", address.port())
            });
            match reach(&endpoint, &settings).await {
                Ok(dialed) => {
                    assert_eq!(expected, "", "{name:?}");
                    assert_eq!(hear(dialed).await.expect("an answer"), "hello", "{name:?}");
                }
                Err(error) => {
                    let text = error.to_string();
                    assert_eq!(error.step, Step::Handshake, "{text}");
                    assert!(!expected.is_empty() && text.contains(expected), "{name:?} {text}");
                    assert!(text.starts_with(&endpoint.name), "{text}");
                }
            }
        }
    });
}

#[test]
fn alpn_decides_on_the_protocol() {
    let authority = Authority::new();
    let certificate = authority.issue("IP:127.0.0.1", 10);
    let both: &[&str] = &["h2", "http/1.1"];
    let table = [
        (Protocol::Auto, both, Ok(Protocol::Http2)),
        (Protocol::Auto, &["http/1.1"], Ok(Protocol::Http1)),
        (Protocol::Auto, &[], Ok(Protocol::Http1)),
        (Protocol::Http1, both, Ok(Protocol::Http1)),
        (Protocol::Http1, &[], Ok(Protocol::Http1)),
        (Protocol::Http2, both, Ok(Protocol::Http2)),
        (Protocol::Http2, &[], Err("does not offer HTTP/2")),
        (Protocol::Http2, &["http/1.1"], Err("NoApplicationProtocol")),
        (Protocol::Http1, &["h2"], Err("NoApplicationProtocol")),
    ];
    run(async {
        for (protocol, offered, expected) in table {
            let mut config = server_tls(&certificate);
            config.alpn = offered.iter().map(ToString::to_string).collect();
            let address = serve_tls(&load(&config), |_| String::new()).await;
            let mut settings = plain();
            settings.tls = Some(client_tls(&authority.file(), None));
            let endpoint = endpoint(EndpointConfig {
                scheme: Scheme::Https,
                protocol,
                ..host("127.0.0.1", address.port())
            });
            match (reach(&endpoint, &settings).await, expected) {
                (Ok(dialed), expected) => {
                    assert_eq!(Ok(dialed.protocol), expected, "{protocol:?} {offered:?}");
                }
                (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
                (Err(error), Ok(_)) => panic!("{protocol:?} {offered:?}: {error}"),
            }
        }
    });
}

#[test]
fn sessions_are_resumed() {
    let authority = Authority::new();
    let certificate = authority.issue("IP:127.0.0.1", 10);
    run(async {
        let tls = load(&server_tls(&certificate));
        let kind = |stream: &tokio_rustls::server::TlsStream<tokio::net::TcpStream>| {
            format!("{:?}", stream.get_ref().1.handshake_kind())
        };
        let address = serve_tls(&tls, kind).await;
        let mut settings = plain();
        settings.tls = Some(client_tls(&authority.file(), None));
        let endpoint =
            endpoint(EndpointConfig { scheme: Scheme::Https, ..host("127.0.0.1", address.port()) });
        for expected in ["Some(Full)", "Some(Resumed)", "Some(Resumed)"] {
            let dialed = reach(&endpoint, &settings).await.expect("a connection");
            assert_eq!(hear(dialed).await.expect("an answer"), expected);
        }
    });
}

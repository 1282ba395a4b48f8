//! A listener that speaks TLS.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::ask;
use crate::gateway::{Gateway, command, file};
use crate::http2::run;
use crate::upstream::{Upstream, echoed};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

fn gateway(upstream: &Upstream) -> Gateway {
    let tls = format!("tls = {{ certificate = '{DATA}/localhost.crt', key = '{DATA}/localhost.key' }}");
    Gateway::with(upstream.address, &tls, "", "")
}

async fn connect(gateway: &Gateway, protocol: &str) -> TlsStream<TcpStream> {
    let ca = CertificateDer::from_pem_file(format!("{DATA}/ca.crt")).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(ca).expect("a good certificate");
    let provider = Arc::new(rustls_graviola::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(gateway.address).await.expect("a listening gateway");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS")
}

#[test]
fn http_1_passes() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    run(async {
        let mut stream = connect(&gateway, "http/1.1").await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await
            .expect("an open connection");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("a response and close_notify");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        let (_, body) = text.split_once("\r\n\r\n").expect("a body");
        assert_eq!(echoed(body, "x-forwarded-proto"), Some("https"));
    });
}

#[test]
fn http_2_is_negotiated() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    run(async {
        let stream = TokioIo::new(connect(&gateway, "h2").await);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        let request = Request::get("https://localhost/").body(Empty::<Bytes>::new()).expect("a request");
        let response = sender.send_request(request).await.expect("a response");
        assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 200));
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let body = String::from_utf8_lossy(&body);
        assert_eq!(echoed(&body, "x-forwarded-proto"), Some("https"));
    });
}

#[test]
fn a_client_without_tls_gets_no_response() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    let mut client = crate::client::Client::connect(gateway.address);
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // An alert at most.
    assert!(!client.rest().starts_with(b"HTTP/"));
    assert_eq!(upstream.requests(), 0);
    assert_eq!(ask(gateway.admin, "GET /livez HTTP/1.1\r\nHost: t\r\n\r\n").status, 200);
}

#[test]
fn files_that_are_no_pair_are_found() {
    let check = |certificate: &str, key: &str| {
        let settings = format!(
            "[[listeners]]\naddress = '127.0.0.1:0'\n\
             tls = {{ certificate = '{DATA}/{certificate}', key = '{DATA}/{key}' }}\n\
             [upstreams.a]\nendpoints = ['a:1']\n[[routes]]\nupstream = 'a'\n"
        );
        let file = file(&settings);
        let output = command(&["check", "--allow", "readable-secret", "--config"])
            .arg(&file)
            .output()
            .expect("a program");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check("localhost.crt", "localhost.key"), (Some(0), String::new()));
    let table = [
        ("none.crt", "none.key", ":3:23: '", ":3:"),
        ("localhost.key", "localhost.crt", "contains no certificate", "contains no private key"),
        ("ca.crt", "localhost.key", "cannot be used with", "1 problem"),
    ];
    for (certificate, key, first, second) in table {
        let (code, text) = check(certificate, key);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(first) && text.contains(second), "{text}");
    }
}

/// A connection with TLS that trusts the authority in a file and shows a certificate.
pub fn shake(
    address: std::net::SocketAddr,
    authority: &std::path::Path,
    identity: Option<&gateway::tls::CertificateFiles>,
) -> rustls::StreamOwned<rustls::ClientConnection, std::net::TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).expect("a certificate")).expect("a good certificate");
    let provider = Arc::new(rustls_graviola::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .with_root_certificates(roots);
    let config = match identity {
        Some(files) => {
            let chain = CertificateDer::from_pem_file(&files.certificate).expect("a certificate");
            let key = PrivateKeyDer::from_pem_file(&files.key).expect("a key");
            builder.with_client_auth_cert(vec![chain], key).expect("a pair")
        }
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    rustls::StreamOwned::new(connection, std::net::TcpStream::connect(address).expect("a listening gateway"))
}

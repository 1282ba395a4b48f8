//! Servers and endpoints for one test.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway::dial::dns::Resolver;
use gateway::dial::{ClientTls, ClientTlsConfig, DialError, DialSettings, Dialed, Roots, dial};
use gateway::endpoint::{
    Address, Balance, BudgetSettings, Cluster, ClusterConfig, Endpoint, EndpointConfig, HealthSettings,
    Moment,
};
use gateway::proxy_protocol::Proxied;
use gateway::tls::{CertificateFiles, ClientAuth, MinVersion, ServerTls, ServerTlsConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Runs a test on a runtime as a worker has it, within a minute.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_mins(1), work).await.expect("an end within a minute")
    })
}

pub fn host(host: &str, port: u16) -> EndpointConfig {
    EndpointConfig::new(Address::Host { host: host.to_owned(), port })
}

/// An upstream of these endpoints.
pub fn cluster(endpoints: Vec<EndpointConfig>) -> Cluster {
    let config = ClusterConfig {
        name: "test".to_owned(),
        endpoints,
        balance: Balance::default(),
        health: HealthSettings::default(),
        circuit: None,
        budget: BudgetSettings::default(),
    };
    Cluster::new(config, None, Moment::START)
}

pub fn endpoint(config: EndpointConfig) -> Arc<Endpoint> {
    Arc::clone(&cluster(vec![config]).endpoints[0])
}

/// TLS that trusts the authority in this file and shows this certificate.
pub fn client_tls(authority: &Path, identity: Option<&CertificateFiles>) -> Arc<ClientTls> {
    let config = ClientTlsConfig {
        roots: Roots::File(authority.to_owned()),
        identity: identity.map(|files| (files.certificate.clone(), files.key.clone())),
    };
    Arc::new(ClientTls::load(&config).expect("good files"))
}

/// Settings for endpoints without TLS and without names.
pub fn plain() -> DialSettings {
    let authority = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ca.crt");
    DialSettings { resolver: Arc::default(), tls: Some(client_tls(&authority, None)), proxy_header: None }
}

/// The same with names from a file like `/etc/hosts`.
pub fn with_hosts(folder: &Path, lines: &str) -> DialSettings {
    let hosts = folder.join("hosts");
    std::fs::write(&hosts, lines).expect("a file");
    DialSettings { resolver: Arc::new(Resolver::new(&folder.join("none"), &hosts)), ..plain() }
}

/// Dials with five seconds of time.
pub async fn reach(endpoint: &Endpoint, settings: &DialSettings) -> Result<Dialed, DialError> {
    dial(endpoint, settings, &Proxied::Local, Instant::now() + Duration::from_secs(5)).await
}

/// A listener's TLS with one certificate and both protocols.
pub fn server_tls(certificate: &CertificateFiles) -> ServerTlsConfig {
    ServerTlsConfig {
        certificates: vec![certificate.clone()],
        default_to_first: true,
        client_auth: ClientAuth::None,
        alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
        min_version: MinVersion::Tls12,
    }
}

pub fn load(config: &ServerTlsConfig) -> ServerTls {
    ServerTls::load(config, None).expect("good files")
}

/// Listens and answers each TLS connection with what `answer` makes of it, until it is closed.
pub async fn serve_tls(
    tls: &ServerTls,
    answer: impl Fn(&TlsStream<TcpStream>) -> String + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let text = answer(&stream);
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
    });
    address
}

/// What a server says until it closes.
pub async fn hear(dialed: Dialed) -> std::io::Result<String> {
    let mut stream = dialed.stream;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    stream.shutdown().await?;
    Ok(text)
}

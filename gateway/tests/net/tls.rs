//! The server's side of TLS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use gateway::dial::{DialSettings, Stream};
use gateway::endpoint::{EndpointConfig, Scheme};
use gateway::tls::{
    Certificate, CertificateFiles, ClientAuth, MinVersion, ServerTls, ServerTlsConfig, Subject,
    peer_certificate, pem, provider,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::server::TlsStream;

use crate::authority::Authority;
use crate::server::{client_tls, endpoint, hear, host, load, plain, reach, run, serve_tls, server_tls};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

fn trusting(authority: &Authority, identity: Option<&CertificateFiles>) -> DialSettings {
    DialSettings { tls: Some(client_tls(&authority.file(), identity)), ..plain() }
}

fn https(port: u16, name: &str) -> EndpointConfig {
    EndpointConfig { scheme: Scheme::Https, server_name: Some(name.to_owned()), ..host("127.0.0.1", port) }
}

/// The names in the certificate that a server shows to one that asks for `name`, or why there was no
/// handshake.
async fn shown(tls: &ServerTls, authority: &Authority, name: &str) -> Result<Vec<String>, String> {
    let address = serve_tls(tls, |_| String::new()).await;
    let dialed = reach(&endpoint(https(address.port(), name)), &trusting(authority, None)).await;
    let Stream::Tls(stream) = dialed.map_err(|error| error.to_string())?.stream else { panic!("no TLS") };
    let chain = stream.get_ref().1.peer_certificates().expect("a certificate");
    Ok(Certificate::parse(&chain[0]).expect("a good certificate").dns_names)
}

#[test]
fn the_name_chooses_the_certificate() {
    let authority = Authority::new();
    let mut config = server_tls(&authority.issue("DNS:first.example", 10));
    config.certificates.extend([
        authority.issue("DNS:*.a.example", 10),
        authority.issue("DNS:x.a.example,DNS:Y.example", 10),
        authority.issue_with("DNS:rsa.example", 10, "-newkey rsa:2048"),
    ]);
    let table: [(&str, &str); 9] = [
        ("first.example", "first.example"),
        ("w.a.example", "*.a.example"),
        ("x.a.example", "x.a.example y.example"),
        ("X.A.Example", "x.a.example y.example"),
        ("y.example", "x.a.example y.example"),
        ("rsa.example", "rsa.example"),
        // The client refuses the default, which is for another name.
        ("v.w.a.example", "first.example"),
        ("a.example", "first.example"),
        ("unknown.example", "first.example"),
    ];
    run(async {
        let tls = load(&config);
        for (name, expected) in table {
            match shown(&tls, &authority, name).await {
                Ok(names) => assert_eq!(names.join(" "), expected, "{name}"),
                Err(text) => assert!(
                    text.contains(&format!("only valid for DnsName(\"{expected}\")")),
                    "{name} {text}"
                ),
            }
        }
        config.default_to_first = false;
        let tls = load(&config);
        assert!(shown(&tls, &authority, "w.a.example").await.is_ok());
        let text = shown(&tls, &authority, "unknown.example").await.expect_err("no certificate");
        assert!(text.contains("received fatal alert"), "{text}");
    });
}

#[test]
fn clients_show_certificates() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let server = authority.issue("DNS:a.example", 10);
    let workload = authority.issue("URI:spiffe://example/web,DNS:web.example", 10);
    let expired = authority.issue("URI:spiffe://example/old", -1);
    let strange = stranger.issue("URI:spiffe://example/strange", 10);
    let file = authority.file();
    let (none, optional, required) =
        (ClientAuth::None, ClientAuth::Optional(file.clone()), ClientAuth::Required(file));
    let known = "O=Example,CN=leaf spiffe://example/web web.example";
    let table = [
        (&none, None, Ok("nobody")),
        (&none, Some(&workload), Ok("nobody")),
        (&optional, None, Ok("nobody")),
        (&optional, Some(&workload), Ok(known)),
        (&optional, Some(&strange), Err("UnknownCA")),
        (&required, None, Err("CertificateRequired")),
        (&required, Some(&workload), Ok(known)),
        (&required, Some(&expired), Err("CertificateExpired")),
        (&required, Some(&strange), Err("UnknownCA")),
    ];
    let who = |stream: &TlsStream<TcpStream>| match peer_certificate(stream.get_ref().1) {
        None => "nobody".to_owned(),
        Some((peer, der)) => {
            assert!(!der.is_empty());
            let id = peer.spiffe_id().unwrap_or("none");
            let subject: Vec<_> = peer.subject.split(',').rev().collect();
            format!("{} {id} {}", subject.join(","), peer.dns_names.join(" "))
        }
    };
    run(async {
        for (auth, identity, expected) in table {
            let tls = load(&ServerTlsConfig { client_auth: auth.clone(), ..server_tls(&server) });
            let address = serve_tls(&tls, who).await;
            let settings = trusting(&authority, identity);
            // Twice, so that a resumed session is seen to keep the identity.
            for _ in 0..2 {
                // With TLS 1.3 the client learns only afterwards that the server refused it.
                let heard = match reach(&endpoint(https(address.port(), "a.example")), &settings).await {
                    Ok(dialed) => hear(dialed).await.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                match (heard, expected) {
                    (Ok(heard), expected) => assert_eq!(Ok(heard.as_str()), expected, "{auth:?}"),
                    (Err(error), Err(expected)) => assert!(error.contains(expected), "{auth:?} {error}"),
                    (Err(error), Ok(_)) => panic!("{auth:?} {error}"),
                }
            }
        }
    });
}

/// A client with one version only.
async fn speaks(
    tls: &ServerTls,
    authority: &Authority,
    version: &'static rustls::SupportedProtocolVersion,
) -> bool {
    let address = serve_tls(tls, |_| String::new()).await;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .expect("a known version")
        .with_root_certificates(pem::authorities(&authority.file()).expect("a good file"))
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.expect("a listening server");
    let name = ServerName::try_from("a.example").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.is_ok()
}

#[test]
fn the_oldest_version_is_a_setting() {
    let authority = Authority::new();
    let certificate = authority.issue("DNS:a.example", 10);
    run(async {
        for (min_version, tls12) in [(MinVersion::Tls12, true), (MinVersion::Tls13, false)] {
            let tls = load(&ServerTlsConfig { min_version, ..server_tls(&certificate) });
            assert_eq!(speaks(&tls, &authority, &TLS12).await, tls12, "{min_version:?}");
            assert!(speaks(&tls, &authority, &TLS13).await, "{min_version:?}");
        }
    });
}

#[test]
fn new_settings_resume_sessions_only_if_they_ask_the_same_of_clients() {
    let authority = Authority::new();
    let other = Authority::new();
    let (first, second) = (authority.issue("DNS:a.example", 10), authority.issue("DNS:a.example", 20));
    let base = server_tls(&first);
    let asking = |auth| ServerTlsConfig { client_auth: auth, ..base.clone() };
    let table = [
        (asking(ClientAuth::None), server_tls(&second), "Some(Resumed)"),
        (asking(ClientAuth::None), asking(ClientAuth::Optional(authority.file())), "Some(Full)"),
        (
            asking(ClientAuth::Optional(authority.file())),
            asking(ClientAuth::Optional(authority.file())),
            "Some(Resumed)",
        ),
        (
            asking(ClientAuth::Optional(authority.file())),
            asking(ClientAuth::Optional(other.file())),
            "Some(Full)",
        ),
    ];
    let kind = |stream: &TlsStream<TcpStream>| format!("{:?}", stream.get_ref().1.handshake_kind());
    run(async {
        for (before, after, expected) in table {
            let settings = trusting(&authority, None);
            let before = load(&before);
            let after = ServerTls::load(&after, Some(&before)).expect("good files");
            for (tls, expected) in [(before, "Some(Full)"), (after, expected)] {
                let address = serve_tls(&tls, kind).await;
                let dialed = reach(&endpoint(https(address.port(), "a.example")), &settings).await;
                assert_eq!(hear(dialed.expect("a handshake")).await.expect("an answer"), expected);
            }
        }
    });
}

#[test]
fn certificates_are_read_and_their_time_is_known() {
    let authority = Authority::new();
    let mut config = server_tls(&authority.issue("DNS:a.example", 10));
    config.certificates.push(authority.issue("DNS:a.example", -1));
    let tls = load(&config);
    let [good, expired] = &tls.certificates[..] else { panic!("{:?}", tls.certificates) };
    assert_eq!(good.subject, "CN=leaf,O=Example");
    assert_eq!(good.invalid_at(SystemTime::now()), None);
    let why = expired.invalid_at(SystemTime::now()).expect("a reason");
    assert!(why.starts_with("expired at 20"), "{why}");
    let early = good.invalid_at(SystemTime::UNIX_EPOCH).expect("a reason");
    assert!(early.starts_with("is not valid before 20"), "{early}");
}

#[test]
fn all_problems_are_told_at_once() {
    let authority = Authority::new();
    let (one, other) = (authority.issue("DNS:a.example", 10), authority.issue("DNS:b.example", 10));
    let data = |name: &str| PathBuf::from(DATA).join(name);
    let config = ServerTlsConfig {
        certificates: vec![
            CertificateFiles { certificate: data("none.crt"), key: data("none.key") },
            CertificateFiles { certificate: data("localhost.key"), key: data("localhost.crt") },
            CertificateFiles { certificate: one.certificate.clone(), key: other.key },
            one.clone(),
        ],
        client_auth: ClientAuth::Required(data("README.md")),
        ..server_tls(&one)
    };
    let problems = ServerTls::load(&config, None).expect_err("bad files");
    let told: Vec<_> = problems.iter().map(|problem| (problem.subject, problem.text.as_str())).collect();
    let expected = [
        (Subject::Certificate(0), "none.crt' contains no certificate: "),
        (Subject::Key(0), "none.key' contains no private key: "),
        (Subject::Certificate(1), "localhost.key' contains no certificate"),
        (Subject::Key(1), "localhost.crt' contains no private key: "),
        (Subject::Key(2), "DNSaexample10.crt': "),
        (Subject::ClientAuthorities, "README.md' contains no certificate"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for ((subject, text), (expected, part)) in told.into_iter().zip(expected) {
        assert!(subject == expected && text.contains(part), "{subject:?} {text}");
    }
}

#[test]
fn files_of_clients_are_told_at_once() {
    use gateway::dial::{ClientTls, ClientTlsConfig, ClientTlsError, Roots};
    let data = |name: &str| PathBuf::from(DATA).join(name);
    let config = ClientTlsConfig {
        roots: Roots::File(data("localhost.key")),
        identity: Some((data("none.crt"), data("none.key"))),
    };
    let errors = ClientTls::load(&config).expect_err("bad files");
    assert!(
        matches!(
            &errors[..],
            [ClientTlsError::Roots(_), ClientTlsError::Certificate(_), ClientTlsError::Key(_)]
        ),
        "{errors:?}"
    );
    let authority = Authority::new();
    let (one, other) = (authority.issue("DNS:a.example", 10), authority.issue("DNS:b.example", 10));
    let config =
        ClientTlsConfig { roots: Roots::File(data("ca.crt")), identity: Some((one.certificate, other.key)) };
    let errors = ClientTls::load(&config).expect_err("a key of another certificate");
    assert!(
        matches!(&errors[..], [ClientTlsError::Key(text)] if text.contains("DNSbexample10.key")),
        "{errors:?}"
    );
}

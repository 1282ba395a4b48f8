//! Server TLS: certificates, client authentication, protocols.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::server::{NoClientAuth, ProducesTickets, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection};

use super::certificate::Certificate;
use super::names::{Named, Names};
use super::{pem, provider, unfit_processor};

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The PEM file with the certificate, followed by its intermediate certificates.
    pub certificate: PathBuf,
    /// The PEM file with its key.
    pub key: PathBuf,
}

/// Client authentication.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// Clients are not asked for a certificate.
    #[default]
    None,
    /// A client certificate is optional; it must be signed by an authority in this PEM file.
    Optional(PathBuf),
    /// A client certificate is required; it must be signed by an authority in this PEM file.
    Required(PathBuf),
}

/// Minimum TLS version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MinVersion {
    /// TLS 1.2 (RFC 5246), only with forward secrecy and AEAD.
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// TLS settings of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsConfig {
    /// The certificates; a client gets the one for the name that it requests.
    pub certificates: Vec<CertificateFiles>,
    /// Whether clients that request no name or an unknown one get the first certificate; otherwise the
    /// handshake fails.
    pub default_to_first: bool,
    /// Client authentication.
    pub client_auth: ClientAuth,
    /// The ALPN protocols (RFC 7301), the preferred one first.
    pub alpn: Vec<String>,
    /// Minimum TLS version.
    pub min_version: MinVersion,
}

/// The setting that a problem refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The certificate with this number.
    Certificate(usize),
    /// The key of the certificate with this number.
    Key(usize),
    /// The certificate authorities of clients.
    ClientAuthorities,
    /// The listener as a whole.
    Listener,
}

/// A problem with the files of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsProblem {
    /// The setting.
    pub subject: Subject,
    /// What is wrong and what to do, with the file's path.
    pub text: String,
}

impl fmt::Display for ServerTlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// TLS of a listener, with its files read.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// The rustls configuration.
    pub config: Arc<ServerConfig>,
    /// The parsed certificates, in the order of the settings.
    pub certificates: Vec<Certificate>,
    client_auth: ClientAuth,
    /// The certificate authorities of clients, as read.
    authorities: Vec<CertificateDer<'static>>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// With a `previous` value that has the same client authentication, its sessions can be resumed.
    /// Otherwise its ticket keys are not used, since a resumed session is not asked for a certificate again.
    ///
    /// # Errors
    ///
    /// Every file that cannot be used.
    pub fn load(config: &ServerTlsConfig, previous: Option<&Self>) -> Result<Self, Vec<ServerTlsProblem>> {
        let mut problems = Problems::default();
        if let Some(text) = unfit_processor() {
            // Without it keys cannot be checked.
            return Err(vec![ServerTlsProblem { subject: Subject::Listener, text }]);
        }
        let loaded: Vec<_> =
            (0..).zip(&config.certificates).map(|(at, files)| problems.pair(at, files)).collect();
        let authorities = match &config.client_auth {
            ClientAuth::None => Some(Vec::new()),
            ClientAuth::Optional(path) | ClientAuth::Required(path) => {
                problems.note(Subject::ClientAuthorities, pem::certificates(path))
            }
        };
        if config.certificates.is_empty() {
            let text = "no certificate is configured; add one with its key".to_owned();
            problems.errors.push(ServerTlsProblem { subject: Subject::Listener, text });
        }
        let (Some(loaded), Some(authorities)) = (loaded.into_iter().collect::<Option<Vec<_>>>(), authorities)
        else {
            return Err(problems.errors);
        };
        let certificates = loaded.iter().map(|named| named.certificate.clone()).collect();
        let tickets = previous
            .filter(|previous| previous.asks_clients(&config.client_auth, &authorities))
            .map(|previous| Arc::clone(&previous.config.ticketer));
        let verifier = problems.verifier(&config.client_auth, &authorities);
        let (Some(verifier), true) = (verifier, problems.errors.is_empty()) else {
            return Err(problems.errors);
        };
        match build(config, Names::new(loaded, config.default_to_first), verifier, tickets) {
            Ok(built) => Ok(Self {
                config: Arc::new(built),
                certificates,
                client_auth: config.client_auth.clone(),
                authorities,
            }),
            Err(error) => {
                let text = format!("TLS cannot be used: {error}");
                Err(vec![ServerTlsProblem { subject: Subject::Listener, text }])
            }
        }
    }
}

impl ServerTls {
    /// Whether both have the same client authentication.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.asks_clients(&other.client_auth, &other.authorities)
    }

    fn asks_clients(&self, auth: &ClientAuth, authorities: &[CertificateDer<'static>]) -> bool {
        self.authorities == authorities
            && std::mem::discriminant(&self.client_auth) == std::mem::discriminant(auth)
    }
}

/// The peer's certificate with its parsed form, if it sent one. It was verified in the handshake.
pub fn peer_certificate(connection: &ServerConnection) -> Option<(Certificate, &[u8])> {
    let der = connection.peer_certificates()?.first()?;
    Some((Certificate::parse(der)?, der))
}

type Verifier = Arc<dyn rustls::server::danger::ClientCertVerifier>;

fn build(
    config: &ServerTlsConfig,
    names: Names,
    verifier: Verifier,
    tickets: Option<Arc<dyn ProducesTickets>>,
) -> Result<ServerConfig, rustls::Error> {
    let versions: &[_] = match config.min_version {
        MinVersion::Tls12 => &[&TLS13, &TLS12],
        MinVersion::Tls13 => &[&TLS13],
    };
    let mut built = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(names));
    // The server's order decides: a client may prefer the weaker of two.
    built.ignore_client_order = true;
    built.alpn_protocols = config.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    built.ticketer = match tickets {
        Some(tickets) => tickets,
        None => rustls_graviola::Ticketer::new()?,
    };
    Ok(built)
}

#[derive(Default)]
struct Problems {
    errors: Vec<ServerTlsProblem>,
}

impl Problems {
    fn note<T>(&mut self, subject: Subject, result: Result<T, String>) -> Option<T> {
        result.map_err(|text| self.errors.push(ServerTlsProblem { subject, text })).ok()
    }

    fn pair(&mut self, at: usize, files: &CertificateFiles) -> Option<Named> {
        let chain = self.note(Subject::Certificate(at), pem::certificates(&files.certificate));
        let key = self.note(Subject::Key(at), pem::private_key(&files.key));
        let chain = chain?;
        let shown = files.certificate.display();
        let certificate = Certificate::parse(&chain[0])
            .ok_or_else(|| format!("'{shown}' contains a malformed certificate; make a new one"));
        let certificate = self.note(Subject::Certificate(at), certificate);
        let pair = CertifiedKey::from_der(chain, key?, &provider()).map_err(|error| {
            format!(
                "'{}' cannot be used with '{shown}': {error}; name the key of this certificate",
                files.key.display()
            )
        });
        let pair = self.note(Subject::Key(at), pair);
        Some(Named { certificate: certificate?, pair: Arc::new(pair?) })
    }

    fn verifier(&mut self, auth: &ClientAuth, authorities: &[CertificateDer<'static>]) -> Option<Verifier> {
        let (ClientAuth::Optional(path) | ClientAuth::Required(path)) = auth else {
            return Some(Arc::new(NoClientAuth));
        };
        let roots = pem::as_authorities(path, authorities);
        let roots = self.note(Subject::ClientAuthorities, roots)?;
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let builder = match auth {
            ClientAuth::Optional(_) => builder.allow_unauthenticated(),
            ClientAuth::None | ClientAuth::Required(_) => builder,
        };
        let verifier = builder
            .build()
            .map_err(|error| format!("'{}' cannot be used to verify clients: {error}", path.display()));
        let verifier = self.note(Subject::ClientAuthorities, verifier)?;
        Some(verifier)
    }
}

//! Authenticators: how clients prove who they are; and what a route asks of them.

use std::time::Duration;

use http::Method;

use super::NamedFile;
use crate::fetch::Url;
use crate::jose::Algorithm;
use crate::settings::Place;
use crate::settings::network::Network;

/// A way in which clients prove who they are, for the routes that name it.
#[derive(Debug, Clone)]
pub struct Authenticator {
    /// Its name.
    pub name: String,
    /// Where the settings define it.
    pub place: Place,
    /// The way.
    pub method: AuthMethod,
    /// Fields of the forwarded request that tell who sent it: the name in lower case, and the claim,
    /// or `sub` for the subject of any identity.
    pub headers: Vec<(String, String)>,
}

/// A way in which clients prove who they are.
#[derive(Debug, Clone)]
pub enum AuthMethod {
    /// By a key in a field, in the query or in a cookie.
    ApiKey(ApiKey),
    /// By a name and a password (RFC 7617).
    Basic(Basic),
    /// By a signed token (RFC 7519).
    Jwt(Box<Jwt>),
    /// By a certificate that the listener verified.
    Certificate(ClientCertificate),
    /// A service is asked.
    ForwardAuth(Box<ForwardAuth>),
}

/// Where a credential stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// `Authorization: Bearer` (RFC 6750 section 2.1).
    Bearer,
    /// The field of this name, in lower case.
    Header(String),
    /// The first parameter of the query of this name.
    Query(String),
    /// The cookie of this name.
    Cookie(String),
}

/// API keys.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Where a key may stand; the first that is there counts.
    pub places: Vec<Credential>,
    /// Keys in the settings.
    pub keys: Vec<NamedKey>,
    /// A file with keys.
    pub file: Option<NamedFile>,
    /// An environment variable with keys.
    pub variable: Option<String>,
    /// Whether the key is forwarded.
    pub forward: bool,
}

/// An API key without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedKey {
    /// Its name in logs and to limits.
    pub name: String,
    /// The SHA-256 of the key.
    pub sha256: [u8; 32],
    /// What it belongs to.
    pub groups: Vec<String>,
}

/// Names and passwords.
#[derive(Debug, Clone)]
pub struct Basic {
    /// What the client is asked for a password of.
    pub realm: String,
    /// A file with users.
    pub file: Option<NamedFile>,
    /// An environment variable with users.
    pub variable: Option<String>,
    /// Whether name and password are forwarded.
    pub forward: bool,
    /// How long a password that was right counts without another hash.
    pub remember: Duration,
    /// The most requests that wait for a hash at a time.
    pub max_waiting: usize,
}

/// Signed tokens.
#[derive(Debug, Clone)]
pub struct Jwt {
    /// Where a token stands.
    pub place: Credential,
    /// The algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// The issuers that are accepted; empty for any.
    pub issuers: Vec<String>,
    /// The audiences of which a token names one; empty for tokens that name none.
    pub audiences: Vec<String>,
    /// The types that are accepted, in lower case; empty for any.
    pub types: Vec<String>,
    /// By how much clocks may differ.
    pub leeway: Duration,
    /// Whether tokens must have an end.
    pub require_exp: bool,
    /// The keys.
    pub keys: KeySource,
    /// Whether the token is forwarded.
    pub forward: bool,
    /// The most verified tokens that each worker remembers.
    pub cached_tokens: usize,
}

/// Where the keys of an issuer come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A file with a key set (RFC 7517 section 5).
    File(NamedFile),
    /// A URL of a key set.
    Url(KeyUrl),
}

/// The URL of a key set.
#[derive(Debug, Clone)]
pub struct KeyUrl {
    /// The URL.
    pub url: Url,
    /// The authorities of its server; none for those that the system trusts.
    pub ca: Option<NamedFile>,
    /// The age at which keys are fetched anew.
    pub refresh_interval: Duration,
    /// The shortest time from the begin of one fetch to that of the next.
    pub min_refresh_interval: Duration,
    /// The age from which keys are used no more.
    pub max_age: Duration,
    /// The time for one fetch.
    pub timeout: Duration,
    /// The most requests that wait for a fetch at a time.
    pub max_waiting: usize,
}

/// Certificates of clients.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// Which name is the subject; the first that the certificate has counts.
    pub subject: Vec<CertificateName>,
    /// Whether the certificate is forwarded in `Client-Cert` (RFC 9440).
    pub forward: bool,
}

/// A kind of name in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateName {
    /// A URI, such as a SPIFFE ID.
    Uri,
    /// A DNS name.
    Dns,
    /// A mail address.
    Email,
    /// The subject as RFC 4514 writes it.
    Subject,
}

/// A service that decides.
#[derive(Debug, Clone)]
pub struct ForwardAuth {
    /// What is asked.
    pub url: Url,
    /// The authorities of its server; none for those that the system trusts.
    pub ca: Option<NamedFile>,
    /// The method; none for that of the request.
    pub method: Option<Method>,
    /// The fields of the request that it gets, in lower case.
    pub request_headers: Vec<String>,
    /// The fields of its answer that the upstream gets, in lower case.
    pub response_headers: Vec<String>,
    /// The field of its answer that names the subject.
    pub subject_header: Option<String>,
    /// The time for its answer.
    pub timeout: Duration,
    /// The largest body of an answer that is passed to the client.
    pub max_body_bytes: usize,
    /// Whether requests pass where there is no answer.
    pub fail_open: bool,
}

/// How a route finds out who sent a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authentication {
    /// The names of authenticators; the first by which a client proves itself counts.
    pub any: Vec<String>,
    /// Whether requests without credentials pass.
    pub optional: bool,
}

/// What a route asks of a request. Every condition that is there must hold.
#[derive(Debug, Clone, Default)]
pub struct AccessRule {
    /// The methods.
    pub methods: Vec<Method>,
    /// The names of authenticators, of which one found who it is.
    pub authenticators: Vec<String>,
    /// Subjects of which it is one.
    pub subjects: Vec<String>,
    /// Groups of which it has one.
    pub groups: Vec<String>,
    /// Names of certificates of which it has one; `*` at the begin or end stands for any text.
    pub certificate_names: Vec<String>,
    /// What claims must hold.
    pub claims: Vec<ClaimCondition>,
    /// Networks of which the client is in one.
    pub client_networks: Vec<Network>,
}

/// What a claim must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimCondition {
    /// Its name, or a pointer such as `/realm_access/roles` (RFC 6901).
    pub claim: String,
    /// The values.
    pub values: Vec<String>,
    /// Whether it must hold all of them; otherwise one.
    pub all: bool,
}

impl AccessRule {
    /// Whether every request passes.
    pub fn is_empty(&self) -> bool {
        self.methods.is_empty() && self.client_networks.is_empty() && !self.asks_identity()
    }

    /// Whether it asks who sent the request.
    pub fn asks_identity(&self) -> bool {
        !(self.authenticators.is_empty()
            && self.subjects.is_empty()
            && self.groups.is_empty()
            && self.certificate_names.is_empty()
            && self.claims.is_empty())
    }
}

//! Authenticators, and the access rules of a route.

use std::time::Duration;

use http::Method;

use super::NamedFile;
use crate::fetch::Url;
use crate::jose::Algorithm;
use crate::settings::Place;
use crate::settings::network::Network;

/// An authentication method, for the routes that name it.
#[derive(Debug, Clone)]
pub struct Authenticator {
    /// Its name.
    pub name: String,
    /// Its place in the settings.
    pub place: Place,
    /// The method.
    pub method: AuthMethod,
    /// Header fields with the identity for the upstream: the name in lower case, and the claim, or `sub` for
    /// the subject of any identity.
    pub headers: Vec<(String, String)>,
}

/// An authentication method.
#[derive(Debug, Clone)]
pub enum AuthMethod {
    /// A key in a header field, in the query or in a cookie.
    ApiKey(ApiKey),
    /// A name and a password (RFC 7617).
    Basic(Basic),
    /// A signed token (RFC 7519).
    Jwt(Box<Jwt>),
    /// A client certificate, verified by the listener.
    Certificate(ClientCertificate),
    /// The decision of a service.
    ForwardAuth(Box<ForwardAuth>),
}

/// Location of a credential in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// `Authorization: Bearer` (RFC 6750 section 2.1).
    Bearer,
    /// The header field of this name, in lower case.
    Header(String),
    /// The first query parameter of this name.
    Query(String),
    /// The cookie of this name.
    Cookie(String),
}

/// API keys.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Possible locations of a key; the first one present is used.
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
    /// Its name in logs and limits.
    pub name: String,
    /// The SHA-256 of the key.
    pub sha256: [u8; 32],
    /// The groups of the key.
    pub groups: Vec<String>,
}

/// Names and passwords.
#[derive(Debug, Clone)]
pub struct Basic {
    /// The realm for the client's password prompt.
    pub realm: String,
    /// A file with users.
    pub file: Option<NamedFile>,
    /// An environment variable with users.
    pub variable: Option<String>,
    /// Whether name and password are forwarded.
    pub forward: bool,
    /// How long a verified password is cached.
    pub remember: Duration,
    /// Maximum number of requests that wait for a hash.
    pub max_waiting: usize,
}

/// Signed tokens.
#[derive(Debug, Clone)]
pub struct Jwt {
    /// Location of the token.
    pub place: Credential,
    /// Accepted algorithms.
    pub algorithms: Vec<Algorithm>,
    /// Accepted issuers; empty for any.
    pub issuers: Vec<String>,
    /// Accepted audiences, one of which a token must name; empty for tokens without an audience.
    pub audiences: Vec<String>,
    /// Accepted types, in lower case; empty for any.
    pub types: Vec<String>,
    /// Tolerated clock difference.
    pub leeway: Duration,
    /// Whether tokens must have `exp`.
    pub require_exp: bool,
    /// The keys.
    pub keys: KeySource,
    /// Whether the token is forwarded.
    pub forward: bool,
    /// Maximum number of verified tokens that each worker caches.
    pub cached_tokens: usize,
}

/// Source of an issuer's keys.
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
    /// The certificate authorities for the server; `None` for the system's.
    pub ca: Option<NamedFile>,
    /// Age at which the keys are fetched again.
    pub refresh_interval: Duration,
    /// Minimum time between the starts of two fetches.
    pub min_refresh_interval: Duration,
    /// Age from which the keys are no longer used.
    pub max_age: Duration,
    /// Timeout of a fetch.
    pub timeout: Duration,
    /// Maximum number of requests that wait for a fetch.
    pub max_waiting: usize,
}

/// Client certificates.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// Kinds of names that can be the subject; the first one in the certificate is used.
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
    /// The subject in the format of RFC 4514.
    Subject,
}

/// An authorization service.
#[derive(Debug, Clone)]
pub struct ForwardAuth {
    /// Its URL.
    pub url: Url,
    /// The certificate authorities for the server; `None` for the system's.
    pub ca: Option<NamedFile>,
    /// The method; `None` for the request's method.
    pub method: Option<Method>,
    /// The header fields sent to the service, in lower case.
    pub request_headers: Vec<String>,
    /// The header fields of its response that are added to the request, in lower case.
    pub response_headers: Vec<String>,
    /// The header field of its response with the subject.
    pub subject_header: Option<String>,
    /// Timeout of a call.
    pub timeout: Duration,
    /// Maximum length of a response body that is passed to the client.
    pub max_body_bytes: usize,
    /// Whether requests are allowed if the service does not answer.
    pub fail_open: bool,
}

/// Authentication of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authentication {
    /// The names of authenticators; the first one that accepts the client's credential is used.
    pub any: Vec<String>,
    /// Whether requests without credentials are allowed.
    pub optional: bool,
}

/// An access rule of a route. All conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct AccessRule {
    /// The allowed methods.
    pub methods: Vec<Method>,
    /// The allowed authenticators, by name.
    pub authenticators: Vec<String>,
    /// The allowed subjects.
    pub subjects: Vec<String>,
    /// The allowed groups; one is required.
    pub groups: Vec<String>,
    /// The allowed names in the certificate; `*` at the start or end matches any text.
    pub certificate_names: Vec<String>,
    /// Conditions on claims.
    pub claims: Vec<ClaimCondition>,
    /// The allowed client networks.
    pub client_networks: Vec<Network>,
}

/// A condition on a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimCondition {
    /// Its name, or a JSON pointer such as `/realm_access/roles` (RFC 6901).
    pub claim: String,
    /// The values.
    pub values: Vec<String>,
    /// Whether all values are required; otherwise one.
    pub all: bool,
}

impl AccessRule {
    /// Whether it allows every request.
    pub fn is_empty(&self) -> bool {
        self.methods.is_empty() && self.client_networks.is_empty() && !self.asks_identity()
    }

    /// Whether it needs the client's identity.
    pub fn asks_identity(&self) -> bool {
        !(self.authenticators.is_empty()
            && self.subjects.is_empty()
            && self.groups.is_empty()
            && self.certificate_names.is_empty()
            && self.claims.is_empty())
    }
}

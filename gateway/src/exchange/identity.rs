//! The identity of a client.

use serde_json::{Map, Value};

/// How a client was authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By an API key.
    ApiKey,
    /// By a name and a password (RFC 7617).
    Basic,
    /// By a signed token (RFC 7519).
    Jwt,
    /// By a certificate in the TLS handshake.
    Certificate,
    /// By an authorization service.
    ForwardAuth,
}

impl Kind {
    /// The name for logs, as in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Basic => "basic",
            Self::Jwt => "jwt",
            Self::Certificate => "client_certificate",
            Self::ForwardAuth => "forward_auth",
        }
    }
}

/// The identity of a client, as found by the authenticators of the route. Every value was verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// How the client was authenticated.
    pub kind: Kind,
    /// The name of the authenticator in the settings.
    pub authenticator: String,
    /// The name of the key, user or certificate, or the claim `sub`; empty if a token has none.
    pub subject: String,
    /// The groups of the key or user.
    pub groups: Vec<String>,
    /// The names in the certificate: its subject, and the DNS names, URIs and mail addresses.
    pub names: Vec<String>,
    /// The claims of the token.
    pub claims: Map<String, Value>,
}

impl Identity {
    /// An identity with only a subject.
    pub fn new(kind: Kind, authenticator: &str, subject: String) -> Self {
        Self {
            kind,
            authenticator: authenticator.to_owned(),
            subject,
            groups: Vec::new(),
            names: Vec::new(),
            claims: Map::new(),
        }
    }
}

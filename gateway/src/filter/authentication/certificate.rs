//! Certificates of clients, which the TLS handshake verified.

use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::failure::Refused;
use super::{Found, Method};
use crate::exchange::{Exchange, Identity, Kind};
use crate::http::fields::Fields;
use crate::settings::{CertificateName, ClientCertificate};

const OUTDATED: Refused = Refused::wrong("certificate_outdated", "The certificate is not valid now.");
const NAMELESS: Refused =
    Refused::wrong("certificate_nameless", "The certificate has no name of a kind that is accepted.");
/// The field for the certificate (RFC 9440 section 2.2).
pub const CLIENT_CERT: &str = "client-cert";

/// Certificates of clients.
#[derive(Debug)]
pub struct Certificates {
    pub name: String,
    pub settings: ClientCertificate,
}

impl Method for Certificates {
    fn find(self: Arc<Self>, exchange: &mut Exchange<'_>) -> Found {
        let Some(shown) = &exchange.peer.certificate else { return Found::Absent };
        let certificate = &shown.certificate;
        // It was valid in the handshake, and a resumed session has no new one.
        if certificate.invalid_at(SystemTime::now()).is_some() {
            return Found::Wrong(OUTDATED);
        }
        let first = |kind: &CertificateName| match kind {
            CertificateName::Uri => certificate.uris.first(),
            CertificateName::Dns => certificate.dns_names.first(),
            CertificateName::Email => certificate.emails.first(),
            CertificateName::Subject => Some(&certificate.subject).filter(|subject| !subject.is_empty()),
        };
        let Some(subject) = self.settings.subject.iter().find_map(first) else {
            return Found::Wrong(NAMELESS);
        };
        let mut identity = Identity::new(Kind::Certificate, &self.name, subject.clone());
        let names = [&certificate.uris, &certificate.dns_names, &certificate.emails].into_iter().flatten();
        identity.names = names.chain([&certificate.subject]).cloned().collect();
        let identity = Rc::new(identity);
        if !self.settings.forward {
            return Found::Known(identity);
        }
        let mut fields = Fields::new();
        let value = format!(":{}:", BASE64_STANDARD.encode(&shown.der));
        fields.push(CLIENT_CERT.as_bytes(), value.as_bytes());
        Found::KnownWith(identity, fields)
    }

    fn challenge(&self) -> Option<&str> {
        Some("ClientCertificate")
    }
}

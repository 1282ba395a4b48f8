//! Selects the certificate for a client (RFC 6066 section 3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;

/// A certificate with its key and its parsed form.
#[derive(Debug)]
pub(super) struct Named {
    pub certificate: Certificate,
    pub pair: Arc<CertifiedKey>,
}

/// Certificates by name.
#[derive(Debug)]
pub(super) struct Names {
    /// By name; a wildcard by the part after its `*`. A name can have several certificates.
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    default: Option<Arc<CertifiedKey>>,
}

impl Names {
    pub fn new(certificates: Vec<Named>, default_to_first: bool) -> Self {
        let default = certificates.first().filter(|_| default_to_first).map(|named| Arc::clone(&named.pair));
        let mut names = Self { exact: HashMap::new(), wildcard: HashMap::new(), default };
        for Named { certificate, pair } in certificates {
            for name in certificate.dns_names {
                let (map, name) = match name.strip_prefix('*') {
                    Some(rest) if rest.starts_with('.') => (&mut names.wildcard, rest.to_owned()),
                    _ => (&mut names.exact, name),
                };
                map.entry(name).or_default().push(Arc::clone(&pair));
            }
        }
        names
    }

    /// Looks up the exact name, then the wildcard for its first label, then the default; among several the
    /// first with a key that the client can verify.
    fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let lower = name.map(str::to_ascii_lowercase);
        let found = lower.as_deref().and_then(|name| {
            let rest = name.find('.').map(|dot| &name[dot..]);
            self.exact.get(name).or_else(|| rest.and_then(|rest| self.wildcard.get(rest)))
        });
        let fits = |pair: &&Arc<CertifiedKey>| pair.key.choose_scheme(schemes).is_some();
        found
            .and_then(|pairs| pairs.iter().find(fits).or(pairs.first()))
            .or(self.default.as_ref())
            .map(Arc::clone)
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name(), hello.signature_schemes())
    }
}

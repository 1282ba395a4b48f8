//! A service that the gateway calls for itself.

use std::path::PathBuf;
use std::sync::Arc;

use super::url::Url;
use crate::dial::dns::Resolver;
use crate::dial::{ClientTls, ClientTlsConfig, ClientTlsError, DialSettings, Roots};
use crate::endpoint::{Endpoint, EndpointConfig, Scheme};

/// A service that the gateway calls for itself; shared by all workers.
#[derive(Debug)]
pub struct Service {
    /// What is called.
    pub url: Url,
    /// What a request names as its host.
    pub(super) authority: String,
    pub(super) endpoint: Endpoint,
    pub(super) dialing: DialSettings,
}

impl Service {
    /// A service. Its certificate must be of an authority in the PEM file `ca`, or without it of one
    /// that the system trusts.
    ///
    /// # Errors
    ///
    /// The authorities cannot be read, or this machine cannot do TLS.
    pub fn new(url: Url, ca: Option<PathBuf>, resolver: &Arc<Resolver>) -> Result<Self, Vec<ClientTlsError>> {
        let tls = match url.scheme {
            Scheme::Http => None,
            Scheme::Https => {
                let roots = ca.map_or(Roots::System, Roots::File);
                Some(Arc::new(ClientTls::load(&ClientTlsConfig { roots, identity: None })?))
            }
        };
        let config = EndpointConfig { scheme: url.scheme, ..EndpointConfig::new(url.address.clone()) };
        let authority = config.authority();
        let endpoint = Endpoint::alone(config);
        let dialing = DialSettings { resolver: Arc::clone(resolver), tls, proxy_header: None };
        Ok(Self { url, authority, endpoint, dialing })
    }
}

//! A service that the gateway itself calls.

use std::path::PathBuf;
use std::sync::Arc;

use super::url::Url;
use crate::dial::dns::Resolver;
use crate::dial::{ClientTls, ClientTlsConfig, ClientTlsError, DialSettings, Roots};
use crate::endpoint::{Endpoint, EndpointConfig, Scheme};

/// A service that the gateway itself calls; shared by all workers.
#[derive(Debug)]
pub struct Service {
    /// The URL.
    pub url: Url,
    /// The value of `Host`.
    pub(super) authority: String,
    pub(super) endpoint: Endpoint,
    pub(super) dialing: DialSettings,
}

impl Service {
    /// A service. Its certificate must be signed by an authority in the PEM file `ca`, by default by one of
    /// the system's authorities.
    ///
    /// # Errors
    ///
    /// The authorities cannot be read, or the processor does not support TLS.
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

//! TLS: certificates, keys and authorities, and the server side (RFC 8446, RFC 5246).

mod certificate;
mod der;
mod names;
pub mod pem;
mod provider;
mod server;

pub use certificate::{Certificate, fuzz};
pub use provider::{provider, unfit_processor};
pub use server::{
    CertificateFiles, ClientAuth, MinVersion, ServerTls, ServerTlsConfig, ServerTlsProblem, Subject,
    peer_certificate,
};

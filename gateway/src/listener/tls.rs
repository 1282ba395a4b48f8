//! TLS of a listener, from its settings.

use crate::settings::{self, Place};
use crate::tls::{CertificateFiles, ClientAuth, ServerTls, ServerTlsConfig, Subject};

/// Reads the files of a listener. With the `previous` TLS, its sessions can still be resumed.
///
/// # Errors
///
/// Every file that cannot be used, with its place in the settings.
pub fn load(
    listener: &settings::Listener,
    tls: &settings::Tls,
    previous: Option<&ServerTls>,
) -> Result<ServerTls, Vec<(Place, String)>> {
    ServerTls::load(&config(listener, tls), previous).map_err(|problems| {
        problems.into_iter().map(|problem| (place(tls, problem.subject), problem.text)).collect()
    })
}

fn config(listener: &settings::Listener, tls: &settings::Tls) -> ServerTlsConfig {
    // The first certificate is the default in the TLS module.
    let mut certificates: Vec<_> = tls
        .certificates
        .iter()
        .map(|pair| CertificateFiles {
            certificate: pair.certificate.path.clone(),
            key: pair.key.path.clone(),
        })
        .collect();
    if tls.default < certificates.len() {
        let first = certificates.remove(tls.default);
        certificates.insert(0, first);
    }
    let mut alpn = Vec::new();
    if listener.protocols.http2 {
        alpn.push("h2".to_owned());
    }
    if listener.protocols.http1 {
        alpn.push("http/1.1".to_owned());
    }
    ServerTlsConfig {
        certificates,
        default_to_first: true,
        client_auth: match &tls.client_auth {
            settings::ClientAuth::None => ClientAuth::None,
            settings::ClientAuth::Optional(file) => ClientAuth::Optional(file.path.clone()),
            settings::ClientAuth::Required(file) => ClientAuth::Required(file.path.clone()),
        },
        alpn,
        min_version: tls.min_version,
    }
}

fn place(tls: &settings::Tls, subject: Subject) -> Place {
    // The order of `config`.
    let order = |number: usize| match number {
        0 => tls.default,
        _ if number <= tls.default => number - 1,
        _ => number,
    };
    let pair = |number: usize| tls.certificates.get(order(number));
    let found = match subject {
        Subject::Certificate(number) => pair(number).map(|pair| pair.certificate.place),
        Subject::Key(number) => pair(number).map(|pair| pair.key.place),
        Subject::ClientAuthorities => match &tls.client_auth {
            settings::ClientAuth::None => None,
            settings::ClientAuth::Optional(file) | settings::ClientAuth::Required(file) => Some(file.place),
        },
        Subject::Listener => tls.certificates.first().map(|pair| pair.certificate.place),
    };
    found.unwrap_or_default()
}

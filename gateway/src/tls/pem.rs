//! Certificates and keys from PEM files.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificates of a file; the server's or client's own is the first.
///
/// # Errors
///
/// What is wrong with the file and what to do, with its path.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("'{shown}' contains no certificate: {error}; name a PEM file with one"))?;
    if found.is_empty() {
        return Err(format!("'{shown}' contains no certificate; name a PEM file with one"));
    }
    Ok(found)
}

/// The first private key of a file.
///
/// # Errors
///
/// What is wrong with the file and what to do, with its path.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        format!("'{}' contains no private key: {error}; name a PEM file with one", path.display())
    })
}

/// The certificates of a file as trusted authorities.
///
/// # Errors
///
/// What is wrong with the file and what to do, with its path.
pub fn authorities(path: &Path) -> Result<RootCertStore, String> {
    as_authorities(path, &certificates(path)?)
}

pub(super) fn as_authorities(
    path: &Path,
    certificates: &[CertificateDer<'static>],
) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|error| {
            format!(
                "'{}' contains a certificate that is not an authority: {error}; remove it",
                path.display()
            )
        })?;
    }
    Ok(roots)
}

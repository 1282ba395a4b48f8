//! The certificate authorities of the system.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;

use crate::tls::pem;

/// Usual paths: Debian, Ubuntu, Alpine and distroless images; Fedora and RHEL; SUSE; FreeBSD and some small
/// images.
const FILES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Reads the file named by the environment variable `SSL_CERT_FILE`, or the first of the usual files.
///
/// Unusable certificates are skipped if at least one is usable: a system's file may contain outdated ones.
///
/// # Errors
///
/// What is wrong and what to do.
pub(super) fn system() -> Result<RootCertStore, String> {
    from(std::env::var_os("SSL_CERT_FILE").map(PathBuf::from))
}

fn from(named: Option<PathBuf>) -> Result<RootCertStore, String> {
    let file = named.or_else(|| FILES.iter().map(PathBuf::from).find(|file| file.exists()));
    let Some(file) = file else {
        return Err(format!(
            "no file with the system's certificate authorities; install ca-certificates, set \
             SSL_CERT_FILE, or name a CA of your own (looked for {})",
            FILES.join(", ")
        ));
    };
    read(&file)
}

fn read(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(pem::certificates(file)?);
    if added == 0 {
        return Err(format!("'{}' contains no certificate of an authority", file.display()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::from;

    #[test]
    fn named_file_is_used() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        assert_eq!(from(Some(data.join("ca.crt"))).expect("a valid file").len(), 1);
        for file in ["localhost.key", "none.crt"] {
            let error = from(Some(data.join(file))).expect_err("no certificate");
            assert!(error.contains(file), "{error}");
        }
    }
}

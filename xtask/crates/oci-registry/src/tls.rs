//! TLS for registries: which certificates are trusted, and whether this CPU can do the arithmetic.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use rustls_native_certs::CertificateResult;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use cli_support::error::Fault;

/// The settings for connections, or why there can be none. Trusted are the certificates in the PEM file
/// `roots`, or else the machine's, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
pub(super) fn config(roots: Option<&Path>) -> Result<TlsConfig> {
    let missing = missing_features();
    if !missing.is_empty() {
        return Err(cpu_fault(&missing).into());
    }
    let certificates = certificates(roots)?;
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls_graviola::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(certificates)))
        .build())
}

fn certificates(roots: Option<&Path>) -> Result<Vec<Certificate<'static>>> {
    let (CertificateResult { certs, errors, .. }, place) = match roots {
        None => (rustls_native_certs::load_native_certs(), "the machine's certificates".to_owned()),
        Some(path) => {
            (rustls_native_certs::load_certs_from_paths(Some(path), None), path.display().to_string())
        }
    };
    // Stores may contain broken entries; only a store without a valid one is an error.
    if certs.is_empty() {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let what = if errors.is_empty() { String::new() } else { format!(": {}", errors.join("; ")) };
        return Err(Fault::failed(format!("no certificate to trust{what}"))
            .at(place)
            .hint("install ca-certificates, or set SSL_CERT_FILE to a PEM file")
            .into());
    }
    Ok(certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
}

fn cpu_fault(missing: &[&str]) -> Fault {
    Fault::failed(format!("this CPU lacks {}, which TLS needs here", missing.join(", "))).hint(
        "run on a machine with x86-64-v3 and ADX (Intel Broadwell or AMD Zen, 2015) or Arm with the \
         cryptography extension; emulators can be told to offer them, for example: qemu -cpu max",
    )
}

/// CPU features that graviola needs; it panics without them.
fn missing_features() -> Vec<&'static str> {
    let mut missing = Vec::new();
    for (name, present) in features() {
        if !present {
            missing.push(name);
        }
    }
    missing
}

#[cfg(target_arch = "x86_64")]
fn features() -> [(&'static str, bool); 7] {
    use std::arch::is_x86_feature_detected as has;
    [
        ("AES", has!("aes")),
        ("PCLMULQDQ", has!("pclmulqdq")),
        ("BMI1", has!("bmi1")),
        ("BMI2", has!("bmi2")),
        ("ADX", has!("adx")),
        ("AVX", has!("avx")),
        ("AVX2", has!("avx2")),
    ]
}

#[cfg(target_arch = "aarch64")]
fn features() -> [(&'static str, bool); 4] {
    use std::arch::is_aarch64_feature_detected as has;
    [("NEON", has!("neon")), ("AES", has!("aes")), ("PMULL", has!("pmull")), ("SHA2", has!("sha2"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roots.pem");
        for text in [None, Some("no PEM\n")] {
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            let error = certificates(Some(&path)).unwrap_err();
            assert!(error.to_string().contains("roots.pem: no certificate to trust"), "{error}");
        }
    }

    #[test]
    fn a_missing_cpu_feature_is_named_in_the_error() {
        let text = cli_support::error::render(&cpu_fault(&["ADX", "AVX2"]).into());
        assert!(text.contains("lacks ADX, AVX2") && text.contains("help:"), "{text}");
        assert!(missing_features().is_empty(), "the other tests need these");
    }
}

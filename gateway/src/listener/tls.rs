//! TLS of a listener (RFC 8446, RFC 5246).

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::settings::{Place, Tls, files};

/// A mistake in the settings that shows only when the files are read.
#[derive(Debug)]
pub struct TlsError {
    /// Where the settings name the file.
    pub place: Place,
    /// What is wrong and what to do.
    pub text: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for TlsError {}

/// Reads certificate and key and makes them ready for use, with HTTP/2 and HTTP/1.1 on offer
/// (RFC 7301).
///
/// # Errors
///
/// All mistakes found: unreadable or empty files, a key that does not fit, a processor without the
/// instructions the cryptography needs.
pub fn load(tls: &Tls) -> Result<Arc<ServerConfig>, Vec<TlsError>> {
    let mut errors = Vec::new();
    let Some(pair) = tls.certificates.get(tls.default) else { return Err(errors) };
    if !processor_is_fit() {
        errors.push(TlsError {
            place: pair.certificate.place,
            text: format!(
                "TLS cannot be used: this processor lacks {NEEDED}; remove 'tls' or use another machine"
            ),
        });
    }
    let mut named = |place, text| errors.push(TlsError { place, text });
    let certificates =
        files::certificates(&pair.certificate.path).map_err(|text| named(pair.certificate.place, text)).ok();
    let key = files::key(&pair.key.path).map_err(|text| named(pair.key.place, text)).ok();
    let (Some(certificates), Some(key), true) = (certificates, key, errors.is_empty()) else {
        return Err(errors);
    };
    match config(certificates, key) {
        Ok(config) => Ok(Arc::new(config)),
        Err(error) => Err(vec![TlsError {
            place: pair.key.place,
            text: format!("certificate and key cannot be used: {error}; make a new pair"),
        }]),
    }
}

fn config(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls_graviola::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(target_arch = "x86_64")]
const NEEDED: &str = "one of AES, PCLMULQDQ, BMI1, BMI2, ADX, AVX and AVX2";
#[cfg(target_arch = "aarch64")]
const NEEDED: &str = "one of NEON, AES, PMULL and SHA2";

/// Whether the processor has what graviola asserts; without it the process would abort at the
/// first handshake.
#[cfg(target_arch = "x86_64")]
fn processor_is_fit() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("aes")
        && has!("pclmulqdq")
        && has!("bmi1")
        && has!("bmi2")
        && has!("adx")
        && has!("avx")
        && has!("avx2")
}

#[cfg(target_arch = "aarch64")]
fn processor_is_fit() -> bool {
    use std::arch::is_aarch64_feature_detected as has;
    has!("neon") && has!("aes") && has!("pmull") && has!("sha2")
}

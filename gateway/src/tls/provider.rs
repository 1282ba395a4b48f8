//! The cryptography of both sides.

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

/// The provider, one per process.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls_graviola::default_provider()));
    Arc::clone(&PROVIDER)
}

/// Required processor instructions.
#[cfg(target_arch = "x86_64")]
const NEEDED: &str = "AES, PCLMULQDQ, BMI1, BMI2, ADX, AVX and AVX2";
#[cfg(target_arch = "aarch64")]
const NEEDED: &str = "NEON, AES, PMULL and SHA2";

/// The reason why TLS cannot be used on this processor, if there is one. Without this check the process would
/// abort at the first handshake.
pub fn unfit_processor() -> Option<String> {
    (!processor_is_fit())
        .then(|| format!("TLS cannot be used: this processor lacks one of {NEEDED}; use another machine"))
}

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

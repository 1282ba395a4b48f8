//! The names of warnings about valid but suspicious settings.

/// A certificate has expired, expires soon or is not yet valid.
pub const CERTIFICATE_VALIDITY: &str = "certificate-validity";
/// All users of the machine can read a private key or a secret.
pub const READABLE_SECRET: &str = "readable-secret";
/// No request matches a route.
pub const SHADOWED_ROUTE: &str = "shadowed-route";
/// No route uses an upstream.
pub const UNUSED_UPSTREAM: &str = "unused-upstream";
/// The file contains a text that looks like a credential.
pub const PLAIN_TEXT_CREDENTIAL: &str = "plain-text-credential";
/// Every client can forge its address.
pub const TRUSTS_EVERYONE: &str = "trusts-everyone";
/// A timeout has no effect, since a shorter one also applies.
pub const TIMEOUT_ORDER: &str = "timeout-order";

/// Tokens are accepted that may have been issued for another service.
pub const TOKEN_WITHOUT_AUDIENCE: &str = "token-without-audience";
/// Credentials are sent over an unencrypted connection.
pub const CREDENTIALS_WITHOUT_TLS: &str = "credentials-without-tls";
/// Each process counts a limit separately.
pub const LIMIT_PER_PROCESS: &str = "limit-per-process";

/// All of them, for `gateway check --allow`.
pub const ALL: [&str; 10] = [
    CERTIFICATE_VALIDITY,
    READABLE_SECRET,
    SHADOWED_ROUTE,
    UNUSED_UPSTREAM,
    PLAIN_TEXT_CREDENTIAL,
    TRUSTS_EVERYONE,
    TIMEOUT_ORDER,
    TOKEN_WITHOUT_AUDIENCE,
    CREDENTIALS_WITHOUT_TLS,
    LIMIT_PER_PROCESS,
];

#[cfg(test)]
mod tests {
    #[test]
    fn every_warning_is_documented() {
        let page = include_str!("../../../docs/gateway.md");
        for name in super::ALL {
            assert!(page.contains(&format!("| `{name}` |")), "{name} is not in docs/gateway.md");
        }
    }
}

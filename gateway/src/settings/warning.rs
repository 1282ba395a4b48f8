//! The names of warnings: what is legal and likely wrong.

/// A certificate has expired, expires soon or is not yet valid.
pub const CERTIFICATE_VALIDITY: &str = "certificate-validity";
/// All users of the machine can read a private key or a secret.
pub const READABLE_SECRET: &str = "readable-secret";
/// No request reaches a route.
pub const SHADOWED_ROUTE: &str = "shadowed-route";
/// No route leads to an upstream.
pub const UNUSED_UPSTREAM: &str = "unused-upstream";
/// Something that looks like a credential stands in the file.
pub const PLAIN_TEXT_CREDENTIAL: &str = "plain-text-credential";
/// Every client may say that it is another one.
pub const TRUSTS_EVERYONE: &str = "trusts-everyone";
/// A timeout can never pass, since another one that is shorter holds too.
pub const TIMEOUT_ORDER: &str = "timeout-order";

/// Tokens are accepted that may have been issued for another service.
pub const TOKEN_WITHOUT_AUDIENCE: &str = "token-without-audience";
/// Credentials come over a connection that others can read.
pub const CREDENTIALS_WITHOUT_TLS: &str = "credentials-without-tls";
/// A limit counts for each of several processes.
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

//! URLs of services (RFC 3986) with the scheme `http` or `https`.

use std::fmt;

use crate::endpoint::{Address, Scheme};
use crate::http::host;

/// A URL of a service, without user information and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// HTTP in the clear or over TLS.
    pub scheme: Scheme,
    /// Host and port.
    pub address: Address,
    /// Path and query; the path is never empty.
    pub path_and_query: String,
}

impl Url {
    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            _ => return Err("it does not begin with http:// or https://"),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("it contains user information, which would be shown in messages");
        }
        let mut name = String::new();
        let port =
            host::read(authority.as_bytes(), &mut name).map_err(|_| "its host or port is malformed")?;
        if name.is_empty() {
            return Err("its host is missing");
        }
        if port == Some(0) {
            return Err("its port is 0");
        }
        if path.contains('#') {
            return Err("it has a fragment, which is not sent");
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("its path or query contains characters that must be percent-encoded");
        }
        let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let host = literal.unwrap_or(&name).to_owned();
        let port = port.unwrap_or(if scheme == Scheme::Https { 443 } else { 80 });
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { scheme, address: Address::Host { host, port }, path_and_query: format!("{slash}{path}") })
    }
}

impl fmt::Display for Url {
    /// Without the query, which may contain a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.scheme == Scheme::Https { "https" } else { "http" };
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn urls_are_parsed() {
        let table = [
            (
                "https://id.example.com/.well-known/jwks.json",
                Ok("https://id.example.com:443/.well-known/jwks.json /.well-known/jwks.json"),
            ),
            ("HTTP://A.example", Ok("http://a.example:80/ /")),
            ("http://a:8080?x=1&y=/", Ok("http://a:8080/ /?x=1&y=/")),
            ("http://[::1]:9/a%20b", Ok("http://[::1]:9/a%20b /a%20b")),
            ("http://127.0.0.1/", Ok("http://127.0.0.1:80/ /")),
            ("ftp://a/", Err("it does not begin with http:// or https://")),
            ("a.example/x", Err("it does not begin with http:// or https://")),
            ("https://u:p@a/", Err("it contains user information, which would be shown in messages")),
            ("https:///x", Err("its host is missing")),
            ("https://a:0/", Err("its port is 0")),
            ("https://a:99999/", Err("its host or port is malformed")),
            ("https://a b/", Err("its host or port is malformed")),
            ("https://a/b c", Err("its path or query contains characters that must be percent-encoded")),
            ("https://a/é", Err("its path or query contains characters that must be percent-encoded")),
            ("https://a/\r\nX: y", Err("its path or query contains characters that must be percent-encoded")),
            ("https://a/#x", Err("it has a fragment, which is not sent")),
        ];
        for (text, expected) in table {
            let shown = Url::parse(text).map(|url| format!("{url} {}", url.path_and_query));
            assert_eq!(shown.as_deref().map_err(|error| *error), expected, "{text}");
        }
    }
}

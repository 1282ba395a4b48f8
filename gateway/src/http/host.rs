//! The host a request is meant for (RFC 9110 section 7.2).

use std::net::Ipv6Addr;

use super::failure::Rejection;

const BAD_HOST: Rejection = Rejection::bad("host_malformed", "The Host field is malformed.");

/// The host of an authority in lower case, without its port and without a dot at the end.
///
/// IPv6 addresses keep their brackets.
///
/// # Errors
///
/// A 400 if the authority is empty, carries user information, or holds anything but letters,
/// digits, `-`, `.`, `_`, an IPv6 address in brackets and a port up to 65535.
pub fn parse(authority: &str) -> Result<String, Rejection> {
    let (host, port) = split(authority)?;
    if let Some(port) = port {
        // An empty port is allowed by RFC 3986 section 3.2.3.
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || (!port.is_empty() && port.parse::<u16>().is_err()) {
            return Err(BAD_HOST);
        }
    }
    Ok(host.to_ascii_lowercase())
}

fn split(authority: &str) -> Result<(&str, Option<&str>), Rejection> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or(BAD_HOST)?;
        let (host, rest) = authority.split_at(end + 1);
        host[1..end].parse::<Ipv6Addr>().map_err(|_| BAD_HOST)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(BAD_HOST),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || host.len() > 253 || !host.bytes().all(allowed) {
        return Err(BAD_HOST);
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn hosts() {
        let table = [
            ("example.com", Some("example.com")),
            ("EXAMPLE.com:8080", Some("example.com")),
            ("example.com.", Some("example.com")),
            ("example.com:", Some("example.com")),
            ("a_b.local", Some("a_b.local")),
            ("127.0.0.1:1", Some("127.0.0.1")),
            ("[::1]:80", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("", None),
            (":80", None),
            (".", None),
            ("a b", None),
            ("a@b", None),
            ("a/b", None),
            ("a,b", None),
            ("a:b", None),
            ("a:65536", None),
            ("a:1:2", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[x]", None),
            ("é.com", None),
        ];
        for (raw, expected) in table {
            assert_eq!(parse(raw).ok().as_deref(), expected, "{raw}");
        }
    }
}

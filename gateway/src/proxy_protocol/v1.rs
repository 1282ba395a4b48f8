//! Version 1: a line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Parsed, Proxied};

pub(super) const PREFIX: &[u8] = b"PROXY ";

/// Maximum length of the line, with its CRLF.
const MAX_LINE: usize = 107;

const MALFORMED: Parsed = Parsed::Invalid("the PROXY line is malformed");

/// Parses a line of which `bytes` and [`PREFIX`] agree up to the shorter length.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let window = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
        let too_long = bytes.len() >= MAX_LINE;
        return if too_long { Parsed::Invalid("the PROXY line is too long") } else { Parsed::NeedMore };
    };
    let Some(text) = window[..end].strip_suffix(b"\r").and_then(|line| line.strip_prefix(PREFIX)) else {
        return MALFORMED;
    };
    match std::str::from_utf8(text).ok().and_then(line) {
        Some(proxied) => Parsed::Done(end + 1, proxied),
        None => MALFORMED,
    }
}

fn line(text: &str) -> Option<Proxied> {
    // Everything after UNKNOWN must be ignored.
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Some(Proxied::Local);
    }
    let mut parts = text.split(' ');
    let family = parts.next()?;
    let address = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    };
    let source = address(parts.next()?)?;
    let destination = address(parts.next()?)?;
    let source = SocketAddr::new(source, port(parts.next()?)?);
    let destination = SocketAddr::new(destination, port(parts.next()?)?);
    parts.next().is_none().then_some(Proxied::Ip { source, destination })
}

/// Parses digits without a leading zero or sign.
fn port(text: &str) -> Option<u16> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use super::{MALFORMED, MAX_LINE};
    use crate::proxy_protocol::{Parsed, Proxied, fuzz, parse};

    fn ip(source: &str, destination: &str) -> Proxied {
        let address = |text: &str| text.parse().expect("an address");
        Proxied::Ip { source: address(source), destination: address(destination) }
    }

    #[test]
    fn lines_are_parsed() {
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(MAX_LINE - 16));
        let full = format!("PROXY TCP6 {0} {0} 65535 65535\r\n", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        let all_ones = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        let table = [
            ("PROXY TCP4 10.0.0.1 10.0.0.2 1000 80\r\n", ip("10.0.0.1:1000", "10.0.0.2:80")),
            ("PROXY TCP6 ::1 2001:db8::2 0 443\r\n", ip("[::1]:0", "[2001:db8::2]:443")),
            (&full, ip(all_ones, all_ones)),
            ("PROXY UNKNOWN\r\n", Proxied::Local),
            ("PROXY UNKNOWN whatever is here\r\n", Proxied::Local),
            (&longest, Proxied::Local),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text.as_bytes()), Parsed::Done(text.len(), expected.clone()), "{text:?}");
            let followed = format!("{text}GET / HTTP/1.1\r\n");
            assert_eq!(parse(followed.as_bytes()), Parsed::Done(text.len(), expected), "{text:?}");
            for end in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..end]), Parsed::NeedMore, "{text:?} {end}");
            }
            fuzz(text.as_bytes());
        }
    }

    #[test]
    fn malformed_lines_are_refused() {
        let malformed = [
            "PROXY TCP4 10.0.0.1 10.0.0.2 1000 80\n",
            "PROXY TCP4 10.0.0.1 10.0.0.2 1000\r\n",
            "PROXY TCP4 10.0.0.1 10.0.0.2 1000 80 1\r\n",
            "PROXY TCP4  10.0.0.1 10.0.0.2 1000 80\r\n",
            "PROXY TCP4 10.0.0.1 10.0.0.2 01000 80\r\n",
            "PROXY TCP4 10.0.0.1 10.0.0.2 +100 80\r\n",
            "PROXY TCP4 10.0.0.1 10.0.0.2 1000 65536\r\n",
            "PROXY TCP4 010.0.0.1 10.0.0.2 1000 80\r\n",
            "PROXY TCP4 10.0.1 10.0.0.2 1000 80\r\n",
            "PROXY TCP4 ::1 ::1 1000 80\r\n",
            "PROXY TCP6 10.0.0.1 10.0.0.2 1000 80\r\n",
            "PROXY UDP4 10.0.0.1 10.0.0.2 1000 80\r\n",
            "PROXY TCP4 10.0.0.1\r10.0.0.2 1000 80\r\n",
            "PROXY UNKNOWNX\r\n",
            "PROXY \r\n",
            "PROXY tcp4 10.0.0.1 10.0.0.2 1000 80\r\n",
        ];
        for text in malformed {
            assert_eq!(parse(text.as_bytes()), MALFORMED, "{text:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(MAX_LINE - 15));
        assert_eq!(parse(long.as_bytes()), Parsed::Invalid("the PROXY line is too long"));
        for text in ["GET / HTTP/1.1\r\n", "proxy tcp4", "PROXYTCP4", "\r\n\r\nX", " "] {
            assert!(matches!(parse(text.as_bytes()), Parsed::Invalid(_)), "{text:?}");
        }
    }
}

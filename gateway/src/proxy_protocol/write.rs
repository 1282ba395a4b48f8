//! Writes a header.

use std::net::{IpAddr, SocketAddr};

use super::{Proxied, Version, canonical, v2};

/// Appends the header for a connection: at most 107 bytes in version 1 and 52 in version 2, so that a single
/// read of 108 bytes is enough.
///
/// A client over a Unix socket is sent as LOCAL or UNKNOWN, since it has no address that a server could use.
pub fn write(version: Version, proxied: &Proxied, out: &mut Vec<u8>) {
    let addresses = match proxied {
        Proxied::Ip { source, destination } => Some(of_one_family(*source, *destination)),
        Proxied::Local | Proxied::Unix => None,
    };
    match version {
        Version::V1 => write_v1(addresses, out),
        Version::V2 => write_v2(addresses, out),
    }
}

/// On a dual-stack socket the two addresses may have different families.
fn of_one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let (source, destination) = (canonical(source), canonical(destination));
    let as_v6 = |address: SocketAddr| match address.ip() {
        IpAddr::V4(v4) => SocketAddr::from((v4.to_ipv6_mapped(), address.port())),
        IpAddr::V6(_) => address,
    };
    if source.is_ipv4() == destination.is_ipv4() {
        (source, destination)
    } else {
        (as_v6(source), as_v6(destination))
    }
}

fn write_v1(addresses: Option<(SocketAddr, SocketAddr)>, out: &mut Vec<u8>) {
    let line = match addresses {
        None => "PROXY UNKNOWN\r\n".to_owned(),
        Some((source, destination)) => {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (source.ip(), destination.ip());
            format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port())
        }
    };
    out.extend_from_slice(line.as_bytes());
}

fn write_v2(addresses: Option<(SocketAddr, SocketAddr)>, out: &mut Vec<u8>) {
    out.extend_from_slice(v2::SIGNATURE);
    let Some((source, destination)) = addresses else {
        out.extend_from_slice(&[v2::LOCAL, 0, 0, 0]);
        return;
    };
    let (family, length) = if source.is_ipv4() { (0x11, 12) } else { (0x21, 36) };
    out.extend_from_slice(&[v2::PROXY, family, 0, length]);
    for address in [source.ip(), destination.ip()] {
        match address {
            IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::proxy_protocol::{Parsed, Proxied, Version, parse};

    #[test]
    fn written_headers_are_parsed_back() {
        let full = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        // Source, destination, and both as parsed.
        let table = [
            ("10.0.0.1:1", "10.0.0.2:2", "10.0.0.1:1", "10.0.0.2:2"),
            ("[::ffff:10.0.0.1]:1", "10.0.0.2:2", "10.0.0.1:1", "10.0.0.2:2"),
            ("[2001:db8::1]:1", "10.0.0.2:2", "[2001:db8::1]:1", "[::ffff:10.0.0.2]:2"),
            ("[::1]:1", "[::2]:2", "[::1]:1", "[::2]:2"),
            (full, full, full, full),
        ];
        for (source, destination, read_source, read_destination) in table {
            let ip = |source: &str, destination: &str| Proxied::Ip {
                source: source.parse().expect("an address"),
                destination: destination.parse().expect("an address"),
            };
            for version in [Version::V1, Version::V2] {
                let mut out = Vec::new();
                write(version, &ip(source, destination), &mut out);
                assert!(out.len() <= 107, "{}", out.len());
                let expected = Parsed::Done(out.len(), ip(read_source, read_destination));
                assert_eq!(parse(&out), expected, "{version:?} {source} {destination}");
            }
        }
    }

    #[test]
    fn unknown_client_is_written_as_local() {
        for proxied in [Proxied::Local, Proxied::Unix] {
            let mut v1 = Vec::new();
            write(Version::V1, &proxied, &mut v1);
            assert_eq!(v1, b"PROXY UNKNOWN\r\n");
            let mut v2 = Vec::new();
            write(Version::V2, &proxied, &mut v2);
            assert_eq!(v2, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
        }
    }
}

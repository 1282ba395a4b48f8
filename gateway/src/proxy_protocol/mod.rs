//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): a proxy sends the client's address
//! to the server as the first bytes of a connection.

mod v1;
mod v2;
mod write;

use std::net::SocketAddr;

pub use write::write;

/// Maximum size of a header, in bytes. The protocol allows up to 64 KiB in version 2; real headers are far
/// smaller.
pub const MAX_HEADER: usize = 4096;

/// The version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// The origin of a proxied connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxied {
    /// No client: the proxy opened the connection itself (a health probe) or did not send the address. The
    /// addresses of the connection apply.
    Local,
    /// A client over IP.
    Ip {
        /// The client.
        source: SocketAddr,
        /// The address the client connected to.
        destination: SocketAddr,
    },
    /// A client over a Unix socket, without a useful address.
    Unix,
}

/// Result of parsing a header prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed.
    NeedMore,
    /// A header of this length.
    Done(usize, Proxied),
    /// Not a header; the connection must be closed.
    Invalid(&'static str),
}

/// Parses the header at the start of a connection. `bytes` are all bytes received so far.
pub fn parse(bytes: &[u8]) -> Parsed {
    if starts_alike(bytes, v2::SIGNATURE) {
        v2::parse(bytes)
    } else if starts_alike(bytes, v1::PREFIX) {
        v1::parse(bytes)
    } else {
        Parsed::Invalid("the connection does not begin with a PROXY protocol header")
    }
}

/// Whether `bytes` and `prefix` are equal up to the shorter length.
fn starts_alike(bytes: &[u8], prefix: &[u8]) -> bool {
    let common = bytes.len().min(prefix.len());
    bytes[..common] == prefix[..common]
}

/// Fuzz target: parses any bytes, and panics if the results are inconsistent.
///
/// A header must be recognised at exactly its own length, the bytes after it must not matter, and a written
/// header must be parsed to the same value.
pub fn fuzz(bytes: &[u8]) {
    let whole = parse(bytes);
    if let Parsed::Done(length, proxied) = &whole {
        assert!((1..=bytes.len().min(MAX_HEADER)).contains(length));
        assert_eq!(parse(&bytes[..*length]), whole);
        assert_eq!(parse(&bytes[..*length - 1]), Parsed::NeedMore);
        for version in [Version::V1, Version::V2] {
            let mut written = Vec::new();
            write(version, proxied, &mut written);
            let expected = match proxied {
                Proxied::Ip { .. } => proxied.clone(),
                Proxied::Local | Proxied::Unix => Proxied::Local,
            };
            let read = match parse(&written) {
                Parsed::Done(length, read) => Parsed::Done(length, plain(read)),
                other => other,
            };
            assert_eq!(read, Parsed::Done(written.len(), plain(expected)));
        }
    }
}

fn plain(proxied: Proxied) -> Proxied {
    match proxied {
        Proxied::Ip { source, destination } => {
            Proxied::Ip { source: canonical(source), destination: canonical(destination) }
        }
        other => other,
    }
}

/// Converts IPv4-mapped addresses to IPv4, and drops everything except address and port.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

//! The PROXY protocol, versions 1 and 2, as HAProxy's `proxy-protocol.txt` has it: a proxy tells the
//! server, before anything else on a connection, who its client is.

mod v1;
mod v2;
mod write;

use std::net::SocketAddr;

pub use write::write;

/// What a header measures at most, in bytes. The protocol lets version 2 go up to 64 KiB; nothing in
/// use comes near this bound.
pub const MAX_HEADER: usize = 4096;

/// The version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// Whose connection is proxied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxied {
    /// Nobody's: the proxy itself made the connection (a probe), or does not know or tell who did.
    /// The addresses of the connection itself count.
    Local,
    /// A client's over IP.
    Ip {
        /// The client.
        source: SocketAddr,
        /// Where the client connected to.
        destination: SocketAddr,
    },
    /// A client's over a Unix socket, which has no address that would tell more.
    Unix,
}

/// How far a header is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// What is there may become a header.
    NeedMore,
    /// A header of so many bytes.
    Done(usize, Proxied),
    /// What is there is no header; the connection is to be closed.
    Invalid(&'static str),
}

/// Reads the header at the beginning of a connection. The bytes are those received so far, all of
/// them at each call.
pub fn parse(bytes: &[u8]) -> Parsed {
    if starts_alike(bytes, v2::SIGNATURE) {
        v2::parse(bytes)
    } else if starts_alike(bytes, v1::PREFIX) {
        v1::parse(bytes)
    } else {
        Parsed::Invalid("the connection does not begin with a PROXY protocol header")
    }
}

/// Whether the one begins with the other as far as both go.
fn starts_alike(bytes: &[u8], prefix: &[u8]) -> bool {
    let common = bytes.len().min(prefix.len());
    bytes[..common] == prefix[..common]
}

/// For fuzzing: parses any bytes, and panics if the answers contradict each other.
///
/// A header must be found at its own length and no sooner, what follows it must not matter, and what
/// is written must be read as what it was.
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

/// IPv4-mapped addresses as IPv4, and nothing but address and port.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

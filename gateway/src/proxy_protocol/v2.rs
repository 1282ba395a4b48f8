//! Version 2: binary.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{MAX_HEADER, Parsed, Proxied, starts_alike};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2, and the command for a connection that the proxy opened itself.
pub(super) const LOCAL: u8 = 0x20;
/// Version 2, and the command for a client's connection.
pub(super) const PROXY: u8 = 0x21;

/// Type of the field with the CRC-32C of the header, in which the field itself counts as 0.
const CHECKSUM: u8 = 0x03;

/// Signature, version and command, family and protocol, length.
const FIXED: usize = 16;

/// Parses a header of which `bytes` and [`SIGNATURE`] agree up to the shorter length.
///
/// Of the type-length-value fields only the checksum is read: the others are not used here, and a sender may
/// add any.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    debug_assert!(starts_alike(bytes, SIGNATURE));
    // Each byte is checked as soon as it is received.
    let Some(&command) = bytes.get(12) else { return Parsed::NeedMore };
    if command >> 4 != 2 {
        return Parsed::Invalid("the PROXY header has an unknown version");
    }
    if command & 0xf > 1 {
        return Parsed::Invalid("the PROXY header has an unknown command");
    }
    let Some(&family) = bytes.get(13) else { return Parsed::NeedMore };
    let addresses = match family {
        0x00 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return Parsed::Invalid("the PROXY header has an unknown address family"),
    };
    let Some(length) = bytes.get(14..FIXED) else { return Parsed::NeedMore };
    let length = FIXED + usize::from(u16::from_be_bytes([length[0], length[1]]));
    if length > MAX_HEADER {
        return Parsed::Invalid("the PROXY header is too long");
    }
    // LOCAL and unknown families carry no address; their data is skipped.
    let says_nothing = command == LOCAL || family == 0;
    if !says_nothing && length < FIXED + addresses {
        return Parsed::Invalid("the PROXY header is shorter than its addresses");
    }
    let Some(body) = bytes.get(FIXED..length) else { return Parsed::NeedMore };
    if says_nothing {
        return Parsed::Done(length, Proxied::Local);
    }
    let (addresses, mut fields) = body.split_at(addresses);
    while !fields.is_empty() {
        let Some((kind, value, rest)) = field(fields) else {
            return Parsed::Invalid("the PROXY header has a field that exceeds its length");
        };
        if kind == CHECKSUM {
            let at = length - rest.len() - value.len();
            let zeroed = [&bytes[..at], &[0; 4], &bytes[length - rest.len()..length]].concat();
            if value != crc32c(&zeroed).to_be_bytes() {
                return Parsed::Invalid("the PROXY header has a wrong checksum");
            }
        }
        fields = rest;
    }
    Parsed::Done(length, proxied(addresses))
}

/// Parses two addresses and two ports, by their length.
fn proxied(body: &[u8]) -> Proxied {
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    let v4 = |at: usize| <[u8; 4]>::try_from(&body[at..at + 4]).map(Ipv4Addr::from);
    let v6 = |at: usize| <[u8; 16]>::try_from(&body[at..at + 16]).map(Ipv6Addr::from);
    match body.len() {
        12 => match (v4(0), v4(4)) {
            (Ok(source), Ok(destination)) => Proxied::Ip {
                source: SocketAddr::from((source, port(8))),
                destination: SocketAddr::from((destination, port(10))),
            },
            _ => Proxied::Local,
        },
        36 => match (v6(0), v6(16)) {
            (Ok(source), Ok(destination)) => Proxied::Ip {
                source: SocketAddr::from((source, port(32))),
                destination: SocketAddr::from((destination, port(34))),
            },
            _ => Proxied::Local,
        },
        _ => Proxied::Unix,
    }
}

/// The type and the value of the first field, and the fields after it; `None` if it exceeds their length.
fn field(fields: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [kind, high, low, rest @ ..] = fields else { return None };
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
    Some((*kind, value, rest))
}

/// CRC-32C (RFC 3720, appendix B.4): polynomial 0x1edc6f41, bits reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0x82f6_3b78 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::SIGNATURE;
    use crate::proxy_protocol::{MAX_HEADER, Parsed, Proxied, fuzz, parse};

    fn header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).expect("a short body").to_be_bytes();
        [SIGNATURE, &[command, family], &length, body].concat()
    }

    const V4: [u8; 12] = [10, 0, 0, 1, 10, 0, 0, 2, 3, 232, 0, 80];

    fn v4() -> Proxied {
        Proxied::Ip {
            source: "10.0.0.1:1000".parse().expect("an address"),
            destination: "10.0.0.2:80".parse().expect("an address"),
        }
    }

    fn v6() -> (Vec<u8>, Proxied) {
        let mut body = vec![0; 36];
        body[15] = 1;
        body[31] = 2;
        body[33] = 7;
        body[35] = 8;
        let source = "[::1]:7".parse().expect("an address");
        let destination = "[::2]:8".parse().expect("an address");
        (body, Proxied::Ip { source, destination })
    }

    #[test]
    fn headers_are_parsed() {
        let (v6, v6_read) = v6();
        let alpn: &[u8] = &[1, 0, 2, b'h', b'2'];
        let empty: &[u8] = &[0x04, 0, 0, 0xee, 0, 0];
        let long = [&V4[..], &[0x04, 0x0f, 0xd9], &vec![0; 0xfd9 - 4]].concat();
        assert!(long.len() < MAX_HEADER);
        let filled = [&V4[..], &[0x04, 0x0f, 0xe1], &[0; 0xfe1]].concat();
        assert_eq!(filled.len() + 16, MAX_HEADER);
        let table = [
            (header(0x21, 0x11, &V4), v4()),
            (header(0x21, 0x12, &V4), v4()),
            (header(0x21, 0x21, &v6), v6_read.clone()),
            (header(0x21, 0x22, &v6), v6_read),
            (header(0x21, 0x31, &[0; 216]), Proxied::Unix),
            (header(0x21, 0x32, &[1; 216]), Proxied::Unix),
            (header(0x21, 0x11, &[&V4, alpn].concat()), v4()),
            (header(0x21, 0x11, &[&V4, empty].concat()), v4()),
            (header(0x21, 0x11, &[&V4, empty, alpn, empty].concat()), v4()),
            (header(0x21, 0x11, &filled), v4()),
            (header(0x20, 0x00, &[]), Proxied::Local),
            (header(0x20, 0x11, &V4), Proxied::Local),
            (header(0x20, 0x21, &[1, 2, 3]), Proxied::Local),
            (header(0x21, 0x00, &[]), Proxied::Local),
            (header(0x21, 0x00, alpn), Proxied::Local),
        ];
        for (bytes, expected) in table {
            assert_eq!(parse(&bytes), Parsed::Done(bytes.len(), expected.clone()), "{bytes:?}");
            let followed = [&bytes[..], b"PRI * HTTP/2.0"].concat();
            assert_eq!(parse(&followed), Parsed::Done(bytes.len(), expected), "{bytes:?}");
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes[..end]), Parsed::NeedMore, "{bytes:?} {end}");
            }
            fuzz(&bytes);
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        let table = [
            header(0x11, 0x11, &V4),
            header(0x31, 0x11, &V4),
            header(0x22, 0x11, &V4),
            header(0x21, 0x13, &V4),
            header(0x21, 0x01, &V4),
            header(0x21, 0x41, &V4),
            header(0x21, 0x11, &V4[..11]),
            header(0x21, 0x21, &V4),
            header(0x21, 0x31, &[0; 215]),
            header(0x21, 0x11, &[&V4[..], &[1]].concat()),
            header(0x21, 0x11, &[&V4[..], &[1, 0]].concat()),
            header(0x21, 0x11, &[&V4[..], &[1, 0, 2, 0]].concat()),
            header(0x21, 0x11, &[0; MAX_HEADER]),
            b"\r\n\r\n\0\r\nQUIT\r".to_vec(),
            b"\r\n\r\nGET".to_vec(),
        ];
        for bytes in table {
            assert!(matches!(parse(&bytes), Parsed::Invalid(_)), "{bytes:?}");
        }
    }

    #[test]
    fn checksums_are_verified() {
        // The check value of CRC-32C, and a buffer of RFC 3720.
        assert_eq!(super::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(super::crc32c(&[0; 32]), 0x8a91_36aa);
        let with =
            |checksum: [u8; 4]| header(0x21, 0x11, &[&V4[..], &[3, 0, 4], &checksum, &[4, 0, 1, 0]].concat());
        let right = super::crc32c(&with([0; 4])).to_be_bytes();
        assert_eq!(parse(&with(right)), Parsed::Done(39, v4()));
        let wrong = Parsed::Invalid("the PROXY header has a wrong checksum");
        assert_eq!(parse(&with(right.map(|byte| !byte))), wrong);
        let other_client =
            with(right).iter().map(|byte| if *byte == 232 { 233 } else { *byte }).collect::<Vec<_>>();
        assert_eq!(parse(&other_client), wrong);
        assert_eq!(parse(&header(0x21, 0x11, &[&V4[..], &[3, 0, 1, 0]].concat())), wrong);
    }

    #[test]
    fn any_bytes_are_safe() {
        let (v6, _) = v6();
        let line = b"PROXY TCP4 10.0.0.1 10.0.0.2 1000 80\r\n".to_vec();
        for good in [header(0x21, 0x11, &[&V4[..], &[1, 0, 1, 0]].concat()), header(0x21, 0x21, &v6), line] {
            for at in 0..good.len() {
                for byte in 0..=255 {
                    let mut changed = good.clone();
                    changed[at] = byte;
                    fuzz(&changed);
                }
            }
        }
    }
}

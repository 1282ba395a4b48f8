//! The host of a request (RFC 9110 section 7.2, RFC 3986 section 3.2).

use std::net::Ipv6Addr;

use super::failure::Rejection;
use super::path::{encode, hex};
use super::token::is_unreserved;

const BAD_HOST: Rejection = Rejection::bad("host_malformed", "The Host field is malformed.");

/// Maximum length of a host in bytes, as RFC 3986 section 3.2.2 advises.
const MAX_HOST: usize = 255;

/// Parses an authority: appends its host to `host` and returns its port.
///
/// The host is normalised: lower case, no trailing dot, percent-encoded unreserved characters decoded (RFC
/// 3986 section 6.2.2). IP literals keep their brackets. The host may be empty.
///
/// # Errors
///
/// A 400 for user information, for a host that RFC 3986 does not allow, and for a port above 65535.
pub fn read(authority: &[u8], host: &mut String) -> Result<Option<u16>, Rejection> {
    let (name, port) = split(authority)?;
    let start = host.len();
    if let [b'[', address @ .., b']'] = name {
        let address = std::str::from_utf8(address).map_err(|_| BAD_HOST)?;
        // An IPv6 address has several spellings (RFC 5952).
        let spelled = address.parse::<Ipv6Addr>().map(|address| address.to_string());
        host.push('[');
        host.push_str(spelled.as_deref().unwrap_or(address));
        host.push(']');
    } else if name.iter().all(|&byte| PLAIN[usize::from(byte)]) {
        // The fast path for most hosts.
        let name = name.strip_suffix(b".").filter(|bare| !bare.is_empty()).unwrap_or(name);
        if name.len() > MAX_HOST || name == b"." {
            return Err(BAD_HOST);
        }
        host.push_str(std::str::from_utf8(name).map_err(|_| BAD_HOST)?);
        return Ok(port);
    } else {
        let mut bytes = name.iter().copied();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => {
                    let high = bytes.next().and_then(hex).ok_or(BAD_HOST)?;
                    let low = bytes.next().and_then(hex).ok_or(BAD_HOST)?;
                    match high << 4 | low {
                        0..=0x1f | 0x7f => return Err(BAD_HOST),
                        value if is_unreserved(value) => host.push(char::from(value)),
                        value => encode(value, host),
                    }
                }
                _ if is_host_byte(byte) => host.push(char::from(byte)),
                _ => return Err(BAD_HOST),
            }
        }
        if host.len() > start + 1 && host.ends_with('.') {
            host.pop();
        }
        if &host[start..] == "." || host.len() - start > MAX_HOST {
            return Err(BAD_HOST);
        }
    }
    // The canonical form of a percent-encoding has upper-case digits.
    if name.contains(&b'%') {
        lower_outside_encodings(host, start);
    } else {
        host[start..].make_ascii_lowercase();
    }
    Ok(port)
}

fn lower_outside_encodings(host: &mut String, start: usize) {
    let tail = host.split_off(start);
    let mut digits = 0;
    for character in tail.chars() {
        if digits > 0 {
            digits -= 1;
            host.push(character);
        } else {
            digits = if character == '%' { 2 } else { 0 };
            host.push(character.to_ascii_lowercase());
        }
    }
}

/// [`is_host_byte`] without upper case, as a table.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = is_host_byte(byte) && !byte.is_ascii_uppercase();
        byte += 1;
    }
    table
};

/// `unreserved / sub-delims` of RFC 3986.
const fn is_host_byte(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

fn split(authority: &[u8]) -> Result<(&[u8], Option<u16>), Rejection> {
    let end = if authority.first() == Some(&b'[') {
        let end = authority.iter().position(|&byte| byte == b']').ok_or(BAD_HOST)?;
        is_literal(&authority[1..end]).then_some(end + 1).ok_or(BAD_HOST)?
    } else {
        authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at(end);
    let port = match rest.split_first() {
        // An empty port is allowed by RFC 3986 section 3.2.3.
        None | Some((b':', [])) => None,
        Some((b':', digits)) if digits.iter().all(u8::is_ascii_digit) => {
            let port = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            Some(port.ok_or(BAD_HOST)?)
        }
        Some(_) => return Err(BAD_HOST),
    };
    Ok((host, port))
}

/// An address in brackets: IPv6, or an address of a future IP version.
fn is_literal(address: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(address) else { return false };
    if text.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    let Some((version, rest)) = text.strip_prefix(['v', 'V']).and_then(|text| text.split_once('.')) else {
        return false;
    };
    let future = |byte: u8| is_host_byte(byte) || byte == b':';
    !version.is_empty()
        && version.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !rest.is_empty()
        && rest.bytes().all(future)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn hosts_are_normalised() {
        let table = [
            ("example.com", Some(("example.com", None))),
            ("EXAMPLE.com:8080", Some(("example.com", Some(8080)))),
            ("example.com.", Some(("example.com", None))),
            ("example.com:", Some(("example.com", None))),
            ("a_b.local", Some(("a_b.local", None))),
            ("127.0.0.1:1", Some(("127.0.0.1", Some(1)))),
            ("[::1]:80", Some(("[::1]", Some(80)))),
            ("[FE80:0::1]", Some(("[fe80::1]", None))),
            ("[v1.fe:80]", Some(("[v1.fe:80]", None))),
            ("", Some(("", None))),
            (":80", Some(("", Some(80)))),
            ("a%2Db", Some(("a-b", None))),
            ("%41.com", Some(("a.com", None))),
            ("A%c3%a9", Some(("a%C3%A9", None))),
            ("a,b", Some(("a,b", None))),
            (".", None),
            ("..", None),
            ("a b", None),
            ("a@b", None),
            ("a/b", None),
            ("a\"b", None),
            ("a%", None),
            ("a%4", None),
            ("a%zz", None),
            ("a%0a", None),
            ("a:b", None),
            ("a:65536", None),
            ("a:+1", None),
            ("a:1:2", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[x]", None),
        ];
        for (raw, expected) in table {
            let mut host = String::new();
            let found = read(raw.as_bytes(), &mut host).ok().map(|port| (host.as_str(), port));
            assert_eq!(found, expected, "{raw}");
        }
        for raw in ["é.com", &"a".repeat(256)] {
            assert!(read(raw.as_bytes(), &mut String::new()).is_err(), "{raw}");
        }
    }
}

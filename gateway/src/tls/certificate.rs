//! Parsed certificates (RFC 5280): validity, names, subject.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

use super::der::{Der, INTEGER, OCTET_STRING, OID, SEQUENCE, SET};
use crate::observe::clock::rfc3339;

/// The parts of a certificate that the gateway uses. Trust is decided elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Start of validity.
    pub not_before: SystemTime,
    /// End of validity.
    pub not_after: SystemTime,
    /// The subject in the format of RFC 4514, such as `CN=a.example,O=Example`.
    pub subject: String,
    /// DNS names of the subject, in lower case; a wildcard as `*.a.example`.
    pub dns_names: Vec<String>,
    /// URIs of the subject.
    pub uris: Vec<String>,
    /// Mail addresses of the subject.
    pub emails: Vec<String>,
    /// IP addresses of the subject.
    pub addresses: Vec<IpAddr>,
}

impl Certificate {
    /// Parses a certificate in DER; `None` if it is malformed.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let mut certificate = Der(der).inside(SEQUENCE)?.inside(SEQUENCE)?;
        // Version, serial number, algorithm and issuer.
        let _ = certificate.value(0xa0);
        certificate.value(INTEGER)?;
        certificate.value(SEQUENCE)?;
        certificate.value(SEQUENCE)?;
        let mut validity = certificate.inside(SEQUENCE)?;
        let not_before = validity.time()?;
        let not_after = validity.time()?;
        let subject = subject(certificate.inside(SEQUENCE)?)?;
        certificate.value(SEQUENCE)?;
        let mut parsed = Self {
            not_before,
            not_after,
            subject,
            dns_names: Vec::new(),
            uris: Vec::new(),
            emails: Vec::new(),
            addresses: Vec::new(),
        };
        while let Some((tag, value)) = certificate.any() {
            if tag == 0xa3 {
                parsed.extensions(Der(value).inside(SEQUENCE)?)?;
            }
        }
        Some(parsed)
    }

    fn extensions(&mut self, mut extensions: Der<'_>) -> Option<()> {
        const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
        while let Some(mut extension) = extensions.inside(SEQUENCE) {
            if extension.value(OID)? != SUBJECT_ALTERNATIVE_NAME {
                continue;
            }
            // The critical flag.
            let _ = extension.value(0x01);
            let mut names = extension.inside(OCTET_STRING)?.inside(SEQUENCE)?;
            while let Some((tag, value)) = names.any() {
                let text = || std::str::from_utf8(value).ok().map(str::to_owned);
                match tag {
                    0x81 => self.emails.extend(text()),
                    0x82 => self.dns_names.extend(text().map(|name| name.to_ascii_lowercase())),
                    0x86 => self.uris.extend(text()),
                    0x87 => self.addresses.extend(address(value)),
                    _ => {}
                }
            }
        }
        Some(())
    }

    /// The SPIFFE ID of the workload, if the certificate has one (X.509-SVID section 2): exactly one URI,
    /// which begins with `spiffe://`.
    pub fn spiffe_id(&self) -> Option<&str> {
        match &self.uris[..] {
            [uri] if uri.starts_with("spiffe://") => Some(uri),
            _ => None,
        }
    }

    /// The reason why the certificate is not valid at this time, if there is one.
    pub fn invalid_at(&self, now: SystemTime) -> Option<String> {
        if now < self.not_before {
            Some(format!("is not valid before {}", rfc3339(self.not_before)))
        } else if now > self.not_after {
            Some(format!("expired at {}", rfc3339(self.not_after)))
        } else {
            None
        }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).into())
}

/// A name as text, the last part first (RFC 4514 section 2.1).
fn subject(mut name: Der<'_>) -> Option<String> {
    let mut parts = Vec::new();
    while let Some(mut set) = name.inside(SET) {
        let mut values = Vec::new();
        while let Some(mut attribute) = set.inside(SEQUENCE) {
            let kind = attribute.value(OID)?;
            let (tag, value) = attribute.any()?;
            values.push(self::attribute(kind, tag, value));
        }
        parts.push(values.join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

fn attribute(kind: &[u8], tag: u8, value: &[u8]) -> String {
    let name = match kind {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 6] => "C",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 9] => "STREET",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        // UID and DC (RFC 4519).
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
        _ => return format!("{}=#{}", dotted(kind), hex(tag, value)),
    };
    // UTF8String, PrintableString, IA5String.
    let text = matches!(tag, 0x0c | 0x13 | 0x16).then(|| std::str::from_utf8(value).ok()).flatten();
    text.map_or_else(|| format!("{name}=#{}", hex(tag, value)), |text| format!("{name}={}", escaped(text)))
}

/// Escapes according to RFC 4514 section 2.4; also control characters, so that the text is allowed in a
/// header field.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let last = text.len().saturating_sub(1);
    for (at, character) in text.char_indices() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', character]),
            '#' | ' ' if at == 0 => out.extend(['\\', character]),
            ' ' if at == last => out.extend(['\\', character]),
            _ if character.is_ascii_control() => {
                let _ = write!(out, "\\{:02X}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out
}

/// The complete DER value in hexadecimal digits (RFC 4514 section 2.4); only short values occur.
fn hex(tag: u8, value: &[u8]) -> String {
    let length = value.len().to_be_bytes();
    let length: Vec<u8> = if value.len() < 0x80 {
        vec![length[length.len() - 1]]
    } else {
        let digits = &length[value.len().leading_zeros() as usize / 8..];
        [&[0x80 | u8::try_from(digits.len()).unwrap_or(0)], digits].concat()
    };
    [&[tag], &length[..], value].concat().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02X}");
        out
    })
}

/// An object identifier as dotted numbers (X.690 section 8.19).
fn dotted(oid: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut number = 0u64;
    for byte in oid {
        number = number.wrapping_shl(7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.push(first);
                number -= first * 40;
            }
            numbers.push(number);
            number = 0;
        }
    }
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

/// Fuzz target: parses any bytes as a certificate.
pub fn fuzz(bytes: &[u8]) {
    if let Some(certificate) = Certificate::parse(bytes) {
        let _ = (certificate.spiffe_id(), certificate.invalid_at(SystemTime::UNIX_EPOCH));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    use super::{Certificate, dotted, escaped, hex};
    use crate::tls::pem;

    fn localhost() -> Vec<u8> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/localhost.crt");
        pem::certificates(&path).expect("a valid file")[0].to_vec()
    }

    #[test]
    fn certificate_is_parsed() {
        let der = localhost();
        let parsed = Certificate::parse(&der).expect("a certificate");
        assert_eq!(parsed.dns_names, ["localhost"]);
        assert_eq!(parsed.subject, "CN=localhost");
        assert_eq!(parsed.spiffe_id(), None);
        let middle = UNIX_EPOCH + Duration::from_hours(24 * 365 * 80);
        assert_eq!(parsed.invalid_at(middle), None);
        let early = parsed.invalid_at(UNIX_EPOCH).expect("too early");
        assert!(early.starts_with("is not valid before 20"), "{early}");
        let late = parsed.invalid_at(UNIX_EPOCH + Duration::from_hours(24 * 365 * 200)).expect("too late");
        assert!(late.starts_with("expired at 2126-"), "{late}");
    }

    #[test]
    fn any_bytes_are_safe() {
        let der = localhost();
        for end in 0..der.len() {
            assert_eq!(Certificate::parse(&der[..end]), None, "{end}");
        }
        for at in 0..der.len() {
            for byte in [0, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut changed = der.clone();
                changed[at] = byte;
                super::fuzz(&changed);
            }
        }
    }

    #[test]
    fn subjects_are_written_as_text() {
        for (text, expected) in [
            ("a.example", "a.example"),
            ("Example, Inc.", "Example\\, Inc."),
            (" a b ", "\\ a b\\ "),
            ("#1+1=2;<\"\\>", "\\#1\\+1=2\\;\\<\\\"\\\\\\>"),
            ("a\r\nb", "a\\0D\\0Ab"),
            ("ä", "ä"),
            ("", ""),
        ] {
            assert_eq!(escaped(text), expected, "{text:?}");
        }
        assert_eq!(dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1]), "1.2.840.113549.1.9.1");
        assert_eq!(dotted(&[0x55, 4, 5]), "2.5.4.5");
        assert_eq!(dotted(&[]), "");
        assert_eq!(hex(0x13, b"ab"), "13026162");
        assert!(hex(0x13, &[0; 200]).starts_with("1381C800"));
    }
}

//! `Accept-Encoding` (RFC 9110 section 12.5.3).

use super::Coding;
use crate::http::token::{is_token, list, trim_ows};

/// The coding that the client prefers among those offered; among equals the first one offered. `None` if the
/// client prefers an unencoded response, or accepts none of them.
///
/// `values`: all values of `Accept-Encoding`. Without any the response is not encoded: the client may not
/// support codings.
pub fn choose<'v>(values: impl Iterator<Item = &'v [u8]>, offered: &[Coding]) -> Option<Coding> {
    let accepted: Vec<(&[u8], u16)> = values.flat_map(list).filter_map(element).collect();
    let weight = |name: &[u8]| {
        let of = |wanted: &[u8]| {
            accepted.iter().find(|(own, _)| own.eq_ignore_ascii_case(wanted)).map(|(_, weight)| *weight)
        };
        of(name).or_else(|| if name == b"gzip" { of(b"x-gzip") } else { None }).or_else(|| of(b"*"))
    };
    // If `identity` is not listed it is acceptable, with a lower preference than what is listed (section
    // 12.5.3).
    let plain = accepted.iter().find(|(own, _)| own.eq_ignore_ascii_case(b"identity"));
    let plain = plain.map_or(0, |(_, weight)| *weight);
    let mut best: Option<(Coding, u16)> = None;
    for coding in offered {
        let weight = weight(coding.as_str().as_bytes()).unwrap_or(0);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((*coding, weight));
        }
    }
    best.filter(|(_, weight)| *weight >= plain).map(|(coding, _)| coding)
}

/// A coding with its weight in thousandths; `None` if it is malformed.
fn element(element: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = element.split(|&byte| byte == b';').map(trim_ows);
    let name = parts.next().filter(|name| is_token(name))?;
    let weight = match parts.next() {
        None => 1000,
        Some(parameter) => quality(parameter)?,
    };
    parts.next().is_none().then_some((name, weight))
}

/// Parses `q=0.5` (RFC 9110 section 12.4.2).
fn quality(parameter: &[u8]) -> Option<u16> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let (whole, fraction) = match value {
        [whole @ (b'0' | b'1')] => (whole, &b""[..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths = [100, 10, 1].iter().zip(fraction).map(|(unit, digit)| unit * u16::from(digit - b'0'));
    let weight = u16::from(whole - b'0') * 1000 + thousandths.sum::<u16>();
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::Coding::{self, Brotli, Gzip};
    use super::choose;

    #[test]
    fn preferred_coding_is_chosen() {
        let both = [Brotli, Gzip];
        let table: [(&[&str], &[Coding], Option<Coding>); 26] = [
            (&[], &both, None),
            (&[""], &both, None),
            (&["gzip"], &both, Some(Gzip)),
            (&["GZip"], &both, Some(Gzip)),
            (&["x-gzip"], &both, Some(Gzip)),
            (&["gzip, deflate, br"], &both, Some(Brotli)),
            (&["gzip, deflate, br"], &[Gzip, Brotli], Some(Gzip)),
            (&["gzip", "br"], &both, Some(Brotli)),
            (&["gzip;q=1.0, br;q=0.9"], &both, Some(Gzip)),
            (&["gzip ; q=0.5 , br;q=0.501"], &both, Some(Brotli)),
            (&["gzip;q=0"], &both, None),
            (&["gzip;q=0.000, br;q=0.001"], &both, Some(Brotli)),
            (&["gzip;q=0, *"], &both, Some(Brotli)),
            (&["br;q=0, *;q=0.1"], &both, Some(Gzip)),
            (&["*"], &both, Some(Brotli)),
            (&["*;q=0"], &both, None),
            (&["identity"], &both, None),
            (&["identity, gzip"], &both, Some(Gzip)),
            (&["identity;q=1, gzip;q=0.5"], &both, None),
            (&["identity;q=0.5, gzip;q=1"], &both, Some(Gzip)),
            (&["identity;q=0"], &both, None),
            (&["identity;q=0, gzip;q=0.1"], &both, Some(Gzip)),
            (&["gzip;q=2, br;q=x"], &both, None),
            (&["gzip;q=1.001"], &both, None),
            (&["zstd, deflate"], &both, None),
            (&["gzip;q=0.5;x=1, br;q=0.1"], &both, Some(Brotli)),
        ];
        for (values, offered, expected) in table {
            let found = choose(values.iter().map(|value| value.as_bytes()), offered);
            assert_eq!(found, expected, "{values:?} {offered:?}");
        }
    }
}

//! Parameters of a query in the form that browsers send (`application/x-www-form-urlencoded`).

use super::path::hex;

/// The undecoded value of the first parameter of this name. Names are compared decoded.
pub fn first<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(other, _)| decoded(other).eq(name.bytes())).map(|(_, value)| value)
}

/// The query without the parameters of this name.
pub fn without(query: &str, name: &str) -> String {
    let other = |pair: &&str| !decoded(pair.split('=').next().unwrap_or_default()).eq(name.bytes());
    query.split('&').filter(other).collect::<Vec<_>>().join("&")
}

/// Decodes a piece of a query: `+` is a space, and `%` without two hexadecimal digits stays a `%`.
pub fn decoded(piece: &str) -> impl Iterator<Item = u8> {
    let bytes = piece.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        at += 1;
        match byte {
            b'+' => Some(b' '),
            b'%' => {
                let digit = |offset| bytes.get(at + offset).copied().and_then(hex);
                match (digit(0), digit(1)) {
                    (Some(high), Some(low)) => {
                        at += 2;
                        Some(high << 4 | low)
                    }
                    _ => Some(b'%'),
                }
            }
            _ => Some(byte),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{first, without};

    #[test]
    fn parameters_are_found_and_removed() {
        let table = [
            ("a=1&key=x&b=2", Some("x"), "a=1&b=2"),
            ("key=x", Some("x"), ""),
            ("%6bey=x%20y&key=z", Some("x%20y"), ""),
            ("key&a", Some(""), "a"),
            ("Key=x&keys=y&a=key", None, "Key=x&keys=y&a=key"),
            ("", None, ""),
        ];
        for (query, value, rest) in table {
            assert_eq!(first(query, "key"), value, "{query}");
            assert_eq!(without(query, "key"), rest, "{query}");
        }
    }
}
